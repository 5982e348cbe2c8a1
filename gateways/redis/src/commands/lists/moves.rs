//! From one list to another: LMOVE, RPOPLPUSH, and those that wait: BLMOVE, BRPOPLPUSH.

use bytes::Bytes;

use super::End;
use crate::call::{Call, Class, awaited};
use crate::command::{Command, Flag, Keys, Patience, Run, Support};
use crate::limits;
use crate::refusal::Refusal;

pub(super) const LMOVE: Command = Command {
    name: "lmove",
    arity: 5,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "6.2.0",
    summary: "Takes an element from an end of a list and adds it at an end of another one, or of the same.",
    complexity: "O(1)",
    syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
    support: Support::Full,
    run: Run::Keys(|call| or_null(call, by_words)),
};

pub(super) const RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    arity: 3,
    since: "1.2.0",
    summary: "Takes the last element of a list and makes it the first of another one, or of the same.",
    syntax: "source destination",
    run: Run::Keys(|call| or_null(call, last_to_first)),
    ..LMOVE
};

pub(super) const BLMOVE: Command = Command {
    name: "blmove",
    arity: 6,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Blocking, Flag::Feeds],
    summary: "Takes an element from an end of a list and adds it at an end of another one, or of the same. Waits until \
              there is one, or the time is out.",
    syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
    run: Run::Blocking(|call| by_words(call).map(drop), Patience::LAST_OF_ONE),
    ..LMOVE
};

pub(super) const BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    arity: 4,
    since: "2.2.0",
    summary: "Takes the last element of a list and makes it the first of another one, or of the same. Waits until there \
              is one, or the time is out.",
    syntax: "source destination timeout",
    run: Run::Blocking(|call| last_to_first(call).map(drop), Patience::LAST_OF_ONE),
    ..BLMOVE
};

/// Moves one; answers null if there is none.
fn or_null(
    call: &mut Call<'_, '_>,
    moves: fn(&mut Call<'_, '_>) -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    if !moves(call)? {
        call.reply.null();
    }
    Ok(())
}

fn by_words(call: &mut Call<'_, '_>) -> Result<bool, Refusal> {
    let (from, to) = (End::of(call.args, 3)?, End::of(call.args, 4)?);
    move_one(call, from, to)
}

fn last_to_first(call: &mut Call<'_, '_>) -> Result<bool, Refusal> {
    move_one(call, End::Right, End::Left)
}

/// Moves an element from the list of the first key to that of the second, and answers it. Tells whether there is one.
fn move_one(call: &mut Call<'_, '_>, from: End, to: End) -> Result<bool, Refusal> {
    let (source, target) = (call.args.key(1)?, call.args.key(2)?);
    let list = awaited(call.is_waiting, call.cells.cell(&source)?.list())?;
    let Some(element) = list.and_then(|list| from.peek(list)) else {
        return Ok(false);
    };
    let element = Bytes::copy_from_slice(element);
    if source != target {
        // Looked at before anything is taken: what cannot go there stays.
        let bytes = call.cells.cell(&target)?.list()?.map_or(0, |list| list.bytes());
        limits::check_room("list", bytes, [&element[..]])?;
    }
    from.pop(call.cells.cell(&source)?.list_mut()?);
    to.push(call.cells.cell(&target)?.list_mut()?, &element);
    call.reply.bulk(&element);
    call.effects.event(Class::List, to.pushed(), &target);
    call.effects.event(Class::List, from.popped(), &source);
    call.effects.feed(&target);
    call.effects.remove_if_empty(call.cells.cell(&source)?, &source);
    Ok(true)
}
