//! What the end-to-end tests are made of: the real daemon as a process, and programs that know nothing of its code.
//!
//! * [`Launch`] and [`Daemon`]: the binary in a folder of its own, on ports that the system chooses.
//! * [`Peer`]: a gotalk peer by exact bytes, over anything that carries bytes. It shares no code with the codec.
//! * [`Process`], [`Ran`]: any program beside a test, its lines and its end.
//! * [`python`]: the foreign implementation in `python/gotalk.py`. [`openssl`]: a foreign TLS client.
//! * [`Alive`]: whether anything of a tree of processes is left.
//!
//! Everything blocks, so that a test reads as what happens one after the other; and no wait is longer than [`LIMIT`].
//! Helpers panic when something is not as it should be: they are for tests only.

mod alive;
mod daemon;
mod message;
pub mod openssl;
mod peer;
mod process;
pub mod python;
mod wait;

pub use alive::Alive;
pub use daemon::{Daemon, Launch, folder, switchboard};
pub use message::{Message, single, stream};
pub use nix::sys::signal::Signal;
pub use peer::{Peer, tcp_address};
pub use process::{Process, Ran, run};
pub use wait::{LIMIT, until};
