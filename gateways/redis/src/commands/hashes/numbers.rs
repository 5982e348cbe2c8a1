//! Counting in fields: HINCRBY, HINCRBYFLOAT.

use crate::args::parse_integer;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits;
use crate::long_double::LongDouble;
use crate::refusal::Refusal;

pub(super) const HINCRBY: Command = Command {
    name: "hincrby",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Adds to the integer in a field of a hash. Makes the field, with 0, if there is none.",
    complexity: "O(1)",
    syntax: "key field increment",
    support: Support::Full,
    run: Run::Keys(hincrby),
};

pub(super) const HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    since: "2.6.0",
    summary: "Adds to the number in a field of a hash. Makes the field, with 0, if there is none.",
    support: Support::Differs("as INCRBYFLOAT"),
    run: Run::Keys(hincrbyfloat),
    ..HINCRBY
};

fn hincrby(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let by = call.args.integer(3)?;
    let before = match value(call)? {
        Some(text) => parse_integer(text).ok_or(Refusal::new("ERR hash value is not an integer"))?,
        None => 0,
    };
    let sum = before
        .checked_add(by)
        .ok_or(Refusal::new("ERR increment or decrement would overflow"))?;
    set(call, itoa::Buffer::new().format(sum), "hincrby")?;
    call.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let by = LongDouble::parse(call.args.at(3)).ok_or(Refusal::NOT_A_FLOAT)?;
    if by.text().is_none() {
        return Err(Refusal::new("ERR value is NaN or Infinity"));
    }
    let sum = match value(call)? {
        Some(text) => {
            let before = LongDouble::parse(text).ok_or(Refusal::new("ERR hash value is not a float"))?;
            before.plus(by)
        }
        None => by,
    };
    let text = sum
        .text()
        .ok_or(Refusal::new("ERR increment would produce NaN or Infinity"))?;
    set(call, &text, "hincrbyfloat")?;
    call.reply.bulk(text.as_bytes());
    Ok(())
}

/// The value of the field.
fn value<'c>(call: &'c mut Call<'_, '_>) -> Result<Option<&'c [u8]>, Refusal> {
    let field = call.args.at(2);
    Ok(super::get::hash(call)?.and_then(|hash| hash.get(field)))
}

/// Sets the field.
fn set(call: &mut Call<'_, '_>, text: &str, event: &'static str) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let field = call.args.at(2);
    let hash = call.cells.cell(&key)?.hash_mut()?;
    limits::check_room("hash", hash.bytes(), [field, text.as_bytes()])?;
    hash.insert(field, text.as_bytes());
    call.effects.event(Class::Hash, event, &key);
    Ok(())
}
