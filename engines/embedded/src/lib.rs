//! The engine inside the daemon's own process: state in memory where it is hot, on disk where it must last.
//!
//! | module | what it is |
//! | --- | --- |
//! | `store` | ordered records below everything: on disk by fjall, or in memory |
//! | `commit` | the one thread that writes to it, many changes at a time; what to do to have something written |
//! | `mark` | what must be on the disk, so that a loss shows |

#![allow(dead_code)] // While the parts that use these are being written.

mod commit;
mod mark;
mod queues;
mod store;
