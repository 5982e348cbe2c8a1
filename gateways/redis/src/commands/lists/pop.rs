//! Taking from an end: LPOP, RPOP, and those that wait: BLPOP, BRPOP.

use super::End;
use crate::call::{Call, Class, awaited};
use crate::command::{Command, Flag, Keys, Patience, Run, Support};
use crate::refusal::Refusal;

pub(super) const LPOP: Command = Command {
    name: "lpop",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Takes the first element of a list, or so many.",
    complexity: "O(N), N: how many elements are taken",
    syntax: "key [count]",
    support: Support::Full,
    run: Run::Keys(|call| pop(call, End::Left)),
};

pub(super) const RPOP: Command = Command {
    name: "rpop",
    summary: "Takes the last element of a list, or so many, the last first.",
    run: Run::Keys(|call| pop(call, End::Right)),
    ..LPOP
};

pub(super) const BLPOP: Command = Command {
    name: "blpop",
    arity: -3,
    flags: &[Flag::Write, Flag::Blocking],
    keys: Keys::Range {
        first: 1,
        last: -2,
        step: 1,
    },
    since: "2.0.0",
    summary: "Takes the first element of the first list that has one. Waits until there is one, or the time is out.",
    complexity: "O(N), N: how many keys there are",
    syntax: "key [key ...] timeout",
    support: Support::Full,
    run: Run::Blocking(|call| pop_first(call, End::Left), Patience::LAST),
};

pub(super) const BRPOP: Command = Command {
    name: "brpop",
    summary: "Takes the last element of the first list that has one. Waits until there is one, or the time is out.",
    run: Run::Blocking(|call| pop_first(call, End::Right), Patience::LAST),
    ..BLPOP
};

fn pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    match call.args.len() {
        2 => pop_one(call, end),
        3 => pop_counted(call, end),
        _ => Err(Refusal::of(format!(
            "ERR wrong number of arguments for '{}' command",
            end.popped()
        ))),
    }
}

fn pop_one(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if cell.list()?.is_none() {
        call.reply.null();
        return Ok(());
    }
    let element = end.pop(cell.list_mut()?);
    call.reply.bulk_or_null(element.as_deref());
    call.effects.event(Class::List, end.popped(), &key);
    call.effects.remove_if_empty(cell, &key);
    Ok(())
}

fn pop_counted(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    let count = call.args.count(2)?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if cell.list()?.is_none() {
        call.reply.null_array();
        return Ok(());
    }
    end.answer_taken(call.reply, cell.list_mut()?, count);
    if count > 0 {
        call.effects.event(Class::List, end.popped(), &key);
        call.effects.remove_if_empty(cell, &key);
    }
    Ok(())
}

/// Takes one from the first list that has one; answers nothing if there is none.
fn pop_first(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    for index in 1..call.args.len().saturating_sub(1) {
        let key = call.args.key(index)?;
        let cell = call.cells.cell(&key)?;
        if awaited(call.is_waiting, cell.list())?.is_none() {
            continue;
        }
        let element = end.pop(cell.list_mut()?);
        call.reply.array(2);
        call.reply.bulk(key.as_bytes());
        call.reply.bulk_or_null(element.as_deref());
        call.effects.event(Class::List, end.popped(), &key);
        call.effects.remove_if_empty(cell, &key);
        break;
    }
    Ok(())
}
