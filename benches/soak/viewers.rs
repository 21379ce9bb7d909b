//! Viewers that come and go. Each session is one connection with a checker of its own; a violation ends it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::check::{Before, Checker, Violation};
use crate::model::{Ending, Model};
use crate::rng::Rng;
use crate::run::{Plan, Sabotage, Shared};

pub const TRUNCATED: &str = "log file was truncated, reloading...";
/// How long what is due may take to come to a viewer that reads.
const LAG_MAX: u32 = 5_000;
/// How long viewers wait for the rest in the end.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a session looks at the time.
const TICK: Duration = Duration::from_millis(100);
/// One line of so many is meddled with, where that is asked for.
const SABOTAGE_EVERY: usize = 5_000;
/// Times a server may be late when a removed file is counted as gone.
const GRACE_SLACK: u32 = 300;
/// How far behind the writer a viewer may be that reads.
const SLOW_SLACK: u32 = 1_000;
const RECENT: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Stays from beginning to end, reads at once, and tells the writer how far it has come.
    Constant,
    Fast,
    /// Pauses between messages, without an end.
    Slow,
    /// Reads nothing at all for a time.
    Stalling,
}

pub struct Viewer {
    pub number: usize,
    pub models: Vec<Arc<Model>>,
    pub shared: Arc<Shared>,
    pub plan: Plan,
    pub address: SocketAddr,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Left,
    Removed,
    Missing,
    TooSlow,
    Complete,
    Violated,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Removed => "ended by removal",
            Self::Missing => "refused, file missing",
            Self::TooSlow => "ended as too slow",
            Self::Complete => "complete at the end",
            Self::Violated => "ended by a violation",
        }
    }
}

type Bad = (Violation, String);

impl Viewer {
    /// Watches one file after another until the run ends.
    pub async fn run(self) {
        let mut rng = Rng::new(self.plan.seed, self.number as u64);
        let constant = self.number < self.models.len();
        let mut session = 0;
        while !self.shared.is_finishing() || session == 0 {
            session += 1;
            let (index, manner) = if constant {
                (self.number, Manner::Constant)
            } else {
                let manner = match rng.below(10) {
                    0..=5 => Manner::Fast,
                    6 | 7 => Manner::Slow,
                    _ => Manner::Stalling,
                };
                (rng.below(self.models.len()), manner)
            };
            let model = &self.models[index];
            let stay = match manner {
                Manner::Constant => Duration::from_secs(1 << 30),
                _ if rng.percent(30) => rng.millis(0, 300),
                _ => rng.millis(300, 15_000),
            };
            let mut visit = Visit {
                viewer: &self,
                model,
                manner,
                rng: rng.clone(),
                recent: VecDeque::new(),
                held: None,
                lines: 0,
                stalled_at: None,
            };
            let outcome = visit.run(stay).await;
            rng = visit.rng.clone();
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err((violation, told)) => {
                    let recent: Vec<String> = visit.recent.iter().map(|text| format!("      {text}")).collect();
                    self.shared.violation(
                        violation,
                        format!(
                            "seed {}, file {}, viewer {} ({manner:?}), session {session}, at {} ms, after {} lines: \
                             {told}\n    received last:\n{}",
                            self.plan.seed,
                            model.name,
                            self.number,
                            model.now(),
                            visit.lines,
                            recent.join("\n")
                        ),
                    );
                    Outcome::Violated
                }
            };
            if manner == Manner::Constant {
                model.lock().seen = None;
            }
            self.shared.count_session(outcome.text());
            let pause = match (outcome, constant) {
                (_, true) => rng.millis(10, 50),
                (Outcome::Missing, _) => rng.millis(100, 500),
                _ => rng.millis(0, 1_500),
            };
            sleep(pause).await;
        }
    }
}

/// One connection.
struct Visit<'a> {
    viewer: &'a Viewer,
    model: &'a Model,
    manner: Manner,
    rng: Rng,
    recent: VecDeque<String>,
    /// A line that sabotage keeps for the next message.
    held: Option<String>,
    lines: u64,
    /// When it began to read nothing, in the model's time.
    stalled_at: Option<u32>,
}

type Socket = WebSocketStream<TcpStream>;

fn broken(told: impl std::fmt::Display) -> Bad {
    (Violation::Notice, format!("the connection broke: {told}"))
}

impl Visit<'_> {
    async fn connect(&self) -> anyhow::Result<Socket> {
        let address = self.viewer.address;
        let socket = TcpSocket::new_v4()?;
        if self.manner == Manner::Stalling {
            // So that it is the server where its lines wait.
            socket.set_recv_buffer_size(16 * 1024)?;
        }
        let stream = socket.connect(address).await?;
        let url = format!("ws://{address}/api/v1/ws/logs?file={}", self.model.name);
        let (socket, _) = client_async(url, stream).await?;
        Ok(socket)
    }

    async fn run(&mut self, stay: Duration) -> Result<Outcome, Bad> {
        let before = Before::take(self.model);
        let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let mut socket = match connected {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(broken(format!("can't connect: {error:#}"))),
            Err(_) => return Err(broken("no handshake within 10 s")),
        };
        let mut checker = Checker::new(self.model, &before, self.viewer.plan.grace + GRACE_SLACK);
        let leave_at = Instant::now() + stay;
        let stall_at = match self.manner {
            Manner::Stalling => Some(Instant::now() + stay.mul_f64(self.rng.below(60) as f64 / 100.0)),
            _ => None,
        };
        self.stalled_at = None;
        let mut finish_by = None;
        let mut since_pause = 0;
        loop {
            let shared = &self.viewer.shared;
            let now = Instant::now();
            if shared.is_finishing() {
                if checker.is_complete(self.model) {
                    return Ok(Outcome::Complete);
                }
                if now > *finish_by.get_or_insert(now + FINISH_TIMEOUT) {
                    let told = format!("not complete in the end; {}", checker.expectation(self.model));
                    return Err((Violation::Lost(1), told));
                }
            } else {
                if now >= leave_at {
                    self.check_lag(&checker)?;
                    self.leave(socket).await;
                    return Ok(Outcome::Left);
                }
                if self.stalled_at.is_none() && stall_at.is_some_and(|at| now >= at) {
                    self.stalled_at = Some(self.model.now());
                    sleep(self.rng.millis(500, 6_000)).await;
                }
            }
            let message = match timeout(TICK, socket.next()).await {
                Err(_) => {
                    self.check_lag(&checker)?;
                    continue;
                }
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(broken(error)),
                Ok(None) => return Err(broken("ended without a Close frame")),
            };
            match message {
                Message::Text(text) => {
                    if let Some(outcome) = self.text(&mut checker, &before, &mut socket, text.as_str()).await? {
                        return Ok(outcome);
                    }
                }
                Message::Close(frame) => {
                    return Err((Violation::Notice, format!("closed without a notice: {frame:?}")));
                }
                _ => {}
            }
            if self.manner == Manner::Slow {
                since_pause += 1;
                if since_pause >= 100 {
                    since_pause = 0;
                    sleep(self.rng.millis(0, 20)).await;
                }
            }
        }
    }

    async fn text(
        &mut self,
        checker: &mut Checker,
        before: &Before,
        socket: &mut Socket,
        text: &str,
    ) -> Result<Option<Outcome>, Bad> {
        let name = &self.model.name;
        self.remember(text);
        let shared = &self.viewer.shared;
        if text == TRUNCATED {
            shared.count_message("truncated");
            if self.sabotages(Sabotage::Notice, 4) {
                return Ok(None);
            }
            checker.truncated(self.model)?;
            return Ok(None);
        }
        if text == format!("log file {name} no longer exists") {
            shared.count_message("removed");
            checker.removed(self.model)?;
            self.closing(socket, 4410, "file removed").await?;
            return Ok(Some(Outcome::Removed));
        }
        if text == format!("log file {name} does not exist") {
            shared.count_message("missing");
            self.check_missing(before)?;
            self.closing(socket, 4404, "file not found").await?;
            return Ok(Some(Outcome::Missing));
        }
        let lost = text
            .strip_prefix("error: client too slow, ")
            .and_then(|rest| rest.strip_suffix(" lines lost, closing"));
        if let Some(lost) = lost {
            shared.count_message("too slow");
            self.check_slow(checker, lost)?;
            self.closing(socket, 1013, "too slow").await?;
            return Ok(Some(Outcome::TooSlow));
        }
        self.lines += 1;
        shared.lines_checked.fetch_add(1, Ordering::Relaxed);
        self.line(checker, text)?;
        if self.manner == Manner::Constant {
            let seen = checker.seen();
            self.model.lock().seen = seen;
        }
        Ok(None)
    }

    /// Passes a line to the checker, after what sabotage there is.
    fn line(&mut self, checker: &mut Checker, text: &str) -> Result<(), Bad> {
        if let Some(held) = self.held.take() {
            checker.line(self.model, text)?;
            return checker.line(self.model, &held);
        }
        if text.is_empty() {
            if self.sabotages(Sabotage::Blank, SABOTAGE_EVERY / 50) {
                return Ok(());
            }
            return checker.line(self.model, text);
        }
        if self.sabotages(Sabotage::Drop, SABOTAGE_EVERY) {
            return Ok(());
        }
        if self.sabotages(Sabotage::Swap, SABOTAGE_EVERY) {
            self.held = Some(text.to_owned());
            return Ok(());
        }
        if self.sabotages(Sabotage::Alter, SABOTAGE_EVERY) {
            let end = text.char_indices().next_back().map_or(0, |(at, _)| at);
            return checker.line(self.model, &text[..end]);
        }
        checker.line(self.model, text)?;
        if self.sabotages(Sabotage::Double, SABOTAGE_EVERY) {
            return checker.line(self.model, text);
        }
        Ok(())
    }

    fn sabotages(&mut self, sabotage: Sabotage, every: usize) -> bool {
        let hit = self.viewer.plan.sabotage == Some(sabotage)
            && self.manner != Manner::Constant
            && self.rng.below(every) == 0;
        if hit {
            self.viewer.shared.sabotaged.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }

    fn remember(&mut self, text: &str) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        let shown: String = text.chars().take(40).collect();
        self.recent.push_back(format!("{:?}", shown));
    }

    /// What is due must have come to a viewer that reads all the time.
    fn check_lag(&self, checker: &Checker) -> Result<(), Bad> {
        if !matches!(self.manner, Manner::Constant | Manner::Fast) {
            return Ok(());
        }
        let due = checker.due_since(self.model, self.viewer.plan.grace);
        match due {
            Some(due) if due + LAG_MAX < self.model.now() => {
                let text = format!(
                    "nothing came of what was due at {due} ms; {}",
                    checker.expectation(self.model)
                );
                Err((Violation::Lost(1), text))
            }
            _ => Ok(()),
        }
    }

    /// The file must have been gone for longer than the grace.
    fn check_missing(&self, before: &Before) -> Result<(), Bad> {
        let grace = self.viewer.plan.grace;
        let truth = self.model.lock();
        for (at, content) in truth.contents.iter().enumerate().rev() {
            let Some(end) = content.end.filter(|end| end.ending == Ending::Removed) else {
                continue;
            };
            let back = truth.contents.get(at + 1).map(|content| content.begun);
            // It takes a moment to be there again after that was entered.
            let back = back.map_or(u32::MAX, |back| back.saturating_add(50));
            if end.begun + grace <= self.model.now() && before.millis() <= back {
                return Ok(());
            }
            break;
        }
        Err((Violation::Notice, "refused as missing, but it was there".to_owned()))
    }

    fn check_slow(&self, checker: &Checker, lost: &str) -> Result<(), Bad> {
        let most = checker.most_lines_left(self.model);
        // It was not given up before it stalled; what was written shortly before may not have been read by then.
        let least = match self.stalled_at {
            Some(at) => checker.least_lines_left(self.model, at.saturating_sub(SLOW_SLACK)),
            None => 0,
        };
        let fits = lost.parse().is_ok_and(|lost: usize| (least..=most).contains(&lost));
        if !fits {
            let text = format!(
                "{lost} lines lost as told, but {least} at least and {most} at most were left; {}",
                checker.expectation(self.model)
            );
            return Err((Violation::Notice, text));
        }
        if matches!(self.manner, Manner::Constant | Manner::Fast) {
            let text = format!(
                "too slow, but it read all the time; {}",
                checker.expectation(self.model)
            );
            return Err((Violation::Notice, text));
        }
        Ok(())
    }

    /// The Close frame that follows a notice.
    async fn closing(&self, socket: &mut Socket, code: u16, reason: &str) -> Result<(), Bad> {
        let told = |told: String| (Violation::Notice, format!("after the last notice: {told}"));
        match timeout(CLOSE_TIMEOUT, socket.next()).await {
            Ok(Some(Ok(Message::Close(Some(frame)))))
                if u16::from(frame.code) == code && frame.reason.as_str() == reason => {}
            other => return Err(told(format!("{other:?} instead of Close {code} {reason:?}"))),
        }
        match timeout(CLOSE_TIMEOUT, socket.next()).await {
            Ok(None | Some(Err(_))) => Ok(()),
            other => Err(told(format!("{other:?} after the Close frame"))),
        }
    }

    /// Goes away, by the book or without a word.
    async fn leave(&mut self, mut socket: Socket) {
        if self.rng.percent(50) {
            // Whether that still goes out does not matter to somebody who leaves.
            let _ = timeout(TICK, socket.close(None)).await;
        }
    }
}
