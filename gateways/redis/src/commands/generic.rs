//! Keys, whatever they have.

use crate::command::Group;

pub(crate) mod copy;
mod expire;
mod names;
mod object;
mod presence;
mod scan;
mod sort;
mod time;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "generic",
    title: "Keys",
    commands: &[
        copy::COPY,
        presence::DEL,
        presence::EXISTS,
        expire::EXPIRE,
        expire::EXPIREAT,
        time::EXPIRETIME,
        scan::KEYS,
        object::OBJECT,
        time::PERSIST,
        expire::PEXPIRE,
        expire::PEXPIREAT,
        time::PEXPIRETIME,
        time::PTTL,
        scan::RANDOMKEY,
        names::RENAME,
        names::RENAMENX,
        scan::SCAN,
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
