//! Example logs that write themselves, to see the program at work without a log of one's own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::config::DEFAULT_FILES;

/// Lines that are there before the first viewer comes: more than a viewer gets as history.
const FIRST_LINES: u64 = 80;

/// A temporary directory with the three default files, removed when dropped.
#[derive(Debug)]
pub struct Demo {
    directory: TempDir,
    files: [File; 3],
    lines: u64,
}

impl Demo {
    /// Makes the directory and writes the first lines.
    ///
    /// # Errors
    ///
    /// What making the directory or writing the files returns.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("tailcast-demo-").tempdir()?;
        let open = |name| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(directory.path().join(name))
        };
        let [first, second, third] = DEFAULT_FILES;
        let files = [open(first)?, open(second)?, open(third)?];
        let mut demo = Self {
            directory,
            files,
            lines: 0,
        };
        for _ in 0..FIRST_LINES * 3 {
            demo.write()?;
        }
        Ok(demo)
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps writing until it is dropped or the disk is full.
    ///
    /// # Errors
    ///
    /// What writing returns.
    pub async fn run(&mut self) -> io::Result<()> {
        loop {
            self.write()?;
            // Bursts and quiet stretches, as real programs have them.
            let pause = if self.lines % 97 < 30 {
                15
            } else {
                40 + self.lines % 11 * 45
            };
            sleep(Duration::from_millis(pause)).await;
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let step = self.lines;
        self.lines += 1;
        let round = step / 3;
        let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        let [update, download, upload] = &mut self.files;
        match step % 3 {
            0 => update.write_all(update_line(&time, round).as_bytes()),
            1 => download.write_all(download_line(&time, round).as_bytes()),
            _ => upload.write_all(upload_line(&time, round).as_bytes()),
        }
    }
}

fn update_line(time: &str, round: u64) -> String {
    let room = 20_000 + round * 7919 % 80_000;
    match round % 41 {
        7 => format!("{time} \x1b[33mWARN\x1b[0m  biliup.monitor: room {room} answered after 4.8 s, retrying\n"),
        19 => format!(
            "{time} \x1b[31mERROR\x1b[0m biliup.monitor: 检查直播间 {room} 失败\n\
             Traceback (most recent call last):\n  \
               File \"biliup/engine/download.py\", line 214, in check\n    \
                 response = await self.session.get(url, timeout=5)\n  \
               File \"httpx/_client.py\", line 1801, in get\n    \
                 raise ReadTimeout(message)\n\
             httpx.ReadTimeout: 读取超时 after 5.0 s\n"
        ),
        3 | 23 => format!("{time} \x1b[32mINFO\x1b[0m  biliup.monitor: 直播间 {room} 开播了: 深夜歌回 🎤\n"),
        n if n % 2 == 0 => format!("{time} \x1b[32mINFO\x1b[0m  biliup.monitor: checked {room}, offline\n"),
        _ => format!("{time} \x1b[36mDEBUG\x1b[0m biliup.monitor: next check of {room} in 30 s\n"),
    }
}

fn download_line(time: &str, round: u64) -> String {
    let part = round / 60;
    let megabytes = round % 60 * 17;
    match round % 60 {
        0 => format!("{time} [INFO] 开始下载 第 {part} 段 -> 录播/2026/part-{part:04}.flv\n"),
        59 => format!(
            "{time} [INFO] 分段完成 part-{part:04}.flv, 1003 MiB, 弹幕 {} 条\n",
            round * 13 % 5000
        ),
        29 => format!("{time} [WARN] stream stalled for 2.1 s, buffer at 12 %, 重新连接 CDN 节点 3\n"),
        _ => format!(
            "{time} [INFO] part-{part:04}.flv {megabytes} MiB, {}.{} MiB/s, frame={} drop={}\n",
            4 + round % 3,
            round * 7 % 10,
            round * 300,
            round % 60 / 29
        ),
    }
}

fn upload_line(time: &str, round: u64) -> String {
    let part = round / 50;
    match round % 50 {
        0 => format!(
            "{{\"time\":\"{time}\",\"level\":\"info\",\"msg\":\"upload started\",\"part\":{part},\"线路\":\"bda2\"}}\n"
        ),
        31 => format!(
            "{{\"time\":\"{time}\",\"level\":\"error\",\"msg\":\"chunk {} failed: 406 Not Acceptable\",\"retry\":true}}\n",
            round % 50
        ),
        49 => format!(
            "{{\"time\":\"{time}\",\"level\":\"info\",\"msg\":\"稿件提交成功\",\"bvid\":\"BV1{:08x}\"}}\n",
            round * 2_654_435_761 % 0xffff_ffff
        ),
        n => format!(
            "{{\"time\":\"{time}\",\"level\":\"info\",\"msg\":\"chunk {n}/48 done\",\"bytes\":{},\"ms\":{}}}\n",
            4 << 20,
            180 + round * 37 % 400
        ),
    }
}
