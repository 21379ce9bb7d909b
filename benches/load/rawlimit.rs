//! The yardstick: the least a program can do that reads a growing file and writes its lines to WebSocket viewers, in
//! one thread, without history, checks, limits or care for slow viewers. What a real server costs beyond this is what
//! its features cost; what this costs is what the kernel takes. It runs as a child process of the bench, by a hidden
//! argument, so that it is measured exactly as the server is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::getppid;
use tungstenite::handshake::derive_accept_key;

use crate::frames;

const READ_INTERVAL: Duration = Duration::from_millis(5);
const READ_BUFFER: usize = 256 * 1024;
/// What may wait for one viewer whose socket takes no more before it is let go.
const PENDING_MAX: usize = 1024 * 1024;
const REQUEST_MAX: usize = 8 * 1024;

/// A connection whose request isn't answered yet.
struct Join {
    socket: TcpStream,
    request: Vec<u8>,
}

struct Viewer {
    socket: TcpStream,
    pending: Vec<u8>,
}

/// Serves `path` until it is killed or its parent is gone.
pub fn serve(path: &Path) -> Result<()> {
    let parent = getppid();
    let mut file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
    file.seek(SeekFrom::End(0))
        .context("can't seek to the end of the file")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("can't listen")?;
    listener.set_nonblocking(true)?;
    println!("rawlimit listening on http://{}", listener.local_addr()?);

    let mut joining = Vec::new();
    let mut viewers: Vec<Viewer> = Vec::new();
    let mut buffer = vec![0; READ_BUFFER];
    let mut line_start = Vec::new();
    let mut framed = Vec::new();
    let mut next = Instant::now();
    while getppid() == parent {
        accept(&listener, &mut joining)?;
        let mut index = 0;
        while let Some(join) = joining.get_mut(index) {
            match join.handshake() {
                Ok(false) => index += 1,
                Ok(true) => {
                    let socket = joining.swap_remove(index).socket;
                    viewers.push(Viewer {
                        socket,
                        pending: Vec::new(),
                    });
                }
                Err(error) => {
                    eprintln!("a handshake failed: {error:#}");
                    joining.swap_remove(index);
                }
            }
        }
        loop {
            let read = file.read(&mut buffer).context("can't read the file")?;
            framed.clear();
            frame_lines(&buffer[..read], &mut line_start, &mut framed);
            if !framed.is_empty() || viewers.iter().any(|viewer| !viewer.pending.is_empty()) {
                viewers.retain_mut(|viewer| viewer.send(&framed).is_ok());
            }
            if read < buffer.len() {
                break;
            }
        }
        next = (next + READ_INTERVAL).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
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
    /// Reads on, and answers the request when it is complete; true when the connection is a viewer's from then on.
    fn handshake(&mut self) -> Result<bool> {
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
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&self.request);
        let key = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key)
            .context("the request has no key")?;
        let accept = derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.socket.write_all(response.as_bytes())?;
        Ok(true)
    }
}

/// Frames the whole lines of what was read; what follows the last of them waits in `line_start` for its end.
fn frame_lines(read: &[u8], line_start: &mut Vec<u8>, framed: &mut Vec<u8>) {
    for part in read.split_inclusive(|byte| *byte == b'\n') {
        match part.strip_suffix(b"\n") {
            Some(line) if line_start.is_empty() => frames::push_text(framed, line),
            Some(line) => {
                line_start.extend_from_slice(line);
                frames::push_text(framed, line_start);
                line_start.clear();
            }
            None => line_start.extend_from_slice(part),
        }
    }
}

impl Viewer {
    /// Writes what the socket takes and keeps the rest; an error means the viewer is gone or hopeless.
    fn send(&mut self, framed: &[u8]) -> io::Result<()> {
        if self.pending.is_empty() {
            let sent = self.write(framed)?;
            self.pending.extend_from_slice(&framed[sent..]);
            return Ok(());
        }
        if self.pending.len() + framed.len() > PENDING_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.pending.extend_from_slice(framed);
        let pending = std::mem::take(&mut self.pending);
        let sent = self.write(&pending)?;
        self.pending = pending;
        self.pending.drain(..sent);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}
