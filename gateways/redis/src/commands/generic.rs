//! Keys, whatever they have.

use crate::command::Group;

mod expire;
mod names;
mod object;
mod presence;
mod sort;
mod time;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "generic",
    title: "Keys",
    commands: &[
        names::COPY,
        presence::DEL,
        presence::EXISTS,
        expire::EXPIRE,
        expire::EXPIREAT,
        time::EXPIRETIME,
        object::OBJECT,
        time::PERSIST,
        expire::PEXPIRE,
        expire::PEXPIREAT,
        time::PEXPIRETIME,
        time::PTTL,
        names::RENAME,
        names::RENAMENX,
        sort::SORT,
        sort::SORT_RO,
        presence::TOUCH,
        time::TTL,
        presence::TYPE,
        presence::UNLINK,
    ],
};

#[cfg(test)]
mod tests;
