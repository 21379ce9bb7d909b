//! Values from text: each function takes what someone wrote and returns what it means, or an error that says what would
//! be right.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use ipnet::IpNet;

use super::{ConfigError, DEFAULT_LISTEN};
use crate::access;

/// More threads than any machine has cores for.
const MAX_THREADS: usize = 1024;

pub(super) fn utf8<'a>(what: &str, value: &'a OsStr) -> Result<&'a str, ConfigError> {
    value
        .to_str()
        .ok_or_else(|| ConfigError::new(format!("the value of {what} is not valid UTF-8")))
}

pub(super) fn listen(what: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| {
            ConfigError::new(format!(
                "`{text}` ({what}) is no address to listen on; write address and port, such as \"{DEFAULT_LISTEN}\" or \
                 \"[::1]:0\""
            ))
        })
}

pub(super) fn threads(what: &str, text: &str) -> Result<usize, ConfigError> {
    text.parse()
        .ok()
        .filter(|threads| (1..=MAX_THREADS).contains(threads))
        .ok_or_else(|| {
            ConfigError::new(format!(
                "`{text}` ({what}) is no number of threads; it takes 1 to {MAX_THREADS}"
            ))
        })
}

pub(super) fn level(level: &str) -> Result<String, ConfigError> {
    level
        .parse::<tracing::level_filters::LevelFilter>()
        .map(|level| level.to_string().to_lowercase())
        .map_err(|_| {
            ConfigError::new(format!(
                "`{level}` (--log-level) is no level; use off, error, warn, info, debug or trace"
            ))
        })
}

pub(super) fn base_path(text: &str) -> Result<String, ConfigError> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let segment_is_plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(String::new()),
        Some(rest) if rest.split('/').all(segment_is_plain) => Ok(path.to_owned()),
        _ => Err(ConfigError::new(format!(
            "`{text}` (base_path) is no path prefix; it is empty, or begins with a slash and has letters, digits and \
             -._~ between slashes, such as \"/logs\""
        ))),
    }
}

/// An origin in the form in which browsers send it: lower case, without a default port.
pub(super) fn origin(text: &str) -> Result<String, ConfigError> {
    access::Origin::parse(text)
        .map(|origin| origin.to_string())
        .ok_or_else(|| {
            ConfigError::new(format!(
                "`{text}` (allowed_origins) is no web origin; write scheme, host and port without a path, such as \
                 \"https://dash.example.org\""
            ))
        })
}

pub(super) fn host(text: &str) -> Result<String, ConfigError> {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    let (host, port) = access::split_port(text);
    if plain && port.is_none() {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(ConfigError::new(format!(
            "`{text}` (public_hosts) is no host name; write it without scheme, port and path, such as \
             \"logs.example.org\""
        )))
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, ConfigError> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            ConfigError::new(format!(
                "`{text}` (trusted_proxies) is no address or network; write \"127.0.0.1\" or \"10.0.0.0/8\""
            ))
        })
}
