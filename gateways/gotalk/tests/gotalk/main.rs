//! The gateway from outside: peers and raw bytes, through a real listener and a real hub.

mod calls;
mod control;
mod delivery;
mod described;
mod ending;
mod raw;
mod streams;
mod support;
mod topics;
mod vanishing;
