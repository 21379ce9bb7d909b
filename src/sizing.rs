//! What a configuration may come to take of the machine: memory and open files, told at the start.
//!
//! The constants were measured on Linux 6.18; `docs/sizing.md` says how, and what else there is to know.

use rustix::process::{Resource, getrlimit};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tracing::{info, warn};

use crate::config::{Compression, Config, Size};

/// The program, its threads and its metrics: 6 MiB after the start, and as much again for what comes and goes.
const BASE_BYTES: u64 = 12 << 20;
/// A viewer after its history: its task, its socket, its place in the channel (1.9 KiB with 10,000 of them).
const VIEWER_BYTES: u64 = 2 << 10;
/// The same in the kernel, with nothing on the way (10 KB measured for both ends of a connection).
const KERNEL_VIEWER_BYTES: u64 = 6 << 10;
/// A place in a file's broadcast; there are as many as chunks in its backlog, rounded up to a power of two.
const SLOT_BYTES: u64 = 48;
/// A chunk holds its lines once in each form that some viewer gets: as frames, as messages of `tailcast.v1` and of
/// Server-Sent Events.
const FORMS: u64 = 3;
/// Frames and messages also compressed.
const DEFLATED_FORMS: u64 = 2;
/// What a byte of a file becomes at most: U+FFFD.
const DECODED_BYTES: u64 = 3;
/// The kernel holds up to twice the send buffer that was asked for, as it counts its own headers in (`socket(7)`).
const SEND_BUFFER_FACTOR: u64 = 2;
/// Connections that are held beyond `max_connections`: plain requests, and viewers that are told that there are too many.
pub(crate) const EXTRA_CONNECTIONS: usize = 1024;
/// Open files of the program itself: its listener, its events, its watches, its standard streams.
const OWN_DESCRIPTORS: u64 = 64;
/// Open files for a followed file: itself, a rotated one, one that is looked at.
const FILE_DESCRIPTORS: u64 = 3;

/// What a configuration takes where every backlog is full in every form. A line of control characters alone takes up to
/// six times its bytes in the messages of JSON, which is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    /// Bytes of the program for its files, each with a full backlog.
    pub files: u64,
    /// Bytes of the program for its viewers.
    pub viewers: u64,
    /// Bytes of the kernel for viewers that read.
    pub sockets: u64,
    /// Bytes of the kernel beyond that if no viewer at all reads.
    pub stalled: u64,
    /// Open files.
    pub descriptors: u64,
}

/// What there is to take from.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Bytes that the program may take; none where that is not known.
    pub memory: Option<u64>,
    /// Open files that it may have; none where there is no limit.
    pub descriptors: Option<u64>,
}

impl Ceiling {
    /// Adds up what `config` allows.
    pub fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let connections = limits.max_connections as u64;
        let slots = (limits.backlog_chunks as u64).next_power_of_two() * SLOT_BYTES;
        let ring = config.stream.history_lines as u64 * config.stream.max_line.0 * DECODED_BYTES;
        let forms = match config.stream.compression {
            Compression::Never => FORMS,
            Compression::Remote | Compression::Always => FORMS + DEFLATED_FORMS,
        };
        let backlog = limits.backlog.0 * forms;
        let files = config.files.len() as u64;
        Self {
            files: BASE_BYTES + files * (backlog + slots + ring),
            viewers: connections * VIEWER_BYTES,
            sockets: connections * KERNEL_VIEWER_BYTES,
            stalled: connections * limits.send_buffer.0 * SEND_BUFFER_FACTOR,
            descriptors: connections + EXTRA_CONNECTIONS as u64 + files * FILE_DESCRIPTORS + OWN_DESCRIPTORS,
        }
    }

    /// What does not fit into `machine`, a sentence each.
    pub fn misfits(&self, config: &Config, machine: &Machine) -> Vec<String> {
        let connections = config.limits.max_connections;
        let mut misfits = Vec::new();
        if let Some(limit) = machine.descriptors.filter(|&limit| limit < self.descriptors) {
            misfits.push(format!(
                "limits.max_connections = {connections} takes up to {} open files, but the system allows {limit}: raise \
                 that limit (ulimit -Hn, or LimitNOFILE in a systemd unit), or lower limits.max_connections",
                self.descriptors
            ));
        }
        let needed = self.files + self.viewers + self.sockets;
        if let Some(memory) = machine.memory.filter(|&memory| memory < needed) {
            misfits.push(format!(
                "limits.max_connections = {connections} and limits.backlog = {} for each of {} files take up to {}, but \
                 there are {}: lower them, or give the program more memory",
                config.limits.backlog,
                config.files.len(),
                mebibytes(needed),
                mebibytes(memory)
            ));
        }
        misfits
    }
}

impl Machine {
    /// What this process may take: the configured memory, else that of its control group, else that of the machine.
    pub fn of_process(config: &Config) -> Self {
        let memory = config.limits.memory.map(|Size(bytes)| bytes);
        Self {
            memory: memory.or_else(memory_of_process),
            descriptors: getrlimit(Resource::Nofile).current,
        }
    }
}

/// What the control group of this process allows, else what the machine has.
fn memory_of_process() -> Option<u64> {
    let pid = Pid::from_u32(std::process::id());
    let mut system = System::new().ok()?;
    system.refresh_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    let group = system.process(pid).and_then(|process| process.cgroup_limits());
    let limits = group.or_else(|| system.cgroup_limits());
    let total = limits.map_or(system.total_memory(), |limits| limits.total_memory);
    (total > 0).then_some(total)
}

/// Says at the start what the configuration may come to take, and warns of what does not fit.
pub fn tell(config: &Config) {
    let ceiling = Ceiling::of(config);
    info!(
        "up to about {} of memory for {} files and {} for {} viewers, and in the kernel {}, or {} if none of them reads",
        mebibytes(ceiling.files),
        config.files.len(),
        mebibytes(ceiling.viewers),
        config.limits.max_connections,
        mebibytes(ceiling.sockets),
        mebibytes(ceiling.sockets + ceiling.stalled),
    );
    for misfit in ceiling.misfits(config, &Machine::of_process(config)) {
        warn!("{misfit}");
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_sum_of_what_is_configured() {
        let mut config = Config::default();
        config.limits.max_connections = 10_000;
        let ceiling = Ceiling::of(&config);
        // Three files: 64 MiB of backlog in five forms, 16,384 slots of 48 bytes, 50 lines of three times 64 KiB.
        assert_eq!(
            ceiling.files,
            (12 << 20) + 3 * (5 * (64 << 20) + 16_384 * 48 + 50 * 3 * 65_536)
        );
        config.stream.compression = Compression::Never;
        assert_eq!(ceiling.files - Ceiling::of(&config).files, 3 * 2 * (64 << 20));
        assert_eq!(ceiling.viewers, 10_000 * 2048);
        assert_eq!(ceiling.stalled, 10_000 * 512 * 1024);
        assert_eq!(ceiling.descriptors, 10_000 + 1024 + 9 + 64);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_remedy() {
        let config = Config::default();
        let ceiling = Ceiling::of(&config);
        let misfits = |memory, descriptors| ceiling.misfits(&config, &Machine { memory, descriptors });
        assert!(misfits(None, None).is_empty());
        assert!(misfits(Some(2 << 30), Some(20_000)).is_empty());
        let told = misfits(Some(256 << 20), Some(4096));
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("4096") && told[0].contains("LimitNOFILE"), "{told:?}");
        assert!(
            told[1].contains("256 MiB") && told[1].contains("limits.backlog"),
            "{told:?}"
        );
    }

    #[test]
    fn the_machine_has_memory_and_a_limit_of_files() {
        let machine = Machine::of_process(&Config::default());
        assert!(machine.memory.is_some_and(|memory| memory > 64 << 20), "{machine:?}");
        let mut config = Config::default();
        config.limits.memory = Some(Size::mib(77));
        assert_eq!(Machine::of_process(&config).memory, Some(77 << 20));
    }
}
