//! Taking members away: by name, and all between two ranks, scores or names.

use super::span::{By, Span};
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const ZREM: Command = Command {
    name: "zrem",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Takes members away from a sorted set.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key member [member ...]",
    support: Support::Full,
    run: Run::Keys(zrem),
};

pub(super) const ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Takes away the members between two ranks.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key start stop",
    support: Support::Full,
    run: Run::Keys(zremrangebyrank),
};

pub(super) const ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Takes away the members between two scores.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key min max",
    support: Support::Full,
    run: Run::Keys(zremrangebyscore),
};

pub(super) const ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    arity: 4,
    flags: &[Flag::Write],
    keys: Keys::FIRST,
    since: "2.8.9",
    summary: "Takes away the members between two names.",
    complexity: "O(M*log N) for M members in a sorted set of N",
    syntax: "key min max",
    support: Support::Full,
    run: Run::Keys(zremrangebylex),
};

fn zrem(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let set = cell.sorted_set_mut()?;
    let members = call.args.from(2).iter();
    let removed = members.filter(|member| set.remove(member).is_some()).count();
    if removed > 0 {
        call.effects.event(Class::SortedSet, "zrem", &key);
        call.effects.remove_if_empty(cell, &key);
    }
    call.reply.count(removed);
    Ok(())
}

fn zremrangebyrank(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    remove(call, By::Rank, "zremrangebyrank")
}

fn zremrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    remove(call, By::Score, "zremrangebyscore")
}

fn zremrangebylex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    remove(call, By::Name, "zremrangebylex")
}

fn remove(call: &mut Call<'_, '_>, by: By, name: &'static str) -> Result<(), Refusal> {
    let span = Span::read(call.args, by, 2, 3)?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let (ranks, len) = match cell.sorted_set()? {
        Some(set) => (span.ranks(set, false), set.len()),
        None => (0..0, 0),
    };
    call.reply.count(ranks.len());
    if ranks.is_empty() {
        return Ok(());
    }
    if ranks.len() == len {
        cell.remove();
    } else {
        let set = cell.sorted_set_mut()?;
        long::through(ranks.len(), || {
            let mut member = Vec::new();
            for _ in ranks.clone() {
                member.clear();
                member.extend(set.at(ranks.start).into_iter().flat_map(|(member, _)| member));
                set.remove(&member);
            }
        });
    }
    call.effects.event(Class::SortedSet, name, &key);
    call.effects.remove_if_empty(cell, &key);
    Ok(())
}
