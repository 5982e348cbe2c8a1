//! Taking from the first of several lists: LMPOP, BLMPOP.

use super::End;
use crate::args::parse_integer;
use crate::call::{Call, Class, awaited};
use crate::command::{Command, Flag, Keys, Patience, Run, Support};
use crate::refusal::Refusal;

pub(super) const LMPOP: Command = Command {
    name: "lmpop",
    arity: -4,
    flags: &[Flag::Write],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "7.0.0",
    summary: "Takes elements from an end of the first list that has some.",
    complexity: "O(N+M), N: how many keys there are, M: how many elements are taken",
    syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    support: Support::Full,
    run: Run::Keys(lmpop),
};

pub(super) const BLMPOP: Command = Command {
    name: "blmpop",
    arity: -5,
    flags: &[Flag::Write, Flag::Blocking],
    keys: Keys::Numbered {
        count: 2,
        target: None,
    },
    summary: "Takes elements from an end of the first list that has some. Waits until there are some, or the time is out.",
    syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    run: Run::Blocking(|call| pop_many(call, 2).map(drop), Patience::FIRST),
    ..LMPOP
};

fn lmpop(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    if !pop_many(call, 1)? {
        call.reply.null_array();
    }
    Ok(())
}

/// Takes elements from the first list that has some, and answers them. Tells whether there is one. The argument at the
/// index is how many keys there are.
fn pop_many(call: &mut Call<'_, '_>, index: usize) -> Result<bool, Refusal> {
    let positive = |index: usize, words: &'static str| {
        parse_integer(call.args.at(index))
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| *number > 0)
            .ok_or(Refusal::new(words))
    };
    let keys = positive(index, "ERR numkeys should be greater than 0")?;
    let end_index = keys.saturating_add(index + 1);
    let end = End::of(call.args, end_index)?;
    let mut count = None;
    for (pair, index) in (call.args.from(end_index + 1).chunks(2)).zip((end_index + 1..).step_by(2)) {
        if count.is_some() || pair.len() < 2 || !call.args.is(index, "count") {
            return Err(Refusal::SYNTAX);
        }
        count = Some(positive(index + 1, "ERR count should be greater than 0")?);
    }
    for index in index + 1..end_index {
        let key = call.args.key(index)?;
        let cell = call.cells.cell(&key)?;
        if awaited(call.is_waiting, cell.list())?.is_none() {
            continue;
        }
        call.reply.array(2);
        call.reply.bulk(key.as_bytes());
        end.answer_taken(call.reply, cell.list_mut()?, count.unwrap_or(1));
        call.effects.event(Class::List, end.popped(), &key);
        call.effects.remove_if_empty(cell, &key);
        return Ok(true);
    }
    Ok(false)
}
