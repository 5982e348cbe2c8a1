//! What sets have in common, all together, and one before others.

use foldhash::{HashSet, HashSetExt as _};
use smallvec::SmallVec;
use switchboard_hub::keys::structures::{Set, Structure};
use switchboard_hub::keys::{Cells, Key};

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;
use crate::{limits, long};

pub(super) const SINTER: Command = Command {
    name: "sinter",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Tells which members several sets have in common.",
    complexity: "O(N*M) at worst, for the smallest set of N members and M sets",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(sinter),
};

pub(super) const SINTERSTORE: Command = Command {
    name: "sinterstore",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Stores what several sets have in common.",
    complexity: "O(N*M) at worst, for the smallest set of N members and M sets",
    syntax: "destination key [key ...]",
    support: Support::Full,
    run: Run::Keys(sinterstore),
};

pub(super) const SINTERCARD: Command = Command {
    name: "sintercard",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::Numbered {
        count: 1,
        target: None,
    },
    since: "7.0.0",
    summary: "Tells how many members several sets have in common.",
    complexity: "O(N*M) at worst, for the smallest set of N members and M sets",
    syntax: "numkeys key [key ...] [LIMIT limit]",
    support: Support::Full,
    run: Run::Keys(sintercard),
};

pub(super) const SUNION: Command = Command {
    name: "sunion",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Tells the members of several sets together.",
    complexity: "O(N) for N members in all sets",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(sunion),
};

pub(super) const SUNIONSTORE: Command = Command {
    name: "sunionstore",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Stores the members of several sets together.",
    complexity: "O(N) for N members in all sets",
    syntax: "destination key [key ...]",
    support: Support::Full,
    run: Run::Keys(sunionstore),
};

pub(super) const SDIFF: Command = Command {
    name: "sdiff",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Tells which members the first set has and the others have not.",
    complexity: "O(N*M) at worst, for N members in the first of M sets",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(sdiff),
};

pub(super) const SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Stores what the first set has and the others have not.",
    complexity: "O(N*M) at worst, for N members in the first of M sets",
    syntax: "destination key [key ...]",
    support: Support::Full,
    run: Run::Keys(sdiffstore),
};

/// Several sets, as they were named; those that are not there have no members.
type Sets<'a> = SmallVec<[Option<&'a Set>; 8]>;

/// Out of several sets, members of a new one.
type Operation = for<'a> fn(&Sets<'a>) -> Vec<&'a [u8]>;

fn sinter(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, |sets| intersection(sets, usize::MAX))
}

fn sinterstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    store(call, "sinterstore", |sets| intersection(sets, usize::MAX))
}

fn sunion(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, union)
}

fn sunionstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    store(call, "sunionstore", union)
}

fn sdiff(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, difference)
}

fn sdiffstore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    store(call, "sdiffstore", difference)
}

fn sintercard(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let number = numkeys(call.args, 1)?;
    if number > call.args.len() - 2 {
        return Err(Refusal::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let limit = limit(call.args, number + 2)?;
    let keys = (2..number + 2)
        .map(|index| call.args.key(index))
        .collect::<Result<Vec<_>, _>>()?;
    let sets = sets(call.cells, &keys)?;
    let count = long::through(total(&sets), || intersection(&sets, limit).len());
    call.reply.count(count);
    Ok(())
}

/// How many keys follow.
fn numkeys(args: &Args, index: usize) -> Result<usize, Refusal> {
    args.integer(index)
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or(Refusal::new("ERR numkeys should be greater than 0"))
}

/// `LIMIT`, among the arguments from an index on; 0 is none.
fn limit(args: &Args, from: usize) -> Result<usize, Refusal> {
    let mut limit = usize::MAX;
    for (pair, index) in args.from(from).chunks(2).zip((from..).step_by(2)) {
        if pair.len() < 2 || !args.is(index, "limit") {
            return Err(Refusal::SYNTAX);
        }
        limit = match args.integer(index + 1).map(usize::try_from) {
            Ok(Ok(0)) => usize::MAX,
            Ok(Ok(limit)) => limit,
            _ => return Err(Refusal::new("ERR LIMIT can't be negative")),
        };
    }
    Ok(limit)
}

/// The sets at keys.
fn sets<'c>(cells: &'c mut Cells<'_>, keys: &[Key]) -> Result<Sets<'c>, Refusal> {
    for key in keys {
        cells.cell(key)?.set()?;
    }
    let mut sets = Sets::new();
    for key in keys {
        sets.push(cells.known(key).map_or(Ok(None), |cell| cell.set())?);
    }
    Ok(sets)
}

/// How many members all of them have.
fn total(sets: &Sets<'_>) -> usize {
    sets.iter().flatten().map(|set| set.len()).sum()
}

fn answer(call: &mut Call<'_, '_>, operation: Operation) -> Result<(), Refusal> {
    let sets = sets(call.cells, &Keys::ALL.of(call.args)?)?;
    long::through(total(&sets), || {
        let members = operation(&sets);
        call.reply.set(members.len());
        for member in members {
            call.reply.bulk(member);
        }
    });
    Ok(())
}

fn store(call: &mut Call<'_, '_>, name: &'static str, operation: Operation) -> Result<(), Refusal> {
    let keys = Keys::ALL.of(call.args)?;
    let Some((target, sources)) = keys.split_first() else {
        return Err(Refusal::SYNTAX);
    };
    let mut stored = Set::default();
    {
        let sets = sets(call.cells, sources)?;
        long::through(total(&sets), || {
            for member in operation(&sets) {
                stored.insert(member);
            }
        });
    }
    limits::check_room("set", stored.bytes(), [])?;
    let (cell, count) = (call.cells.cell(target)?, stored.len());
    if count > 0 {
        cell.put_structure(Structure::Set(stored));
        cell.set_expires(None);
        call.effects.event(Class::Set, name, target);
    } else if cell.remove() {
        call.effects.event(Class::Generic, "del", target);
    }
    call.reply.count(count);
    Ok(())
}

/// At most so many members. Goes through the smallest set only.
fn intersection<'a>(sets: &Sets<'a>, limit: usize) -> Vec<&'a [u8]> {
    let sets: Option<SmallVec<[&Set; 8]>> = sets.iter().copied().collect();
    let mut sets = sets.unwrap_or_default();
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else {
        return Vec::new();
    };
    let is_common = |member: &&[u8]| others.iter().all(|other| other.contains(member));
    smallest.iter().filter(is_common).take(limit).collect()
}

fn union<'a>(sets: &Sets<'a>) -> Vec<&'a [u8]> {
    let mut seen = HashSet::new();
    let members = sets.iter().flatten().flat_map(|set| set.iter());
    members.filter(|member| seen.insert(*member)).collect()
}

fn difference<'a>(sets: &Sets<'a>) -> Vec<&'a [u8]> {
    let Some((Some(first), others)) = sets.split_first() else {
        return Vec::new();
    };
    let is_only = |member: &&[u8]| !others.iter().flatten().any(|other| other.contains(member));
    first.iter().filter(is_only).collect()
}
