//! Hashes: values by field.

use crate::command::Group;

mod get;
mod numbers;
mod random;
mod set;
#[cfg(test)]
mod tests;
mod whole;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "hash",
    title: "Hashes",
    commands: &[
        set::HDEL,
        get::HEXISTS,
        get::HGET,
        whole::HGETALL,
        numbers::HINCRBY,
        numbers::HINCRBYFLOAT,
        whole::HKEYS,
        get::HLEN,
        get::HMGET,
        set::HMSET,
        random::HRANDFIELD,
        whole::HSCAN,
        set::HSET,
        set::HSETNX,
        get::HSTRLEN,
        whole::HVALS,
    ],
};
