//! COPY.

use switchboard_hub::keys::structures::Structure;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

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
