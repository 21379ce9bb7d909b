//! All viewers in one readiness loop. What is measured is the server, so a viewer must cost next to nothing: one shared
//! read buffer, nothing copied but a cut frame, one look at the clock a read. Yet every line of every viewer is
//! checked, since a server that loses lines is fast for the wrong reason.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use tungstenite::handshake::derive_accept_key;

use crate::frames::{self, CLOSE, PING, PONG, TEXT};
use crate::lines::{Clock, LineFormat};

/// Connections waiting for their answer at a time: below the shortest queue a listener is commonly given, since who
/// finds it full only tries again a second later.
const CONNECTING_MAX: usize = 100;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
const EVENTS: usize = 4096;
/// Small enough to stay in the processor's cache; a cut frame at its front still leaves room to read.
const READ_BUFFER: usize = 256 * 1024;
const _: () = assert!(READ_BUFFER > frames::MAX_HEADER + frames::MAX_PAYLOAD);
/// The same for all: a key tells a fresh answer from a cached one, and there is no cache here.
const KEY: &str = "dGFpbGNhc3QgbG9hZCEhIQ==";
const RESPONSE_MAX: usize = 8 * 1024;
const RESPONSE_END: &[u8] = b"\r\n\r\n";
/// Delays are kept in microseconds, up to two minutes, to three digits.
const DELAY_MAX_MICROS: u64 = 2 * 60 * 1_000_000;
const DELAY_DIGITS: u8 = 3;
/// Violations that are told one by one; all are counted.
const TOLD_MAX: usize = 20;
/// How much of an unexpected text is shown, in characters.
const SHOWN_MAX: usize = 200;

/// What every reading viewer is to get.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The number of its first line, where the server sends history.
    pub first: Option<u64>,
    /// The number of the first line written while all watch; what is before is no part of the measurement.
    pub first_live: u64,
    /// One past the last line of the run.
    pub end: u64,
    /// Whether also a viewer that is dropped gets whole frames only.
    pub whole_frames: bool,
}

/// What the viewers saw.
pub struct Tally {
    /// Lines that reading viewers received live.
    pub delivered: u64,
    /// From the write of a line to the read that brought it, in microseconds.
    pub delay: Histogram<u64>,
    /// When the last line so far came, by the clock of the run.
    pub last_line_nanos: u64,
    /// Reading viewers that have all history, and all lines.
    pub caught_up: usize,
    pub complete: usize,
    /// Reading viewers whose connection ended.
    pub dropped: usize,
    /// Text messages that are no lines, with numbers in them made alike.
    pub notices: BTreeMap<String, u64>,
    pub violations: u64,
    /// The first of them in words.
    pub told: Vec<String>,
}

impl Tally {
    fn new() -> Result<Self> {
        Ok(Self {
            delivered: 0,
            delay: Histogram::new_with_bounds(1, DELAY_MAX_MICROS, DELAY_DIGITS)
                .context("can't make the histogram of delays")?,
            last_line_nanos: 0,
            caught_up: 0,
            complete: 0,
            dropped: 0,
            notices: BTreeMap::new(),
            violations: 0,
            told: Vec::new(),
        })
    }

    #[cold]
    fn violate(&mut self, viewer: usize, what: impl FnOnce() -> String) {
        self.violations += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("viewer {viewer}: {}", what()));
        }
    }
}

/// What became of the viewers that did not read, once they read again.
#[derive(Debug, Clone, Copy, Default)]
pub struct StalledOutcome {
    /// Told by a notice before their connection ended.
    pub noticed: usize,
    /// Got every line after all.
    pub complete: usize,
    /// Ended without a word.
    pub ended: usize,
    /// None of these yet.
    pub open: usize,
}

pub struct Viewers {
    poll: Poll,
    events: Events,
    viewers: Vec<Viewer>,
    buffer: Box<[u8]>,
    job: Job,
    joining: usize,
    /// Why a connection was not accepted, of the last for which it was so.
    refusal: Option<String>,
    pub tally: Tally,
}

/// What all viewers have in common.
struct Job {
    clock: Clock,
    format: LineFormat,
    expected: Expected,
    /// The answer to `KEY`.
    accept: String,
}

struct Viewer {
    stream: TcpStream,
    state: State,
    /// Whether it reads nothing once it has joined.
    stalled: bool,
    /// The number the next line has to bear, once there was one.
    next: Option<u64>,
    noticed: bool,
    /// The beginning of a frame, or of the answer, whose rest hasn't come yet.
    carry: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the answer to its request.
    Joining,
    Open,
    Ended,
}

impl Viewers {
    pub fn new(clock: Clock, format: LineFormat, expected: Expected) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("can't make a poll")?,
            events: Events::with_capacity(EVENTS),
            viewers: Vec::new(),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            job: Job {
                clock,
                format,
                expected,
                accept: derive_accept_key(KEY.as_bytes()),
            },
            joining: 0,
            refusal: None,
            tally: Tally::new()?,
        })
    }

    /// Connects them all, of which every `stalled_every`-th reads nothing after that.
    pub fn connect(
        &mut self,
        address: SocketAddr,
        target: &str,
        count: usize,
        stalled_every: Option<usize>,
        deadline: Instant,
    ) -> Result<()> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        while self.viewers.len() < count || self.joining > 0 {
            if self.viewers.len() < count && self.joining < CONNECTING_MAX {
                let index = self.viewers.len();
                let stalled = stalled_every.is_some_and(|every| index % every == every - 1);
                self.add(address, &request, stalled)
                    .with_context(|| format!("can't connect viewer {index}"))?;
                continue;
            }
            self.pump()?;
            if let Some(refusal) = &self.refusal {
                bail!("a connection was not accepted: {refusal}");
            }
            if Instant::now() > deadline {
                let done = self.viewers.len() - self.joining;
                bail!("only {done} of {count} viewers were let in before the time was over");
            }
        }
        Ok(())
    }

    fn add(&mut self, address: SocketAddr, request: &str, stalled: bool) -> Result<()> {
        let mut socket = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        socket.write_all(request.as_bytes())?;
        socket.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(socket);
        self.poll
            .registry()
            .register(&mut stream, Token(self.viewers.len()), Interest::READABLE)?;
        self.viewers.push(Viewer {
            stream,
            state: State::Joining,
            stalled,
            next: None,
            noticed: false,
            carry: Vec::new(),
        });
        self.joining += 1;
        Ok(())
    }

    /// How many of them read.
    pub fn reading(&self) -> usize {
        self.viewers.iter().filter(|viewer| !viewer.stalled).count()
    }

    /// Waits a moment for anything to read, and reads it.
    pub fn pump(&mut self) -> Result<()> {
        let Self {
            poll,
            events,
            viewers,
            buffer,
            job,
            joining,
            refusal,
            tally,
        } = self;
        match poll.poll(events, Some(POLL_TIMEOUT)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.context("can't poll the connections")?,
        }
        for event in events.iter() {
            let index = event.token().0;
            let viewer = &mut viewers[index];
            if viewer.state != State::Joining {
                viewer.receive(index, event.is_read_closed(), buffer, job, tally);
                continue;
            }
            match viewer.join(index, job, tally) {
                Ok(()) if viewer.state == State::Joining => {}
                Ok(()) => {
                    *joining -= 1;
                    if viewer.stalled {
                        poll.registry().deregister(&mut viewer.stream)?;
                    } else {
                        // What came right behind the answer makes no further event.
                        viewer.receive(index, event.is_read_closed(), buffer, job, tally);
                    }
                }
                Err(why) => {
                    viewer.state = State::Ended;
                    *joining -= 1;
                    *refusal = Some(format!("{why:#}"));
                }
            }
        }
        Ok(())
    }

    /// Counts a violation for every reading viewer that hasn't got all lines though its connection stands.
    pub fn check_complete(&mut self) {
        let Expected {
            first, first_live, end, ..
        } = self.job.expected;
        for (index, viewer) in self.viewers.iter().enumerate() {
            let next = viewer.next.or(first).unwrap_or(first_live);
            if !viewer.stalled && viewer.state == State::Open && next < end {
                self.tally.violate(index, || {
                    format!("waited in vain for line {next} and on to the last, {}", end - 1)
                });
            }
        }
    }

    /// Lets the stalled ones read, until all have come to an end or the time is over.
    pub fn drain_stalled(&mut self, deadline: Instant) -> Result<StalledOutcome> {
        for (index, viewer) in self.viewers.iter_mut().enumerate().filter(|(_, viewer)| viewer.stalled) {
            self.poll
                .registry()
                .register(&mut viewer.stream, Token(index), Interest::READABLE)?;
        }
        loop {
            let mut outcome = StalledOutcome::default();
            for viewer in self.viewers.iter().filter(|viewer| viewer.stalled) {
                match viewer.state {
                    State::Ended if viewer.noticed => outcome.noticed += 1,
                    State::Ended => outcome.ended += 1,
                    _ if viewer.next == Some(self.job.expected.end) => outcome.complete += 1,
                    _ => outcome.open += 1,
                }
            }
            if outcome.open == 0 || Instant::now() > deadline {
                return Ok(outcome);
            }
            self.pump()?;
        }
    }
}

impl Viewer {
    /// Reads the answer to the request; what is behind it stays for `receive`.
    fn join(&mut self, index: usize, job: &Job, tally: &mut Tally) -> Result<()> {
        let mut part = [0; 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => bail!("the connection ended after {:?}", String::from_utf8_lossy(&self.carry)),
                Ok(read) => self.carry.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if let Some(end) = self
                .carry
                .windows(RESPONSE_END.len())
                .position(|bytes| bytes == RESPONSE_END)
            {
                check_response(&String::from_utf8_lossy(&self.carry[..end]), &job.accept)?;
                let rest = self.carry.split_off(end + RESPONSE_END.len());
                self.state = State::Open;
                let used = self.consume(&rest, index, job, tally);
                self.carry = rest[used..].to_vec();
                return Ok(());
            }
            if self.carry.len() > RESPONSE_MAX {
                bail!("an endless answer: {:?}", shown(&self.carry));
            }
        }
    }

    /// Reads all that is there.
    fn receive(&mut self, index: usize, closed: bool, buffer: &mut [u8], job: &Job, tally: &mut Tally) {
        while self.state == State::Open {
            let held = self.carry.len();
            buffer[..held].copy_from_slice(&self.carry);
            let room = buffer.len() - held;
            match self.stream.read(&mut buffer[held..]) {
                Ok(0) => self.end(index, "the server ended the connection", job, tally),
                Ok(read) => {
                    let used = self.consume(&buffer[..held + read], index, job, tally);
                    self.carry.clear();
                    self.carry.extend_from_slice(&buffer[used..held + read]);
                    // Less than asked for means that no more is there, and what comes later makes an event of its own.
                    if read < room && !closed {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end(index, &format!("the connection broke: {error}"), job, tally),
            }
        }
    }

    /// Takes the whole frames off the front of what was read, and tells how many bytes they are.
    fn consume(&mut self, bytes: &[u8], index: usize, job: &Job, tally: &mut Tally) -> usize {
        let now = job.clock.nanos();
        // Lines of one write bear one time, so they are recorded at once.
        let mut written = 0;
        let mut alike = 0;
        let mut used = 0;
        while self.state == State::Open {
            let frame = match frames::first(&bytes[used..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(wrong) => {
                    tally.violate(index, || format!("bad frame: {wrong}"));
                    self.leave(tally);
                    break;
                }
            };
            used += frame.total;
            if frame.opcode != TEXT {
                self.control(frame, index, tally);
                continue;
            }
            let Some(stamp) = job.format.parse(frame.payload) else {
                self.other_text(frame.payload, index, job, tally);
                continue;
            };
            self.check(stamp.number, index, job, tally);
            if !self.stalled && stamp.number >= job.expected.first_live {
                if stamp.nanos != written {
                    record(tally, now, written, alike);
                    (written, alike) = (stamp.nanos, 0);
                }
                alike += 1;
            }
        }
        record(tally, now, written, alike);
        used
    }

    /// Checks that a line is the one that had to come.
    #[inline]
    fn check(&mut self, number: u64, index: usize, job: &Job, tally: &mut Tally) {
        let Expected {
            first, first_live, end, ..
        } = job.expected;
        match (self.next, first) {
            (Some(next), _) if number == next => {}
            (Some(next), _) if number > next => {
                tally.violate(index, || {
                    format!("lines lost: {}, as line {number} came instead of {next}", number - next)
                });
            }
            (Some(next), _) => {
                tally.violate(index, || {
                    format!("line {number} came again or too late, instead of {next}")
                });
                // The lines it has are the ones up to `next` still.
                return;
            }
            (None, Some(first)) if number != first => {
                tally.violate(index, || format!("began with line {number} instead of {first}"));
            }
            (None, None) if number > first_live => {
                tally.violate(index, || {
                    format!("began with line {number}, after the first live one, {first_live}")
                });
            }
            (None, _) => {}
        }
        if number >= end {
            tally.violate(index, || format!("line {number} was never written"));
        }
        self.next = Some(number + 1);
        if !self.stalled {
            tally.caught_up += usize::from(number + 1 == first_live);
            tally.complete += usize::from(number + 1 == end);
        }
    }

    /// A text that is no line of the run as it was written.
    #[cold]
    fn other_text(&mut self, payload: &[u8], index: usize, job: &Job, tally: &mut Tally) {
        if payload.first().is_none_or(u8::is_ascii_digit) {
            let (got, whole) = (payload.len(), job.format.payload_bytes());
            tally.violate(index, || {
                format!("a cut or altered line ({got} bytes of {whole}): {:?}", shown(payload))
            });
            return;
        }
        if !self.stalled {
            tally.violate(index, || format!("was told {:?}", shown(payload)));
        }
        self.noticed = true;
        *tally
            .notices
            .entry(shown(payload).replace(|shown: char| shown.is_ascii_digit(), "#"))
            .or_default() += 1;
    }

    #[cold]
    fn control(&mut self, frame: frames::Frame<'_>, index: usize, tally: &mut Tally) {
        match frame.opcode {
            PING => self.answer(PONG, frame.payload),
            PONG => {}
            CLOSE => {
                if !self.stalled {
                    tally.violate(index, || match frame.payload {
                        [high, low, reason @ ..] => {
                            let code = u16::from_be_bytes([*high, *low]);
                            format!("the server closed with {code} {:?}", shown(reason))
                        }
                        _ => "the server closed without a code".to_owned(),
                    });
                }
                self.answer(CLOSE, &frame.payload[..frame.payload.len().min(2)]);
                self.leave(tally);
            }
            opcode => tally.violate(index, || format!("a frame of opcode {opcode:#x}")),
        }
    }

    /// Sends a control frame. A full socket is no reason to wait: the server is not heard then, and says so itself.
    fn answer(&mut self, opcode: u8, payload: &[u8]) {
        let _ = self.stream.write(&frames::client_control(opcode, payload));
    }

    /// The connection has ended though no Close was received.
    #[cold]
    fn end(&mut self, index: usize, how: &str, job: &Job, tally: &mut Tally) {
        let cut = self.carry.len();
        if !self.stalled {
            tally.violate(index, || format!("{how}, {cut} bytes into a frame"));
        } else if job.expected.whole_frames && cut > 0 {
            tally.violate(index, || format!("did not read; then {how}, {cut} bytes into a frame"));
        }
        self.leave(tally);
    }

    fn leave(&mut self, tally: &mut Tally) {
        self.state = State::Ended;
        tally.dropped += usize::from(!self.stalled);
    }
}

fn check_response(head: &str, accept: &str) -> Result<()> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        bail!("the server answered {head:?}");
    }
    let answered = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept);
    if !answered {
        bail!("the answer has no fitting Sec-WebSocket-Accept: {head:?}");
    }
    Ok(())
}

/// Counts lines that were written and received together.
fn record(tally: &mut Tally, now: u64, written: u64, lines: u64) {
    if lines > 0 {
        tally
            .delay
            .saturating_record_n(now.saturating_sub(written) / 1_000, lines);
        tally.delivered += lines;
        tally.last_line_nanos = now;
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(SHOWN_MAX).collect()
}
