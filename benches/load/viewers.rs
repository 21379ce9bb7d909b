//! All viewers in one readiness loop. What is measured is the server, so a viewer must cost next to nothing: sockets and
//! the request are ready before the first connects, there is one read buffer for all, nothing is copied but a cut
//! frame, and the clock is looked at once a read.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockRef, Socket, Type};

use crate::frames;
use crate::lines::{Clock, LineFormat};
use crate::viewer::{Expected, Job, KEY, State, Tally, Viewer};

/// The longest wait for something to read.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
const EVENTS: usize = 4096;
/// Small enough to stay in the processor's cache; a cut frame at its front still leaves room to read.
const READ_BUFFER: usize = 256 * 1024;
const _: () = assert!(READ_BUFFER > frames::MAX_HEADER + frames::MAX_PAYLOAD);

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
    /// How many have asked to be let in, and how many of them were answered, with a refusal too.
    asked: usize,
    answered: usize,
    /// Why a connection was not accepted, of the last for which it was so.
    refusal: Option<String>,
    address: SocketAddr,
    /// One for each file.
    requests: Vec<Vec<u8>>,
    pub tally: Tally,
}

impl Viewers {
    /// Makes everything ready: so many viewers, spread over the files in turns, of whom every `stalled_every`-th reads
    /// nothing once it was let in.
    pub fn prepare(
        (clock, format, expected): (Clock, LineFormat, Expected),
        address: SocketAddr,
        files: &[String],
        count: usize,
        stalled_every: Option<usize>,
    ) -> Result<Self> {
        let request = |name: &String| {
            format!(
                "GET /api/v1/ws/logs?file={name} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            )
            .into_bytes()
        };
        let mut viewers = Self {
            poll: Poll::new().context("can't make a poll")?,
            events: Events::with_capacity(EVENTS),
            viewers: Vec::with_capacity(count),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            job: Job::new(clock, format, expected),
            asked: 0,
            answered: 0,
            refusal: None,
            address,
            requests: files.iter().map(request).collect(),
            tally: Tally::new()?,
        };
        for index in 0..count {
            let stalled = stalled_every.is_some_and(|every| index % every == every - 1);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("can't make a socket")?;
            socket.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(socket.into());
            let registry = viewers.poll.registry();
            registry.register(&mut stream, Token(index), Interest::READABLE)?;
            viewers.viewers.push(Viewer::new(stream, index % files.len(), stalled));
        }
        // What is told of sockets that aren't connected yet.
        viewers.poll.poll(&mut viewers.events, Some(Duration::ZERO))?;
        Ok(viewers)
    }

    /// Connects them all, at most `at_once` of them at a time.
    pub fn connect(&mut self, at_once: usize, deadline: Instant) -> Result<()> {
        while self.answered < self.viewers.len() {
            while self.asked < self.viewers.len() && self.asked - self.answered < at_once {
                self.ask(self.asked)
                    .with_context(|| format!("can't connect viewer {}", self.asked))?;
                self.asked += 1;
            }
            self.pump()?;
            if let Some(refusal) = &self.refusal {
                bail!("a connection was not accepted: {refusal}");
            }
            if Instant::now() > deadline {
                let (done, count) = (self.answered, self.viewers.len());
                bail!("only {done} of {count} viewers were let in before the time was over");
            }
        }
        Ok(())
    }

    fn ask(&mut self, index: usize) -> Result<()> {
        let viewer = &mut self.viewers[index];
        match SockRef::from(&viewer.stream).connect(&self.address.into()) {
            // It goes on by itself; over loopback it has come to an end in most cases.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            result => result?,
        }
        viewer.state = State::Joining;
        match viewer.stream.write(&self.requests[viewer.file]) {
            Ok(sent) if sent == self.requests[viewer.file].len() => Ok(()),
            Ok(_) => bail!("the request was not taken as a whole"),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                viewer.state = State::Connecting;
                let interest = Interest::READABLE | Interest::WRITABLE;
                self.poll
                    .registry()
                    .reregister(&mut viewer.stream, Token(index), interest)?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
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
            answered,
            refusal,
            requests,
            tally,
            ..
        } = self;
        match poll.poll(events, Some(POLL_TIMEOUT)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result.context("can't poll the connections")?,
        }
        for event in events.iter() {
            let index = event.token().0;
            let viewer = &mut viewers[index];
            if viewer.state == State::Connecting {
                if let Some(error) = viewer.stream.take_error()? {
                    viewer.state = State::Ended;
                    *answered += 1;
                    *refusal = Some(error.to_string());
                } else if event.is_writable() {
                    viewer.stream.write_all(&requests[viewer.file])?;
                    viewer.state = State::Joining;
                }
            }
            let joining = viewer.state == State::Joining;
            if let Err(why) = viewer.receive(index, event.is_read_closed(), buffer, job, tally) {
                *refusal = Some(format!("{why:#}"));
                viewer.state = State::Ended;
            }
            if joining && viewer.state != State::Joining {
                *answered += 1;
                if viewer.stalled && viewer.state == State::Open {
                    poll.registry().deregister(&mut viewer.stream)?;
                }
            }
        }
        Ok(())
    }

    pub fn pump_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.pump()?;
        }
        Ok(())
    }

    /// Counts a violation for every reading viewer that hasn't got all lines though its connection stands, and tells how
    /// many these are.
    pub fn check_complete(&mut self) -> usize {
        let mut waiting = 0;
        for (index, viewer) in self.viewers.iter().enumerate() {
            if viewer.stalled || viewer.state != State::Open {
                continue;
            }
            let Expected { end, lossless, .. } = self.job.expected;
            let next = viewer.next(&self.job.expected);
            if next < end {
                waiting += 1;
                if lossless {
                    self.tally.violate(index, || {
                        format!("waited in vain for line {next} and on to the last, {}", end - 1)
                    });
                }
            }
        }
        waiting
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
                    _ if viewer.next(&self.job.expected) == self.job.expected.end => outcome.complete += 1,
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
