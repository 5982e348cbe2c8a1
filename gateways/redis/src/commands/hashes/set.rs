//! Setting and removing fields: HSET, HMSET, HSETNX, HDEL.

use switchboard_hub::keys::Key;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits;
use crate::refusal::Refusal;

pub(super) const HSET: Command = Command {
    name: "hset",
    arity: -4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Sets fields of a hash, and tells how many of them are new. Makes the hash if there is none.",
    complexity: "O(1) for each field",
    syntax: "key field value [field value ...]",
    support: Support::Full,
    run: Run::Keys(hset),
};

pub(super) const HMSET: Command = Command {
    name: "hmset",
    summary: "Sets fields of a hash. Makes the hash if there is none.",
    run: Run::Keys(hmset),
    ..HSET
};

pub(super) const HSETNX: Command = Command {
    name: "hsetnx",
    arity: 4,
    summary: "Sets a field of a hash, unless it is there.",
    complexity: "O(1)",
    syntax: "key field value",
    run: Run::Keys(hsetnx),
    ..HSET
};

pub(super) const HDEL: Command = Command {
    name: "hdel",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Removes fields of a hash, and tells how many there were.",
    complexity: "O(1) for each field",
    syntax: "key field [field ...]",
    support: Support::Full,
    run: Run::Keys(hdel),
};

fn hset(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let added = set_fields(call, "hset")?;
    call.reply.integer(added);
    Ok(())
}

fn hmset(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    set_fields(call, "hmset")?;
    call.reply.ok();
    Ok(())
}

/// Sets all fields, and tells how many are new.
fn set_fields(call: &mut Call<'_, '_>, name: &str) -> Result<i64, Refusal> {
    let (pairs, is_odd) = call.args.from(2).pairs();
    if is_odd {
        return Err(Refusal::of(format!(
            "ERR wrong number of arguments for '{name}' command"
        )));
    }
    let key = call.args.key(1)?;
    let hash = call.cells.cell(&key)?.hash_mut()?;
    limits::check_room("hash", hash.bytes(), call.args.from(2).iter())?;
    let mut added = 0;
    for [field, value] in pairs {
        added += i64::from(hash.insert(field, value));
    }
    tell_set(call, &key);
    Ok(added)
}

fn tell_set(call: &mut Call<'_, '_>, key: &Key) {
    call.effects.event(Class::Hash, "hset", key);
}

fn hsetnx(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let field = call.args.at(2);
    if cell.hash()?.is_some_and(|hash| hash.contains(field)) {
        call.reply.integer(0);
        return Ok(());
    }
    let hash = cell.hash_mut()?;
    limits::check_room("hash", hash.bytes(), call.args.from(2).iter())?;
    hash.insert(field, call.args.at(3));
    call.reply.integer(1);
    tell_set(call, &key);
    Ok(())
}

fn hdel(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if cell.hash()?.is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    let hash = cell.hash_mut()?;
    let removed = (call.args.from(2).iter())
        .filter(|field| hash.remove(field))
        .count();
    call.reply.count(removed);
    if removed > 0 {
        call.effects.event(Class::Hash, "hdel", &key);
        call.effects.remove_if_empty(cell, &key);
    }
    Ok(())
}
