//! Where the server is and what it is told about us: address, credentials, trusted certificates.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use url::{Host, Url};

use super::{Failure, WatchArgs};

/// The password that goes with `--user`.
const PASSWORD_VARIABLE: &str = "TAILCAST_PASSWORD";
/// The longest token, user or password: servers take heads of a few KiB.
const MAX_SECRET: u64 = 4 << 10;
/// The longest message: 64 KiB of lines, or one line, of which JSON may make six times as much, and the server's
/// `max_line` may be larger than usual.
const MAX_MESSAGE: usize = 16 << 20;

/// A connection to a server.
pub type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server's stream of one file.
pub struct Endpoint {
    /// Of the stream, without `since` and `lines`.
    url: Url,
    authorization: Option<HeaderValue>,
    connector: Connector,
}

impl Endpoint {
    /// Reads what the arguments name; asks for a password on the terminal where one is needed.
    ///
    /// # Errors
    ///
    /// A sentence on the argument that can't be used.
    pub fn new(args: &WatchArgs) -> Result<Self, Failure> {
        let mut url = stream_address(&args.url).map_err(Failure::usage)?;
        if let Some(file) = &args.file {
            // Not as forms do it: the server takes a plus sign for one.
            url.set_query(Some(&format!("file={}", utf8_percent_encode(file, NON_ALPHANUMERIC))));
        }
        let credentials = match (&args.token_file, &args.user) {
            (Some(path), _) => Some(format!("Bearer {}", token(path)?)),
            (None, Some(user)) => Some(basic(user, &password(user)?)?),
            (None, None) => None,
        };
        let authorization = credentials
            .map(|text| {
                let mut value = HeaderValue::from_str(&text)?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()
            .map_err(|_: tungstenite::http::header::InvalidHeaderValue| {
                Failure::usage("the token has characters that no token has; its file is to hold the token alone")
            })?;
        let connector = match url.scheme() {
            "wss" => Connector::Rustls(Arc::new(tls(args.cacert.as_deref())?)),
            _ if args.cacert.is_some() => {
                return Err(Failure::usage(
                    "--cacert is of use only with an address that begins with https://",
                ));
            }
            _ => Connector::Plain,
        };
        Ok(Self {
            url,
            authorization,
            connector,
        })
    }

    /// Whether what proves who we are would be sent so that others on the way can read it.
    pub fn tells_secrets(&self) -> bool {
        let is_near = match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        self.authorization.is_some() && self.url.scheme() == "ws" && !is_near
    }

    /// Host and port, for messages.
    pub fn shown(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Connects, with these parameters.
    ///
    /// # Errors
    ///
    /// Those of the connection and of the handshake, a server without `tailcast.v1` included.
    pub async fn connect(&self, parameters: &[(&str, &str)]) -> tungstenite::Result<Stream> {
        let mut url = self.url.clone();
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let mut request: Request<()> = url.as_str().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("tailcast.v1"));
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let (stream, _) =
            connect_async_tls_with_config(request, Some(limits), false, Some(self.connector.clone())).await?;
        Ok(stream)
    }
}

/// The address of the stream below the server's, which may be written as people write it: `host:port` alone, with
/// `http`, `https`, `ws` or `wss`, as the address of the page.
fn stream_address(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("`{text}` is no address of a server: {why}; write it as http://127.0.0.1:19159");
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let mut url = Url::parse(&with_scheme).map_err(|error| wrong(&error.to_string()))?;
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        other => return Err(wrong(&format!("`{other}` is not a scheme that it speaks"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a name goes into --user, and its password is asked for"));
    }
    let path = format!("{}/api/v1/ws/logs", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_fragment(None);
    // The page's own parameters are about how it looks; which file is said by `--file`.
    url.set_query(None);
    url.set_scheme(scheme)
        .map_err(|()| wrong("its scheme can't be changed"))?;
    Ok(url)
}

/// Reads a small text file, without the line end at its end.
fn token(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SECRET + 1).read_to_string(&mut text));
    let size = read.map_err(|error| Failure::usage(format!("the token file {shown} can't be read: {error}")))?;
    if size as u64 > MAX_SECRET {
        return Err(Failure::usage(format!(
            "the token file {shown} is longer than {MAX_SECRET} bytes"
        )));
    }
    match text.trim() {
        "" => Err(Failure::usage(format!("the token file {shown} is empty"))),
        token => Ok(token.to_owned()),
    }
}

fn password(user: &str) -> Result<String, Failure> {
    if let Some(password) = env::var_os(PASSWORD_VARIABLE) {
        return password
            .into_string()
            .map_err(|_| Failure::usage(format!("{PASSWORD_VARIABLE} is not UTF-8")));
    }
    let asked: io::Result<String> = rpassword::prompt_password(format!("password of {user}: "));
    asked.map_err(|error| {
        Failure::usage(format!(
            "the password can't be asked for: {error}; set {PASSWORD_VARIABLE}"
        ))
    })
}

/// RFC 7617, in UTF-8.
fn basic(user: &str, password: &str) -> Result<String, Failure> {
    if user.contains(':') {
        return Err(Failure::usage(format!(
            "`{user}` (--user) has a colon, which no such name may have"
        )));
    }
    Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// What is trusted: a file's certificates, or the system's.
fn tls(cacert: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    match cacert {
        Some(path) => {
            let unusable = |why: &dyn std::fmt::Display| {
                Failure::usage(format!(
                    "the certificates in {} (--cacert) can't be used: {why}",
                    path.display()
                ))
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"there is none in PEM format"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            // One that is broken is as good as one that is missing.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Failure::usage(
                    "the system has no certificates to trust: install ca-certificates or name a file with --cacert",
                ));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::other(format!("TLS can't be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_written_as_people_write_it() {
        for (written, stream) in [
            ("http://127.0.0.1:19159", "ws://127.0.0.1:19159/api/v1/ws/logs"),
            ("127.0.0.1:19159", "ws://127.0.0.1:19159/api/v1/ws/logs"),
            ("localhost:8000", "ws://localhost:8000/api/v1/ws/logs"),
            (
                "https://logs.example.org/logs/",
                "wss://logs.example.org/logs/api/v1/ws/logs",
            ),
            (
                "wss://logs.example.org/logs",
                "wss://logs.example.org/logs/api/v1/ws/logs",
            ),
            ("http://[::1]:19159/?file=a.log#x", "ws://[::1]:19159/api/v1/ws/logs"),
        ] {
            assert_eq!(stream_address(written).unwrap().as_str(), stream, "{written}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for written in ["ftp://host", "http://", "http://a:b@host", "http://host:99999", ""] {
            let error = stream_address(written).unwrap_err();
            assert!(error.contains(&format!("`{written}`")), "{error}");
        }
    }
}
