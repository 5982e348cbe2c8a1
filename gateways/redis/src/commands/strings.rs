//! Strings: plain values.

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::refusal::Refusal;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "string",
    title: "Strings",
    commands: &[
        Command {
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
        },
        Command {
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
        },
    ],
};

fn get(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(1)?)?;
    call.reply.bulk_or_null(cell.plain()?);
    Ok(())
}

fn getdel(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    call.reply.bulk_or_null(cell.plain()?);
    if cell.remove() {
        call.effects.event(Class::Generic, "del", &key);
    }
    Ok(())
}
