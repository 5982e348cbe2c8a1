//! Why an engine could not be opened.

use std::io;
use std::path::PathBuf;

use switchboard_engine::EngineError;

/// Why an engine could not be opened. Each message says what can be done.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the data directory {} is in use by another process: stop that one, or choose another directory",
        directory.display()
    )]
    InUse {
        /// The data directory.
        directory: PathBuf,
    },
    /// It was written by another version of this program.
    #[error(
        "the data directory {} has format {found}, and this program knows format {known}: use the program that wrote \
         it, or export its state there and import it here",
        directory.display()
    )]
    OtherFormat {
        /// The data directory.
        directory: PathBuf,
        /// The format that it has.
        found: u32,
        /// The format that this program reads and writes.
        known: u32,
    },
    /// Something that was written is not there as it was written. Nothing was changed.
    #[error(
        "the data in {} is damaged: {reason}; restore a backup, or accept the loss of what is damaged",
        directory.display()
    )]
    Damaged {
        /// The data directory.
        directory: PathBuf,
        /// What is damaged, and where.
        reason: String,
    },
    /// The operating system did not do what was needed: the directory cannot be written to, the disk is full.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `write to`.
        action: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A part of the engine did not start.
    #[error("{0}")]
    Engine(#[from] EngineError),
}
