//! `tailcast watch`, the terminal client, as people start it.

use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tailcast::config::{FileEntry, Notices, Size, Span};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Log, Program, Proxy, TestServer, numbered, tailcast, until};

/// A running `tailcast watch`, whose output goes into files; ended when dropped.
struct Watching {
    child: Child,
    dir: TempDir,
}

impl Watching {
    fn start(address: impl ToString, args: &[&str]) -> Self {
        Self::with(address, args, |_| {})
    }

    fn with(address: impl ToString, args: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = tailcast(dir.path());
        command
            .args(["watch", &address.to_string()])
            .args(args)
            .stdout(File::create(dir.path().join("out")).unwrap())
            .stderr(File::create(dir.path().join("err")).unwrap());
        change(&mut command);
        let child = command.spawn().unwrap();
        Self { child, dir }
    }

    fn out(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).unwrap()
    }

    fn err(&self) -> String {
        fs::read_to_string(self.dir.path().join("err")).unwrap()
    }

    async fn until_out(&self, what: &str) {
        until(&format!("`{what}` is printed"), async || self.out().contains(what)).await;
    }

    async fn until_err(&self, what: &str) {
        until(&format!("`{what}` is said"), async || self.err().contains(what)).await;
    }

    async fn status(&mut self) -> i32 {
        until("it ends", async || self.child.try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap().code().unwrap()
    }

    /// As Ctrl-C does.
    async fn interrupt(&mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.status().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text<T: AsRef<str>>(lines: &[T]) -> String {
    lines.iter().map(|line| format!("{}\n", line.as_ref())).collect()
}

/// A server that can be started again at its address.
fn server(dir: &Path, address: &str) -> Program {
    Program::start(dir, &["-l", address, "-f", "a.log"])
}

#[tokio::test]
async fn its_output_is_the_file_over_kills_cuts_and_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path().join("a.log"));
    let mut written = Vec::new();
    let mut write = |log: &mut Log, count: u64| {
        let lines = numbered(written.len() as u64 + 1..=written.len() as u64 + count);
        log.write(text(&lines));
        written.extend(lines);
        (format!("line {}\n", written.len()), text(&written))
    };
    let running = server(dir.path(), "127.0.0.1:0");
    let address = running.address.clone();
    write(&mut log, 40);
    let mut watching = Watching::start(&address, &["--file", "a.log"]);
    watching.until_out("line 40\n").await;

    // Rotated while it watches.
    log.rename(".1");
    let (_, _) = write(&mut log, 10);
    log = Log::create(dir.path().join("a.log"));
    let (last, _) = write(&mut log, 10_000);
    watching.until_out(&last).await;

    // Killed; more than a history of lines is written meanwhile, into the old and a new file, and the old one packed.
    drop(running);
    write(&mut log, 500);
    fs::rename(dir.path().join("a.log.1"), dir.path().join("a.log.2")).unwrap();
    log.rename(".1");
    let packed = Command::new("gzip").arg(dir.path().join("a.log.1")).status().unwrap();
    assert!(packed.success());
    log = Log::create(dir.path().join("a.log"));
    write(&mut log, 500);
    watching.until_err("can't be reached").await;
    let running = server(dir.path(), &address);
    let (last, all) = write(&mut log, 1);
    watching.until_out(&last).await;
    assert_eq!(watching.out(), all);

    // Emptied and written anew: it is told, and what follows is all there.
    log.truncate(0);
    log.write("anew 1\nanew 2\n");
    watching.until_out("anew 2\n").await;
    assert_eq!(watching.out(), format!("{all}anew 1\nanew 2\n"));
    watching.until_err("日志文件被截断").await;

    assert_eq!(watching.interrupt().await, 0);
    assert_eq!(watching.out(), format!("{all}anew 1\nanew 2\n"));
    drop(running);
}

#[tokio::test]
async fn a_link_that_is_dead_without_a_word_is_left() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["first"]);
    let proxy = Proxy::start(server.address).await;
    let watching = Watching::start(proxy.address, &[]);
    watching.until_out("first\n").await;
    proxy.silence();
    log.lines(["second"]);
    // It asks after 35 s of silence and gives up 15 s later.
    tokio::time::sleep(Duration::from_secs(45)).await;
    watching.until_out("second\n").await;
    assert_eq!(watching.out(), "first\nsecond\n");
}

#[tokio::test]
async fn what_is_printed_can_be_chosen() {
    let server = TestServer::start().await;
    server
        .log("b.log")
        .lines(["one", "two", "\u{1b}[31mthree\u{1b}[0m", "", "四"]);
    for (args, printed) in [
        (&["-n", "2"][..], "\n四\n"),
        (&["--lines", "0"], ""),
        (&["--include", "^t", "--exclude", "wo"], "\u{1b}[31mthree\u{1b}[0m\n"),
        (&["--include", "one", "--include", "四"], "one\n四\n"),
        (&["--exclude", "^$"], "one\ntwo\n\u{1b}[31mthree\u{1b}[0m\n四\n"),
    ] {
        let args = [&["-f", "b.log"], args].concat();
        let mut watching = Watching::start(format!("http://{}/", server.address), &args);
        until("it watches", async || {
            server
                .metric("tailcast_connections{file=\"b.log\",protocol=\"v1\"}")
                .await
                > 0.0
        })
        .await;
        watching.until_out(printed).await;
        assert_eq!(watching.interrupt().await, 0, "{args:?}");
        assert_eq!(watching.out(), printed, "{args:?}");
        until("it has left", async || {
            server
                .metric("tailcast_connections{file=\"b.log\",protocol=\"v1\"}")
                .await
                == 0.0
        })
        .await;
    }
}

#[tokio::test]
async fn objects_have_positions_to_go_on_from() {
    let server = TestServer::with(|config| config.notices = Notices::En).await;
    let mut log = server.log("a.log");
    log.lines(["one", "two"]);
    let mut watching = Watching::start(server.address, &["--json", "--exclude", "two"]);
    watching.until_out("one").await;
    assert_eq!(watching.interrupt().await, 0);
    let batch: serde_json::Value = serde_json::from_str(&watching.out()).unwrap();
    assert_eq!(batch["type"], "lines");
    assert_eq!(batch["lines"], serde_json::json!(["one"]));
    log.lines(["three"]);

    let mut watching = Watching::start(server.address, &["--since", batch["end"].as_str().unwrap()]);
    watching.until_out("three").await;
    assert_eq!(watching.out(), "three\n");
    assert_eq!(watching.interrupt().await, 0);

    let watching = Watching::start(server.address, &["--json"]);
    watching.until_out("three").await;
    log.truncate(0);
    watching.until_out("truncated").await;
    let last = watching.out();
    let event: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(event["message"], "log file was truncated, reloading...");
    assert_eq!(watching.err(), "");
}

#[tokio::test]
async fn a_file_that_comes_and_goes_is_waited_for_and_said_once() {
    let server = TestServer::with(|config| {
        config.notices = Notices::En;
        config.stream.rotate_grace = Span::millis(50);
    })
    .await;
    let mut watching = Watching::start(server.address, &[]);
    watching.until_err("a.log does not exist").await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    watching.until_out("one\n").await;
    log.remove();
    watching.until_err("no longer exists").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    log = server.log("a.log");
    log.lines(["two"]);
    watching.until_out("two\n").await;
    assert_eq!(watching.out(), "one\ntwo\n");
    let said = watching.err();
    assert_eq!(said.matches("does not exist").count(), 2, "{said}");
    assert_eq!(watching.interrupt().await, 0);
}

#[tokio::test]
async fn what_waiting_does_not_mend_ends_it_with_a_sentence() {
    let server = TestServer::with(|config| config.notices = Notices::En).await;
    server.log("a.log");
    let address = server.address.to_string();
    for (args, status, sentence) in [
        (
            &["-f", "secret"][..],
            1,
            "access to the requested file is not allowed: secret",
        ),
        (&["--since", "nonsense"], 2, "since"),
        (&["--include", "("], 2, "--include"),
        (&["-n", "10001"], 2, "10001"),
        (&["--cacert", "x.pem"], 2, "--cacert"),
        (&["--token-file", "nowhere"], 2, "nowhere"),
        (&["--user", "a:b"], 2, "a:b"),
    ] {
        let mut watching = Watching::with(&address, args, |command| {
            command.env("TAILCAST_PASSWORD", "x");
        });
        assert_eq!(watching.status().await, status, "{args:?}: {}", watching.err());
        assert!(watching.err().contains(sentence), "{args:?}: {}", watching.err());
        assert_eq!(watching.out(), "");
    }
    let mut watching = Watching::start("ftp://nowhere", &[]);
    assert_eq!(watching.status().await, 2);
    assert!(watching.err().contains("`ftp` is not a scheme"), "{}", watching.err());
    // Nobody there may become somebody there.
    let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut watching = Watching::start(free, &[]);
    watching.until_err("can't be reached").await;
    assert_eq!(watching.interrupt().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_nobody_reads_is_the_end_and_one_that_waits_is_not() {
    let server = TestServer::with(|config| {
        config.limits.stall_timeout = Span::secs(1);
        config.limits.parting_timeout = Span::secs(1);
        config.limits.backlog = Size(1 << 20);
        config.limits.send_buffer = Size(64 << 10);
    })
    .await;
    let mut log = server.log("a.log");
    log.lines(["first"]);
    let piped = |command: &mut Command| {
        command.stdout(Stdio::piped());
    };
    let mut watching = Watching::with(server.address, &[], piped);
    let mut out = watching.child.stdout.take().unwrap();
    let mut read = [0; 6];
    out.read_exact(&mut read).unwrap();
    // As `less` does: what does not fit into the pipe and the sockets waits until the server drops the viewer.
    let lines: Vec<String> = (0..20_000).map(|n| format!("{n:08} {}", "x".repeat(1000))).collect();
    log.write(text(&lines));
    until("it is dropped", async || {
        server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"}")
            .await
            > 0.0
    })
    .await;
    let expected = text(&lines);
    let reading = tokio::task::spawn_blocking(move || {
        let mut got = vec![0; expected.len()];
        out.read_exact(&mut got).unwrap();
        assert!(got == expected.as_bytes(), "all lines, once and in order");
        drop(out);
    });
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .unwrap()
        .unwrap();
    watching.until_err("接收过慢").await;
    // With the reader gone it ends with the next line.
    log.lines(["last"]);
    assert_eq!(watching.status().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_is_heard_while_nobody_reads() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["first"]);
    let mut watching = Watching::with(server.address, &[], |command| {
        command.stdout(Stdio::piped());
    });
    let mut read = [0; 6];
    watching.child.stdout.as_mut().unwrap().read_exact(&mut read).unwrap();
    // Ten times what a pipe holds.
    log.write("\n".repeat(700_000));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(watching.interrupt().await, 0);
}

#[tokio::test]
async fn a_terminal_gets_colours_and_no_other_control_characters() {
    let server = TestServer::start().await;
    server
        .log("a.log")
        .lines(["an ERROR", "\u{1b}[2Jcleared", "\u{1b}[32mgreen"]);
    let dir = tempfile::tempdir().unwrap();
    let program = format!("{} watch {}", env!("CARGO_BIN_EXE_tailcast"), server.address);
    for (no_colour, printed) in [
        (
            false,
            "\u{1b}[31man ERROR\u{1b}[0m\r\n␛[2Jcleared\u{1b}[0m\r\n\u{1b}[32mgreen\u{1b}[0m\r\n",
        ),
        (true, "an ERROR\r\ncleared\r\ngreen\r\n"),
    ] {
        let typescript = dir.path().join("typescript");
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--flush", "--command", &program])
            .arg(&typescript)
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if no_colour {
            command.env("NO_COLOR", "1");
        }
        let mut script = command.spawn().unwrap();
        until("the lines are shown", async || {
            fs::read_to_string(&typescript).is_ok_and(|text| text.contains(printed))
        })
        .await;
        script.kill().unwrap();
        script.wait().unwrap();
    }
}

/// Answers requests in turn, and returns the heads that it was asked with.
async fn answering(answers: &'static [&'static str]) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            heads.push(String::from_utf8(head).unwrap().to_lowercase());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (address, asked)
}

#[tokio::test]
async fn credentials_are_sent_and_their_refusal_is_the_end() {
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nwho's it?";
    let dir = tempfile::tempdir().unwrap();
    let token: PathBuf = dir.path().join("token");
    fs::write(&token, "sesame\n").unwrap();
    let (address, asked) = answering(&[BUSY, REFUSED]).await;
    let mut watching = Watching::start(address, &["--token-file", token.to_str().unwrap()]);
    assert_eq!(watching.status().await, 1);
    let said = watching.err();
    assert!(
        said.contains("503") && said.contains("401") && said.contains("--token-file"),
        "{said}"
    );
    for head in asked.await.unwrap() {
        assert!(head.contains("authorization: bearer sesame\r\n"), "{head}");
    }
    let (address, asked) = answering(&[REFUSED]).await;
    let mut watching = Watching::with(format!("http://{address}/logs/"), &["--user", "alice"], |command| {
        command.env("TAILCAST_PASSWORD", "sesame");
    });
    assert_eq!(watching.status().await, 1);
    let heads = asked.await.unwrap();
    assert!(
        heads[0].starts_with("get /logs/api/v1/ws/logs http/1.1\r\n"),
        "{heads:?}"
    );
    // alice:sesame
    assert!(
        heads[0].contains("authorization: basic ywxpy2u6c2vzyw1l\r\n"),
        "{heads:?}"
    );
}

#[tokio::test]
async fn certificates_that_are_named_are_trusted_and_no_others() {
    let server = TestServer::with(|config| config.public_hosts = vec!["localhost".into()]).await;
    server.log("a.log").lines(["secret"]);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = server.address;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let trusted = dir.path().join("ca.pem");
    fs::write(&trusted, cert.pem()).unwrap();
    let address = format!("https://localhost:{port}");
    let mut watching = Watching::start(&address, &["--cacert", trusted.to_str().unwrap()]);
    watching.until_out("secret\n").await;
    assert_eq!(watching.interrupt().await, 0);

    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&trusted, other.cert.pem()).unwrap();
    let mut watching = Watching::start(&address, &["--cacert", trusted.to_str().unwrap()]);
    assert_eq!(watching.status().await, 1);
    assert!(watching.err().contains("can't be trusted"), "{}", watching.err());
    fs::write(&trusted, "no certificate").unwrap();
    let mut watching = Watching::start(&address, &["--cacert", trusted.to_str().unwrap()]);
    assert_eq!(watching.status().await, 2);
    assert!(watching.err().contains("there is none"), "{}", watching.err());
}

#[tokio::test]
async fn any_name_of_a_file_will_do() {
    let name = "a b+c&d=é#%20.log";
    let server = TestServer::with(|config| config.files = vec![FileEntry::named("x"), FileEntry::named(name)]).await;
    server.log(name).lines(["one"]);
    let mut watching = Watching::start(server.address, &["-f", name, "-n", "1"]);
    watching.until_out("one\n").await;
    assert_eq!(watching.interrupt().await, 0);
}

#[tokio::test]
async fn a_file_of_the_name_of_the_subcommand_is_served_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("watch"), "x\n").unwrap();
    let program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "./watch"]);
    let mut watching = Watching::start(&program.address, &["-f", "watch"]);
    watching.until_out("x\n").await;
    assert_eq!(watching.interrupt().await, 0);
    for args in [&["a.log", "watch"][..], &["--demo", "watch"]] {
        let output = tailcast(dir.path()).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
