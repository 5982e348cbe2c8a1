//! The commands, a file for each group.

pub(crate) mod strings;
