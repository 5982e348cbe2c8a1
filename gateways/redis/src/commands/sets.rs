//! Sets: members in no order.

use crate::command::Group;

mod algebra;
mod members;
mod random;
#[cfg(test)]
mod tests;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "set",
    title: "Sets",
    commands: &[
        members::SADD,
        members::SCARD,
        algebra::SDIFF,
        algebra::SDIFFSTORE,
        algebra::SINTER,
        algebra::SINTERCARD,
        algebra::SINTERSTORE,
        members::SISMEMBER,
        members::SMEMBERS,
        members::SMISMEMBER,
        members::SMOVE,
        random::SPOP,
        random::SRANDMEMBER,
        members::SREM,
        members::SSCAN,
        algebra::SUNION,
        algebra::SUNIONSTORE,
    ],
};
