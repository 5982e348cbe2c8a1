//! Looking at single fields: HGET, HMGET, HEXISTS, HSTRLEN; and HLEN.

use switchboard_hub::keys::structures::Hash;

use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;

pub(super) const HGET: Command = Command {
    name: "hget",
    arity: 3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Tells the value of a field of a hash.",
    complexity: "O(1)",
    syntax: "key field",
    support: Support::Full,
    run: Run::Keys(hget),
};

pub(super) const HMGET: Command = Command {
    name: "hmget",
    arity: -3,
    summary: "Tells the values of fields of a hash.",
    complexity: "O(1) for each field",
    syntax: "key field [field ...]",
    run: Run::Keys(hmget),
    ..HGET
};

pub(super) const HEXISTS: Command = Command {
    name: "hexists",
    summary: "Tells whether a hash has a field.",
    run: Run::Keys(hexists),
    ..HGET
};

pub(super) const HSTRLEN: Command = Command {
    name: "hstrlen",
    since: "3.2.0",
    summary: "Tells how many bytes the value of a field of a hash has.",
    run: Run::Keys(hstrlen),
    ..HGET
};

pub(super) const HLEN: Command = Command {
    name: "hlen",
    arity: 2,
    summary: "Tells how many fields a hash has.",
    syntax: "key",
    run: Run::Keys(hlen),
    ..HGET
};

/// The hash of the first key, if there is one.
pub(super) fn hash<'c>(call: &'c mut Call<'_, '_>) -> Result<Option<&'c Hash>, Refusal> {
    let key = call.args.key(1)?;
    Ok(call.cells.cell(&key)?.hash()?)
}

fn hget(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let hash = call.cells.cell(&call.args.key(1)?)?.hash()?;
    let value = hash.and_then(|hash| hash.get(call.args.at(2)));
    call.reply.bulk_or_null(value);
    Ok(())
}

fn hmget(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let hash = call.cells.cell(&call.args.key(1)?)?.hash()?;
    let fields = call.args.from(2);
    call.reply.array(fields.len());
    for field in fields.iter() {
        call.reply.bulk_or_null(hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

fn hexists(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let field = call.args.at(2);
    let is_there = hash(call)?.is_some_and(|hash| hash.contains(field));
    call.reply.yes_or_no(is_there);
    Ok(())
}

fn hstrlen(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let field = call.args.at(2);
    let length = hash(call)?
        .and_then(|hash| hash.get(field))
        .map_or(0, <[u8]>::len);
    call.reply.count(length);
    Ok(())
}

fn hlen(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let length = hash(call)?.map_or(0, Hash::len);
    call.reply.count(length);
    Ok(())
}
