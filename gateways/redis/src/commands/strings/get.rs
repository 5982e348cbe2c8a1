//! What a key has: GET, GETDEL, GETEX.

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::commands::expiry::{From, When, when_at};
use crate::refusal::Refusal;

pub(super) const GET: Command = Command {
    name: "get",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Tells the value of a key.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(get),
};

fn get(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(1)?)?;
    call.reply.bulk_or_null(cell.plain()?);
    Ok(())
}

pub(super) const GETDEL: Command = Command {
    name: "getdel",
    arity: 2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells the value of a key, and deletes it.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(getdel),
};

fn getdel(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    call.reply.bulk_or_null(cell.plain()?);
    if cell.remove() {
        call.effects.event(Class::Generic, "del", &key);
    }
    Ok(())
}

pub(super) const GETEX: Command = Command {
    name: "getex",
    arity: -2,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::FIRST,
    since: "6.2.0",
    summary: "Tells the value of a key, and changes when it expires.",
    complexity: "O(1)",
    syntax: "key [EX seconds | PX milliseconds | EXAT seconds | PXAT milliseconds | PERSIST]",
    support: Support::Full,
    run: Run::Keys(getex),
};

/// What becomes of the expiry.
enum Change {
    None,
    At(Result<When, Refusal>),
    Persist,
}

fn getex(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let change = change_of(call.args)?;
    let (key, now) = (call.args.key(1)?, call.now());
    let cell = call.cells.cell(&key)?;
    let Some(value) = cell.plain()? else {
        call.reply.null();
        return Ok(());
    };
    call.reply.bulk(value);
    match change {
        Change::None => {}
        Change::At(when) => {
            let when = when?;
            let moment = when.moment("getex", now)?;
            if when.from == From::Year1970 && moment <= now {
                cell.remove();
                call.effects.event(Class::Generic, "del", &key);
            } else {
                cell.set_expires(Some(moment));
                call.effects.event(Class::Generic, "expire", &key);
            }
        }
        Change::Persist => {
            if cell.expires().is_some() {
                cell.set_expires(None);
                call.effects.event(Class::Generic, "persist", &key);
            }
        }
    }
    Ok(())
}

/// # Errors
/// Words that are not known, or that contradict each other.
fn change_of(args: &Args) -> Result<Change, Refusal> {
    let mut change = Change::None;
    let mut word = None;
    let mut index = 2;
    while let Some(arg) = args.get(index) {
        let this = arg.to_ascii_uppercase();
        if word.as_ref().is_some_and(|word| *word != this) {
            return Err(Refusal::SYNTAX);
        }
        if let Some(when) = when_at(args, index) {
            change = Change::At(when);
            index += 1;
        } else if this == b"PERSIST" {
            change = Change::Persist;
        } else {
            return Err(Refusal::SYNTAX);
        }
        word = Some(this);
        index += 1;
    }
    Ok(change)
}
