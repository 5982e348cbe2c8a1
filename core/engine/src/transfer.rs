//! A whole state, from one engine to another, as a stream of bytes: keys of all buckets, queues, blobs.
//!
//! **What is kept**: keys with their values and expiries; jobs with payload, headers, priority, attempts so far, last
//! reason and the moment until which they wait, and their order; blobs with names, types and content. **What is
//! not**: revisions, ids of jobs and creation times are those of the engine that takes the state in. A job that was
//! reserved is ready again, without the attempt that was under way. One that failed before and is ready again waits
//! for [`RETURN_WAIT`] first. Dedupe ids are forgotten.
//!
//! **Moments**: an export while the engine is used shows each page as it was when it was read, as scans do. An import
//! wants an empty engine that nobody uses.
//!
//! # Format
//!
//! `switchboard state`, a line end, the version (u32), then frames, each: kind (u8), length (u32), payload, and XXH3
//! (64 bits) of these, seeded with that of the frame before. So what is damaged, missing, moved or cut off is told by
//! where it is. The last frame says how much there was. Numbers are little-endian; `frames` and `records` hold the
//! rest.

use std::io;
use std::time::Duration;

use crate::EngineError;

mod export;
mod frames;
mod import;
mod records;

pub use export::export;
pub use import::{import, verify};

/// How long a job that failed before and was ready waits after an import: it is given back to its queue as every failed
/// job is, and must not come up while others are.
pub const RETURN_WAIT: Duration = Duration::from_secs(60);

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// How much was transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Keys of all buckets.
    pub keys: u64,
    /// Jobs of all queues.
    pub jobs: u64,
    /// Blobs of all buckets.
    pub blobs: u64,
    /// Bytes of the export, so far.
    pub bytes: u64,
    /// Jobs that came without their failed attempts, since others stood in the way. Only of imports.
    pub attempts_forgotten: u64,
}

/// Why a state was not transferred.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The engine could not.
    #[error("{doing}: {source}")]
    Engine {
        /// What it was to do.
        doing: String,
        /// Why not.
        source: EngineError,
    },
    /// The stream could not be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The stream does not begin as an export does.
    #[error("this is no export of Switchboard")]
    Foreign,
    /// The stream was written by a newer version.
    #[error(
        "this export has the format {0}, and formats up to {VERSION} are known here: use a newer switchboard"
    )]
    Newer(u32),
    /// The stream is not what was written.
    #[error("the export is damaged at byte {at}: {what}")]
    Damaged {
        /// Where, in bytes from its begin: of the frame that is damaged.
        at: u64,
        /// In what way.
        what: String,
    },
    /// The engine holds something already.
    #[error("the engine is not empty ({0}): a state can only be imported into an empty one")]
    NotEmpty(String),
}

/// To be used with `map_err`.
fn while_doing(doing: impl Into<String>) -> impl FnOnce(EngineError) -> TransferError {
    let doing = doing.into();
    move |source| TransferError::Engine { doing, source }
}
