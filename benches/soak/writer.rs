//! One file's writer, which is also what happens to the file: lines at full speed in bursts, and faults between them.
//!
//! All is done on one thread, so the order of writes and faults is known. What is about to be done is entered in the
//! model first.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use crate::lines::{self, Form, Id};
use crate::model::{Ending, Line, Model};
use crate::rng::Rng;
use crate::run::{Plan, Shared};

/// A file is rotated before it grows much beyond this.
const FILE_BYTES_MAX: u64 = 24 << 20;
/// Rotated files that are kept.
const KEPT: usize = 2;
/// How long the viewer that is always there may take to get what was written.
const SEEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes written at a time.
const WRITE_BYTES: usize = 48 * 1024;
/// A file that is overwritten by as many bytes is small, so that one write replaces it.
const SMALL_BYTES: u64 = 3_000;
const BULK_LINES: usize = 800;
const SAVED_BYTES_MAX: u64 = 2 << 20;

/// A rotated file that is still written to.
struct Late {
    file: File,
    content: usize,
    until: Instant,
    /// The second half of a line.
    rest: Vec<u8>,
}

pub struct Writer {
    model: Arc<Model>,
    shared: Arc<Shared>,
    plan: Plan,
    rng: Rng,
    path: PathBuf,
    /// Whether the name is a symlink, whose targets change.
    linked: bool,
    file: File,
    content: usize,
    /// Where its first line begins: behind a hole.
    base: u64,
    size: u64,
    next_number: u32,
    late: Vec<Late>,
    kept: Vec<PathBuf>,
    serial: usize,
    written: u64,
    /// Whether long lines are being written, so many that they don't fit into what the kernel holds for a viewer.
    bulk: bool,
}

fn append_to(path: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.with_context(|| format!("can't open {}", path.display()))
}

impl Writer {
    /// Makes the file, with a few lines.
    pub fn new(model: Arc<Model>, shared: Arc<Shared>, plan: Plan, dir: &Path, linked: bool) -> Result<Self> {
        let path = dir.join(&model.name);
        let rng = Rng::new(model.seed, 1_000 + u64::from(model.file));
        let content = model.begin(Vec::new());
        let file = if linked {
            let target = dir.join(format!("{}.target-0", model.name));
            let file = append_to(&target)?;
            symlink(&target, &path)?;
            file
        } else {
            append_to(&path)?
        };
        let mut writer = Self {
            model,
            shared,
            plan,
            rng,
            path,
            linked,
            file,
            content,
            base: 0,
            size: 0,
            next_number: 0,
            late: Vec::new(),
            kept: Vec::new(),
            serial: 0,
            written: 0,
            bulk: false,
        };
        writer.write(70)?;
        Ok(writer)
    }

    /// Writes and does damage until it is told to stop; then finishes what it began.
    pub fn run(mut self) -> Result<()> {
        let began = Instant::now();
        let written_before = self.written;
        let mut fault_at = Instant::now() + self.rng.millis(500, 1_500);
        while !self.shared.is_stopping() {
            let burst = match self.rng.below(1_000) {
                0 | 1 => 12_000 + self.rng.below(6_000),
                2..=150 => 500 + self.rng.below(2_000),
                151..=600 => 1 + self.rng.below(300),
                _ => 1 + self.rng.below(5),
            };
            self.bulk = self.rng.below(120) == 0;
            self.burst(if self.bulk { BULK_LINES } else { burst })?;
            self.bulk = false;
            self.write_late()?;
            if Instant::now() >= fault_at {
                self.fault()?;
                fault_at = Instant::now() + self.rng.millis(self.plan.gap, 2 * self.plan.fault_every);
            }
            if self.size > FILE_BYTES_MAX {
                self.truncate("truncate", true)?;
            }
            // Bursts at full speed, the rate over all by pauses; never without a pause for long.
            let lines = (self.written - written_before) as f64;
            let ahead = lines / self.plan.rate as f64 - began.elapsed().as_secs_f64();
            let pause = Duration::from_secs_f64(ahead.clamp(0.0, 0.3));
            thread::sleep(pause.mul_f64(0.5 + self.rng.below(100) as f64 / 100.0));
        }
        while !self.late.is_empty() {
            self.write_late()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Enters lines in the model and makes their bytes.
    fn plan_lines(&mut self, content: usize, count: usize) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        let millis = self.model.now();
        let mut truth = self.model.lock();
        let lines = &mut truth.contents[content].lines;
        let mut planned = 0;
        while planned < count && bytes.len() < WRITE_BYTES {
            let before = bytes.len();
            let number = self.next_number;
            self.next_number += 1;
            // The first line of a content is one by which it can be told from others.
            let blank = !lines.is_empty() && self.rng.below(40) == 0;
            if !blank {
                let id = Id {
                    file: self.model.file,
                    generation: content as u32,
                    number,
                };
                let form = Form::random(&mut self.rng, self.bulk);
                bytes.extend_from_slice(lines::text(self.model.seed, id, form).as_bytes());
            }
            if self.rng.below(16) == 0 {
                bytes.push(b'\r');
            }
            bytes.push(b'\n');
            lines.push(Line {
                generation: content as u32,
                number,
                millis,
                blank,
                bytes: (bytes.len() - before) as u32,
            });
            planned += 1;
        }
        self.shared.count_written(planned, bytes.len());
        self.written += planned as u64;
        (bytes, planned)
    }

    fn wrote(&self, content: usize, lines: usize) {
        self.model.lock().contents[content].written += lines;
    }

    /// Appends lines to the current file.
    fn write(&mut self, mut count: usize) -> Result<()> {
        while count > 0 {
            let (bytes, lines) = self.plan_lines(self.content, count);
            if self.rng.below(30) == 0 {
                // In two writes, the second one within the time for a line without its end.
                let (one, other) = bytes.split_at(self.rng.below(bytes.len()));
                self.file.write_all(one)?;
                thread::sleep(self.rng.millis(1, 30));
                self.file.write_all(other)?;
            } else {
                self.file.write_all(&bytes)?;
            }
            self.size += bytes.len() as u64;
            self.wrote(self.content, lines);
            count -= lines;
        }
        Ok(())
    }

    fn burst(&mut self, count: usize) -> Result<()> {
        // While a program has not switched yet, most of what it writes goes to the old file.
        if !self.late.is_empty() && self.rng.percent(60) {
            return Ok(());
        }
        self.write(count)
    }

    /// Writes to rotated files, and lets go of those whose time is over.
    fn write_late(&mut self) -> Result<()> {
        for mut late in std::mem::take(&mut self.late) {
            if !late.rest.is_empty() {
                late.file.write_all(&late.rest)?;
                late.rest = Vec::new();
                self.wrote(late.content, 1);
            }
            if Instant::now() >= late.until {
                self.model.close(late.content);
                continue;
            }
            let count = self.rng.below(40);
            if count > 0 {
                let (bytes, lines) = self.plan_lines(late.content, count);
                late.file.write_all(&bytes)?;
                self.wrote(late.content, lines);
                self.shared.count_fault("late lines", lines as u64);
            }
            self.late.push(late);
        }
        Ok(())
    }

    /// Waits until the viewer that is always there has got everything, and says whether it has.
    fn seen(&self) -> bool {
        let deadline = Instant::now() + SEEN_TIMEOUT;
        while Instant::now() < deadline {
            let truth = self.model.lock();
            let lines = truth.contents[self.content].lines.len();
            if lines == 0 {
                return false;
            }
            if truth
                .seen
                .is_some_and(|(content, seen)| content == self.content && seen == lines)
            {
                return true;
            }
            drop(truth);
            thread::sleep(Duration::from_millis(2));
        }
        self.shared.count_fault("(not seen in time)", 1);
        false
    }

    fn fault(&mut self) -> Result<()> {
        match self.rng.below(100) {
            0..=24 => self.rotate()?,
            25..=31 => {
                self.rotate()?;
                let lines = 1 + self.rng.below(30);
                self.write(lines)?;
                thread::sleep(Duration::from_millis(self.plan.gap));
                self.rotate()?;
                self.shared.count_fault("two rotations", 1);
            }
            32..=43 => self.truncate("truncate", false)?,
            44..=53 => self.truncate("copytruncate", true)?,
            54..=63 => self.rewrite()?,
            64..=69 => self.overwrite_small()?,
            70..=75 => self.cut()?,
            76..=79 => self.truncate_leaving_hole()?,
            80..=88 => self.save()?,
            89..=91 => self.remove()?,
            92..=95 => {
                for _ in 0..5 {
                    let times = FileTimes::new().set_modified(SystemTime::now());
                    File::options().write(true).open(&self.path)?.set_times(times)?;
                }
                self.shared.count_fault("touch", 1);
            }
            _ => {
                fs::set_permissions(&self.path, Permissions::from_mode(0o600))?;
                fs::set_permissions(&self.path, Permissions::from_mode(0o644))?;
                self.shared.count_fault("chmod", 1);
            }
        }
        Ok(())
    }

    fn sibling(&mut self, what: &str) -> PathBuf {
        self.serial += 1;
        self.path
            .with_file_name(format!("{}.{what}-{}", self.model.name, self.serial))
    }

    /// Keeps a rotated file for a while.
    fn keep(&mut self, path: PathBuf) -> Result<()> {
        self.kept.push(path);
        if self.kept.len() > KEPT {
            fs::remove_file(self.kept.remove(0))?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<()> {
        let what = match (self.linked, self.rng.below(10)) {
            (true, 0..=5) => "symlink switched",
            (true, _) => "symlink removed, made anew",
            (false, 0..=4) => "rename, create",
            (false, 5..=7) => "remove, create",
            (false, _) => "replaced by rename",
        };
        self.shared.count_fault(what, 1);
        let old = self.content;
        let mut rest = Vec::new();
        if self.rng.percent(20) {
            // A line is being written when it happens.
            let (bytes, _) = self.plan_lines(old, 1);
            let (one, other) = bytes.split_at(self.rng.below(bytes.len()));
            self.file.write_all(one)?;
            rest = other.to_vec();
        }
        let target = self.linked.then(|| self.sibling("target"));
        let old_target = if self.linked {
            Some(fs::read_link(&self.path)?)
        } else {
            None
        };
        match what {
            "rename, create" => {
                let rotated = self.sibling("old");
                fs::rename(&self.path, &rotated)?;
                self.keep(rotated)?;
                self.gap(&mut rest)?;
            }
            "remove, create" | "symlink removed, made anew" => {
                fs::remove_file(&self.path)?;
                self.gap(&mut rest)?;
            }
            _ => {}
        }
        let lines = self.model.len(old) - usize::from(!rest.is_empty());
        self.model.end(old, Ending::Rotated { lines }, what, Some(Vec::new()));
        self.content = old + 1;
        let new = match (what, &target) {
            ("replaced by rename", _) => {
                let made = self.sibling("new");
                let mut new = append_to(&made)?;
                let count = 1 + self.rng.below(200);
                let (bytes, lines) = self.plan_lines(self.content, count);
                new.write_all(&bytes)?;
                self.size = bytes.len() as u64;
                self.wrote(self.content, lines);
                fs::rename(&made, &self.path)?;
                Some(new)
            }
            (_, Some(target)) => {
                let new = append_to(target)?;
                let link = self.sibling("link");
                symlink(target, &link)?;
                fs::rename(&link, &self.path)?;
                Some(new)
            }
            _ => None,
        };
        let new = match new {
            Some(new) => new,
            None => append_to(&self.path)?,
        };
        if what != "replaced by rename" {
            self.size = 0;
        }
        self.base = 0;
        self.model.ended(old);
        if let Some(target) = old_target {
            self.keep(target)?;
        }
        let late = match self.rng.percent(60) {
            true => self.rng.millis(10, 1_000),
            false => Duration::ZERO,
        };
        self.late.push(Late {
            file: std::mem::replace(&mut self.file, new),
            content: old,
            until: Instant::now() + late,
            rest,
        });
        Ok(())
    }

    /// The name leads nowhere for a moment, in which a program goes on writing to the file it has open.
    fn gap(&mut self, rest: &mut Vec<u8>) -> Result<()> {
        if self.rng.percent(50) {
            return Ok(());
        }
        thread::sleep(self.rng.millis(0, 150));
        if self.rng.percent(50) {
            if !rest.is_empty() {
                self.file.write_all(rest)?;
                rest.clear();
                self.wrote(self.content, 1);
            }
            let count = 1 + self.rng.below(50);
            self.write(count)?;
            thread::sleep(self.rng.millis(0, 150));
        }
        Ok(())
    }

    /// Enters that the content is about to be replaced in place.
    fn end_in_place(&mut self, what: &'static str, wait: bool, lines: Vec<Line>) -> usize {
        let seen = wait && self.seen();
        self.shared.count_fault(what, 1);
        let old = self.content;
        self.model.end(old, Ending::InPlace { seen }, what, Some(lines));
        self.content = old + 1;
        old
    }

    fn ended_in_place(&mut self, old: usize, base: u64, size: u64) {
        self.model.ended(old);
        self.model.close(old);
        self.base = base;
        self.size = size;
    }

    fn truncate(&mut self, what: &'static str, wait: bool) -> Result<()> {
        let copy = (what == "copytruncate").then(|| self.sibling("copy"));
        let old = self.end_in_place(what, wait, Vec::new());
        if let Some(copy) = copy {
            fs::copy(&self.path, &copy)?;
            self.keep(copy)?;
        }
        self.file.set_len(0)?;
        self.ended_in_place(old, 0, 0);
        Ok(())
    }

    /// As a writer without O_APPEND leaves it: NULs up to where it went on.
    fn truncate_leaving_hole(&mut self) -> Result<()> {
        let size = self.size.max(200);
        let old = self.end_in_place("truncate leaving a hole", true, Vec::new());
        self.file.set_len(0)?;
        if self.rng.percent(50) {
            thread::sleep(self.rng.millis(0, 100));
        }
        self.file.set_len(size)?;
        self.ended_in_place(old, size, size);
        self.write(1)
    }

    fn rewrite(&mut self) -> Result<()> {
        let (mut count, mut wait) = (1 + self.rng.below(3_000), self.rng.percent(50));
        if self.rng.percent(50) {
            // Twice, the second time just when the first is being read.
            let old = self.end_in_place("rewritten twice at once", wait, Vec::new());
            self.file.set_len(0)?;
            self.ended_in_place(old, 0, 0);
            self.write(300)?;
            thread::sleep(Duration::from_micros(self.rng.below(7_000) as u64));
            count = 200 + self.rng.below(200);
            wait = false;
        }
        let old = self.end_in_place("rewritten in place", wait, Vec::new());
        self.file.set_len(0)?;
        self.ended_in_place(old, 0, 0);
        self.write(count)
    }

    /// Overwrites a small file by other lines of the same size.
    fn overwrite_small(&mut self) -> Result<()> {
        if self.size > SMALL_BYTES || self.size < 400 || self.base > 0 {
            let old = self.end_in_place("rewritten in place", true, Vec::new());
            self.file.set_len(0)?;
            self.ended_in_place(old, 0, 0);
            let mut bytes = Vec::new();
            while bytes.len() < 600 {
                bytes.extend_from_slice(&self.plain_line(100));
            }
            self.file.write_all(&bytes)?;
            self.size = bytes.len() as u64;
            let lines = self.model.len(self.content);
            self.wrote(self.content, lines);
        }
        let old = self.end_in_place("overwritten, same size", true, Vec::new());
        let mut bytes = Vec::new();
        let size = self.size as usize;
        while bytes.len() + 250 < size {
            let line = self.plain_line(60 + bytes.len() % 50);
            bytes.extend_from_slice(&line);
        }
        let line = self.plain_line(size - bytes.len());
        bytes.extend_from_slice(&line);
        // Not through the writer's descriptor, which appends.
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        let lines = self.model.len(self.content);
        self.wrote(self.content, lines);
        self.ended_in_place(old, 0, bytes.len() as u64);
        Ok(())
    }

    /// Enters a line of this many bytes with its end, or one more where that can't be.
    fn plain_line(&mut self, bytes: usize) -> Vec<u8> {
        let id = Id {
            file: self.model.file,
            generation: self.content as u32,
            number: self.next_number,
        };
        self.next_number += 1;
        let with = |len| lines::text(self.model.seed, id, Form { kind: 'a', len });
        let mut text = (0..bytes)
            .rev()
            .map(with)
            .find(|text| text.len() < bytes)
            .unwrap_or_default();
        if text.len() + 1 < bytes {
            text.push('\r');
        }
        text.push('\n');
        self.model.lock().contents[self.content].lines.push(Line {
            generation: id.generation,
            number: id.number,
            millis: self.model.now(),
            blank: false,
            bytes: text.len() as u32,
        });
        self.shared.count_written(1, text.len());
        text.into_bytes()
    }

    /// Cuts the file between two lines.
    fn cut(&mut self) -> Result<()> {
        // What is cut off must have been read, or whether it was cut could not be seen.
        if !self.seen() {
            return Ok(());
        }
        let lines = self.model.lock().contents[self.content].lines.clone();
        let kept = 1 + self.rng.below(lines.len());
        if kept >= lines.len() {
            return Ok(());
        }
        let kept = lines[..kept].to_vec();
        let size = self.base + kept.iter().map(|line| u64::from(line.bytes)).sum::<u64>();
        let old = self.end_in_place("cut", true, kept);
        self.file.set_len(size)?;
        self.ended_in_place(old, self.base, size);
        Ok(())
    }

    /// Saves as editors do: a changed copy takes the name.
    fn save(&mut self) -> Result<()> {
        if self.linked || self.base > 0 || self.size > SAVED_BYTES_MAX {
            return self.truncate("copytruncate", true);
        }
        let lines = self.model.lock().contents[self.content].lines.clone();
        if lines.is_empty() {
            return Ok(());
        }
        self.shared.count_fault("editor's save", 1);
        let bytes = fs::read(&self.path)?;
        let from = 1 + self.rng.below(lines.len());
        let dropped = self.rng.below(lines.len() - from + 1).min(20);
        let mut copy = Vec::new();
        let mut copied = Vec::new();
        let mut at = 0;
        for (index, line) in lines.iter().enumerate() {
            let end = at + line.bytes as usize;
            if index < from || index >= from + dropped {
                copy.extend_from_slice(&bytes[at..end]);
                copied.push(*line);
            }
            at = end;
        }
        let old = self.content;
        self.model.end(old, Ending::Saved, "editor's save", Some(copied));
        self.content = old + 1;
        let made = self.sibling("swp");
        fs::write(&made, &copy)?;
        let mut new = append_to(&made)?;
        let count = self.rng.below(20);
        let (bytes, lines) = self.plan_lines(self.content, count);
        new.write_all(&bytes)?;
        self.wrote(self.content, lines);
        self.size = (copy.len() + bytes.len()) as u64;
        // The lines it was saved with are copied, for all that a reader can tell.
        let mut truth = self.model.lock();
        let content = &mut truth.contents[self.content];
        content.copied = content.lines.len();
        drop(truth);
        fs::rename(&made, &self.path)?;
        self.model.ended(old);
        self.model.close(old);
        self.file = new;
        Ok(())
    }

    /// Removes the file for longer than the grace, or moves it away; then makes it anew.
    fn remove(&mut self) -> Result<()> {
        for late in &mut self.late {
            late.until = Instant::now();
        }
        self.write_late()?;
        let moved = !self.linked && self.rng.percent(40);
        let what = if moved { "moved away" } else { "removed" };
        self.shared.count_fault(what, 1);
        let old = self.content;
        self.model.end(old, Ending::Removed, what, None);
        if moved {
            let rotated = self.sibling("old");
            fs::rename(&self.path, &rotated)?;
            self.keep(rotated)?;
        } else {
            if self.linked {
                let target = fs::read_link(&self.path)?;
                self.keep(target)?;
            }
            fs::remove_file(&self.path)?;
        }
        self.model.ended(old);
        let count = self.rng.below(100);
        self.write(count)?;
        self.model.close(old);
        let grace = u64::from(self.plan.grace);
        thread::sleep(self.rng.millis(2 * grace + 500, 4 * grace));
        self.content = self.model.begin(Vec::new());
        self.file = if self.linked {
            let target = self.sibling("target");
            let file = append_to(&target)?;
            symlink(&target, &self.path)?;
            file
        } else {
            append_to(&self.path)?
        };
        self.base = 0;
        self.size = 0;
        Ok(())
    }
}
