//! Setting a key: SET, SETNX, SETEX, PSETEX, GETSET.

use crate::args::{Args, parse_integer};
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::commands::expiry::{From, Unit, When, when_at};
use crate::refusal::Refusal;

use super::value;

pub(super) const SET: Command = Command {
    name: "set",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Sets the value of a key, whatever it had.",
    complexity: "O(1)",
    syntax: "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | KEEPTTL]",
    support: Support::Full,
    run: Run::Keys(set),
};

pub(super) const SETNX: Command = Command {
    name: "setnx",
    arity: 3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Sets the value of a key that has none.",
    complexity: "O(1)",
    syntax: "key value",
    support: Support::Full,
    run: Run::Keys(setnx),
};

pub(super) const SETEX: Command = Command {
    name: "setex",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Sets the value of a key for some seconds.",
    complexity: "O(1)",
    syntax: "key seconds value",
    support: Support::Full,
    run: Run::Keys(setex),
};

pub(super) const PSETEX: Command = Command {
    name: "psetex",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "2.6.0",
    summary: "Sets the value of a key for some milliseconds.",
    complexity: "O(1)",
    syntax: "key milliseconds value",
    support: Support::Full,
    run: Run::Keys(psetex),
};

pub(super) const GETSET: Command = Command {
    name: "getset",
    arity: 3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Sets the value of a key, and tells the one before.",
    complexity: "O(1)",
    syntax: "key value",
    support: Support::Full,
    run: Run::Keys(getset),
};

/// What `SET` was told beside the value.
#[derive(Default)]
struct Options {
    only_if_absent: bool,
    only_if_present: bool,
    tell_before: bool,
    keep_expiry: bool,
    /// The word that says when it expires, to see that there is only one, and what follows it.
    when: Option<(Unit, From, Result<When, Refusal>)>,
}

impl Options {
    /// # Errors
    /// Words that are not known, or that contradict each other.
    fn of(args: &Args) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "NX") && !options.only_if_present {
                options.only_if_absent = true;
            } else if args.is(index, "XX") && !options.only_if_absent {
                options.only_if_present = true;
            } else if args.is(index, "GET") {
                options.tell_before = true;
            } else if args.is(index, "KEEPTTL") && options.when.is_none() {
                options.keep_expiry = true;
            } else {
                options.read_when(args, index)?;
                index += 1;
            }
            index += 1;
        }
        Ok(options)
    }

    fn read_when(&mut self, args: &Args, index: usize) -> Result<(), Refusal> {
        let when = when_at(args, index).ok_or(Refusal::SYNTAX)?;
        let (unit, from) = kind_of(args, index);
        let is_other = (self.when.as_ref()).is_some_and(|known| (known.0, known.1) != (unit, from));
        if self.keep_expiry || is_other {
            return Err(Refusal::SYNTAX);
        }
        self.when = Some((unit, from, when));
        Ok(())
    }
}

/// How the word at an index counts time.
fn kind_of(args: &Args, index: usize) -> (Unit, From) {
    let unit = if args.is(index, "EX") || args.is(index, "EXAT") {
        Unit::Seconds
    } else {
        Unit::Milliseconds
    };
    let from = if args.is(index, "EX") || args.is(index, "PX") {
        From::Now
    } else {
        From::Year1970
    };
    (unit, from)
}

fn set(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let options = Options::of(call.args)?;
    let now = call.now();
    let moment = match options.when {
        Some((_, _, when)) => Some(when?.moment("set", now)?),
        None => None,
    };
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    if options.tell_before {
        call.reply.bulk_or_null(cell.plain()?);
    }
    let is_present = cell.is_present();
    if (options.only_if_absent && is_present) || (options.only_if_present && !is_present) {
        if !options.tell_before {
            call.reply.null();
        }
        return Ok(());
    }
    cell.put(value(call.args, 2)?);
    call.effects.event(Class::String, "set", &key);
    if moment.is_some() {
        call.effects.event(Class::Generic, "expire", &key);
    }
    if !options.keep_expiry {
        cell.set_expires(moment);
    }
    if !options.tell_before {
        call.reply.ok();
    }
    Ok(())
}

fn setnx(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let is_new = !cell.is_present();
    if is_new {
        cell.put(value(call.args, 2)?);
        cell.set_expires(None);
        call.effects.event(Class::String, "set", &key);
    }
    call.reply.yes_or_no(is_new);
    Ok(())
}

fn setex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    set_for(call, "setex", Unit::Seconds)
}

fn psetex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    set_for(call, "psetex", Unit::Milliseconds)
}

fn set_for(call: &mut Call<'_, '_>, command: &str, unit: Unit) -> Result<(), Refusal> {
    let number = parse_integer(call.args.at(2)).ok_or(Refusal::NOT_AN_INTEGER)?;
    let when = When {
        number,
        unit,
        from: From::Now,
    };
    let moment = when.moment(command, call.now())?;
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    cell.put(value(call.args, 3)?);
    cell.set_expires(Some(moment));
    call.effects.event(Class::String, "set", &key);
    call.effects.event(Class::Generic, "expire", &key);
    call.reply.ok();
    Ok(())
}

fn getset(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    call.reply.bulk_or_null(cell.plain()?);
    cell.put(value(call.args, 2)?);
    cell.set_expires(None);
    call.effects.event(Class::String, "set", &key);
    Ok(())
}
