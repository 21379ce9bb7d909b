//! The configuration file: its sections, their defaults and the bounds of their values.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

use super::{ConfigError, Size, Span};

/// A configuration file beyond this is a mistake, such as the path of a log; nothing of it is parsed.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The most that an error shows of a line.
const MAX_SHOWN_CHARS: usize = 80;

/// Language of the notices in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notices {
    /// Chinese, as biliup's clients know them.
    #[default]
    Zh,
    /// English.
    En,
}

/// For whom the log stream is compressed where clients offer it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Those who are not on this machine.
    #[default]
    Remote,
    /// Everyone.
    Always,
    /// Nobody.
    Never,
}

/// One `[[file]]`: a name of the allow-list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The name under which it is served: a plain name, compared as a whole with what a client asks for.
    pub name: String,
    /// Where it lies, where that is not its name in `dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Its encoding as a label of the WHATWG Encoding Standard; detected where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl FileEntry {
    /// An entry that sets nothing but the name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: None,
            encoding: None,
        }
    }
}

/// `[stream]`: what is sent to viewers, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stream {
    /// Lines of history that a viewer gets when it connects.
    pub history_lines: usize,
    /// Bytes of the file after which a line is cut.
    pub max_line: Size,
    /// How long a last line without its end stands unchanged before it is sent as it is.
    pub partial_line_timeout: Span,
    /// How long a file may be gone before it counts as removed.
    pub rotate_grace: Span,
    /// How long a rotated file is read on after the new one was found.
    pub rotate_wait: Span,
    /// Silence of a client after which it is pinged.
    pub ping_interval: Span,
    /// Silence of a client after which its connection is ended.
    pub idle_timeout: Span,
    /// For whom it is compressed.
    pub compression: Compression,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            history_lines: 50,
            max_line: Size::kib(64),
            partial_line_timeout: Span::secs(1),
            rotate_grace: Span::secs(2),
            rotate_wait: Span::secs(5),
            ping_interval: Span::secs(30),
            idle_timeout: Span::secs(75),
            compression: Compression::Remote,
        }
    }
}

/// `[limits]`: what bounds memory and connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes per file, shared by its viewers, that the slowest of them may be behind.
    pub backlog: Size,
    /// The same, counted in chunks.
    pub backlog_chunks: usize,
    /// How long a viewer may take no byte while something waits for it.
    pub stall_timeout: Span,
    /// How long the notice waits for a viewer that was dropped.
    pub parting_timeout: Span,
    /// Viewers connected at a time.
    pub max_connections: usize,
    /// Searches under way at a time.
    pub max_searches: usize,
    /// Bytes that the kernel may hold for a viewer that reads slowly; the kernel itself counts twice as much.
    pub send_buffer: Size,
    /// Memory that the program is meant to get along with, for the warning at the start; where there is none, what the
    /// control group or the machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            backlog: Size::mib(64),
            backlog_chunks: 16_384,
            stall_timeout: Span::secs(10),
            parting_timeout: Span::secs(30),
            max_connections: 15_000,
            max_searches: 4,
            send_buffer: Size::kib(256),
            memory: None,
        }
    }
}

fn check<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: &T,
    bounds: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if bounds.contains(value) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "{key} = {value} is out of bounds; it takes {} to {}",
        bounds.start(),
        bounds.end()
    )))
}

/// The longest of all times that can be set: a day.
const DAY: Span = Span::secs(24 * 60 * 60);

impl Stream {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // 10,000 lines are what `?lines=` may ask for; 16 bytes hold a character of any encoding several times.
        check("stream.history_lines", &self.history_lines, 0..=10_000)?;
        check("stream.max_line", &self.max_line, Size(16)..=Size::mib(16))?;
        let times = [
            ("stream.partial_line_timeout", self.partial_line_timeout, 10),
            ("stream.rotate_grace", self.rotate_grace, 0),
            ("stream.rotate_wait", self.rotate_wait, 0),
            ("stream.ping_interval", self.ping_interval, 50),
            ("stream.idle_timeout", self.idle_timeout, 100),
        ];
        for (key, value, least_millis) in times {
            check(key, &value, Span::millis(least_millis)..=DAY)?;
        }
        Ok(())
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // A backlog below one chunk (64 KiB of text) could hold nothing. The upper ends keep the arithmetic of
        // slots and bytes far from any overflow: 2^20 slots of 48 bytes are 48 MiB.
        check("limits.backlog", &self.backlog, Size::kib(64)..=Size::mib(64 << 10))?;
        check("limits.backlog_chunks", &self.backlog_chunks, 2..=1 << 20)?;
        check("limits.stall_timeout", &self.stall_timeout, Span::millis(100)..=DAY)?;
        check("limits.parting_timeout", &self.parting_timeout, Span::millis(0)..=DAY)?;
        check("limits.max_connections", &self.max_connections, 1..=1_000_000)?;
        // Each takes a thread of the pool for blocking work, which has 512.
        check("limits.max_searches", &self.max_searches, 1..=256)?;
        // Below a few segments of loopback (64 KiB each) a socket takes one at a time; the kernel cuts what is beyond
        // `net.core.wmem_max`.
        check("limits.send_buffer", &self.send_buffer, Size::kib(16)..=Size::mib(64))?;
        match &self.memory {
            Some(memory) => check("limits.memory", memory, Size::mib(1)..=Size::mib(64 << 20)),
            None => Ok(()),
        }
    }
}

/// The file as it is written: nothing in it is required, nothing unknown is allowed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) listen: Option<String>,
    pub(super) dir: Option<PathBuf>,
    pub(super) threads: Option<i64>,
    pub(super) notices: Option<Notices>,
    pub(super) allow_anonymous: Option<bool>,
    pub(super) base_path: Option<String>,
    pub(super) allowed_origins: Option<Vec<String>>,
    pub(super) public_hosts: Option<Vec<String>>,
    pub(super) trusted_proxies: Option<Vec<String>>,
    #[serde(rename = "file")]
    pub(super) files: Option<Vec<FileEntry>>,
    pub(super) stream: Option<Stream>,
    pub(super) limits: Option<Limits>,
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            ConfigError::new(format!(
                "the configuration file {shown} can't be read: {error}; name another one with --config, or leave it out"
            ))
        };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return Err(ConfigError::new(format!(
                "the configuration file {shown} is no regular file of at most {MAX_FILE_BYTES} bytes"
            )));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(0, |before| before.matches('\n').count());
            // The library names unknown keys, but not the key of a bad value: the line shows it.
            let source: String = text
                .lines()
                .nth(line)
                .unwrap_or_default()
                .chars()
                .take(MAX_SHOWN_CHARS)
                .collect();
            let message = error.message().replace('\n', ", ");
            ConfigError::new(format!(
                "{shown}, line {}: {message} (in `{}`)",
                line + 1,
                source.trim()
            ))
        })
    }
}

/// Networks as they are written: a single address without its prefix length.
pub(super) fn networks<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(|network| {
        if network.prefix_len() == network.max_prefix_len() {
            network.addr().to_string()
        } else {
            network.to_string()
        }
    }))
}
