//! Taking away the members of the least or the greatest scores, and waiting for them.

use switchboard_hub::keys::{Cell, Key};

use super::Scores;
use crate::args::Args;
use crate::call::{Call, Class, Effects, awaited};
use crate::command::{Command, Flag, Keys, Patience, Run, Support};
use crate::long;
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};

pub(super) const ZPOPMIN: Command = Command {
    name: "zpopmin",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "5.0.0",
    summary: "Takes away the members of the least scores, and tells them.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key [count]",
    support: Support::Full,
    run: Run::Keys(zpopmin),
};

pub(super) const ZPOPMAX: Command = Command {
    name: "zpopmax",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "5.0.0",
    summary: "Takes away the members of the greatest scores, and tells them.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key [count]",
    support: Support::Full,
    run: Run::Keys(zpopmax),
};

pub(super) const ZMPOP: Command = Command {
    name: "zmpop",
    arity: -4,
    flags: &[Flag::Write],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "7.0.0",
    summary: "Takes away members of the least or greatest scores from the first sorted set that has some.",
    complexity: "O(K + M*log N) for K keys, M members and a sorted set of N",
    syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
    support: Support::Full,
    run: Run::Keys(zmpop),
};

pub(super) const BZPOPMIN: Command = Command {
    name: "bzpopmin",
    arity: -3,
    flags: &[Flag::Write, Flag::NoScript, Flag::Blocking, Flag::Fast],
    keys: Keys::Range {
        first: 1,
        last: -2,
        step: 1,
    },
    since: "5.0.0",
    summary: "Takes away the member of the least score from the first sorted set that has one; waits for it.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key [key ...] timeout",
    support: Support::Full,
    run: Run::Blocking(bzpopmin, Patience::LAST),
};

pub(super) const BZPOPMAX: Command = Command {
    name: "bzpopmax",
    arity: -3,
    flags: &[Flag::Write, Flag::NoScript, Flag::Blocking, Flag::Fast],
    keys: Keys::Range {
        first: 1,
        last: -2,
        step: 1,
    },
    since: "5.0.0",
    summary: "Takes away the member of the greatest score from the first sorted set that has one; waits for it.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key [key ...] timeout",
    support: Support::Full,
    run: Run::Blocking(bzpopmax, Patience::LAST),
};

pub(super) const BZMPOP: Command = Command {
    name: "bzmpop",
    arity: -5,
    flags: &[Flag::Write, Flag::Blocking],
    keys: Keys::Numbered {
        count: 2,
        target: None,
    },
    since: "7.0.0",
    summary: "Takes away members of the least or greatest scores from the first sorted set that has some; waits for them.",
    complexity: "O(K + M*log N) for K keys, M members and a sorted set of N",
    syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
    support: Support::Full,
    run: Run::Blocking(bzmpop, Patience::FIRST),
};

/// Where to take from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Least,
    Greatest,
}

impl End {
    fn event(self) -> &'static str {
        match self {
            Self::Least => "zpopmin",
            Self::Greatest => "zpopmax",
        }
    }
}

fn zpopmin(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    pop(call, End::Least)
}

fn zpopmax(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    pop(call, End::Greatest)
}

fn pop(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    let count = match call.args.len() {
        2 => None,
        3 => Some(call.args.count(2)?),
        _ => return Err(Refusal::SYNTAX),
    };
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let len = cell.sorted_set()?.map_or(0, |set| set.len());
    let taken = count.unwrap_or(1).min(len);
    // One without a count is no array of pairs.
    let scores = match (count, call.reply.protocol) {
        (Some(_), Protocol::Resp3) => Scores::Paired,
        _ => Scores::Beside,
    };
    scores.head(call.reply, taken);
    take(cell, &key, end, taken, scores, call.reply, call.effects)
}

fn bzpopmin(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    pop_of_first(call, End::Least)
}

fn bzpopmax(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    pop_of_first(call, End::Greatest)
}

fn pop_of_first(call: &mut Call<'_, '_>, end: End) -> Result<(), Refusal> {
    for index in 1..call.args.len() - 1 {
        let key = call.args.key(index)?;
        let cell = call.cells.cell(&key)?;
        if awaited(call.is_waiting, cell.sorted_set())?.is_some() {
            call.reply.array(3);
            call.reply.bulk(key.as_bytes());
            return take(cell, &key, end, 1, Scores::Beside, call.reply, call.effects);
        }
    }
    Ok(())
}

fn zmpop(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    if !pop_many(call, 1)? {
        call.reply.null_array();
    }
    Ok(())
}

fn bzmpop(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    pop_many(call, 2).map(|_| ())
}

/// Takes from the first of the keys, whose number stands at an index, that has something. Tells whether there was one.
fn pop_many(call: &mut Call<'_, '_>, number: usize) -> Result<bool, Refusal> {
    let keys = positive(
        call.args,
        number,
        Refusal::new("ERR numkeys should be greater than 0"),
    )?;
    let keys = number + 1..number.saturating_add(1).saturating_add(keys);
    let end = match keys.end {
        index if call.args.is(index, "min") => End::Least,
        index if call.args.is(index, "max") => End::Greatest,
        _ => return Err(Refusal::SYNTAX),
    };
    let count = match call.args.from(keys.end + 1).len() {
        0 => 1,
        2.. if call.args.is(keys.end + 1, "count") => positive(
            call.args,
            keys.end + 2,
            Refusal::new("ERR count should be greater than 0"),
        )?,
        _ => return Err(Refusal::SYNTAX),
    };
    if call.args.len() > keys.end + 3 {
        return Err(Refusal::SYNTAX);
    }
    for index in keys {
        let key = call.args.key(index)?;
        let cell = call.cells.cell(&key)?;
        let Some(len) = awaited(call.is_waiting, cell.sorted_set())?.map(|set| set.len()) else {
            continue;
        };
        let taken = count.min(len);
        call.reply.array(2);
        call.reply.bulk(key.as_bytes());
        call.reply.array(taken);
        take(cell, &key, end, taken, Scores::Paired, call.reply, call.effects)?;
        return Ok(true);
    }
    Ok(false)
}

/// A number that is greater than 0.
fn positive(args: &Args, index: usize, otherwise: Refusal) -> Result<usize, Refusal> {
    (args.integer(index).ok())
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or(otherwise)
}

/// Takes away so many, which are there, and says which.
fn take(
    cell: &mut Cell<'_>,
    key: &Key,
    end: End,
    count: usize,
    scores: Scores,
    reply: &mut Reply,
    effects: &mut Effects,
) -> Result<(), Refusal> {
    if count == 0 {
        return Ok(());
    }
    let set = cell.sorted_set_mut()?;
    long::through(count, || {
        let mut taken = Vec::new();
        for _ in 0..count {
            let found = match end {
                End::Least => set.at(0),
                End::Greatest => set.at(set.len().saturating_sub(1)),
            };
            let Some((member, score)) = found else { break };
            scores.member(reply, member, score);
            taken.clear();
            taken.extend_from_slice(member);
            set.remove(&taken);
        }
    });
    effects.event(Class::SortedSet, end.event(), key);
    effects.remove_if_empty(cell, key);
    Ok(())
}
