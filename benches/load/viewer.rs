//! One viewer: its place in the lines of its file, and the check that each line is the one that had to come. A server
//! that loses lines is fast for the wrong reason, so every line of every viewer is checked for its number and its
//! length; the text behind them is compared in every sixteenth line, another sixteenth for each viewer, which leaves the
//! viewers time to be faster than any server.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::frames::{self, CLOSE, PING, PONG, TEXT};
use crate::lines::{self, Clock, FILE_STEP, LineFormat, TIME_DIGITS};

/// The same for all: a key tells a fresh answer from a cached one, and there is no cache here.
pub const KEY: &str = "dGFpbGNhc3QgbG9hZCEhIQ==";
const RESPONSE_MAX: usize = 8 * 1024;
const RESPONSE_END: &[u8] = b"\r\n\r\n";
/// Lines of which the text of one is compared.
const SAMPLE: u64 = 16;
/// Delays are kept in microseconds, up to two minutes, to three digits.
const DELAY_MAX_MICROS: u64 = 2 * 60 * 1_000_000;
const DELAY_DIGITS: u8 = 3;
/// Violations that are told one by one; all are counted.
const TOLD_MAX: usize = 20;
/// How much of an unexpected text is shown, in characters.
const SHOWN_MAX: usize = 200;

/// What every reading viewer is to get. Lines are numbered from the beginning of their file.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Its first line.
    pub first: u64,
    /// The first line written while all watch; what is before is no part of the measurement.
    pub first_live: u64,
    /// One past the last line of the run.
    pub end: u64,
    /// Whether a line that is missing is a violation.
    pub lossless: bool,
    /// Whether also a viewer that is dropped gets whole frames only.
    pub whole_frames: bool,
}

/// What all viewers have in common.
pub struct Job {
    clock: Clock,
    format: LineFormat,
    pub expected: Expected,
    /// The answer to `KEY`.
    accept: String,
}

impl Job {
    pub fn new(clock: Clock, format: LineFormat, expected: Expected) -> Self {
        Self {
            clock,
            format,
            expected,
            accept: derive_accept_key(KEY.as_bytes()),
        }
    }
}

/// What the viewers saw.
pub struct Tally {
    /// Lines that reading viewers received live.
    pub delivered: u64,
    /// From the write of a line to the read that brought it, in microseconds.
    pub delay: Histogram<u64>,
    /// When the last line so far came, by the clock of the run, and when the last viewer had its history.
    pub last_line_nanos: u64,
    pub last_caught_up_nanos: u64,
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
    pub fn new() -> Result<Self> {
        Ok(Self {
            delivered: 0,
            delay: Histogram::new_with_bounds(1, DELAY_MAX_MICROS, DELAY_DIGITS)
                .context("can't make the histogram of delays")?,
            last_line_nanos: 0,
            last_caught_up_nanos: 0,
            caught_up: 0,
            complete: 0,
            dropped: 0,
            notices: BTreeMap::new(),
            violations: 0,
            told: Vec::new(),
        })
    }

    #[cold]
    pub fn violate(&mut self, viewer: usize, what: impl FnOnce() -> String) {
        self.violations += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(format!("viewer {viewer}: {}", what()));
        }
    }

    /// Counts lines that were written and received together.
    fn record(&mut self, now: u64, time: &[u8; TIME_DIGITS], lines: u64) {
        if lines > 0 {
            let written = lines::nanos(time).unwrap_or_default();
            self.delay
                .saturating_record_n(now.saturating_sub(written) / 1_000, lines);
            self.delivered += lines;
            self.last_line_nanos = now;
        }
    }
}

pub struct Viewer {
    pub stream: TcpStream,
    pub state: State,
    /// The file that it watches.
    pub file: usize,
    /// Whether it reads nothing once it was let in.
    pub stalled: bool,
    /// Told something that is no line.
    pub noticed: bool,
    /// The number the next line has to bear, once there was one.
    next: Option<u64>,
    /// The beginning of a frame, or of the answer, whose rest hasn't come yet.
    carry: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A socket without a connection.
    Ready,
    /// Waits for its connection, to send its request.
    Connecting,
    /// Waits for the answer to it.
    Joining,
    Open,
    Ended,
}

impl Viewer {
    pub fn new(stream: TcpStream, file: usize, stalled: bool) -> Self {
        Self {
            stream,
            state: State::Ready,
            file,
            stalled,
            noticed: false,
            next: None,
            carry: Vec::new(),
        }
    }

    /// The number of the line it waits for.
    pub fn next(&self, expected: &Expected) -> u64 {
        self.next.unwrap_or(expected.first)
    }

    /// Reads all that is there; an error where it was not let in.
    pub fn receive(
        &mut self,
        index: usize,
        closed: bool,
        buffer: &mut [u8],
        job: &Job,
        tally: &mut Tally,
    ) -> Result<()> {
        let joining = self.state == State::Joining;
        while matches!(self.state, State::Joining | State::Open) {
            let held = self.carry.len();
            buffer[..held].copy_from_slice(&self.carry);
            let room = buffer.len() - held;
            match self.stream.read(&mut buffer[held..]) {
                Ok(0) if self.state == State::Joining => {
                    bail!("the connection ended after {:?}", shown(&self.carry))
                }
                Ok(0) => self.end(index, "the server ended the connection", job, tally),
                Ok(read) => {
                    let bytes = &buffer[..held + read];
                    let mut used = match self.state {
                        State::Joining => self.join(bytes, job)?,
                        _ => 0,
                    };
                    used += self.consume(&bytes[used..], index, job, tally);
                    self.carry.clear();
                    self.carry.extend_from_slice(&bytes[used..]);
                    // Less than asked for means that no more is there, and what comes later makes an event of its own.
                    if read < room && !closed || joining && self.stalled {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.state == State::Joining => return Err(error.into()),
                Err(error) => self.end(index, &format!("the connection broke: {error}"), job, tally),
            }
        }
        Ok(())
    }

    /// Reads the answer to the request, when all of it is there, and tells how many bytes it is.
    fn join(&mut self, bytes: &[u8], job: &Job) -> Result<usize> {
        let head = &bytes[..bytes.len().min(RESPONSE_MAX)];
        match head.windows(RESPONSE_END.len()).position(|part| part == RESPONSE_END) {
            Some(end) => {
                check_response(&String::from_utf8_lossy(&head[..end]), &job.accept)?;
                self.state = State::Open;
                Ok(end + RESPONSE_END.len())
            }
            None if bytes.len() >= RESPONSE_MAX => bail!("an endless answer: {:?}", shown(bytes)),
            None => Ok(0),
        }
    }

    /// Takes the whole frames off the front of what was read, and tells how many bytes they are.
    fn consume(&mut self, bytes: &[u8], index: usize, job: &Job, tally: &mut Tally) -> usize {
        let now = job.clock.nanos();
        let base = self.file as u64 * FILE_STEP;
        // Lines of one write bear one time, so they are recorded at once.
        let mut written = &[0; TIME_DIGITS];
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
            let Some(line) = job.format.split(frame.payload) else {
                self.other_text(frame.payload, index, job, tally);
                continue;
            };
            if (line.number + index as u64).is_multiple_of(SAMPLE) && !job.format.is_whole(&line) {
                tally.violate(index, || format!("an altered line: {:?}", shown(frame.payload)));
            }
            // A line of a file before this one's gets a number beyond all.
            let number = line.number.wrapping_sub(base);
            self.check(number, now, index, job, tally);
            if !self.stalled && number >= job.expected.first_live {
                if line.time != written {
                    tally.record(now, written, alike);
                    (written, alike) = (line.time, 0);
                }
                alike += 1;
            }
        }
        tally.record(now, written, alike);
        used
    }

    /// Checks that a line is the one that had to come.
    #[inline]
    fn check(&mut self, number: u64, now: u64, index: usize, job: &Job, tally: &mut Tally) {
        let Expected {
            first_live,
            end,
            lossless,
            ..
        } = job.expected;
        let next = self.next(&job.expected);
        if number >= end {
            tally.violate(index, || {
                format!("line {number} instead of {next}, of another file or never written")
            });
            return;
        }
        if number < next {
            tally.violate(index, || {
                format!("line {number} came again or too late, instead of {next}")
            });
            // The lines it has are the ones up to `next` still.
            return;
        }
        if number > next && lossless {
            tally.violate(index, || {
                format!("lines lost: {}, as line {number} came instead of {next}", number - next)
            });
        }
        self.next = Some(number + 1);
        if self.stalled {
            return;
        }
        if next < first_live && number + 1 >= first_live {
            tally.caught_up += 1;
            tally.last_caught_up_nanos = now;
        }
        tally.complete += usize::from(number + 1 == end);
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

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(SHOWN_MAX).collect()
}
