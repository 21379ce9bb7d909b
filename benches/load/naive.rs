//! What one would write in an afternoon: axum's WebSocket as it comes, and a broadcast of strings, one a line, of which
//! each viewer makes its own message. It keeps the last lines beside the broadcast, and whoever is too slow for it loses
//! lines without a word.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::yardstick::{self, HISTORY, HISTORY_BYTES, READ_INTERVAL};

/// Lines that a viewer may be behind.
const BEHIND_MAX: usize = 1024;

type Feeds = HashMap<String, Arc<Feed>>;

struct Feed {
    last_lines: Mutex<VecDeque<String>>,
    lines: broadcast::Sender<String>,
}

/// Serves the files until it is killed.
pub fn serve(paths: &[PathBuf]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(paths))
}

async fn run(paths: &[PathBuf]) -> Result<()> {
    let mut feeds = Feeds::new();
    for path in paths {
        let mut file = open(path).with_context(|| format!("can't open {}", path.display()))?;
        let feed = Arc::new(Feed {
            last_lines: Mutex::default(),
            lines: broadcast::Sender::new(BEHIND_MAX),
        });
        feed.read(&mut file, &mut String::new())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        feeds.insert(name, Arc::clone(&feed));
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(READ_INTERVAL);
            let mut line = String::new();
            loop {
                tick.tick().await;
                if let Err(error) = feed.read(&mut file, &mut line) {
                    eprintln!("{error:#}");
                    return;
                }
            }
        });
    }
    let listener = tokio::net::TcpListener::from_std(yardstick::listen()?)?;
    yardstick::announce("naive", listener.local_addr()?)?;
    let router = Router::new()
        .route("/api/v1/ws/logs", get(upgrade))
        .with_state(Arc::new(feeds));
    let listener = listener.tap_io(|socket| {
        // Without it small frames wait for the client's acknowledgement.
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

/// The file from a line shortly before its end on.
fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(HISTORY_BYTES);
    let mut file = BufReader::new(file);
    file.seek(SeekFrom::Start(start))?;
    if start > 0 {
        // The first line may have begun before.
        file.read_until(b'\n', &mut Vec::new())?;
    }
    Ok(file)
}

impl Feed {
    /// Reads the lines that are whole by now; the start of one that isn't waits in `line`.
    fn read(&self, file: &mut BufReader<File>, line: &mut String) -> Result<()> {
        while file.read_line(line)? > 0 && line.ends_with('\n') {
            line.pop();
            let line = std::mem::take(line);
            let mut last_lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
            if last_lines.len() == HISTORY {
                last_lines.pop_front();
            }
            last_lines.push_back(line.clone());
            // Fails where nobody watches.
            let _ = self.lines.send(line);
        }
        Ok(())
    }
}

async fn upgrade(
    State(feeds): State<Arc<Feeds>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let feed = query.get("file").and_then(|name| feeds.get(name)).map(Arc::clone);
    match feed {
        Some(feed) => upgrade.on_upgrade(move |socket| async move {
            // The viewer has left.
            let _ = watch(socket, &feed).await;
        }),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn watch(mut socket: WebSocket, feed: &Feed) -> Result<()> {
    let (history, mut lines) = {
        let last_lines = feed.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        (last_lines.clone(), feed.lines.subscribe())
    };
    for line in history {
        socket.send(Message::text(line)).await?;
    }
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => socket.send(Message::text(line)).await?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            message = socket.recv() => match message {
                Some(message) => drop(message?),
                None => return Ok(()),
            },
        }
    }
}
