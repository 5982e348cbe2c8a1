//! Letting keys expire: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT.

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::commands::expiry::{From, Unit, When, millis_of, timestamp};
use crate::refusal::Refusal;

pub(super) const EXPIRE: Command = Command {
    name: "expire",
    arity: -3,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Lets a key expire after some seconds.",
    complexity: "O(1)",
    syntax: "key seconds [NX | XX | GT | LT]",
    support: Support::Full,
    run: Run::Keys(|call| expire(call, "expire", Unit::Seconds, From::Now)),
};

pub(super) const PEXPIRE: Command = Command {
    name: "pexpire",
    since: "2.6.0",
    summary: "Lets a key expire after some milliseconds.",
    syntax: "key milliseconds [NX | XX | GT | LT]",
    run: Run::Keys(|call| expire(call, "pexpire", Unit::Milliseconds, From::Now)),
    ..EXPIRE
};

pub(super) const EXPIREAT: Command = Command {
    name: "expireat",
    since: "1.2.0",
    summary: "Lets a key expire at a time, in seconds since 1970.",
    syntax: "key unix-time-seconds [NX | XX | GT | LT]",
    run: Run::Keys(|call| expire(call, "expireat", Unit::Seconds, From::Year1970)),
    ..EXPIRE
};

pub(super) const PEXPIREAT: Command = Command {
    name: "pexpireat",
    since: "2.6.0",
    summary: "Lets a key expire at a time, in milliseconds since 1970.",
    syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
    run: Run::Keys(|call| expire(call, "pexpireat", Unit::Milliseconds, From::Year1970)),
    ..EXPIRE
};

fn expire(call: &mut Call<'_, '_>, command: &str, unit: Unit, from: From) -> Result<(), Refusal> {
    let condition = Condition::of(call.args)?;
    let number = call.args.integer(2)?;
    let now = call.now();
    let millis = When { number, unit, from }.millis(command, now)?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if !cell.is_present() || !condition.is_met(cell.expires().map(millis_of), millis) {
        call.reply.yes_or_no(false);
        return Ok(());
    }
    if millis <= millis_of(now) {
        cell.remove();
        call.effects.event(Class::Generic, "del", &key);
    } else {
        cell.set_expires(Some(timestamp(millis)));
        call.effects.event(Class::Generic, "expire", &key);
    }
    call.reply.yes_or_no(true);
    Ok(())
}

/// When the expiry is changed.
#[derive(Default)]
struct Condition {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Condition {
    /// # Errors
    /// Words that are not known, or that contradict each other.
    fn of(args: &Args) -> Result<Self, Refusal> {
        let mut condition = Self::default();
        for (index, arg) in args.from(3).iter().enumerate() {
            if args.is(index + 3, "NX") {
                condition.if_none = true;
            } else if args.is(index + 3, "XX") {
                condition.if_some = true;
            } else if args.is(index + 3, "GT") {
                condition.if_later = true;
            } else if args.is(index + 3, "LT") {
                condition.if_earlier = true;
            } else {
                let shown = String::from_utf8_lossy(arg);
                return Err(Refusal::of(format!("ERR Unsupported option {shown}")));
            }
        }
        if condition.if_none && (condition.if_some || condition.if_later || condition.if_earlier) {
            return Err(Refusal::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.if_later && condition.if_earlier {
            return Err(Refusal::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    /// A key that does not expire does so later than any other.
    fn is_met(&self, before: Option<i64>, new: i64) -> bool {
        if (self.if_none && before.is_some()) || (self.if_some && before.is_none()) {
            return false;
        }
        let is_later = before.is_some_and(|before| new > before);
        let is_earlier = before.is_none_or(|before| new < before);
        (is_later || !self.if_later) && (is_earlier || !self.if_earlier)
    }
}
