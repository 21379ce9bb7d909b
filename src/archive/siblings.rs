//! The rotated siblings of a log: which there are beside it, from the youngest to the oldest.
//!
//! Only names of known shapes in the log's real directory are looked at, only regular files are opened, and no link is
//! followed: the log itself may be one, as its owner put it there, but whoever may rotate it must not make the server
//! read another file.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, makedev, openat, statat, statx};

use super::names::{Packing, Scheme, Suffix};
use super::source::FileId;
use crate::position::Identity;

/// Siblings that are known of a log, the youngest ones.
const MAX_SIBLINGS: usize = 1000;
/// Names that are looked at in a directory; a directory of logs has fewer.
const MAX_NAMES: usize = 100_000;

/// A file beside the log that is one of its past.
#[derive(Debug, Clone)]
pub(super) struct Sibling {
    name: CString,
    suffix: Suffix,
    pub(super) id: FileId,
    pub(super) identity: Identity,
    modified: i64,
}

/// What the system says of a name, without following a link.
struct Status {
    id: FileId,
    identity: Identity,
    is_regular: bool,
    /// Seconds since 1970.
    modified: i64,
}

impl Status {
    fn of(directory: &OwnedFd, name: &CStr) -> rustix::io::Result<Self> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        match statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(status) => Ok(Self {
                id: FileId::new(makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino),
                identity: Identity::new(status.stx_ino, born(&status)),
                is_regular: FileType::from_raw_mode(status.stx_mode.into()) == FileType::RegularFile,
                modified: status.stx_mtime.tv_sec,
            }),
            // Older kernels and some sandboxes know the older call alone, which does not tell the birth.
            Err(_) => {
                let status = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(Self {
                    id: FileId::new(status.st_dev, status.st_ino),
                    identity: Identity::new(status.st_ino, None),
                    is_regular: FileType::from_raw_mode(status.st_mode) == FileType::RegularFile,
                    modified: status.st_mtime,
                })
            }
        }
    }
}

fn born(status: &Statx) -> Option<Duration> {
    let told = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::BTIME);
    let seconds = u64::try_from(status.stx_btime.tv_sec).ok().filter(|_| told)?;
    Some(Duration::new(seconds, status.stx_btime.tv_nsec))
}

impl Sibling {
    pub(super) fn packing(&self) -> Packing {
        self.suffix.packing
    }

    /// Its name, for people.
    pub(super) fn shown(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }
}

/// The siblings of a log and where they are.
#[derive(Debug)]
pub(super) struct Siblings {
    directory: OwnedFd,
    /// The youngest first; each another file.
    pub(super) list: Vec<Sibling>,
}

/// The directory in which a log really lies, and its name there.
fn real_place(path: &Path) -> io::Result<(PathBuf, OsString)> {
    let place = |path: &Path| Some((path.parent()?.to_owned(), path.file_name()?.to_owned()));
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    match fs::canonicalize(path) {
        Ok(real) => place(&real).ok_or_else(missing),
        // The log may be gone for a while, and its siblings be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (parent, name) = place(path).ok_or(error)?;
            let parent = match parent.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => parent,
            };
            Ok((fs::canonicalize(parent)?, name))
        }
        Err(error) => Err(error),
    }
}

impl Siblings {
    /// Looks for the siblings of the log at `path`.
    ///
    /// # Errors
    ///
    /// What opening and reading the directory return.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (directory, base) = real_place(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&directory, flags, Mode::empty())?;
        let mut found: Vec<(CString, Suffix)> = Vec::new();
        for entry in Dir::read_from(&directory)?.take(MAX_NAMES) {
            let entry = entry?;
            if let Some(suffix) = Suffix::of(entry.file_name().to_bytes(), base.as_bytes()) {
                found.push((entry.file_name().to_owned(), suffix));
            }
        }
        found.sort_by(|(_, a), (_, b)| a.scheme.cmp(&b.scheme).then(a.cmp_age(*b)));
        found.dedup_by(|(_, b), (_, a)| a.is_of_same_file(*b));
        let mut list: Vec<Sibling> = Vec::new();
        let mut seen = HashSet::new();
        for of_scheme in found.chunk_by(|(_, a), (_, b)| a.scheme == b.scheme) {
            for (name, suffix) in of_scheme.iter().take(MAX_SIBLINGS) {
                let Ok(status) = Status::of(&directory, name) else {
                    continue;
                };
                if status.is_regular && seen.insert(status.id) {
                    list.push(Sibling {
                        name: name.clone(),
                        suffix: *suffix,
                        id: status.id,
                        identity: status.identity,
                        modified: status.modified,
                    });
                }
            }
        }
        order_schemes(&mut list);
        list.truncate(MAX_SIBLINGS);
        Ok(Self { directory, list })
    }

    /// Opens one of them; none where another file has its name meanwhile.
    ///
    /// # Errors
    ///
    /// What opening returns.
    pub(super) fn open(&self, sibling: &Sibling) -> io::Result<Option<(File, fs::Metadata)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(openat(&self.directory, &sibling.name, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        let same = metadata.is_file() && FileId::of(&metadata) == sibling.id;
        Ok(same.then_some((file, metadata)))
    }
}

/// Where a log was rotated in several ways over time, the way whose youngest file is younger is the later one: within
/// one way names tell the age, which no copy or touch changes, between two only the files' times do.
fn order_schemes(list: &mut [Sibling]) {
    let youngest = |scheme: Scheme| {
        let of_scheme = list.iter().filter(|sibling| sibling.suffix.scheme == scheme);
        of_scheme.map(|sibling| sibling.modified).max()
    };
    let schemes = [Scheme::Numbers, Scheme::DashedDates, Scheme::DottedDates];
    let times = schemes.map(|scheme| (scheme, youngest(scheme)));
    let time_of = |sibling: &Sibling| times.iter().find(|(scheme, _)| *scheme == sibling.suffix.scheme);
    // Stable: within a scheme the order stays.
    list.sort_by(|a, b| {
        let (a, b) = (time_of(a), time_of(b));
        b.map(|(_, time)| time).cmp(&a.map(|(_, time)| time))
    });
}
