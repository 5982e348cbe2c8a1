//! Bits of plain values: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP. The bit 0 is the highest of the first byte.

use switchboard_hub::keys::VALUE_BYTES_MAX;

use crate::args::{Args, parse_integer};
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::commands::strings::ranges::copy_of;
use crate::refusal::Refusal;

mod count;
mod operate;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "bitmap",
    title: "Bitmaps",
    commands: &[count::BITCOUNT, operate::BITOP, count::BITPOS, GETBIT, SETBIT],
};

const GETBIT: Command = Command {
    name: "getbit",
    arity: 3,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Tells a bit of a value.",
    complexity: "O(1)",
    syntax: "key offset",
    support: Support::Full,
    run: Run::Keys(getbit),
};

const SETBIT: Command = Command {
    name: "setbit",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Sets a bit of a value, and tells what it was.",
    complexity: "O(N), N bytes of the value",
    syntax: "key offset value",
    support: Support::Full,
    run: Run::Keys(setbit),
};

/// # Errors
/// When it is none of a value that is possible.
fn offset(args: &Args) -> Result<(usize, u8), Refusal> {
    let offset = parse_integer(args.at(2)).and_then(|offset| usize::try_from(offset).ok());
    let offset = offset
        .filter(|offset| *offset < VALUE_BYTES_MAX * 8)
        .ok_or(Refusal::new("ERR bit offset is not an integer or out of range"))?;
    Ok((offset / 8, 0x80 >> (offset % 8)))
}

fn getbit(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (place, mask) = offset(call.args)?;
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let byte = cell.plain()?.and_then(|value| value.get(place));
    call.reply.yes_or_no(byte.is_some_and(|byte| byte & mask != 0));
    Ok(())
}

fn setbit(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (place, mask) = offset(call.args)?;
    let is_set = match call.args.at(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(Refusal::new("ERR bit is not an integer or out of range")),
    };
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let old = cell.plain()?.unwrap_or_default();
    let was_set = old.get(place).is_some_and(|byte| byte & mask != 0);
    call.reply.yes_or_no(was_set);
    if place < old.len() && was_set == is_set {
        return Ok(());
    }
    let mut value = copy_of(old, place + 1);
    if let Some(byte) = value.get_mut(place) {
        *byte = if is_set { *byte | mask } else { *byte & !mask };
    }
    cell.put(value.freeze());
    call.effects.event(Class::String, "setbit", &key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bed;

    #[test]
    fn bits() {
        let mut bed = Bed::new();
        bed.check(
            "
            SETBIT a 7 1 -> 0
            SETBIT a 7 1 -> 1
            GETBIT a 7 -> 1
            GETBIT a 6 -> 0
            GETBIT a 100 -> 0
            GETBIT none 0 -> 0
            SETBIT a 16 0 -> 0
            GET a -> \"\\x01\\x00\\x00\"
            SETBIT a -1 0 -> -ERR bit offset is not an integer or out of range
            SETBIT a 536870912 0 -> -ERR bit offset is not an integer or out of range
            SETBIT a 1 2 -> -ERR bit is not an integer or out of range
            SETBIT b 536870911 1 -> 0
            STRLEN b -> 67108864
            ",
        );
    }

    #[test]
    fn bits_are_counted() {
        let mut bed = Bed::new();
        bed.check(
            "
            SET a foobar -> OK
            BITCOUNT a -> 26
            BITCOUNT a 0 0 -> 4
            BITCOUNT a 1 1 BYTE -> 6
            BITCOUNT a 5 30 BIT -> 17
            BITCOUNT a -1 -2 -> 0
            BITCOUNT a -50 -60 -> 0
            BITCOUNT a -1 -1 bit -> 0
            BITCOUNT none -> 0
            BITCOUNT a 0 -> -ERR syntax error
            BITCOUNT a 0 1 WHAT -> -ERR syntax error
            BITCOUNT a 0 x -> -ERR value is not an integer or out of range
            ",
        );
    }

    #[test]
    fn bits_are_found() {
        let mut bed = Bed::new();
        bed.check(
            "
            SET a \"\\xff\\xf0\\x00\" -> OK
            BITPOS a 0 -> 12
            BITPOS a 1 2 -> -1
            BITPOS a 1 1 -> 8
            BITPOS a 1 7 15 BIT -> 7
            BITPOS a 0 1 -1 -> 12
            SET a \"\\xff\\xff\" -> OK
            BITPOS a 0 -> 16
            BITPOS a 0 1 -> 16
            BITPOS a 0 0 -1 -> -1
            BITPOS a 1 5 -> -1
            BITPOS a 0 5 -> -1
            BITPOS none 0 -> 0
            BITPOS none 1 -> -1
            BITPOS a 2 -> -ERR The bit argument must be 1 or 0.
            BITPOS a x -> -ERR value is not an integer or out of range
            BITPOS a 1 0 1 WHAT -> -ERR syntax error
            ",
        );
    }

    #[test]
    fn bits_of_several_values() {
        let mut bed = Bed::new();
        bed.check(
            "
            MSET a abc b \"\\xf0\" -> OK
            BITOP AND d a b -> 3
            GET d -> \"`\\x00\\x00\"
            BITOP or d a b none -> 3
            GET d -> \"\\xf1bc\"
            BITOP XOR d a a -> 3
            GET d -> \"\\x00\\x00\\x00\"
            BITOP NOT d b -> 1
            GET d -> \"\\x0f\"
            BITOP NOT d a b -> -ERR BITOP NOT must be called with a single source key.
            BITOP WHAT d a -> -ERR syntax error
            BITOP AND d none -> 0
            EXISTS d -> 0
            ",
        );
    }
}
