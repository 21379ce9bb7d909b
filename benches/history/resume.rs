//! A thousand viewers that come back at once, each 100,000 lines behind: what that takes of the server, against a program
//! that reads the stretch once for each of them and writes it as it is.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};
use nix::time::ClockId;
use nix::unistd::Pid;
use xxhash_rust::xxh3::Xxh3;

use crate::child::Child;
use crate::{get, median, millis};

const VIEWERS: usize = 1000;
const LINES: usize = 100_000;
const PAGE_LINES: usize = 10_000;
const ROUNDS: usize = 3;
/// In so many bytes there are these lines and more.
const TAIL_BYTES: u64 = 32 << 20;
/// What the yardstick reads and writes at a time.
const BLOCK_BYTES: usize = 64 << 10;
/// How long all viewers may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// The argument that makes the bench a yardstick.
pub const YARDSTICK: &str = "--write-from";

/// Prints processor times and their ratio.
pub fn resumes(server: &Child, address: SocketAddr, path: &Path, dir: &Path) -> Result<()> {
    let stretch = last_lines(path)?;
    let offset = File::open(path)?.metadata()?.len() - stretch.len() as u64;
    let frames = framed(&stretch);
    let mut position = String::new();
    for _ in 0..LINES / PAGE_LINES {
        let before = match position.as_str() {
            "" => String::new(),
            position => format!("&before={position}"),
        };
        let (body, _) = get(address, &format!("searched.log/lines?limit={PAGE_LINES}{before}"))?;
        let page: serde_json::Value = serde_json::from_str(&body)?;
        position = page["start"].as_str().context("a page without a start")?.to_owned();
    }
    let handshake = format!(
        "GET /api/v1/ws/logs?file=searched.log&since={position} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(YARDSTICK).arg(path).arg(offset.to_string());
    let mut yardstick = Child::spawn(command, "yardstick", dir)?;
    let plain = yardstick.address()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure(yardstick.pid(), plain, "GET / HTTP/1.1\r\n\r\n", &stretch)?);
        ours.push(measure(server.pid(), address, &handshake, &frames)?);
    }
    yardstick.stop(|_| true)?;
    println!("{VIEWERS} viewers resume {LINES} lines back of 1 GiB, {ROUNDS} rounds, medians");
    let mut cpu = Vec::new();
    for (name, runs) in [("read and written", theirs), ("tailcast", ours)] {
        let took = median(runs.iter().map(|(took, _)| *took).collect());
        let used = median(runs.iter().map(|(_, used)| *used).collect());
        println!(
            "  {name:19} {:7.1} ms of a processor, all had it after {:7.1} ms",
            millis(used),
            millis(took)
        );
        cpu.push(used.as_secs_f64());
    }
    println!("  {:.2} times the processor time", cpu[1] / cpu[0]);
    Ok(())
}

/// The last lines of a file, as they stand there.
fn last_lines(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let from = file.metadata()?.len() - TAIL_BYTES;
    let mut tail = vec![0; TAIL_BYTES as usize];
    file.read_exact_at(&mut tail, from)?;
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &tail).collect();
    ensure!(ends.len() > LINES, "lines of more than 300 bytes");
    Ok(tail.split_off(ends[ends.len() - 1 - LINES] + 1))
}

/// The same as the server sends it: a text message a line (RFC 6455, section 5.2).
fn framed(lines: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(lines.len() + 3 * LINES);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let payload = &line[..line.len() - 1];
        let len = u16::try_from(payload.len()).expect("lines of some words");
        match len {
            0..126 => frames.extend([0x81, len as u8]),
            _ => {
                frames.extend([0x81, 126]);
                frames.extend(len.to_be_bytes());
            }
        }
        frames.extend(payload);
    }
    frames
}

/// How long it takes until all viewers have what is expected, and what of a processor it takes the server.
fn measure(server: u32, address: SocketAddr, request: &str, expected: &[u8]) -> Result<(Duration, Duration)> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(server.cast_signed()))?;
    let mut expected_hash = Xxh3::new();
    expected_hash.update(expected);
    let expected_hash = expected_hash.digest();
    let mut poll = Poll::new()?;
    let mut viewers = Vec::new();
    for index in 0..VIEWERS {
        let stream = TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        viewers.push(Viewer {
            stream,
            head: Some(Vec::new()),
            got: 0,
            hash: Xxh3::new(),
        });
    }
    let (begun, before) = (Instant::now(), Duration::from(clock.now()?));
    for viewer in &mut viewers {
        viewer.stream.write_all(request.as_bytes())?;
    }
    let mut events = Events::with_capacity(VIEWERS);
    let mut buffer = vec![0; 256 << 10];
    let mut done = 0;
    while done < VIEWERS {
        ensure!(
            begun.elapsed() < PATIENCE,
            "{done} of {VIEWERS} viewers had all after {PATIENCE:?}"
        );
        poll.poll(&mut events, Some(Duration::from_secs(1)))?;
        for event in &events {
            let viewer = &mut viewers[event.token().0];
            if viewer.got < expected.len() {
                viewer.read(&mut buffer, expected.len())?;
                done += usize::from(viewer.got == expected.len());
            }
            ensure!(viewer.got <= expected.len(), "a viewer got more than there is");
        }
    }
    let (took, used) = (begun.elapsed(), Duration::from(clock.now()?) - before);
    for viewer in viewers {
        ensure!(viewer.hash.digest() == expected_hash, "a viewer got something else");
    }
    Ok((took, used))
}

struct Viewer {
    stream: mio::net::TcpStream,
    /// The head of the answer, until it is whole.
    head: Option<Vec<u8>>,
    got: usize,
    hash: Xxh3,
}

impl Viewer {
    /// Reads all that is there, up to so many bytes behind the head in all.
    fn read(&mut self, buffer: &mut [u8], expected: usize) -> Result<()> {
        while self.got < expected {
            let len = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut bytes = &buffer[..len];
            let rest;
            if let Some(mut head) = self.head.take() {
                head.extend(bytes);
                match memchr::memmem::find(&head, b"\r\n\r\n") {
                    Some(end) => {
                        rest = head.split_off(end + 4);
                        bytes = &rest;
                    }
                    None => {
                        self.head = Some(head);
                        continue;
                    }
                }
            }
            self.hash.update(bytes);
            self.got += bytes.len();
        }
        Ok(())
    }
}

/// Writes a file from an offset on to everyone who asks for anything, each with plain reads and writes of its own.
pub fn be_yardstick(path: &Path, offset: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("yardstick listening on http://{}", listener.local_addr()?);
    loop {
        let (mut stream, _) = listener.accept()?;
        let file = File::open(path)?;
        let serve = move || -> io::Result<()> {
            let mut block = vec![0; BLOCK_BYTES];
            if stream.read(&mut block)? == 0 {
                return Ok(());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let mut at = offset;
            loop {
                let len = file.read_at(&mut block, at)?;
                if len == 0 {
                    return Ok(());
                }
                stream.write_all(&block[..len])?;
                at += len as u64;
            }
        };
        thread::Builder::new().stack_size(64 << 10).spawn(serve)?;
    }
}
