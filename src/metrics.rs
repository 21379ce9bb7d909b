//! Every metric, declared and described once.
//!
//! A server has a recorder of its own, so that several in one process do not count into each other. The handles are
//! made at the start, which is also what makes every series with a fixed label set visible at 0 from then on.

mod deliveries;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use rustix::time::{ClockId, clock_gettime};

use deliveries::Deliveries;

/// The beginning of the sample of the processor time.
const CPU_SECONDS: &str = "\nprocess_cpu_seconds_total ";

/// Why a connection did not get as far as the stream.
#[derive(Debug, Clone, Copy)]
pub enum Rejection {
    /// The name is not on the allow-list.
    Forbidden,
    /// The file does not exist.
    Missing,
    /// The file can't be read.
    Unreadable,
    /// There are too many connections.
    Limit,
    /// No or wrong credentials.
    Unauthorized,
    /// A foreign web page.
    Origin,
    /// A host name that is not the server's.
    Host,
}

impl Rejection {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Forbidden, "forbidden"),
        (Self::Missing, "missing"),
        (Self::Unreadable, "unreadable"),
        (Self::Limit, "limit"),
        (Self::Unauthorized, "unauthorized"),
        (Self::Origin, "origin"),
        (Self::Host, "host"),
    ];
}

/// Why a viewer's stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client left.
    Client,
    /// It read too slowly.
    Slow,
    /// The file is gone.
    Removed,
    /// It was silent for too long.
    Idle,
    /// The connection or the protocol broke.
    Error,
    /// The server stops.
    Shutdown,
    /// Its permission was taken back.
    Revoked,
}

impl Ending {
    const ALL: [&'static str; 7] = ["client", "slow", "removed", "idle", "error", "shutdown", "revoked"];
}

/// What a viewer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The plain protocol.
    Plain,
    /// `tailcast.v1`.
    V1,
    /// Server-Sent Events.
    Sse,
}

impl Protocol {
    const ALL: [&'static str; 3] = ["plain", "v1", "sse"];
}

/// All metrics of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    process: metrics_process::Collector,
    /// Files being tailed now.
    pub tailers: Gauge,
    rejections: [Counter; 7],
    /// Of each file that ever was on the allow-list, as counters never go back.
    files: Mutex<BTreeMap<String, Arc<FileMetrics>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    /// Declares everything that does not depend on a file.
    fn default() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let process = metrics_process::Collector::default();
        let (tailers, rejections) = with_local_recorder(&recorder, || {
            describe();
            process.describe();
            gauge!(
                "tailcast_build_info",
                "version" => env!("CARGO_PKG_VERSION"),
                "revision" => option_env!("TAILCAST_REVISION").unwrap_or("unknown")
            )
            .set(1);
            let rejected = |reason| counter!("tailcast_connections_rejected_total", "reason" => reason);
            (
                gauge!("tailcast_tailers"),
                Rejection::ALL.map(|(_, reason)| rejected(reason)),
            )
        });
        Self {
            recorder,
            process,
            tailers,
            rejections,
            files: Mutex::default(),
        }
    }
}

impl Metrics {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<FileMetrics>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Declares what is counted for one file of the allow-list.
    pub fn of_file(&self, file: &str) -> Arc<FileMetrics> {
        let mut files = self.files();
        let metrics = files.entry(file.to_owned()).or_insert_with(|| self.declare(file));
        Arc::clone(metrics)
    }

    fn declare(&self, file: &str) -> Arc<FileMetrics> {
        let file = file.to_owned();
        with_local_recorder(&self.recorder, || {
            let protocol = |protocol: &'static str| ProtocolMetrics {
                connections: gauge!("tailcast_connections", "file" => file.clone(), "protocol" => protocol),
                opened: counter!(
                    "tailcast_connections_opened_total", "file" => file.clone(), "protocol" => protocol
                ),
            };
            let event =
                |event: &'static str| counter!("tailcast_file_events_total", "file" => file.clone(), "event" => event);
            Arc::new(FileMetrics {
                protocols: Protocol::ALL.map(protocol),
                closed: Ending::ALL.map(
                    |reason| counter!("tailcast_connections_closed_total", "file" => file.clone(), "reason" => reason),
                ),
                lines_read: counter!("tailcast_lines_read_total", "file" => file.clone()),
                bytes_read: counter!("tailcast_bytes_read_total", "file" => file.clone()),
                lines_delivered: counter!("tailcast_lines_delivered_total", "file" => file.clone()),
                bytes_delivered: counter!("tailcast_bytes_delivered_total", "file" => file.clone()),
                lines_dropped: counter!("tailcast_lines_dropped_total", "file" => file.clone()),
                deliveries: Deliveries::new(),
                truncated: event("truncated"),
                rotated: event("rotated"),
                removed: event("removed"),
                rescan: event("rescan"),
            })
        })
    }

    /// Counts a connection that did not get as far as the stream.
    pub fn reject(&self, why: Rejection) {
        let [forbidden, missing, unreadable, limit, unauthorized, origin, host] = &self.rejections;
        match why {
            Rejection::Forbidden => forbidden,
            Rejection::Missing => missing,
            Rejection::Unreadable => unreadable,
            Rejection::Limit => limit,
            Rejection::Unauthorized => unauthorized,
            Rejection::Origin => origin,
            Rejection::Host => host,
        }
        .increment(1);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        with_local_recorder(&self.recorder, || self.process.collect());
        let files = self.files();
        for file in files.values() {
            file.lines_delivered.absolute(file.deliveries.lines());
            file.bytes_delivered.absolute(file.deliveries.bytes());
        }
        let mut text = self.recorder.handle().render();
        // Counters of the facade are whole numbers, which makes of processor seconds a staircase.
        let used = clock_gettime(ClockId::ProcessCPUTime);
        if let Some(value) = text.find(CPU_SECONDS).map(|at| at + CPU_SECONDS.len())
            && let Some(len) = text.get(value..).and_then(|rest| rest.find('\n'))
        {
            let hundredths = used.tv_nsec / 10_000_000;
            text.replace_range(value..value + len, &format!("{}.{hundredths:02}", used.tv_sec));
        }
        let deliveries = files.iter().map(|(name, file)| (name.as_str(), &file.deliveries));
        deliveries::push_histogram(deliveries, &mut text);
        text
    }
}

#[derive(Debug)]
struct ProtocolMetrics {
    connections: Gauge,
    opened: Counter,
}

/// What is counted for one file.
pub struct FileMetrics {
    protocols: [ProtocolMetrics; 3],
    closed: [Counter; 7],
    /// Lines that the tailer read live.
    pub lines_read: Counter,
    /// Bytes that the tailer read live.
    pub bytes_read: Counter,
    deliveries: Deliveries,
    lines_delivered: Counter,
    bytes_delivered: Counter,
    lines_dropped: Counter,
    /// Truncations seen.
    pub truncated: Counter,
    /// Rotations seen.
    pub rotated: Counter,
    /// Removals seen.
    pub removed: Counter,
    /// Lost events after which the file was looked at anew.
    pub rescan: Counter,
}

impl std::fmt::Debug for FileMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileMetrics").finish_non_exhaustive()
    }
}

impl FileMetrics {
    fn of(&self, protocol: Protocol) -> &ProtocolMetrics {
        let [plain, v1, sse] = &self.protocols;
        match protocol {
            Protocol::Plain => plain,
            Protocol::V1 => v1,
            Protocol::Sse => sse,
        }
    }

    /// A viewer got as far as the stream.
    pub fn opened(&self, protocol: Protocol) {
        self.of(protocol).connections.increment(1);
        self.of(protocol).opened.increment(1);
    }

    /// Its stream ended, with so many lines not sent because it was slow.
    pub fn closed(&self, protocol: Protocol, ending: Ending, dropped: u64) {
        let [client, slow, removed, idle, error, shutdown, revoked] = &self.closed;
        self.of(protocol).connections.decrement(1);
        self.lines_dropped.increment(dropped);
        match ending {
            Ending::Client => client,
            Ending::Slow => slow,
            Ending::Removed => removed,
            Ending::Idle => idle,
            Ending::Error => error,
            Ending::Shutdown => shutdown,
            Ending::Revoked => revoked,
        }
        .increment(1);
    }

    /// Lines and bytes were handed to the kernel for a viewer.
    pub fn delivered(&self, lines: u64, bytes: u64) {
        self.deliveries.add(lines, bytes);
    }

    /// A write to a viewer ended that began with a chunk read at `read_at`.
    pub fn delivered_since(&self, read_at: Instant) {
        self.deliveries.observe(read_at.elapsed());
    }
}

fn describe() {
    describe_gauge!("tailcast_connections", "Viewers connected now.");
    describe_counter!(
        "tailcast_connections_opened_total",
        "Connections that got as far as the stream."
    );
    describe_counter!("tailcast_connections_closed_total", "Ends of streams, by reason.");
    describe_counter!(
        "tailcast_connections_rejected_total",
        "Connections that did not get as far as the stream."
    );
    describe_counter!("tailcast_lines_read_total", "Lines that the tailer read live.");
    describe_counter!(
        "tailcast_bytes_read_total",
        Unit::Bytes,
        "Bytes that the tailer read live."
    );
    describe_counter!(
        "tailcast_lines_delivered_total",
        "Lines handed to the kernel for viewers."
    );
    describe_counter!(
        "tailcast_bytes_delivered_total",
        Unit::Bytes,
        "Bytes handed to the kernel for viewers."
    );
    describe_counter!("tailcast_lines_dropped_total", "Lines that slow viewers were not sent.");
    describe_gauge!("tailcast_tailers", "Files being tailed now.");
    describe_counter!("tailcast_file_events_total", "What happened to files.");
    describe_gauge!("tailcast_build_info", "Version and source revision of the program.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start_at_zero() {
        let metrics = Metrics::default();
        let file = metrics.of_file("a.log");
        let text = metrics.render();
        for series in [
            "tailcast_connections{file=\"a.log\",protocol=\"plain\"} 0",
            "tailcast_connections_opened_total{file=\"a.log\",protocol=\"plain\"} 0",
            "tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"} 0",
            "tailcast_connections_rejected_total{reason=\"origin\"} 0",
            "tailcast_lines_read_total{file=\"a.log\"} 0",
            "tailcast_bytes_read_total{file=\"a.log\"} 0",
            "tailcast_lines_delivered_total{file=\"a.log\"} 0",
            "tailcast_bytes_delivered_total{file=\"a.log\"} 0",
            "tailcast_lines_dropped_total{file=\"a.log\"} 0",
            "tailcast_delivery_seconds_count{file=\"a.log\"} 0",
            "tailcast_delivery_seconds_bucket{file=\"a.log\",le=\"+Inf\"} 0",
            "tailcast_tailers 0",
            "tailcast_file_events_total{file=\"a.log\",event=\"rotated\"} 0",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
        let seconds = text.split(CPU_SECONDS).nth(1).and_then(|rest| rest.lines().next());
        let (whole, fraction) = seconds.and_then(|seconds| seconds.split_once('.')).unwrap();
        assert!(whole.parse::<u64>().is_ok() && fraction.len() == 2, "{seconds:?}");
        file.opened(Protocol::V1);
        file.closed(Protocol::V1, Ending::Slow, 7);
        file.opened(Protocol::Sse);
        file.delivered_since(Instant::now());
        let text = metrics.render();
        assert!(text.contains("tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"} 1"));
        assert!(text.contains("tailcast_connections_opened_total{file=\"a.log\",protocol=\"v1\"} 1"));
        assert!(text.contains("tailcast_connections{file=\"a.log\",protocol=\"v1\"} 0"));
        assert!(text.contains("tailcast_connections{file=\"a.log\",protocol=\"sse\"} 1"));
        assert!(text.contains("tailcast_lines_dropped_total{file=\"a.log\"} 7"));
        assert!(text.contains("tailcast_delivery_seconds_count{file=\"a.log\"} 1"));
    }
}
