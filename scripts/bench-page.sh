#!/usr/bin/env bash
# Measures the page in Chromium at some rates of lines: bench-page.sh [SECONDS] [BINARY]
set -euo pipefail
[ $# -lt 2 ] || binary=$(realpath "$2")
cd "$(dirname "$0")/.."
binary=${binary:-$PWD/target/release/tailcast}
[ $# -gt 1 ] || cargo build --release --locked
node scripts/bench-page.mjs "$binary" "${1:-10}"
