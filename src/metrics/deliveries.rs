//! What was handed to the kernel for the viewers of one file.
//!
//! Counted with each write to each viewer, by all threads that serve: each has counters of its own, as the cores would
//! otherwise spend more on passing the counters' memory to each other than on counting.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::formatting::{sanitize_label_value, write_help_line, write_type_line};

const NAME: &str = "tailcast_delivery_seconds";
const HELP: &str = "From the read of a chunk to the end of its write to a viewer.";

/// Upper ends of the buckets of delays: from one write on an idle machine to a viewer that the backlog (64 MiB) keeps
/// for seconds.
const BUCKETS: [Duration; 14] = [
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
];

/// Threads with counters of their own; those beyond share them. One takes 256 bytes for each file.
const MAX_SHARDS: usize = 16;

/// The running number of the next thread that counts.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// Counters of the deliveries of one file.
#[derive(Debug)]
pub(super) struct Deliveries {
    shards: Box<[Shard]>,
}

/// The counters of one thread. Aligned to two lines of the processor's cache, which are often fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    lines: AtomicU64,
    bytes: AtomicU64,
    /// By bucket; the last one holds what is longer than all ends.
    delays: [Delays; BUCKETS.len() + 1],
}

#[derive(Debug, Default)]
struct Delays {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Deliveries {
    pub(super) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shards: (0..threads.min(MAX_SHARDS)).map(|_| Shard::default()).collect(),
        }
    }

    fn shard(&self) -> Option<&Shard> {
        self.shards.get(THREAD.with(|thread| *thread) % self.shards.len())
    }

    /// Counts lines and bytes.
    pub(super) fn add(&self, lines: u64, bytes: u64) {
        if let Some(shard) = self.shard() {
            shard.lines.fetch_add(lines, Ordering::Relaxed);
            shard.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts a write that ended so long after its first chunk was read.
    pub(super) fn observe(&self, delay: Duration) {
        let bucket = BUCKETS.partition_point(|&end| end < delay);
        if let Some(delays) = self.shard().and_then(|shard| shard.delays.get(bucket)) {
            delays.count.fetch_add(1, Ordering::Relaxed);
            let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
            delays.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    pub(super) fn lines(&self) -> u64 {
        self.sum(|shard| &shard.lines)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sum(|shard| &shard.bytes)
    }

    fn sum(&self, counter: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        let counters = self.shards.iter().map(counter);
        counters.map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    /// Appends the samples of the histogram for a file.
    fn push_samples(&self, file: &str, out: &mut String) {
        let file = sanitize_label_value(file);
        let mut count = 0;
        let mut nanos = 0;
        let ends = BUCKETS.iter().map(|end| end.as_secs_f64().to_string());
        for (bucket, end) in ends.chain(["+Inf".to_owned()]).enumerate() {
            for delays in self.shards.iter().filter_map(|shard| shard.delays.get(bucket)) {
                count += delays.count.load(Ordering::Relaxed);
                nanos += delays.nanos.load(Ordering::Relaxed);
            }
            // Writing to a string can't fail.
            let _ = writeln!(out, "{NAME}_bucket{{file=\"{file}\",le=\"{end}\"}} {count}");
        }
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        let _ = writeln!(out, "{NAME}_sum{{file=\"{file}\"}} {seconds}");
        let _ = writeln!(out, "{NAME}_count{{file=\"{file}\"}} {count}");
    }
}

/// Appends the histogram of the delays of all files (Prometheus' text format 0.0.4).
pub(super) fn push_histogram<'a>(files: impl IntoIterator<Item = (&'a str, &'a Deliveries)>, out: &mut String) {
    write_help_line(out, NAME, None, None, HELP);
    write_type_line(out, NAME, None, None, "histogram");
    for (file, deliveries) in files {
        deliveries.push_samples(file, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_together() {
        let deliveries = Deliveries::new();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        deliveries.add(2, 30);
                        deliveries.observe(Duration::from_millis(3));
                    }
                });
            }
        });
        assert_eq!((deliveries.lines(), deliveries.bytes()), (8_000, 120_000));
        let mut text = String::new();
        push_histogram([("a\"b.log", &deliveries)], &mut text);
        assert!(
            text.contains("tailcast_delivery_seconds_count{file=\"a\\\"b.log\"} 4000\n"),
            "{text}"
        );
        assert!(
            text.contains("tailcast_delivery_seconds_sum{file=\"a\\\"b.log\"} 12\n"),
            "{text}"
        );
    }

    #[test]
    fn a_bucket_holds_its_end_and_all_below() {
        let deliveries = Deliveries::new();
        for micros in [0, 250, 251, 2_500, 10_000_000, 10_000_001] {
            deliveries.observe(Duration::from_micros(micros));
        }
        let mut text = String::new();
        push_histogram([("a", &deliveries)], &mut text);
        for (end, count) in [
            ("0.00025", 2),
            ("0.0005", 3),
            ("0.001", 3),
            ("0.0025", 4),
            ("10", 5),
            ("+Inf", 6),
        ] {
            let line = format!("tailcast_delivery_seconds_bucket{{file=\"a\",le=\"{end}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.starts_with("# HELP tailcast_delivery_seconds From"), "{text}");
        assert!(
            text.contains("\n# TYPE tailcast_delivery_seconds histogram\n"),
            "{text}"
        );
    }
}
