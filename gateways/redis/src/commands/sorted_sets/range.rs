//! Members between two ranks, scores or names.

use std::ops::Range;

use switchboard_hub::keys::Key;
use switchboard_hub::keys::structures::{SortedSet, Structure};

use super::Scores;
use super::span::{By, Span};
use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;
use crate::{limits, long};

pub(super) const ZRANGE: Command = Command {
    name: "zrange",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Tells the members between two ranks, scores or names.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    support: Support::Full,
    run: Run::Keys(zrange),
};

pub(super) const ZRANGESTORE: Command = Command {
    name: "zrangestore",
    arity: -5,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "6.2.0",
    summary: "Stores the members between two ranks, scores or names.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    support: Support::Full,
    run: Run::Keys(zrangestore),
};

pub(super) const ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.0.5",
    summary: "Tells the members between two scores.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key min max [WITHSCORES] [LIMIT offset count]",
    support: Support::Full,
    run: Run::Keys(zrangebyscore),
};

pub(super) const ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Tells the members between two scores, the greatest first.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key max min [WITHSCORES] [LIMIT offset count]",
    support: Support::Full,
    run: Run::Keys(zrevrangebyscore),
};

pub(super) const ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.8.9",
    summary: "Tells the members between two names.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key min max [LIMIT offset count]",
    support: Support::Full,
    run: Run::Keys(zrangebylex),
};

pub(super) const ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.8.9",
    summary: "Tells the members between two names, the last first.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key max min [LIMIT offset count]",
    support: Support::Full,
    run: Run::Keys(zrevrangebylex),
};

pub(super) const ZREVRANGE: Command = Command {
    name: "zrevrange",
    arity: -4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Tells the members between two ranks, the greatest first.",
    complexity: "O(log N + M) for M members in a sorted set of N",
    syntax: "key start stop [WITHSCORES]",
    support: Support::Full,
    run: Run::Keys(zrevrange),
};

pub(super) const ZCOUNT: Command = Command {
    name: "zcount",
    arity: 4,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Counts the members between two scores.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key min max",
    support: Support::Full,
    run: Run::Keys(zcount),
};

pub(super) const ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    arity: 4,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.8.9",
    summary: "Counts the members between two names.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key min max",
    support: Support::Full,
    run: Run::Keys(zlexcount),
};

/// What a command says by its name.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    by: Option<By>,
    is_backwards: Option<bool>,
    /// Whether it stores what it finds. There is one key more then, and no `WITHSCORES`.
    stores: bool,
}

/// What is asked for.
#[derive(Debug)]
struct Query<'a> {
    span: Span<'a>,
    is_backwards: bool,
    /// How many to leave out; below 0, all.
    offset: i64,
    /// How many at most; below 0, all.
    limit: i64,
    with_scores: bool,
}

impl<'a> Query<'a> {
    fn read(args: &'a Args, form: Form) -> Result<Self, Refusal> {
        let first = if form.stores { 3 } else { 2 };
        let Form {
            mut by,
            mut is_backwards,
            stores,
        } = form;
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut index = first + 2;
        while index < args.len() {
            if !stores && args.is(index, "withscores") {
                with_scores = true;
            } else if args.is(index, "limit") && index + 2 < args.len() {
                (offset, limit) = (args.integer(index + 1)?, args.integer(index + 2)?);
                index += 2;
            } else if is_backwards.is_none() && args.is(index, "rev") {
                is_backwards = Some(true);
            } else if by.is_none() && args.is(index, "bylex") {
                by = Some(By::Name);
            } else if by.is_none() && args.is(index, "byscore") {
                by = Some(By::Score);
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        let (by, is_backwards) = (by.unwrap_or(By::Rank), is_backwards.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(Refusal::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Name {
            return Err(Refusal::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        // Backwards, the upper end is said first.
        let (lower, upper) = if is_backwards && by != By::Rank {
            (first + 1, first)
        } else {
            (first, first + 1)
        };
        Ok(Self {
            span: Span::read(args, by, lower, upper)?,
            is_backwards,
            offset: if by == By::Rank { 0 } else { offset },
            limit,
            with_scores,
        })
    }

    /// The ranks of what it finds.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let Range { start, end } = self.span.ranks(set, self.is_backwards);
        let left_out = usize::try_from(self.offset)
            .unwrap_or(usize::MAX)
            .min(end - start);
        let taken = usize::try_from(self.limit)
            .unwrap_or(usize::MAX)
            .min(end - start - left_out);
        if self.is_backwards {
            end - left_out - taken..end - left_out
        } else {
            start + left_out..start + left_out + taken
        }
    }
}

fn zrange(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer(call, Form::default())
}

fn zrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer_by(call, By::Score, false)
}

fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer_by(call, By::Score, true)
}

fn zrangebylex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer_by(call, By::Name, false)
}

fn zrevrangebylex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer_by(call, By::Name, true)
}

fn zrevrange(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    answer_by(call, By::Rank, true)
}

fn answer_by(call: &mut Call<'_, '_>, by: By, is_backwards: bool) -> Result<(), Refusal> {
    let form = Form {
        by: Some(by),
        is_backwards: Some(is_backwards),
        stores: false,
    };
    answer(call, form)
}

fn answer(call: &mut Call<'_, '_>, form: Form) -> Result<(), Refusal> {
    let query = Query::read(call.args, form)?;
    let Some(set) = call.cells.cell(&call.args.key(1)?)?.sorted_set()? else {
        call.reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(set);
    let scores = Scores::told(query.with_scores, call.reply);
    scores.head(call.reply, ranks.len());
    let members = set.range(ranks.start, ranks.end);
    let say = |(member, score)| scores.member(call.reply, member, score);
    long::through(ranks.len(), || {
        if query.is_backwards {
            members.rev().for_each(say);
        } else {
            members.for_each(say);
        }
    });
    Ok(())
}

fn zrangestore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let form = Form {
        stores: true,
        ..Form::default()
    };
    let query = Query::read(call.args, form)?;
    let target = call.args.key(1)?;
    let mut stored = SortedSet::default();
    if let Some(set) = call.cells.cell(&call.args.key(2)?)?.sorted_set()? {
        let ranks = query.ranks(set);
        long::through(ranks.len(), || {
            for (member, score) in set.range(ranks.start, ranks.end) {
                stored.insert(member, score);
            }
        });
    }
    store(call, &target, stored, "zrangestore")
}

/// Puts what a command has made at a key, whatever was there, and answers how many members that are.
pub(super) fn store(
    call: &mut Call<'_, '_>,
    target: &Key,
    stored: SortedSet,
    name: &'static str,
) -> Result<(), Refusal> {
    limits::check_room("sorted set", stored.bytes(), [])?;
    let (cell, count) = (call.cells.cell(target)?, stored.len());
    if count > 0 {
        cell.put_structure(Structure::SortedSet(stored));
        cell.set_expires(None);
        call.effects.event(Class::SortedSet, name, target);
        call.effects.feed(target);
    } else if cell.remove() {
        call.effects.event(Class::Generic, "del", target);
    }
    call.reply.count(count);
    Ok(())
}

fn zcount(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    count(call, By::Score)
}

fn zlexcount(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    count(call, By::Name)
}

fn count(call: &mut Call<'_, '_>, by: By) -> Result<(), Refusal> {
    let span = Span::read(call.args, by, 2, 3)?;
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    call.reply
        .count(set.map_or(0, |set| span.ranks(set, false).len()));
    Ok(())
}
