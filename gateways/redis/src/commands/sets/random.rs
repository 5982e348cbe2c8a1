//! Members by chance.

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::random::Draw;
use crate::refusal::Refusal;

pub(super) const SPOP: Command = Command {
    name: "spop",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Takes members away by chance, and tells them.",
    complexity: "O(N) for N members that are taken",
    syntax: "key [count]",
    support: Support::Full,
    run: Run::Keys(spop),
};

pub(super) const SRANDMEMBER: Command = Command {
    name: "srandmember",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells members by chance; each may come again if the count is below 0.",
    complexity: "O(N) for N members that are told",
    syntax: "key [count]",
    support: Support::Differs("below -1048576, the count is refused"),
    run: Run::Keys(srandmember),
};

fn spop(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let count = match call.args.len() {
        2 => None,
        3 => Some(call.args.count(2)?),
        _ => return Err(Refusal::SYNTAX),
    };
    let cell = call.cells.cell(&key)?;
    let len = cell.set()?.map_or(0, |set| set.len());
    let taken = count.unwrap_or(1).min(len);
    match count {
        Some(_) => call.reply.set(taken),
        None if len == 0 => call.reply.null(),
        None => {}
    }
    if taken == 0 {
        return Ok(());
    }
    let set = cell.set_mut()?;
    long::through(taken, || {
        if taken == len {
            for member in set.iter() {
                call.reply.bulk(member);
            }
            return;
        }
        let mut drawn = Vec::new();
        for left in (len - taken + 1..=len).rev() {
            drawn.clear();
            drawn.extend_from_slice(set.at(fastrand::usize(..left)).unwrap_or_default());
            call.reply.bulk(&drawn);
            set.remove(&drawn);
        }
    });
    if taken == len {
        cell.remove();
    }
    call.effects.event(Class::Set, "spop", &key);
    call.effects.remove_if_empty(cell, &key);
    Ok(())
}

fn srandmember(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let draw = match call.args.len() {
        2 => None,
        3 => Some(Draw::of(call.args.integer(2)?)?),
        _ => return Err(Refusal::SYNTAX),
    };
    let set = call.cells.cell(&call.args.key(1)?)?.set()?;
    let len = set.map_or(0, |set| set.len());
    let member = |place| set.and_then(|set| set.at(place));
    let Some(draw) = draw else {
        let drawn = (len > 0).then(|| fastrand::usize(..len));
        call.reply.bulk_or_null(drawn.and_then(member));
        return Ok(());
    };
    draw.answer(len, call.reply, crate::reply::Reply::array, |reply, place| {
        reply.bulk(member(place).unwrap_or_default());
    })
}
