//! The one configuration of a server: command line > environment > TOML file > default.
//!
//! [`Config::load`] turns text from outside into a [`Config`] in which every value is within its bounds, or into an
//! error that says which value is wrong, where it stands and what would be right. [`Settings`] hands the effective
//! configuration to every part in a way that lets it change while the server runs.

mod args;
mod file;
mod parse;
mod units;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;
use ipnet::IpNet;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::watch;

pub use args::{Args, Command, Environment};
pub use file::{Compression, FileEntry, Limits, Notices, Stream};
pub use units::{Size, Span};

use file::ConfigFile;
use parse::utf8;

/// The configuration file that is read where none is named.
pub const DEFAULT_CONFIG_FILE: &str = "tailcast.toml";
/// The name that is the default file wherever it is on the allow-list.
pub const DEFAULT_FILE: &str = "ds_update.log";
/// The allow-list where none is configured: the logs of biliup.
pub const DEFAULT_FILES: [&str; 3] = [DEFAULT_FILE, "download.log", "upload.log"];
/// Where the server listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:19159";
/// `NAME_MAX` of Linux: no file name is longer, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// Bound of the allow-list: a watched, polled and described file each.
const MAX_FILES: usize = 10_000;

/// Why a configuration is refused; the text is a sentence for the person who wrote it.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Everything that can be set, each value within its bounds.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory of the files that name no path of their own.
    pub dir: PathBuf,
    /// Threads that serve viewers; where there is none, as many as there are cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Language of the notices in the stream.
    pub notices: Notices,
    /// Whether anyone may connect on an address beyond loopback.
    pub allow_anonymous: bool,
    /// Path prefix under which a proxy serves everything: empty, or `/…` without a final slash.
    pub base_path: String,
    /// Foreign web origins that may use the server, as `scheme://host[:port]` in lower case.
    pub allowed_origins: Vec<String>,
    /// Host names under which the server may be asked while it listens on loopback.
    pub public_hosts: Vec<String>,
    /// Peers whose `X-Forwarded-*` headers are believed.
    #[serde(serialize_with = "file::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Filter of the program's own diagnostics, in the syntax of `RUST_LOG`.
    #[serde(skip)]
    pub log_filter: String,
    /// Whether the default file is the first of the list even where [`DEFAULT_FILE`] is in it.
    #[serde(skip)]
    pub first_is_default: bool,
    /// What is sent to viewers, and when.
    pub stream: Stream,
    /// What bounds memory and connections.
    pub limits: Limits,
    /// The allow-list, in order; never empty, names are unique.
    #[serde(rename = "file")]
    pub files: Vec<FileEntry>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 19159)),
            dir: PathBuf::from("."),
            threads: None,
            notices: Notices::Zh,
            allow_anonymous: false,
            base_path: String::new(),
            allowed_origins: Vec::new(),
            public_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            log_filter: "info".to_owned(),
            first_is_default: false,
            stream: Stream::default(),
            limits: Limits::default(),
            files: DEFAULT_FILES.map(FileEntry::named).to_vec(),
        }
    }
}

impl Config {
    /// Puts the command line, the environment and the configuration file together.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first value that is out of its bounds or contradicts another one, and for a file
    /// that can't be read or parsed.
    pub fn load(args: &Args, environment: &Environment) -> Result<Self, ConfigError> {
        let named = match (&args.config, &environment.config) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(path)) => Some(PathBuf::from(path)),
            (None, None) => Path::new(DEFAULT_CONFIG_FILE)
                .exists()
                .then(|| PathBuf::from(DEFAULT_CONFIG_FILE)),
        };
        let file = match named {
            Some(path) => ConfigFile::read(&path)?,
            None => ConfigFile::default(),
        };

        let listen = match (&args.listen, &environment.listen, file.listen) {
            (Some(text), ..) => parse::listen("--listen", text)?,
            (None, Some(text), _) => parse::listen("TAILCAST_LISTEN", utf8("TAILCAST_LISTEN", text)?)?,
            (None, None, Some(text)) => parse::listen("listen", &text)?,
            (None, None, None) => Self::default().listen,
        };
        let dir = args
            .dir
            .clone()
            .or_else(|| environment.dir.as_ref().map(PathBuf::from))
            .or(file.dir)
            .unwrap_or_else(|| PathBuf::from("."));
        let threads = match (&args.threads, &environment.threads, file.threads) {
            (Some(text), ..) => Some(parse::threads("--threads", text)?),
            (None, Some(text), _) => Some(parse::threads("TAILCAST_THREADS", utf8("TAILCAST_THREADS", text)?)?),
            (None, None, Some(number)) => Some(parse::threads("threads", &number.to_string())?),
            (None, None, None) => None,
        };
        let log_filter = match (&args.log_level, &environment.log_level) {
            (Some(level), _) => parse::level(level)?,
            (None, Some(filter)) => utf8("RUST_LOG", filter)?.to_owned(),
            (None, None) => "info".to_owned(),
        };

        let mut config = Self {
            listen,
            dir,
            threads,
            notices: file.notices.unwrap_or_default(),
            allow_anonymous: file.allow_anonymous.unwrap_or_default(),
            base_path: parse::base_path(&file.base_path.unwrap_or_default())?,
            allowed_origins: file
                .allowed_origins
                .unwrap_or_default()
                .iter()
                .map(|origin| parse::origin(origin))
                .collect::<Result<_, _>>()?,
            public_hosts: file
                .public_hosts
                .unwrap_or_default()
                .iter()
                .map(|host| parse::host(host))
                .collect::<Result<_, _>>()?,
            trusted_proxies: file
                .trusted_proxies
                .unwrap_or_default()
                .iter()
                .map(|network| parse::network(network))
                .collect::<Result<_, _>>()?,
            log_filter,
            first_is_default: false,
            stream: file.stream.unwrap_or_default(),
            limits: file.limits.unwrap_or_default(),
            files: match file.files {
                Some(files) => files,
                None => Self::default().files,
            },
        };
        config.choose_files(args, environment)?;
        config.stream.check()?;
        config.limits.check()?;
        config.check_files()?;
        if !config.listen.ip().to_canonical().is_loopback() && !config.allow_anonymous {
            return Err(ConfigError::new(format!(
                "listening on {} would let anyone on the network read the logs, as no authentication (`auth`) is \
                 configured, which this version has none of: listen on loopback behind a proxy that asks for a login, \
                 or set `allow_anonymous = true` in the configuration file if anyone may read them",
                config.listen
            )));
        }
        Ok(config)
    }

    /// Replaces the allow-list by what the command line or the environment names.
    fn choose_files(&mut self, args: &Args, environment: &Environment) -> Result<(), ConfigError> {
        let configured = std::mem::take(&mut self.files);
        let entry = |name: &str| {
            configured
                .iter()
                .find(|file| file.name == name)
                .cloned()
                .unwrap_or_else(|| FileEntry::named(name))
        };
        if args.demo {
            self.files = DEFAULT_FILES.map(FileEntry::named).to_vec();
        } else if !args.paths.is_empty() {
            self.first_is_default = true;
            for path in &args.paths {
                let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| {
                    ConfigError::new(format!(
                        "`{}` names no log file; give a path whose last part is the file's name in UTF-8",
                        path.display()
                    ))
                })?;
                self.files.push(FileEntry {
                    path: Some(path.clone()),
                    ..entry(name)
                });
            }
        } else if !args.files.is_empty() {
            self.files = args.files.iter().map(|name| entry(name)).collect();
        } else if let Some(names) = &environment.files {
            self.files = utf8("TAILCAST_FILES", names)?
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(entry)
                .collect();
        } else {
            self.files = configured;
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return Err(ConfigError::new(format!(
                "the allow-list has {} files; it takes 1 to {MAX_FILES}",
                self.files.len()
            )));
        }
        let mut seen = HashSet::new();
        for file in &self.files {
            let name = file.name.as_str();
            if name.is_empty()
                || name == "."
                || name == ".."
                || name.len() > MAX_NAME_BYTES
                || name.contains(|c: char| c == '/' || c.is_control())
            {
                return Err(ConfigError::new(format!(
                    "`{}` is no plain file name; names on the allow-list have no slash, no control character and at \
                     most {MAX_NAME_BYTES} bytes (a file elsewhere gets a `path` in its [[file]] section)",
                    name.escape_debug()
                )));
            }
            if !seen.insert(name) {
                return Err(ConfigError::new(format!(
                    "the file name `{name}` is on the allow-list twice; give each file a name of its own"
                )));
            }
            if let Some(label) = &file.encoding
                && Encoding::for_label(label.as_bytes()).is_none()
            {
                return Err(ConfigError::new(format!(
                    "encoding `{label}` of file `{name}` is not known; use a label of the WHATWG Encoding Standard, \
                     such as \"utf-8\", \"gb18030\" or \"utf-16le\""
                )));
            }
        }
        Ok(())
    }

    /// The name that a request without one means.
    pub fn default_file(&self) -> &str {
        let named = self
            .files
            .iter()
            .find(|file| file.name == DEFAULT_FILE && !self.first_is_default);
        named
            .or(self.files.first())
            .map_or(DEFAULT_FILE, |file| file.name.as_str())
    }

    /// Where a file of the allow-list lies: its own path, or its name in the directory.
    pub fn path_of(&self, file: &FileEntry) -> PathBuf {
        match &file.path {
            Some(path) => path.clone(),
            None => self.dir.join(&file.name),
        }
    }

    /// The effective configuration in the form of the configuration file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

/// The effective configuration, shared by every part, each of which asks for it when it needs a value: what
/// [`replace`](Settings::replace) sets is in force from the next decision on.
#[derive(Clone, Debug)]
pub struct Settings(Arc<watch::Sender<Arc<Config>>>);

impl Settings {
    /// Settings that begin as `config`.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// The configuration in force now.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts another configuration in force. The listening address, the allow-list and the size of a channel that has
    /// viewers stay as they were when they were set up.
    pub fn replace(&self, config: Config) {
        self.0.send_replace(Arc::new(config));
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    fn load_toml(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        fs::write(&path, text).unwrap();
        let args = Args {
            config: Some(path.clone()),
            ..Args::default()
        };
        Config::load(&args, &Environment::default())
            .map_err(|error| error.to_string().replace(path.to_str().unwrap(), "t.toml"))
    }

    fn names(config: &Config) -> Vec<&str> {
        config.files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn without_anything_the_defaults_hold_and_can_be_read_back() {
        let config = load_toml("").unwrap();
        assert_eq!(names(&config), DEFAULT_FILES);
        assert_eq!(config.default_file(), "ds_update.log");
        let again = load_toml(&config.to_toml()).unwrap();
        assert_eq!(again.to_toml(), config.to_toml());
        assert!(
            config.to_toml().contains("idle_timeout = \"75s\""),
            "{}",
            config.to_toml()
        );
    }

    #[test]
    fn the_example_in_the_repository_is_the_defaults() {
        let example = load_toml(include_str!("../tailcast.example.toml")).unwrap();
        assert_eq!(example.to_toml(), Config::default().to_toml());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = load_toml("dir = \".\"\n\n[stream]\nhistory = 3\n").unwrap_err();
        assert!(
            error.starts_with("t.toml, line 4: unknown field `history`, expected one of `history_lines`"),
            "{error}"
        );
        let error = load_toml("listne = \"x\"\n").unwrap_err();
        assert!(error.starts_with("t.toml, line 1: unknown field `listne`"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_what_would_be_right() {
        for (text, part) in [
            ("[stream]\nmax_line = \"1B\"", "stream.max_line"),
            ("[stream]\nhistory_lines = 100000", "stream.history_lines"),
            ("[limits]\nmax_connections = 0", "limits.max_connections"),
            ("[limits]\nbacklog = \"1KiB\"", "limits.backlog"),
            ("base_path = \"logs\"", "base_path"),
            ("allowed_origins = [\"https://a/b\"]", "allowed_origins"),
            ("public_hosts = [\"a:80\"]", "public_hosts"),
            ("trusted_proxies = [\"all\"]", "trusted_proxies"),
            ("[[file]]\nname = \"a/b\"", "a/b"),
            ("[[file]]\nname = \"a\"\n[[file]]\nname = \"a\"", "twice"),
            ("[[file]]\nname = \"a\"\nencoding = \"klingon\"", "klingon"),
            ("threads = 0", "`0` (threads)"),
            ("[limits]\nsend_buffer = \"1KiB\"", "limits.send_buffer"),
            ("[limits]\nmemory = \"1KiB\"", "limits.memory"),
            ("[stream]\ncompression = true", "compression = true"),
            (
                "[stream]\ncompression = \"far\"",
                "expected one of `remote`, `always`, `never`",
            ),
            ("notices = \"fr\"", "(in `notices = \"fr\"`)"),
            ("listen = \"nowhere\"", "listen"),
        ] {
            let error = load_toml(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "one sentence: {error}");
        }
    }

    #[test]
    fn command_line_beats_environment_beats_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        fs::write(
            &path,
            "listen = \"127.0.0.1:1\"\ndir = \"from-file\"\nthreads = 1\n[[file]]\nname = \"a.log\"\nencoding = \"gbk\"\n",
        )
        .unwrap();
        let environment = Environment {
            config: Some(path.into_os_string()),
            listen: Some(OsString::from("127.0.0.1:2")),
            dir: Some(OsString::from("from-env")),
            files: Some(OsString::from("a.log, b.log")),
            threads: Some(OsString::from("2")),
            log_level: None,
        };
        let config = Config::load(&Args::default(), &environment).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.dir, Path::new("from-env"));
        assert_eq!(config.threads, Some(2));
        assert_eq!(names(&config), ["a.log", "b.log"]);
        assert_eq!(
            config.files[0].encoding.as_deref(),
            Some("gbk"),
            "what [[file]] says is kept"
        );

        let args = Args {
            listen: Some("127.0.0.1:3".to_owned()),
            threads: Some("3".to_owned()),
            files: vec!["c,d.log".to_owned()],
            ..Args::default()
        };
        let config = Config::load(&args, &environment).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.threads, Some(3));
        assert_eq!(names(&config), ["c,d.log"]);
        assert_eq!(config.default_file(), "c,d.log");
    }

    #[test]
    fn paths_are_served_under_their_base_names_and_the_first_is_the_default() {
        let args = Args {
            paths: vec![PathBuf::from("/var/log/x.log"), PathBuf::from("ds_update.log")],
            ..Args::default()
        };
        let config = Config::load(&args, &Environment::default()).unwrap();
        assert_eq!(names(&config), ["x.log", "ds_update.log"]);
        assert_eq!(config.default_file(), "x.log");
        assert_eq!(config.path_of(&config.files[0]), Path::new("/var/log/x.log"));
        let args = Args {
            paths: vec![PathBuf::from("/a/x.log"), PathBuf::from("/b/x.log")],
            ..Args::default()
        };
        let error = Config::load(&args, &Environment::default()).unwrap_err();
        assert!(
            error.to_string().contains("`x.log` is on the allow-list twice"),
            "{error}"
        );
    }

    #[test]
    fn beyond_loopback_needs_allow_anonymous() {
        let error = load_toml("listen = \"0.0.0.0:0\"").unwrap_err();
        assert!(error.contains("auth") && error.contains("allow_anonymous"), "{error}");
        assert!(load_toml("listen = \"0.0.0.0:0\"\nallow_anonymous = true").is_ok());
        assert!(load_toml("listen = \"[::1]:0\"").is_ok());
    }
}
