//! Looking at all fields: HGETALL, HKEYS, HVALS, HSCAN.

use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;
use crate::scan::{self, ScanOptions};

pub(super) const HGETALL: Command = Command {
    name: "hgetall",
    arity: 2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Tells the fields of a hash and their values.",
    complexity: "O(N), N: how many fields there are",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(hgetall),
};

pub(super) const HKEYS: Command = Command {
    name: "hkeys",
    summary: "Tells the fields of a hash.",
    run: Run::Keys(hkeys),
    ..HGETALL
};

pub(super) const HVALS: Command = Command {
    name: "hvals",
    summary: "Tells the values of the fields of a hash.",
    run: Run::Keys(hvals),
    ..HGETALL
};

pub(super) const HSCAN: Command = Command {
    name: "hscan",
    arity: -3,
    since: "2.8.0",
    summary: "Tells a part of the fields of a hash and their values, and where to go on.",
    complexity: "O(1) for each call, O(N) for all, N: how many fields there are",
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    run: Run::Keys(hscan),
    ..HGETALL
};

fn hgetall(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let Some(hash) = call.cells.cell(&call.args.key(1)?)?.hash()? else {
        call.reply.map(0);
        return Ok(());
    };
    call.reply.map(hash.len());
    long::through(hash.len(), || {
        for (field, value) in hash.iter() {
            call.reply.bulk(field);
            call.reply.bulk(value);
        }
    });
    Ok(())
}

fn hkeys(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    parts(call, |(field, _)| field)
}

fn hvals(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    parts(call, |(_, value)| value)
}

/// Answers a part of each field.
fn parts(
    call: &mut Call<'_, '_>,
    part: impl for<'f> Fn((&'f [u8], &'f [u8])) -> &'f [u8],
) -> Result<(), Refusal> {
    let Some(hash) = call.cells.cell(&call.args.key(1)?)?.hash()? else {
        call.reply.array(0);
        return Ok(());
    };
    call.reply.array(hash.len());
    long::through(hash.len(), || {
        for pair in hash.iter() {
            call.reply.bulk(part(pair));
        }
    });
    Ok(())
}

fn hscan(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cursor = scan::cursor(call.args, 2)?;
    let Some(hash) = call.cells.cell(&call.args.key(1)?)?.hash()? else {
        scan::answer_none(call.reply);
        return Ok(());
    };
    let options = ScanOptions::read(call.args, 3)?;
    let (places, next) = scan::places(cursor, hash.len(), options.count);
    let fields: Vec<_> = places
        .filter_map(|place| hash.at(place))
        .filter(|(field, _)| options.fits(field))
        .collect();
    scan::answer_head(call.reply, next, fields.len() * 2);
    for (field, value) in fields {
        call.reply.bulk(field);
        call.reply.bulk(value);
    }
    Ok(())
}
