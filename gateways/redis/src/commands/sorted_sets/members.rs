//! Members: their scores, their ranks, all of them.

use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::refusal::Refusal;
use crate::reply::double_text;
use crate::scan::{self, ScanOptions};

pub(super) const ZSCORE: Command = Command {
    name: "zscore",
    arity: 3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Tells the score of a member.",
    complexity: "O(1)",
    syntax: "key member",
    support: Support::Full,
    run: Run::Keys(zscore),
};

pub(super) const ZMSCORE: Command = Command {
    name: "zmscore",
    arity: -3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells the scores of members.",
    complexity: "O(N) for N members",
    syntax: "key member [member ...]",
    support: Support::Full,
    run: Run::Keys(zmscore),
};

pub(super) const ZCARD: Command = Command {
    name: "zcard",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.2.0",
    summary: "Tells how many members a sorted set has.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(zcard),
};

pub(super) const ZRANK: Command = Command {
    name: "zrank",
    arity: -3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Tells how many members come before one.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key member [WITHSCORE]",
    support: Support::Full,
    run: Run::Keys(zrank),
};

pub(super) const ZREVRANK: Command = Command {
    name: "zrevrank",
    arity: -3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Tells how many members come after one.",
    complexity: "O(log N) in a sorted set of N",
    syntax: "key member [WITHSCORE]",
    support: Support::Full,
    run: Run::Keys(zrevrank),
};

pub(super) const ZSCAN: Command = Command {
    name: "zscan",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.8.0",
    summary: "Goes through the members of a sorted set and their scores, a part at a time.",
    complexity: "O(1) a call, O(N) for all N members",
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    support: Support::Full,
    run: Run::Keys(zscan),
};

fn zscore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    match set.and_then(|set| set.score(call.args.at(2))) {
        Some(score) => call.reply.double(score),
        None => call.reply.null(),
    }
    Ok(())
}

fn zmscore(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    let members = call.args.from(2);
    call.reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => call.reply.double(score),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn zcard(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    call.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

fn zrank(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    rank(call, "zrank", |_, rank| rank)
}

fn zrevrank(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    rank(call, "zrevrank", |len, rank| len.saturating_sub(rank + 1))
}

fn rank(call: &mut Call<'_, '_>, name: &str, turn: fn(usize, usize) -> usize) -> Result<(), Refusal> {
    let is_score_told = match call.args.len() {
        3 => false,
        4 if call.args.is(3, "withscore") => true,
        4 => return Err(Refusal::SYNTAX),
        _ => {
            return Err(Refusal::of(format!(
                "ERR wrong number of arguments for '{name}' command"
            )));
        }
    };
    let member = call.args.at(2);
    let set = call.cells.cell(&call.args.key(1)?)?.sorted_set()?;
    let found = set.and_then(|set| Some((turn(set.len(), set.rank(member)?), set.score(member)?)));
    match (found, is_score_told) {
        (Some((rank, _)), false) => call.reply.count(rank),
        (Some((rank, score)), true) => {
            call.reply.array(2);
            call.reply.count(rank);
            call.reply.double(score);
        }
        (None, false) => call.reply.null(),
        (None, true) => call.reply.null_array(),
    }
    Ok(())
}

fn zscan(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cursor = scan::cursor(call.args, 2)?;
    let Some(set) = call.cells.cell(&call.args.key(1)?)?.sorted_set()? else {
        scan::answer_none(call.reply);
        return Ok(());
    };
    let options = ScanOptions::read(call.args, 3)?;
    let (places, next) = scan::places(cursor, set.len(), options.count);
    let members: Vec<(&[u8], f64)> = places
        .filter_map(|place| set.at_place(place))
        .filter(|(member, _)| options.fits(member))
        .collect();
    scan::answer_head(call.reply, next, members.len() * 2);
    for (member, score) in members {
        call.reply.bulk(member);
        // No double, in RESP3 either.
        call.reply.bulk(double_text(score).as_bytes());
    }
    Ok(())
}
