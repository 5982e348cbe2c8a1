//! Strings: plain values.

use bytes::Bytes;
use switchboard_hub::keys::VALUE_BYTES_MAX;

use crate::args::Args;
use crate::command::Group;
use crate::refusal::Refusal;

mod get;
mod lcs;
mod many;
pub(crate) mod numbers;
pub(crate) mod ranges;
mod set;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "string",
    title: "Strings",
    commands: &[
        ranges::APPEND,
        numbers::DECR,
        numbers::DECRBY,
        get::GET,
        get::GETDEL,
        get::GETEX,
        ranges::GETRANGE,
        set::GETSET,
        numbers::INCR,
        numbers::INCRBY,
        numbers::INCRBYFLOAT,
        lcs::LCS,
        many::MGET,
        many::MSET,
        many::MSETNX,
        set::PSETEX,
        set::SET,
        set::SETEX,
        set::SETNX,
        ranges::SETRANGE,
        ranges::STRLEN,
        ranges::SUBSTR,
    ],
};

/// # Errors
/// When a value of so many bytes would be too large.
pub(crate) fn check_length(bytes: usize) -> Result<(), Refusal> {
    if bytes > VALUE_BYTES_MAX {
        return Err(Refusal::new(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    Ok(())
}

/// An argument as a value. It shares the request's buffer: an engine copies what it keeps.
fn value(args: &Args, index: usize) -> Result<Bytes, Refusal> {
    check_length(args.at(index).len())?;
    Ok(args.share(index))
}

#[cfg(test)]
mod tests;
