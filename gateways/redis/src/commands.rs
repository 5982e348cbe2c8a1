//! The commands, a file for each group.

pub(crate) mod bitmaps;
pub(crate) mod connection;
pub(crate) mod expiry;
pub(crate) mod generic;
pub(crate) mod hashes;
pub(crate) mod lists;
pub(crate) mod memento;
pub(crate) mod sets;
pub(crate) mod sorted_sets;
pub(crate) mod strings;
