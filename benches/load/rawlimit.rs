//! The yardstick: the least a program can do that reads growing files and writes their lines to WebSocket viewers, in
//! one thread, without checks, limits or care for slow viewers. What a real server costs beyond this is what its
//! features cost; what this costs is what the kernel takes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tungstenite::handshake::derive_accept_key;

use crate::frames;
use crate::yardstick::{self, HISTORY, HISTORY_BYTES, READ_INTERVAL};

const READ_BUFFER: usize = 256 * 1024;
/// What may wait for one viewer whose socket takes no more before it is let go.
const BEHIND_MAX: usize = 64 * 1024 * 1024;
/// Frames that everybody has are dropped when they are so many bytes.
const TRIM_BYTES: usize = 1024 * 1024;
const REQUEST_MAX: usize = 8 * 1024;
/// The line that is meddled with, counted from the first one read after the start.
const SABOTAGED: u64 = 25;

/// What is done to one line to see whether the viewers notice it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// It is not sent
    Drop,
    /// It is sent twice
    Double,
    /// It is sent after the next one
    Swap,
    /// A byte of its padding is another one
    Alter,
    /// It is cut in the middle
    Cut,
}

/// A connection whose request isn't answered yet.
struct Join {
    socket: TcpStream,
    request: Vec<u8>,
}

struct Viewer {
    socket: TcpStream,
    /// How many bytes of its file's frames it was sent.
    sent: u64,
}

/// One file with its viewers.
struct Tail {
    name: String,
    file: File,
    /// What was read behind the last line end.
    line_start: Vec<u8>,
    /// The frames that some viewer has yet to get, and at least those of the last lines.
    frames: Vec<u8>,
    /// The bytes of frames before those.
    dropped: u64,
    /// Where the frames of the last lines begin.
    last_lines: VecDeque<u64>,
    viewers: Vec<Viewer>,
    meddler: Meddler,
}

/// Serves the files until it is killed.
pub fn serve(paths: &[PathBuf], sabotage: Option<Sabotage>) -> Result<()> {
    let mut tails = paths
        .iter()
        .map(|path| Tail::open(path, sabotage))
        .collect::<Result<Vec<_>>>()?;
    let listener = yardstick::listen()?;
    yardstick::announce("rawlimit", listener.local_addr()?)?;

    let mut joining = Vec::new();
    let mut buffer = vec![0; READ_BUFFER];
    let mut next = Instant::now();
    loop {
        accept(&listener, &mut joining)?;
        let mut index = 0;
        while let Some(join) = joining.get_mut(index) {
            match join.handshake(&mut tails) {
                Ok(None) => index += 1,
                Ok(Some((tail, sent))) => {
                    let socket = joining.swap_remove(index).socket;
                    tails[tail].viewers.push(Viewer { socket, sent });
                }
                Err(error) => {
                    eprintln!("a handshake failed: {error:#}");
                    joining.swap_remove(index);
                }
            }
        }
        for tail in &mut tails {
            while tail.read(&mut buffer)? {
                tail.send();
            }
            tail.send();
            tail.trim();
        }
        next = (next + READ_INTERVAL).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn accept(listener: &TcpListener, joining: &mut Vec<Join>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                joining.push(Join {
                    socket,
                    request: Vec::new(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("can't accept a connection"),
        }
    }
}

impl Join {
    /// Reads on, and answers the request when it is complete, the last lines along with it; then it is a viewer of the
    /// file with this index, and was sent its frames up to this one.
    fn handshake(&mut self, tails: &mut [Tail]) -> Result<Option<(usize, u64)>> {
        let mut part = [0; 1024];
        match self.socket.read(&mut part) {
            Ok(0) => bail!("the client left"),
            Ok(read) => self.request.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if self.request.len() > REQUEST_MAX {
            bail!("the request is too long");
        }
        if !self.request.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&self.request);
        let key = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key)
            .context("the request has no key")?;
        let name = text.split_once("?file=").and_then(|(_, rest)| rest.split(' ').next());
        let index = tails
            .iter()
            .position(|tail| Some(tail.name.as_str()) == name)
            .context("the request names no file")?;
        let tail = &tails[index];
        let mut response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        )
        .into_bytes();
        let first = tail.last_lines.front().copied().unwrap_or(tail.end());
        response.extend_from_slice(tail.frames_from(first));
        self.socket.write_all(&response)?;
        Ok(Some((index, tail.end())))
    }
}

impl Tail {
    fn open(path: &Path, sabotage: Option<Sabotage>) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
        let start = file.metadata()?.len().saturating_sub(HISTORY_BYTES);
        file.seek(SeekFrom::Start(start))
            .context("can't seek to the end of the file")?;
        let mut last = Vec::new();
        file.read_to_end(&mut last).context("can't read the file")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut tail = Self {
            name,
            file,
            line_start: Vec::new(),
            frames: Vec::new(),
            dropped: 0,
            last_lines: VecDeque::new(),
            viewers: Vec::new(),
            meddler: Meddler::default(),
        };
        // The first line may have begun before what was read.
        let skipped = match start {
            0 => 0,
            _ => last.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        };
        tail.push(&last[skipped..]);
        tail.meddler = Meddler {
            sabotage,
            ..Meddler::default()
        };
        Ok(tail)
    }

    /// Where the frames end that there are so far.
    fn end(&self) -> u64 {
        self.dropped + self.frames.len() as u64
    }

    fn frames_from(&self, place: u64) -> &[u8] {
        &self.frames[(place - self.dropped) as usize..]
    }

    /// Reads a block of what is new; true when there may be more.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let read = self.file.read(buffer).context("can't read the file")?;
        self.push(&buffer[..read]);
        Ok(read == buffer.len())
    }

    /// Frames the whole lines of what was read; what follows the last of them waits for its end.
    fn push(&mut self, read: &[u8]) {
        for part in read.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = part.strip_suffix(b"\n") else {
                self.line_start.extend_from_slice(part);
                continue;
            };
            let place = self.end();
            if self.line_start.is_empty() {
                self.meddler.push(&mut self.frames, end);
            } else {
                self.line_start.extend_from_slice(end);
                self.meddler.push(&mut self.frames, &self.line_start);
                self.line_start.clear();
            }
            if self.last_lines.len() == HISTORY {
                self.last_lines.pop_front();
            }
            self.last_lines.push_back(place);
        }
    }

    /// Writes to every viewer what its socket takes.
    fn send(&mut self) {
        let (frames, dropped, end) = (&self.frames, self.dropped, self.dropped + self.frames.len() as u64);
        self.viewers.retain_mut(|viewer| {
            if viewer.sent == end {
                return true;
            }
            let waiting = &frames[(viewer.sent - dropped) as usize..];
            match viewer.socket.write(waiting) {
                Ok(sent) => viewer.sent += sent as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return waiting.len() < BEHIND_MAX,
                Err(_) => return false,
            }
            true
        });
    }

    /// Drops what everybody has, when it is enough to be worth moving the rest.
    fn trim(&mut self) {
        if self.frames.len() < TRIM_BYTES {
            return;
        }
        let kept = self.last_lines.front().copied().unwrap_or(self.end());
        let kept = self.viewers.iter().map(|viewer| viewer.sent).fold(kept, u64::min);
        let useless = (kept - self.dropped) as usize;
        if useless > self.frames.len() / 2 {
            self.frames.drain(..useless);
            self.dropped = kept;
        }
    }
}

/// Frames lines, and does to one of them what it is to do.
#[derive(Default)]
struct Meddler {
    sabotage: Option<Sabotage>,
    lines: u64,
    held: Vec<u8>,
}

impl Meddler {
    fn push(&mut self, frames: &mut Vec<u8>, line: &[u8]) {
        match self.sabotage {
            Some(sabotage) if self.lines == SABOTAGED => self.meddle(sabotage, frames, line),
            _ => frames::push_text(frames, line),
        }
        self.lines += 1;
        if self.lines == SABOTAGED + 2 && !self.held.is_empty() {
            frames::push_text(frames, &std::mem::take(&mut self.held));
        }
    }

    fn meddle(&mut self, sabotage: Sabotage, frames: &mut Vec<u8>, line: &[u8]) {
        match sabotage {
            Sabotage::Drop => {}
            Sabotage::Double => {
                frames::push_text(frames, line);
                frames::push_text(frames, line);
            }
            Sabotage::Swap => self.held = line.to_vec(),
            Sabotage::Alter => {
                let mut line = line.to_vec();
                if let Some(last) = line.last_mut() {
                    *last = last.wrapping_add(1);
                }
                frames::push_text(frames, &line);
            }
            Sabotage::Cut => frames::push_text(frames, &line[..line.len() / 2]),
        }
    }
}
