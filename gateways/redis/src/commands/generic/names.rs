//! Values under other keys: RENAME, RENAMENX.

use switchboard_hub::keys::Key;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
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
