//! When keys expire: TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST.

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::commands::expiry::{From, Unit, millis_of};
use crate::refusal::Refusal;

/// What a key has that is not there.
const ABSENT: i64 = -2;

/// What a key has that does not expire.
const NEVER: i64 = -1;

pub(super) const TTL: Command = Command {
    name: "ttl",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells how many seconds a key still has: -1 if it does not expire, -2 if it is not there.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(|call| tell(call, Unit::Seconds, From::Now)),
};

pub(super) const PTTL: Command = Command {
    name: "pttl",
    since: "2.6.0",
    summary: "Tells how many milliseconds a key still has: -1 if it does not expire, -2 if it is not there.",
    run: Run::Keys(|call| tell(call, Unit::Milliseconds, From::Now)),
    ..TTL
};

pub(super) const EXPIRETIME: Command = Command {
    name: "expiretime",
    since: "7.0.0",
    summary: "Tells when a key expires, in seconds since 1970: -1 if it does not, -2 if it is not there.",
    run: Run::Keys(|call| tell(call, Unit::Seconds, From::Year1970)),
    ..TTL
};

pub(super) const PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    since: "7.0.0",
    summary: "Tells when a key expires, in milliseconds since 1970: -1 if it does not, -2 if it is not there.",
    run: Run::Keys(|call| tell(call, Unit::Milliseconds, From::Year1970)),
    ..TTL
};

pub(super) const PERSIST: Command = Command {
    name: "persist",
    arity: 2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Lets a key not expire any more.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(persist),
};

fn tell(call: &mut Call<'_, '_>, unit: Unit, from: From) -> Result<(), Refusal> {
    let now = call.now();
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let number = match cell.expires() {
        _ if !cell.is_present() => ABSENT,
        None => NEVER,
        Some(moment) => {
            let millis = match from {
                From::Now => millis_of(moment).saturating_sub(millis_of(now)).max(0),
                From::Year1970 => millis_of(moment),
            };
            match unit {
                Unit::Milliseconds => millis,
                Unit::Seconds => millis.saturating_add(500) / 1000,
            }
        }
    };
    call.reply.integer(number);
    Ok(())
}

fn persist(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let was_limited = cell.is_present() && cell.expires().is_some();
    if was_limited {
        cell.set_expires(None);
        call.effects.event(Class::Generic, "persist", &key);
    }
    call.reply.yes_or_no(was_limited);
    Ok(())
}
