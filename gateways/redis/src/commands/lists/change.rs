//! Changing lists at any place: LINSERT, LREM, LSET, LTRIM.

use super::{place, places};
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;
use crate::{limits, long};

pub(super) const LINSERT: Command = Command {
    name: "linsert",
    arity: 5,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Adds an element to a list, right before or after another one.",
    complexity: "O(N), N: how many elements the list has",
    syntax: "key <BEFORE | AFTER> pivot element",
    support: Support::Full,
    run: Run::Keys(linsert),
};

pub(super) const LREM: Command = Command {
    name: "lrem",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Removes the elements of a list that are equal to one: so many from its beginning, from its end if below 0, \
              or all if 0.",
    complexity: "O(N), N: how many elements the list has",
    syntax: "key count element",
    support: Support::Full,
    run: Run::Keys(lrem),
};

pub(super) const LSET: Command = Command {
    name: "lset",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Replaces the element at an index of a list; one below 0 counts from the end.",
    complexity: "O(1)",
    syntax: "key index element",
    support: Support::Full,
    run: Run::Keys(lset),
};

pub(super) const LTRIM: Command = Command {
    name: "ltrim",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Removes the elements of a list but those from one index to another.",
    complexity: "O(N), N: how many elements are removed",
    syntax: "key start stop",
    support: Support::Full,
    run: Run::Keys(ltrim),
};

fn linsert(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let after = if call.args.is(2, "after") {
        1
    } else if call.args.is(2, "before") {
        0
    } else {
        return Err(Refusal::SYNTAX);
    };
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let Some(list) = cell.list()? else {
        call.reply.integer(0);
        return Ok(());
    };
    let is_pivot = |element| element == call.args.at(3);
    let Some(pivot) = long::through(list.len(), || list.iter().position(is_pivot)) else {
        call.reply.integer(-1);
        return Ok(());
    };
    limits::check_room("list", list.bytes(), [call.args.at(4)])?;
    let list = cell.list_mut()?;
    list.insert(pivot + after, call.args.at(4));
    call.reply.count(list.len());
    call.effects.event(Class::List, "linsert", &key);
    call.effects.feed(&key);
    Ok(())
}

fn lrem(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let count = call.args.integer(2)?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if cell.list()?.is_none() {
        call.reply.integer(0);
        return Ok(());
    }
    let (list, element) = (cell.list_mut()?, call.args.at(3));
    let count_max = match count {
        0 => usize::MAX,
        count => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let removed = long::through(list.len(), || match count {
        ..0 => list.remove_equal_last(element, count_max),
        _ => list.remove_equal_first(element, count_max),
    });
    call.reply.count(removed);
    if removed > 0 {
        call.effects.event(Class::List, "lrem", &key);
        call.effects.remove_if_empty(cell, &key);
    }
    Ok(())
}

fn lset(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let Some(list) = cell.list()? else {
        return Err(Refusal::NO_SUCH_KEY);
    };
    let place = place(call.args.integer(2)?, list.len()).ok_or(Refusal::INDEX_OUT_OF_RANGE)?;
    limits::check_room("list", list.bytes(), [call.args.at(3)])?;
    cell.list_mut()?.set(place, call.args.at(3));
    call.reply.ok();
    call.effects.event(Class::List, "lset", &key);
    Ok(())
}

fn ltrim(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (start, stop) = (call.args.integer(2)?, call.args.integer(3)?);
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    call.reply.ok();
    if cell.list()?.is_none() {
        return Ok(());
    }
    let list = cell.list_mut()?;
    let staying = places(start, stop, list.len());
    long::through(list.len() - staying.len(), || {
        list.drop_back(list.len() - staying.end);
        list.drop_front(staying.start);
    });
    call.effects.event(Class::List, "ltrim", &key);
    call.effects.remove_if_empty(cell, &key);
    Ok(())
}
