//! What the kernel tells about the machine and its processes: processor time, memory, cores, limits. Processor time of
//! others is watched too, since figures taken beside a busy neighbour mean nothing.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The key of the clock ticks a second in the auxiliary vector (AT_CLKTCK of getauxval(3)).
const AUXV_CLOCK_TICKS: usize = 17;
const WORD: usize = size_of::<usize>();

/// Processor time since some moment in the past; only differences mean anything.
#[derive(Debug, Clone, Copy)]
pub struct CpuTimes {
    /// Of all cores and everybody, what was stolen by the hypervisor included.
    pub busy: f64,
    /// Of that, what was stolen.
    pub steal: f64,
    /// Of the server's process.
    pub server: f64,
    /// Of this process.
    pub own: f64,
}

impl CpuTimes {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            busy: self.busy - earlier.busy,
            steal: self.steal - earlier.steal,
            server: self.server - earlier.server,
            own: self.own - earlier.own,
        }
    }

    /// What neither the server nor this process used.
    pub fn other(self) -> f64 {
        (self.busy - self.server - self.own).max(0.0)
    }
}

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    /// The part of it that is no file's; absent in old kernels.
    pub anonymous: Option<f64>,
}

/// Reads processor times; holds the length of the clock ticks they are counted in.
#[derive(Debug, Clone, Copy)]
pub struct CpuMeter {
    tick: f64,
}

impl CpuMeter {
    pub fn new() -> Result<Self> {
        let auxv = fs::read("/proc/self/auxv").context("can't read /proc/self/auxv")?;
        let mut words = auxv.chunks_exact(WORD).map(|word| {
            let mut bytes = [0; WORD];
            bytes.copy_from_slice(word);
            usize::from_ne_bytes(bytes)
        });
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == AUXV_CLOCK_TICKS && value > 0 {
                return Ok(Self {
                    tick: 1.0 / value as f64,
                });
            }
        }
        bail!("the kernel doesn't tell the length of its clock ticks")
    }

    /// Reads them; with those of the server's children where these are what works.
    pub fn read(self, server: u32, children: bool) -> Result<CpuTimes> {
        let (busy, steal) = self.machine()?;
        let mut times = CpuTimes {
            busy,
            steal,
            server: process_time(server)?,
            own: process_time(std::process::id())?,
        };
        if children {
            // One that has ended since it was listed is left out.
            times.server += children_of(server)?.into_iter().flat_map(process_time).sum::<f64>();
        }
        Ok(times)
    }

    /// Busy time of all cores, and of that the stolen time.
    fn machine(self) -> Result<(f64, f64)> {
        let stat = fs::read_to_string("/proc/stat").context("can't read /proc/stat")?;
        let fields: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .skip(1)
            .map_while(|field| field.parse().ok())
            .collect();
        // Guest time, at the end, is part of user time already.
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
            bail!("/proc/stat isn't understood");
        };
        let busy = user + nice + system + irq + softirq + steal;
        Ok((busy as f64 * self.tick, steal as f64 * self.tick))
    }
}

/// User and system time of a process, its ended threads included, to the nanosecond.
fn process_time(pid: u32) -> Result<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
        .with_context(|| format!("can't find the processor clock of process {pid}"))?;
    let time = clock_gettime(clock).with_context(|| format!("can't read the processor clock of process {pid}"))?;
    Ok(Duration::from(time).as_secs_f64())
}

fn children_of(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let list = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

/// What the kernel holds for all TCP sockets of the machine, in KiB: what was sent and not yet read, above all.
pub fn socket_memory() -> f64 {
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP: "));
    let pages = tcp.and_then(|line| line.split_once("mem ")?.1.trim().parse::<f64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as f64 / 1024.0
}

/// How often a connection found the queue of a listener full so far, and had to try again a second later.
pub fn listen_overflows() -> u64 {
    let counts = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut rows = counts.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    let mut columns = names.split(' ').zip(values.split(' '));
    let overflows = columns.find(|(name, _)| *name == "ListenOverflows");
    overflows.and_then(|(_, count)| count.parse().ok()).unwrap_or_default()
}

pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    let resident = status_field(&status, "VmRSS:")
        .and_then(kib)
        .with_context(|| format!("{path} has no VmRSS"))?;
    Ok(Memory {
        resident,
        anonymous: status_field(&status, "RssAnon:").and_then(kib),
    })
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kib(value: &str) -> Option<f64> {
    value.strip_suffix("kB")?.trim().parse().ok()
}

/// The cores this process may use, by number.
pub fn allowed_cores() -> Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status").context("can't read /proc/self/status")?;
    let list = status_field(&status, "Cpus_allowed_list:").unwrap_or_default();
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse()) {
            cores.extend(first..=last);
        }
    }
    if cores.is_empty() {
        bail!("/proc/self/status doesn't tell the cores: {list:?}");
    }
    Ok(cores)
}

/// Binds this process, which must have no other threads yet, to one core. By the tool taskset, as the calls it makes
/// need a feature that no other part of the project has a use for.
pub fn pin_self(core: usize) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-c", "-p", &core.to_string(), &std::process::id().to_string()])
        .stdin(Stdio::null())
        .output()
        .context("can't run taskset (of util-linux)")?;
    if !output.status.success() {
        bail!("taskset failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Raises the limit of open files as far as allowed, for this process and its children, and tells it.
pub fn raise_open_files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .context("can't raise the limit of open files")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// One line about the machine.
pub fn facts() -> Result<String> {
    let cores = allowed_cores()?;
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("of unknown model", |model| model.trim_start_matches([' ', '\t', ':']));
    let siblings = read(&format!(
        "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list",
        cores[0]
    ));
    let threads = match siblings.as_str() {
        "" => String::new(),
        list if list.contains([',', '-']) => format!(" (hardware threads {list} share one core)"),
        _ => " (no shared hardware threads)".to_owned(),
    };
    Ok(format!(
        "{} cores, {model}{threads}, Linux {}",
        cores.len(),
        read("/proc/sys/kernel/osrelease")
    ))
}
