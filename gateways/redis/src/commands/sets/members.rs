//! Members: there or not, all of them, from one set to another.

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits;
use crate::long;
use crate::refusal::Refusal;
use crate::scan::{self, ScanOptions};

pub(super) const SADD: Command = Command {
    name: "sadd",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Adds members to a set.",
    complexity: "O(N) for N members, each O(1)",
    syntax: "key member [member ...]",
    support: Support::Full,
    run: Run::Keys(sadd),
};

pub(super) const SREM: Command = Command {
    name: "srem",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Takes members away from a set.",
    complexity: "O(N) for N members, each O(1)",
    syntax: "key member [member ...]",
    support: Support::Full,
    run: Run::Keys(srem),
};

pub(super) const SMOVE: Command = Command {
    name: "smove",
    arity: 4,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST_TWO,
    since: "1.0.0",
    summary: "Moves a member from one set to another.",
    complexity: "O(1)",
    syntax: "source destination member",
    support: Support::Full,
    run: Run::Keys(smove),
};

pub(super) const SISMEMBER: Command = Command {
    name: "sismember",
    arity: 3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells whether a set has a member.",
    complexity: "O(1)",
    syntax: "key member",
    support: Support::Full,
    run: Run::Keys(sismember),
};

pub(super) const SMISMEMBER: Command = Command {
    name: "smismember",
    arity: -3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells of each member whether a set has it.",
    complexity: "O(N) for N members",
    syntax: "key member [member ...]",
    support: Support::Full,
    run: Run::Keys(smismember),
};

pub(super) const SMEMBERS: Command = Command {
    name: "smembers",
    arity: 2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells all members of a set.",
    complexity: "O(N) for N members",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(smembers),
};

pub(super) const SCARD: Command = Command {
    name: "scard",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells how many members a set has.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(scard),
};

pub(super) const SSCAN: Command = Command {
    name: "sscan",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.8.0",
    summary: "Goes through the members of a set, a part at a time.",
    complexity: "O(1) a call, O(N) for all N members",
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    support: Support::Full,
    run: Run::Keys(sscan),
};

fn sadd(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let set = call.cells.cell(&key)?.set_mut()?;
    let members = call.args.from(2);
    limits::check_room("set", set.bytes(), members.iter())?;
    let added = members.iter().filter(|member| set.insert(member)).count();
    if added > 0 {
        call.effects.event(Class::Set, "sadd", &key);
    }
    call.reply.count(added);
    Ok(())
}

fn srem(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let set = cell.set_mut()?;
    let members = call.args.from(2).iter();
    let removed = members.filter(|member| set.remove(member)).count();
    if removed > 0 {
        call.effects.event(Class::Set, "srem", &key);
        call.effects.remove_if_empty(cell, &key);
    }
    call.reply.count(removed);
    Ok(())
}

fn smove(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (source, target) = (call.args.key(1)?, call.args.key(2)?);
    let member = call.args.at(3);
    let Some(set) = call.cells.cell(&source)?.set()? else {
        call.reply.yes_or_no(false);
        return Ok(());
    };
    let is_there = set.contains(member);
    let bytes = call.cells.cell(&target)?.set()?.map_or(0, |set| set.bytes());
    limits::check_room("set", bytes, [member])?;
    if is_there && source != target {
        let cell = call.cells.cell(&source)?;
        cell.set_mut()?.remove(member);
        call.effects.event(Class::Set, "srem", &source);
        call.effects.remove_if_empty(cell, &source);
        if call.cells.cell(&target)?.set_mut()?.insert(member) {
            call.effects.event(Class::Set, "sadd", &target);
        }
    }
    call.reply.yes_or_no(is_there);
    Ok(())
}

fn sismember(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.set()?;
    let is_there = set.is_some_and(|set| set.contains(call.args.at(2)));
    call.reply.yes_or_no(is_there);
    Ok(())
}

fn smismember(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.set()?;
    let members = call.args.from(2);
    call.reply.array(members.len());
    for member in members.iter() {
        call.reply.yes_or_no(set.is_some_and(|set| set.contains(member)));
    }
    Ok(())
}

fn smembers(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.set()?;
    let len = set.map_or(0, |set| set.len());
    call.reply.set(len);
    long::through(len, || {
        for member in set.into_iter().flat_map(|set| set.iter()) {
            call.reply.bulk(member);
        }
    });
    Ok(())
}

fn scard(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.set()?;
    call.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn sscan(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cursor = scan::cursor(call.args, 2)?;
    let Some(set) = call.cells.cell(&call.args.key(1)?)?.set()? else {
        scan::answer_none(call.reply);
        return Ok(());
    };
    let options = ScanOptions::read(call.args, 3)?;
    let (places, next) = scan::places(cursor, set.len(), options.count);
    let members: Vec<&[u8]> = places
        .filter_map(|place| set.at(place))
        .filter(|member| options.fits(member))
        .collect();
    scan::answer_head(call.reply, next, members.len());
    for member in members.iter() {
        call.reply.bulk(member);
    }
    Ok(())
}
