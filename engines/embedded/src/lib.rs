//! The engine inside the daemon's own process: state in memory where it is hot, on disk where it must last.
//!
//! ```text
//! keys ─┐                                     ┌─► what is acknowledged under `always`
//! queues ├─► newest state in memory ─► commit thread ─► store (fjall) ─► disk
//! blobs ─┘        (readers)            one batch a round, numbered
//! ```
//!
//! | module | what it is |
//! | --- | --- |
//! | `engine`, `options`, `error` | opening and closing |
//! | `backup` | copies a running engine's state |
//! | `directory`, `mark` | the data directory: whose it is, which format it has, what must be in it |
//! | `store` | ordered records below everything: on disk by fjall, or in memory |
//! | `commit` | the one thread that writes to it, many changes at a time; what to do to have something written |
//! | `keys`, `queues`, `blobs`, `bus` | the four parts of an engine |

mod backup;
mod blobs;
mod bus;
mod commit;
mod directory;
mod engine;
mod error;
mod keys;
mod mark;
mod options;
mod queues;
mod store;

pub use backup::Backup;
pub use engine::Embedded;
pub use error::OpenError;
pub use options::{DataDir, EmbeddedOptions, MEMORY_BYTES_DEFAULT};
