#!/usr/bin/env python3
"""Draws what a run of the load test measured.

Usage: plot.py load.json docs/images/load.svg

Takes the file of `cargo bench --bench load -- --json load.json` and draws the processor time of a delivered line and
the 99th percentile of its delay, for each server and each load at a fixed rate. Needs matplotlib, of Debian's
python3-matplotlib or of PyPI.
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Server, what it is called, colour (told apart by the colour-blind too) and marker.
SERVERS = [
    ("tailcast", "tailcast", "#0072b2", "o"),
    ("rawlimit", "rawlimit: one thread that does nothing but write", "#555555", "s"),
    ("naive", "naive: axum's WebSocket and a broadcast of strings", "#d55e00", "^"),
]
SCENARIOS = ["small", "fanout", "heavy", "wide", "many", "files"]
PANELS = [
    ("server_cpu_us_per_line", "processor time per delivered line, µs"),
    ("delay_ms_p99", "delay, 99th percentile, ms"),
]
# Below this share of lost lines nothing is said of them.
LOST_PERCENT_SHOWN = 0.5


def label(load):
    if load["files"] > 1:
        each = load["viewers"] // load["files"]
        return f"{load['files']} files × {each} viewers\n× {load['lines_written_per_s_and_file']:,} lines/s"
    return f"{load['viewers']:,} viewers\n× {load['lines_written_per_s_and_file']:,} lines/s"


def draw(path_in, path_out):
    with open(path_in, encoding="utf-8") as file:
        report = json.load(file)
    medians = {(row["scenario"], row["server"]): row for row in report["medians"]}
    scenarios = [name for name in SCENARIOS if (name, "tailcast") in medians]
    if not scenarios:
        sys.exit(f"{path_in} has no load at a fixed rate; run `cargo bench --bench load -- --json {path_in}`")

    # 800 pixels wide at 100 a unit, as a README shows it. The same input makes the same bytes.
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "load", "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(1, 2, figsize=(8, 1.4 + 0.52 * len(scenarios)), sharey=True)
    for axis, (key, title) in zip(axes, PANELS):
        for row, name in enumerate(scenarios):
            points = []
            for server, _, colour, marker in SERVERS:
                figures = medians.get((name, server), {}).get("figures", {})
                value = figures.get(key)
                if value is None:
                    continue
                points.append(value)
                axis.plot(value, row, marker, color=colour, markersize=7, zorder=3)
                lost = figures.get("lost_percent") or 0
                if lost >= LOST_PERCENT_SHOWN:
                    axis.annotate(
                        f"{lost:.0f} % lost",
                        (value, row),
                        textcoords="offset points",
                        xytext=(0, 7),
                        ha="center",
                        fontsize=7.5,
                        color=colour,
                    )
            axis.plot([min(points), max(points)], [row, row], "-", color="#bbbbbb", linewidth=1.2, zorder=2)
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        axis.set_xlim(low / 1.4, high * 1.6)
        axis.set_xlabel(title)
        axis.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", color="#e4e4e4", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[0].set_yticks(range(len(scenarios)), [label(medians[name, "tailcast"]["load"]) for name in scenarios])
    axes[0].set_ylim(len(scenarios) - 0.5, -0.6)

    figure.suptitle("What a line costs the server, and how late it is (left is better)", fontsize=11, y=0.985)
    handles = [
        plt.Line2D([], [], marker=marker, color=colour, linestyle="", markersize=7, label=text)
        for _, text, colour, marker in SERVERS
    ]
    figure.legend(handles=handles, loc="lower center", ncol=3, frameon=False, fontsize=8, handletextpad=0.2)
    figure.tight_layout(rect=(0, 0.06, 1, 0.97), w_pad=2)
    figure.savefig(path_out, facecolor="white", metadata={"Date": None} if path_out.endswith(".svg") else None)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(sys.argv[1], sys.argv[2])
