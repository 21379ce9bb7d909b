//! Who may ask: `Host` against DNS rebinding, `Origin` against foreign web pages.
//!
//! Any page that a browser shows can send requests to a server on loopback. What such a page can't forge are the
//! `Host` and `Origin` headers, so these decide, before anything else looks at a request. Pure functions of the
//! request's head, the peer's address and the configuration.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::config::Config;

/// A web origin (RFC 6454): scheme, host and port, in lower case, without a default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Reads `scheme://host[:port]`; anything else, `null` included, is no origin.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::new(scheme, authority)
    }

    fn new(scheme: &str, authority: &str) -> Option<Self> {
        let scheme = scheme.to_ascii_lowercase();
        let scheme_is_plain = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let (host, port) = split_port(authority);
        if !scheme_is_plain || !is_host(host) {
            return None;
        }
        let default_port = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = match port {
            Some("") | None => None,
            Some(digits) => Some(digits.parse::<u16>().ok()?).filter(|port| Some(*port) != default_port),
        };
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Whether it is a page of this machine: a loopback address or a name that resolves to one by definition
    /// (RFC 6761, section 6.3).
    fn is_loopback(&self) -> bool {
        match address(&self.host) {
            Some(address) => address.to_canonical().is_loopback(),
            None => is_localhost(&self.host),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Splits `host[:port]`, where the host may be a bracketed IPv6 address.
pub(crate) fn split_port(authority: &str) -> (&str, Option<&str>) {
    let name_end = match authority.starts_with('[') {
        true => authority.find(']').unwrap_or(0),
        false => 0,
    };
    match authority.rfind(':') {
        Some(colon) if colon > name_end => {
            let (host, port) = authority.split_at(colon);
            (host, port.strip_prefix(':'))
        }
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b) || b >= 0x80)
        }
    }
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

/// Why a request is refused before anything is done for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status of the answer.
    pub status: StatusCode,
    /// The `reason` label of `tailcast_connections_rejected_total`.
    pub reason: &'static str,
    /// A sentence that names the setting which would allow it.
    pub message: String,
}

/// What the head of a request says about where it comes from.
#[derive(Debug)]
pub struct Provenance<'a> {
    /// Address of the peer at the other end of the TCP connection.
    pub peer: IpAddr,
    /// Whether the server listens on a loopback address.
    pub listens_on_loopback: bool,
    /// The request's target.
    pub uri: &'a Uri,
    /// The request's headers.
    pub headers: &'a HeaderMap,
}

impl Provenance<'_> {
    /// The name under which the server was asked: the target's authority where it has one (RFC 9112, section 3.2.2),
    /// else the one `Host` header.
    fn host(&self) -> Option<&str> {
        if let Some(authority) = self.uri.authority() {
            return Some(authority.as_str());
        }
        let mut hosts = self.headers.get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            _ => None,
        }
    }

    /// Whether who asks is not on this machine, as far as that can be told.
    pub fn is_remote(&self) -> bool {
        !self.peer.to_canonical().is_loopback() || self.came_through_proxy()
    }

    fn came_through_proxy(&self) -> bool {
        self.headers.keys().any(|name| {
            let name = name.as_str();
            name == "forwarded" || name == "via" || name.starts_with("x-forwarded-")
        })
    }

    /// The value that the nearest proxy set, if that proxy is trusted.
    fn forwarded(&self, config: &Config, name: &str) -> Option<&str> {
        let peer = self.peer.to_canonical();
        if !config.trusted_proxies.iter().any(|network| network.contains(&peer)) {
            return None;
        }
        let value = self.headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    }

    /// Checks the name under which the server was asked.
    ///
    /// # Errors
    ///
    /// 421 where a server that listens on loopback is asked under a name that an attacker's DNS could have pointed
    /// at it.
    pub fn check_host(&self, config: &Config) -> Result<(), Refusal> {
        if !self.listens_on_loopback {
            return Ok(());
        }
        let host = self
            .host()
            .map(|authority| split_port(authority).0.to_ascii_lowercase());
        let allowed = host.as_deref().is_some_and(|host| {
            address(host).is_some() || is_localhost(host) || config.public_hosts.iter().any(|public| public == host)
        });
        if allowed {
            return Ok(());
        }
        Err(Refusal {
            status: StatusCode::MISDIRECTED_REQUEST,
            reason: "host",
            message: "This server listens on loopback and does not answer under this host name; add the name to \
                      public_hosts if a proxy serves it there."
                .to_owned(),
        })
    }

    /// Checks the page that asks. Returns the foreign origin that is allowed, for the CORS headers of the answer.
    ///
    /// # Errors
    ///
    /// 403 for an origin that is neither the server's own, nor on loopback while the server is, nor allowed.
    pub fn check_origin(&self, config: &Config) -> Result<Option<String>, Refusal> {
        let mut origins = self.headers.get_all(header::ORIGIN).iter();
        let (Some(value), another) = (origins.next(), origins.next()) else {
            return Ok(None);
        };
        let origin = match another {
            None => value.to_str().ok().and_then(Origin::parse),
            Some(_) => None,
        };
        if let Some(origin) = origin {
            if self.own_origin(config).as_ref() == Some(&origin) {
                return Ok(None);
            }
            let on_loopback = self.listens_on_loopback && !self.came_through_proxy() && origin.is_loopback();
            let text = origin.to_string();
            if on_loopback || config.allowed_origins.contains(&text) {
                return Ok(Some(text));
            }
        }
        Err(Refusal {
            status: StatusCode::FORBIDDEN,
            reason: "origin",
            message: "Pages of this origin may not use this server; add the origin to allowed_origins, or, where a \
                      proxy serves this very page, the proxy to trusted_proxies."
                .to_owned(),
        })
    }

    fn own_origin(&self, config: &Config) -> Option<Origin> {
        let scheme = self.forwarded(config, "x-forwarded-proto").unwrap_or("http");
        let authority = self.forwarded(config, "x-forwarded-host").or(self.host())?;
        Origin::new(scheme, authority)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    struct Case {
        peer: &'static str,
        on_loopback: bool,
        headers: HeaderMap,
        config: Config,
    }

    fn request(headers: &[(&'static str, &'static str)]) -> Case {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Case {
            peer: "127.0.0.1",
            on_loopback: true,
            headers: map,
            config: Config {
                allowed_origins: vec!["https://dash.example.org".to_owned()],
                public_hosts: vec!["logs.example.org".to_owned()],
                ..Config::default()
            },
        }
    }

    impl Case {
        fn check<T>(&self, check: impl Fn(&Provenance<'_>, &Config) -> Result<T, Refusal>) -> Result<T, u16> {
            let uri = Uri::from_static("/api/v1/files");
            let provenance = Provenance {
                peer: self.peer.parse().unwrap(),
                listens_on_loopback: self.on_loopback,
                uri: &uri,
                headers: &self.headers,
            };
            check(&provenance, &self.config).map_err(|refusal| refusal.status.as_u16())
        }
        fn host(&self) -> Result<(), u16> {
            self.check(|provenance, config| provenance.check_host(config))
        }
        fn origin(&self) -> Result<Option<String>, u16> {
            self.check(|provenance, config| provenance.check_origin(config))
        }
    }

    #[test]
    fn on_loopback_only_names_that_no_dns_can_redirect_pass() {
        for host in [
            "127.0.0.1:19159",
            "192.168.1.7",
            "[::1]:80",
            "localhost",
            "LocalHost:1",
            "a.localhost:5",
            "localhost.",
            "logs.example.org",
            "LOGS.example.org:443",
        ] {
            assert_eq!(request(&[("host", host)]).host(), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
            "",
            "[::1",
            "1.2.3",
            "0x7f.1",
            "2130706433",
        ] {
            assert_eq!(request(&[("host", host)]).host(), Err(421), "{host}");
        }
        assert_eq!(request(&[]).host(), Err(421), "none");
        assert_eq!(
            request(&[("host", "localhost"), ("host", "evil.example")]).host(),
            Err(421),
            "two"
        );
        let mut beyond = request(&[("host", "evil.example")]);
        beyond.on_loopback = false;
        assert_eq!(beyond.host(), Ok(()), "beyond loopback the network decides");
    }

    #[test]
    fn own_loopback_and_allowed_origins_are_served() {
        let origin = |origin| request(&[("host", "127.0.0.1:19159"), ("origin", origin)]).origin();
        assert_eq!(request(&[("host", "localhost")]).origin(), Ok(None), "no browser");
        assert_eq!(origin("http://127.0.0.1:19159"), Ok(None), "own");
        for foreign in [
            "http://localhost:3000",
            "https://[::1]",
            "http://127.9.9.9",
            "http://a.localhost",
        ] {
            assert_eq!(origin(foreign), Ok(Some(foreign.to_owned())));
        }
        assert_eq!(
            origin("https://DASH.example.org:443"),
            Ok(Some("https://dash.example.org".to_owned()))
        );
        for refused in [
            "null",
            "",
            "http://evil.example",
            "https://dash.example.org.evil.example",
            "http://dash.example.org",
            "https://dash.example.org:444",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "file://",
            "http://192.168.1.7",
            "http://127.0.0.1@evil.example",
        ] {
            assert_eq!(origin(refused), Err(403), "{refused}");
        }
    }

    #[test]
    fn what_is_allowed_to_loopback_is_not_allowed_through_a_proxy() {
        for header in ["via", "forwarded", "x-forwarded-for", "x-forwarded-proto"] {
            let case = request(&[
                ("host", "127.0.0.1:19159"),
                ("origin", "http://localhost:3000"),
                (header, "x"),
            ]);
            assert_eq!(case.origin(), Err(403), "{header}");
        }
        let mut beyond = request(&[("host", "192.168.1.7:80"), ("origin", "http://localhost:3000")]);
        beyond.on_loopback = false;
        assert_eq!(beyond.origin(), Err(403), "listening beyond loopback");
    }

    #[test]
    fn who_comes_over_a_network_or_through_a_proxy_is_remote() {
        let is_remote = |case: &Case| case.check(|provenance, _| Ok(provenance.is_remote())).unwrap();
        let mut local = request(&[("host", "127.0.0.1:19159"), ("origin", "http://localhost:3000")]);
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            local.peer = peer;
            assert!(!is_remote(&local), "{peer}");
        }
        for peer in ["192.168.1.7", "::ffff:10.0.0.1", "2001:db8::1"] {
            local.peer = peer;
            assert!(is_remote(&local), "{peer}");
        }
        for header in ["via", "forwarded", "x-forwarded-for", "x-forwarded-proto"] {
            assert!(is_remote(&request(&[(header, "x")])), "{header}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_says_what_the_own_origin_is() {
        let mut case = request(&[
            ("host", "127.0.0.1:19159"),
            ("origin", "https://logs.example.org"),
            ("x-forwarded-host", "spoofed.example, logs.example.org"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(case.origin(), Err(403));
        case.config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        assert_eq!(case.origin(), Ok(None));
        case.peer = "10.0.0.1";
        assert_eq!(case.origin(), Err(403));
    }
}
