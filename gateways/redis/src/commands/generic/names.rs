//! Values under other keys: RENAME, RENAMENX, COPY.

use switchboard_hub::keys::Key;
use switchboard_hub::keys::structures::Structure;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const RENAME: Command = Command {
    name: "rename",
    arity: 3,
    flags: &[Flag::Write, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "1.0.0",
    summary: "Gives a key another name, whatever had that.",
    complexity: "O(N), N bytes of the value",
    syntax: "key newkey",
    support: Support::Full,
    run: Run::Keys(rename),
};

pub(super) const RENAMENX: Command = Command {
    name: "renamenx",
    arity: 3,
    flags: &[Flag::Write, Flag::Fast, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "1.0.0",
    summary: "Gives a key another name, if nothing has that.",
    complexity: "O(N), N bytes of the value",
    syntax: "key newkey",
    support: Support::Full,
    run: Run::Keys(renamenx),
};

pub(super) const COPY: Command = Command {
    name: "copy",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "6.2.0",
    summary: "Copies what a key has, with its expiry, to another one.",
    complexity: "O(N), N bytes of the value",
    syntax: "source destination [REPLACE]",
    support: Support::Differs("within one database: `DB` is refused"),
    run: Run::Keys(copy),
};

fn rename(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (from, to) = (call.args.key(1)?, call.args.key(2)?);
    if !call.cells.cell(&from)?.is_present() {
        return Err(Refusal::NO_SUCH_KEY);
    }
    if from != to {
        move_value(call, &from, &to)?;
    }
    call.reply.ok();
    Ok(())
}

fn renamenx(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (from, to) = (call.args.key(1)?, call.args.key(2)?);
    if !call.cells.cell(&from)?.is_present() {
        return Err(Refusal::NO_SUCH_KEY);
    }
    let is_free = !call.cells.cell(&to)?.is_present();
    if is_free {
        move_value(call, &from, &to)?;
    }
    call.reply.yes_or_no(is_free);
    Ok(())
}

fn move_value(call: &mut Call<'_, '_>, from: &Key, to: &Key) -> Result<(), Refusal> {
    if let Some(taken) = call.cells.cell(from)?.take() {
        call.cells.cell(to)?.place(taken);
        call.effects.event(Class::Generic, "rename_from", from);
        call.effects.event(Class::Generic, "rename_to", to);
        call.effects.feed(to);
    }
    Ok(())
}

fn copy(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let mut replaces = false;
    let mut index = 3;
    while index < call.args.len() {
        if call.args.is(index, "REPLACE") {
            replaces = true;
        } else if call.args.is(index, "DB") && call.args.len() > index + 1 {
            call.args.integer(index + 1)?;
            return Err(Refusal::new(
                "ERR COPY to another database is not supported: leave out DB",
            ));
        } else {
            return Err(Refusal::SYNTAX);
        }
        index += 1;
    }
    let (from, to) = (call.args.key(1)?, call.args.key(2)?);
    if from == to {
        return Err(Refusal::new("ERR source and destination objects are the same"));
    }
    let copied = if call.cells.cell(&to)?.is_present() && !replaces {
        None
    } else {
        let cell = call.cells.cell(&from)?;
        let len = cell.structure().map_or(0, Structure::len);
        long::through(len, || cell.copy())
    };
    call.reply.yes_or_no(copied.is_some());
    if let Some(copied) = copied {
        call.cells.cell(&to)?.place(copied);
        call.effects.event(Class::Generic, "copy_to", &to);
        call.effects.feed(&to);
    }
    Ok(())
}
