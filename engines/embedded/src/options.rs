//! How to open the engine.

use std::path::PathBuf;
use std::sync::Arc;

use switchboard_engine::{Clock, Durability, SystemClock};

/// What hot keys take of memory unless something else is said: 256 MiB, some two million small keys.
pub const MEMORY_BYTES_DEFAULT: usize = 256 * 1024 * 1024;

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataDir {
    /// In memory only: it ends with the process.
    Memory,
    /// In this directory, which is created if it is not there. Blobs and everything else are below it.
    Path(PathBuf),
}

/// How to open an [`Embedded`](crate::Embedded) engine.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where the state is kept.
    pub data: DataDir,
    /// When what was acknowledged is safe from the loss of power.
    pub durability: Durability,
    /// About how many bytes of memory hot keys take at most, keys that are not yet written aside (up to 16 MiB). An
    /// eighth of it more is used for the store's own cache, 8 to 32 MiB. Less than 1 MiB counts as that.
    pub memory_bytes: usize,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Whether to open a damaged directory without what is lost, as far as that is possible. What was lost is logged.
    pub accept_loss: bool,
}

impl EmbeddedOptions {
    /// A state in that place, with the usual settings.
    pub fn new(data: DataDir) -> Self {
        Self {
            data,
            durability: Durability::default(),
            memory_bytes: MEMORY_BYTES_DEFAULT,
            clock: Arc::new(SystemClock::default()),
            accept_loss: false,
        }
    }
}
