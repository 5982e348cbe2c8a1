//! `bit`: operations on 32 bits.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};

use super::arguments::Arguments;
use super::library::{Entry, one};
use super::watch::Watch;

pub(super) const ENTRIES: &[Entry] = &[
    ("tobit", |_, _, args| Ok(number(bits(args, 1)?))),
    ("bnot", |_, _, args| Ok(number(!bits(args, 1)?))),
    ("bswap", |_, _, args| Ok(number(bits(args, 1)?.swap_bytes()))),
    ("band", |_, _, args| all(args, |a, b| a & b)),
    ("bor", |_, _, args| all(args, |a, b| a | b)),
    ("bxor", |_, _, args| all(args, |a, b| a ^ b)),
    ("lshift", |_, _, args| shift(args, |bits, by| bits << by)),
    ("rshift", |_, _, args| shift(args, |bits, by| bits >> by)),
    ("arshift", |_, _, args| {
        shift(args, |bits, by| (bits.cast_signed() >> by).cast_unsigned())
    }),
    ("rol", |_, _, args| shift(args, u32::rotate_left)),
    ("ror", |_, _, args| shift(args, u32::rotate_right)),
    ("tohex", tohex),
];

/// The low 32 bits of a number that is rounded to an integer.
fn bits(args: &Arguments<'_>, index: usize) -> mlua::Result<u32> {
    /// 2^32
    const MODULUS: f64 = 4_294_967_296.0;
    let number = args.number(index)?;
    if !number.is_finite() {
        return Ok(0);
    }
    Ok(number.round_ties_even().rem_euclid(MODULUS) as u32)
}

fn number(bits: u32) -> MultiValue {
    one(Value::Number(f64::from(bits.cast_signed())))
}

fn all(args: &Arguments<'_>, join: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    let mut joined = bits(args, 1)?;
    for index in 2..=args.len() {
        joined = join(joined, bits(args, index)?);
    }
    Ok(number(joined))
}

fn shift(args: &Arguments<'_>, shift: fn(u32, u32) -> u32) -> mlua::Result<MultiValue> {
    Ok(number(shift(bits(args, 1)?, bits(args, 2)? & 31)))
}

fn tohex(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    const DIGITS_MAX: usize = 8;
    let bits_ = bits(args, 1)?;
    let digits = if args.is_none_or_nil(2) {
        DIGITS_MAX as i32
    } else {
        bits(args, 2)?.cast_signed()
    };
    let count = usize::try_from(digits.unsigned_abs())
        .unwrap_or(DIGITS_MAX)
        .min(DIGITS_MAX);
    let text = if digits < 0 {
        format!("{bits_:08X}")
    } else {
        format!("{bits_:08x}")
    };
    let shown = text.get(DIGITS_MAX - count..).unwrap_or_default();
    lua.create_string(shown).map(Value::String).map(one)
}
