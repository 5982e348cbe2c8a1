//! Several keys at once: MGET, MSET, MSETNX.

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::limits::check_answer;
use crate::refusal::Refusal;

use super::{check_length, value};

/// Keys and values by turns.
const PAIRS: Keys = Keys::Range {
    first: 1,
    last: -1,
    step: 2,
};

pub(super) const MGET: Command = Command {
    name: "mget",
    arity: -2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::ALL,
    since: "1.0.0",
    summary: "Tells the values of several keys, all of one moment.",
    complexity: "O(N), N keys",
    syntax: "key [key ...]",
    support: Support::Full,
    run: Run::Keys(mget),
};

pub(super) const MSET: Command = Command {
    name: "mset",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: PAIRS,
    since: "1.0.1",
    summary: "Sets the values of several keys, in one step.",
    complexity: "O(N), N keys",
    syntax: "key value [key value ...]",
    support: Support::Full,
    run: Run::Keys(mset),
};

pub(super) const MSETNX: Command = Command {
    name: "msetnx",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: PAIRS,
    since: "1.0.1",
    summary: "Sets the values of several keys, if none of them has one.",
    complexity: "O(N), N keys",
    syntax: "key value [key value ...]",
    support: Support::Full,
    run: Run::Keys(msetnx),
};

fn mget(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    call.reply.array(call.args.len() - 1);
    let mut bytes = 0_usize;
    for index in 1..call.args.len() {
        let cell = call.cells.cell(&call.args.key(index)?)?;
        // A structure is as nothing here.
        let value = cell.plain().ok().flatten();
        // The same large value may be asked for many times.
        bytes = bytes.saturating_add(value.map_or(0, <[u8]>::len));
        check_answer(bytes)?;
        call.reply.bulk_or_null(value);
    }
    Ok(())
}

fn mset(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    check_pairs(call, "mset")?;
    set_all(call)?;
    call.reply.ok();
    Ok(())
}

fn msetnx(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    check_pairs(call, "msetnx")?;
    for index in (1..call.args.len()).step_by(2) {
        if call.cells.cell(&call.args.key(index)?)?.is_present() {
            call.reply.yes_or_no(false);
            return Ok(());
        }
    }
    set_all(call)?;
    call.reply.yes_or_no(true);
    Ok(())
}

/// # Errors
/// When a key has no value, or a value is too large: before anything is set.
fn check_pairs(call: &Call<'_, '_>, command: &str) -> Result<(), Refusal> {
    if call.args.len().is_multiple_of(2) {
        return Err(Refusal::of(format!(
            "ERR wrong number of arguments for '{command}' command"
        )));
    }
    (call.args.from(2).iter().step_by(2)).try_for_each(|value| check_length(value.len()))
}

fn set_all(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    for index in (1..call.args.len()).step_by(2) {
        let key = call.args.key(index)?;
        let cell = call.cells.cell(&key)?;
        cell.put(value(call.args, index + 1)?);
        cell.set_expires(None);
        call.effects.event(Class::String, "set", &key);
    }
    Ok(())
}
