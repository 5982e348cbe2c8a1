//! The data directory: whose it is, and which format it has.
//!
//! | file | what it is |
//! | --- | --- |
//! | `format` | the version of all the rest, as text; it is written when the rest has been created |
//! | `lock` | locked by the process that has it open |
//! | `mark` | see [`mark`](crate::mark) |
//! | `store/` | see [`store`](crate::store) |
//! | `blobs/` | the content of blobs |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::mark::{Mark, this_boot};

/// The version that this program writes.
const VERSION: u32 = 3;

/// The oldest version that it reads, and makes the newest of: before 2 no structure had parts, before 3
/// no snapshot stood apart from them.
const VERSION_MIN: u32 = 1;

/// The names of what is in it.
pub(crate) const MARK: &str = "mark";
pub(crate) const STORE: &str = "store";
pub(crate) const BLOBS: &str = "blobs";

/// What `format` begins with.
const FORMAT_NAME: &str = "switchboard data ";

/// A data directory that belongs to this process, until this is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// What is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing, or what was left of an attempt to create it.
    New,
    /// State of this version.
    State,
    /// State of a version before this one, which can be read.
    OlderState,
}

impl Directory {
    /// Takes a directory, and creates it if need be.
    ///
    /// # Errors
    /// When another process has it, when it cannot be written to, and when it holds something of another version.
    pub(crate) fn open(path: &Path) -> Result<(Self, Contents), OpenError> {
        std::fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        let lock = lock(path)?;
        let directory = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let contents = directory.contents()?;
        Ok((directory, contents))
    }

    /// The path of something in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn contents(&self) -> Result<Contents, OpenError> {
        let path = self.join("format");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.contents_without_format(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(failed("read", &path, error)),
        };
        let version = text
            .strip_prefix(FORMAT_NAME)
            .and_then(|rest| rest.trim_end().parse().ok());
        match version {
            Some(VERSION) => Ok(Contents::State),
            Some(VERSION_MIN..VERSION) => Ok(Contents::OlderState),
            Some(found) => Err(OpenError::OtherFormat {
                directory: self.path.clone(),
                found,
                known: VERSION,
            }),
            None => Err(OpenError::Damaged {
                directory: self.path.clone(),
                reason: format!("{} should read `{FORMAT_NAME}{VERSION}`", path.display()),
            }),
        }
    }

    /// The mark is created first, then the store, then this; so a store without a mark, or with one that speaks of
    /// commits, was complete once.
    fn contents_without_format(&self) -> Result<Contents, OpenError> {
        let (mark, store) = (self.join(MARK), self.join(STORE));
        let found = Mark::open(&mark, this_boot());
        let is_unused = match &found {
            Ok(Some(mark)) => mark.required() == 0,
            Ok(None) => false,
            Err(error) => error.kind() == io::ErrorKind::NotFound && !store.exists(),
        };
        if !is_unused {
            return Err(OpenError::Damaged {
                directory: self.path.clone(),
                reason: format!("{} is missing", self.join("format").display()),
            });
        }
        if store.exists() {
            std::fs::remove_dir_all(&store).map_err(|source| failed("clear", &store, source))?;
        }
        Ok(Contents::New)
    }

    /// Notes that everything has been created, or is as this version has it.
    pub(crate) fn finish_creation(&self) -> Result<(), OpenError> {
        let path = self.join("format");
        write_whole(&path, &format!("{FORMAT_NAME}{VERSION}\n"))
            .map_err(|source| failed("write", &path, source))
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| failed("write to", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed("lock", &path, source)),
    }
}

/// Writes a small file so that it is there whole or not at all, and safe from the loss of power.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
