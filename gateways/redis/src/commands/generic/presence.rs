//! Whether keys are there: DEL, UNLINK, EXISTS, TOUCH, TYPE.

use switchboard_hub::keys::Kind;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;

pub(super) const DEL: Command = Command {
    name: "del",
    arity: -2,
    flags: &[Flag::Write],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Deletes keys, and tells how many there were.",
    complexity: "O(N), N keys",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(del),
};

pub(super) const UNLINK: Command = Command {
    name: "unlink",
    flags: &[Flag::Write, Flag::Fast],
    since: "4.0.0",
    summary: "Deletes keys, as DEL does.",
    ..DEL
};

pub(super) const EXISTS: Command = Command {
    name: "exists",
    arity: -2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Tells how many of the keys are there; one that is named twice counts twice.",
    complexity: "O(N), N keys",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(count_present),
};

pub(super) const TOUCH: Command = Command {
    name: "touch",
    since: "3.2.1",
    summary: "Tells how many of the keys are there, as EXISTS does: keys have no time of last use.",
    ..EXISTS
};

pub(super) const TYPE: Command = Command {
    name: "type",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells what kind of value a key has.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(kind),
};

fn del(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let mut count = 0;
    for index in 1..call.args.len() {
        let key = call.args.key(index)?;
        if call.cells.cell(&key)?.remove() {
            call.effects.event(Class::Generic, "del", &key);
            count += 1;
        }
    }
    call.reply.count(count);
    Ok(())
}

fn count_present(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let mut count = 0;
    for index in 1..call.args.len() {
        count += usize::from(call.cells.cell(&call.args.key(index)?)?.is_present());
    }
    call.reply.count(count);
    Ok(())
}

fn kind(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let kind = call.cells.cell(&call.args.key(1)?)?.kind();
    call.reply.simple(kind.map_or("none", kind_name));
    Ok(())
}

/// As Redis calls it.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "string",
        Kind::Hash => "hash",
        Kind::List => "list",
        Kind::Set => "set",
        Kind::SortedSet => "zset",
    }
}
