//! Connections over Unix sockets that wake nobody for nothing.
//!
//! Whenever one end of a Unix socket reads, the kernel tells the other that it may write. Whoever has registered for
//! that, as runtimes do for every socket, is woken a second time for each message it sent: a context switch, and one
//! that competes with the process it talks to. (TCP tells of room only those who found none.)
//!
//! So [`UnixStream`] registers for what comes alone. Where a write finds no room, the socket is registered once more,
//! for room, until that write is done.

mod halves;
mod stream;

pub use halves::{ReadHalf, WriteHalf};
pub use stream::UnixStream;
