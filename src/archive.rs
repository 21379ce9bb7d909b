//! A log as it lies on disk: the file that bears its name and the rotated siblings beside it, as one run of lines.
//!
//! The live stream has nothing to do with it. Requests for history, for searches and for going on from a position open
//! an [`Archive`], look at as much of it as they need and are done with it. What is younger and what is older is told
//! by the names of the siblings, what a position means by their bytes.

mod backward;
mod budget;
mod held;
mod lines;
mod names;
mod packed;
mod page;
mod query;
mod search;
mod siblings;
mod source;

use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::debug;

pub use budget::Budget;
pub use packed::Unpacked;
pub use page::{Anchor, MAX_PAGE_BYTES, Page, PageError};
pub use query::{BadQuery, Case, Query};
pub use search::{Done, Search};

use crate::decode::{Decoder, SAMPLE_BYTES};
use crate::position::{Place, Position};
use crate::split::Unit;
use crate::tail;
use names::Packing;
use siblings::{Sibling, Siblings};
use source::{FileId, Source};

/// Which log is looked at, and how its lines are made.
#[derive(Debug, Clone)]
pub struct Log {
    /// Where the file lies that bears the name; links are followed.
    pub path: PathBuf,
    /// Its encoding, where one is configured; that of its siblings, too.
    pub label: Option<Decoder>,
    /// The encoding that the live stream found in the file that bears the name.
    pub detected: Option<Decoder>,
    /// Bytes after which a line is cut.
    pub max_line: usize,
}

/// One file of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    /// 0 for the one that bears the name, and one more for each older one.
    pub(crate) age: usize,
    pub(crate) source: Source,
    /// How its bytes become text.
    pub(crate) decoder: Decoder,
    /// What stands behind its last line end is a line: nothing more is written to it.
    pub(crate) is_rotated: bool,
}

/// The files of one log, as they were when it was opened.
#[derive(Debug)]
pub struct Archive {
    log: Log,
    unpacked: Arc<Unpacked>,
    /// The file that bears the name; none while there is none.
    current: Option<LogFile>,
    /// Looked for when the first of them is needed.
    siblings: Option<Siblings>,
}

impl Archive {
    /// Opens the file that bears the name. Where it is missing, its siblings may still be there.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is neither; `InvalidInput` where it is no regular file; what opening and reading return;
    /// `TimedOut` when the budget is used up.
    pub fn open(log: Log, unpacked: &Arc<Unpacked>, budget: &Budget) -> io::Result<Self> {
        let current = match tail::open(&log.path) {
            Ok((file, metadata)) => {
                let source = Source::plain(file, &metadata);
                let known = log.label.or(log.detected);
                Some(LogFile {
                    age: 0,
                    decoder: match known {
                        Some(decoder) => decoder,
                        None => detect(&source, Decoder::UTF_8, budget)?,
                    },
                    source,
                    is_rotated: false,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut archive = Self {
            log,
            unpacked: Arc::clone(unpacked),
            current,
            siblings: None,
        };
        if archive.current.is_none() && archive.siblings()?.list.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(archive)
    }

    /// Bytes after which a line is cut.
    pub(crate) fn max_line(&self) -> usize {
        self.log.max_line
    }

    fn siblings(&mut self) -> io::Result<&Siblings> {
        let found = match self.siblings.take() {
            Some(siblings) => siblings,
            None => {
                let mut siblings = Siblings::of(&self.log.path)?;
                if let Some(current) = &self.current {
                    let id = FileId::of(&current.source.file().metadata()?);
                    siblings.list.retain(|sibling| sibling.id != id);
                }
                siblings
            }
        };
        Ok(self.siblings.insert(found))
    }

    /// The file that bears the name, or the youngest sibling where there is none.
    pub(crate) fn youngest(&mut self, budget: &Budget) -> io::Result<Option<LogFile>> {
        match &self.current {
            Some(current) => Ok(Some(current.clone())),
            None => self.older(0, budget),
        }
    }

    /// The next older file than the one of this age that has anything in it.
    ///
    /// # Errors
    ///
    /// What reading returns; `TimedOut` when the budget is used up. A sibling that can't be opened is passed over.
    pub(crate) fn older(&mut self, age: usize, budget: &Budget) -> io::Result<Option<LogFile>> {
        let mut age = age + 1;
        while age <= self.siblings()?.list.len() {
            if let Some(file) = self.open_sibling(age, budget)? {
                return Ok(Some(file));
            }
            age += 1;
        }
        Ok(None)
    }

    /// The next younger file than the one of this age that has anything in it, or the one that bears the name.
    ///
    /// # Errors
    ///
    /// As of [`older`](Self::older).
    pub(crate) fn younger(&mut self, age: usize, budget: &Budget) -> io::Result<Option<LogFile>> {
        for age in (1..age).rev() {
            if let Some(file) = self.open_sibling(age, budget)? {
                return Ok(Some(file));
            }
        }
        Ok(self.current.clone().filter(|_| age > 0))
    }

    /// Opens a sibling; none where there is nothing in it, where it holds a copy of what bears the name, or where it is
    /// closed to us.
    fn open_sibling(&mut self, age: usize, budget: &Budget) -> io::Result<Option<LogFile>> {
        let Some(source) = self.open_source(age, budget)? else {
            return Ok(None);
        };
        let mut like = Decoder::UTF_8;
        if let Some(current) = &self.current {
            if age == 1 && source.is_copied_from(&current.source, budget)? {
                return Ok(None);
            }
            if current.decoder.unit() == Unit::Byte {
                like = current.decoder;
            }
        }
        let decoder = match self.log.label {
            Some(decoder) => decoder,
            None => detect(&source, like, budget)?,
        };
        Ok(Some(LogFile {
            age,
            source,
            decoder,
            is_rotated: true,
        }))
    }

    fn open_source(&mut self, age: usize, budget: &Budget) -> io::Result<Option<Source>> {
        budget.check()?;
        let sibling = match age.checked_sub(1) {
            Some(index) => self.siblings()?.list.get(index).cloned(),
            None => return Ok(self.current.as_ref().map(|current| current.source.clone())),
        };
        let Some(sibling) = sibling else {
            return Ok(None);
        };
        let opened = match self.open_by_id(&sibling) {
            Ok(opened) => opened,
            Err(error) if is_its_own(&error) => {
                debug!(file = sibling.shown(), %error, "a rotated file is passed over");
                None
            }
            Err(error) => return Err(error),
        };
        let source = opened.map(|(file, metadata)| Source::new(file, &metadata, sibling.packing(), &self.unpacked));
        match source {
            Some(source) if !source.is_empty(budget)? => Ok(Some(source)),
            _ => Ok(None),
        }
    }

    /// Opens the very file that was found, also where a rotation has given it another name since.
    fn open_by_id(&self, sibling: &Sibling) -> io::Result<Option<(std::fs::File, std::fs::Metadata)>> {
        let Some(siblings) = &self.siblings else {
            return Ok(None);
        };
        match siblings.open(sibling) {
            Ok(Some(opened)) => return Ok(Some(opened)),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let now = Siblings::of(&self.log.path)?;
        match now.list.iter().find(|other| other.id == sibling.id) {
            Some(renamed) => now.open(renamed),
            None => Ok(None),
        }
    }

    /// The age of a file that is known to be one of the log.
    pub(crate) fn age_of(&mut self, file: &Metadata) -> io::Result<Option<usize>> {
        let id = FileId::of(file);
        if let Some(current) = &self.current
            && FileId::of(&current.source.file().metadata()?) == id
        {
            return Ok(Some(0));
        }
        let index = self.siblings()?.list.iter().position(|sibling| sibling.id == id);
        Ok(index.map(|index| index + 1))
    }

    /// Finds the file that a position is in: the same one first; then a packed one, as packing makes another file of it;
    /// then the current one, which may have been put in the place of one that began alike; then copies. Of
    /// several the youngest whose bytes agree. None where it can't be found any more.
    ///
    /// # Errors
    ///
    /// As of [`older`](Self::older).
    pub(crate) fn locate(&mut self, position: &Position, budget: &Budget) -> io::Result<Option<(LogFile, Place)>> {
        let place = *position.current();
        let current = self.current.as_ref().map(|current| current.source.identity());
        let is_in_current = current.is_some_and(|current| place.is_of(current));
        if is_in_current
            && let Some(current) = self.current.clone()
            && current.source.holds(&place, budget)?
        {
            return Ok(Some((current, place)));
        }
        let list = &self.siblings()?.list;
        let is_same = |age: &usize| list.get(age - 1).is_some_and(|sibling| place.is_of(sibling.identity));
        let is_packed = |age: &usize| {
            list.get(age - 1)
                .is_some_and(|sibling| sibling.packing() != Packing::Plain)
        };
        let (mut ages, others): (Vec<usize>, Vec<usize>) = (1..=list.len()).partition(is_same);
        let (packed, copies): (Vec<usize>, Vec<usize>) = others.into_iter().partition(is_packed);
        ages.extend(packed);
        if !is_in_current {
            ages.push(0);
        }
        ages.extend(copies);
        for age in ages {
            let found = match self.open_source(age, budget)? {
                Some(source) => source.holds(&place, budget)?,
                None => false,
            };
            let file = match age {
                _ if !found => None,
                0 => self.current.clone(),
                _ => self.open_sibling(age, budget)?,
            };
            if let Some(file) = file {
                return Ok(Some((file, place)));
            }
        }
        Ok(None)
    }
}

/// Whether an error tells something of one file rather than of the system.
fn is_its_own(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::NXIO)
    )
}

/// Tells the encoding of a file from both its ends, or from its beginning where it is packed.
fn detect(source: &Source, otherwise: Decoder, budget: &Budget) -> io::Result<Decoder> {
    let head = source.head(SAMPLE_BYTES, budget)?;
    let tail = match source.packing() {
        Packing::Plain => {
            let size = source.size(budget)?;
            let start = size.saturating_sub(SAMPLE_BYTES as u64).max(head.len() as u64) & !1;
            source.read_up_to(start, SAMPLE_BYTES, budget)?
        }
        Packing::Gzip | Packing::Zstd => Vec::new(),
    };
    Ok(Decoder::detect(&[&head, &tail], true).unwrap_or(otherwise))
}
