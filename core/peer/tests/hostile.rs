//! Bad input, and what it gets: the named answer, bounded memory, and other connections unharmed.
//!
//! Each test has a hostile end, spoken by hand, and beside it a neighbour: another connection to the same service,
//! which must not notice.

mod common;
#[path = "hostile/framing.rs"]
mod framing;
#[path = "hostile/handlers.rs"]
mod handlers;
#[path = "hostile/handshake.rs"]
mod handshake;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/random.rs"]
mod random;
#[path = "hostile/room.rs"]
mod room;
#[path = "hostile/silence.rs"]
mod silence;
#[path = "hostile/streams.rs"]
mod streams;

/// Counts what is allocated, for the tests about memory.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
