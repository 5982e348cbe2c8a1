//! Adding at an end: LPUSH, LPUSHX, RPUSH, RPUSHX.

use super::End;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits;
use crate::refusal::Refusal;

const PUSHES: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast, Flag::Feeds];

pub(super) const LPUSH: Command = Command {
    name: "lpush",
    arity: -3,
    flags: PUSHES,
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Adds elements before the first of a list, one after the other. Makes the list if there is none.",
    complexity: "O(1) for each element",
    syntax: "key element [element ...]",
    support: Support::Full,
    run: Run::Keys(|call| push(call, End::Left)),
};

pub(super) const RPUSH: Command = Command {
    name: "rpush",
    summary: "Adds elements after the last of a list. Makes the list if there is none.",
    run: Run::Keys(|call| push(call, End::Right)),
    ..LPUSH
};

pub(super) const LPUSHX: Command = Command {
    name: "lpushx",
    since: "2.2.0",
    summary: "Adds elements before the first of a list, one after the other, if there is one.",
    run: Run::Keys(|call| push_if_present(call, End::Left)),
    ..LPUSH
};

pub(super) const RPUSHX: Command = Command {
    name: "rpushx",
    since: "2.2.0",
    summary: "Adds elements after the last of a list, if there is one.",
    run: Run::Keys(|call| push_if_present(call, End::Right)),
    ..LPUSH
};

fn push(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let list = call.cells.cell(&key)?.list_mut()?;
    let elements = call.args.from(2);
    limits::check_room("list", list.bytes(), elements.iter())?;
    for element in elements.iter() {
        end.push(list, element);
    }
    call.reply.count(list.len());
    call.effects.event(Class::List, end.pushed(), &key);
    call.effects.feed(&key);
    Ok(())
}

fn push_if_present(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(1)?)?;
    if cell.list()?.is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    push(call, end)
}
