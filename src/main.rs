//! Arguments in, exit status out.

use std::fs::File;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::{ExitCode, exit};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Parser;
use clap::error::ErrorKind;
use tailcast::client::{Watch, WatchArgs};
use tailcast::config::{Args, Command, Config, Environment};
use tailcast::demo::Demo;
use tailcast::server::Server;
use tailcast::sizing::{self, Ceiling};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Exit status for bad usage or configuration.
const USAGE: u8 = 2;
/// What is left of blocking reads when the server has ended is not waited for.
const BLOCKING_STOP: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse_usage(&error),
    };
    if let Some(Command::Watch(args)) = &args.command {
        return watch(args);
    }
    let environment = Environment::of_process();
    let config = match Config::load(&args, &environment) {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    let filter = match EnvFilter::try_new(&config.log_filter) {
        Ok(filter) => filter,
        Err(error) => {
            let filter = &config.log_filter;
            return fail(
                USAGE,
                &format!("`{filter}` (RUST_LOG) is no filter: {error}; write a level such as \"info\""),
            );
        }
    };
    if args.check_config {
        return match write!(stdout(), "{}", config.to_toml()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &format!("the configuration can't be printed: {error}")),
        };
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    match run(&args, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("{error:#}")),
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(stderr(), "tailcast: {message}");
    ExitCode::from(status)
}

/// Answers `--help` and `--version`, and says in one sentence what is wrong with anything else.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    // The first paragraph says what is wrong, in several lines where several arguments are; then comes the usage.
    let what = text.split("\n\n").next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    fail(USAGE, &format!("{what}; see tailcast --help"))
}

/// Prints a stream until a signal comes.
fn watch(args: &WatchArgs) -> ExitCode {
    let watch = match Watch::new(args) {
        Ok(watch) => watch,
        Err(failure) => return fail(failure.status, &failure.message),
    };
    let built = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("the threads of the program can't be started: {error}")),
    };
    let ended = runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| (1, format!("signals can't be received: {error}")))?;
        tokio::select! {
            _ = signals.next() => Ok(()),
            ended = runtime.spawn(watch.run()) => match ended {
                Ok(ended) => ended.map_err(|failure| (failure.status, failure.message)),
                Err(error) => Err((1, format!("the program failed: {error}"))),
            },
        }
    });
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => fail(status, &message),
    }
}

fn run(args: &Args, mut config: Config) -> anyhow::Result<()> {
    raise_descriptor_limit();
    make_room_for_descriptors(&config);
    let mut builder = runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder
        .enable_all()
        .build()
        .context("the threads of the program can't be started")?;
    let mut demo = None;
    if args.demo {
        let made = Demo::new().context("the demo can't write its files into the temporary directory")?;
        config.dir = made.directory().to_owned();
        demo = Some(made);
    }
    // A task like all others: on the thread that waits here, accepting would go back and forth between two threads.
    let served = runtime.block_on(runtime.spawn(serve(config, demo)));
    let result = served.context("the program failed").flatten();
    runtime.shutdown_timeout(BLOCKING_STOP);
    result
}

async fn serve(config: Config, demo: Option<Demo>) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals can't be received")?;
    let server = Server::bind(config).map_err(|error| anyhow!("{error}"))?;
    sizing::tell(&server.settings().current());
    // Who started it without a standard output does not want to know.
    let _ = writeln!(stdout(), "tailcast listening on http://{}", server.address());
    let _ = stdout().flush();

    let stop = CancellationToken::new();
    let mut server = std::pin::pin!(server.run(stop.clone()));
    let mut writer = std::pin::pin!(write_demo(demo));
    loop {
        tokio::select! {
            () = &mut server => return Ok(()),
            () = &mut writer, if !stop.is_cancelled() => {}
            number = signals.next() => {
                if stop.is_cancelled() {
                    // The second one: at once, but not leaving the demo's directory behind.
                    writer.set(write_demo(None));
                    exit(128 + number);
                }
                info!(signal = number, "asked to stop");
                stop.cancel();
            }
        }
    }
}

/// Writes the demo's lines for as long as the server runs; without a demo it does nothing.
async fn write_demo(demo: Option<Demo>) {
    if let Some(mut demo) = demo {
        if let Err(error) = demo.run().await {
            error!(%error, "the demo stops writing");
        }
        // Its directory is served on, and removed when this future is dropped.
        std::future::pending::<()>().await;
    }
    std::future::pending().await
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one and returns its number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

/// Lets the kernel make its table of our descriptors as large as it may become. Each time that it doubles the table of a
/// program with threads it waits for all processors, 15 ms and more, in which a storm of viewers would stand still: five
/// times up to 5,000 of them. Once there is a descriptor with a high number the table stays; to be called before there
/// are threads.
fn make_room_for_descriptors(config: &Config) {
    use rustix::process::{Resource, getrlimit};
    let most = Ceiling::of(config).descriptors;
    let most = getrlimit(Resource::Nofile)
        .current
        .map_or(most, |limit| limit.min(most));
    let highest = i32::try_from(most.saturating_sub(1)).unwrap_or(i32::MAX);
    // Where it can't be done, the table grows later.
    if let Ok(any) = File::open("/dev/null") {
        drop(rustix::io::fcntl_dupfd_cloexec(any, highest));
    }
}

/// A viewer is a descriptor: takes as many as the system lets us have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it the soft limit stays, and accepting pauses when it is reached.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
