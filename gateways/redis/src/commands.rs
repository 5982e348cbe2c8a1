//! The commands, a file for each group.

pub(crate) mod expiry;
pub(crate) mod strings;
