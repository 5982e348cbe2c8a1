//! `struct`: values to and from bytes, as a format says.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};

use super::arguments::Arguments;
use super::library::{Entry, one};
use super::raise;
use super::watch::Watch;

pub(super) const ENTRIES: &[Entry] = &[("pack", pack), ("unpack", unpack), ("size", size)];

#[cfg(test)]
mod tests;

/// No integer has more bytes.
const INTEGER_BYTES_MAX: usize = 32;
/// What integers are aligned to, if nothing is said with `!`.
const ALIGNMENT: usize = 16;

/// A step of a format.
enum Step {
    /// An integer of so many bytes.
    Integer {
        bytes: usize,
        is_signed: bool,
    },
    Float,
    Double,
    /// A string that ends with a zero.
    Text,
    /// So many bytes; 0 for as many as the value before said, or as there are.
    Chars(usize),
    /// One byte that means nothing.
    Padding,
    /// It only says how to go on.
    Nothing,
}

/// A format, as it is read.
struct Format<'f> {
    lua: &'f Lua,
    text: &'f [u8],
    at: usize,
    is_little: bool,
    alignment: usize,
}

impl<'f> Format<'f> {
    fn new(lua: &'f Lua, text: &'f [u8]) -> Self {
        Self {
            lua,
            text,
            at: 0,
            is_little: true,
            alignment: 1,
        }
    }

    /// The next step; `None` at the end.
    fn next(&mut self, args: &Arguments<'_>) -> mlua::Result<Option<Step>> {
        let Some(option) = self.text.get(self.at).copied() else {
            return Ok(None);
        };
        self.at += 1;
        let integer = |bytes, is_signed| Step::Integer { bytes, is_signed };
        Ok(Some(match option {
            b'b' => integer(1, true),
            b'B' => integer(1, false),
            b'h' => integer(2, true),
            b'H' => integer(2, false),
            b'l' => integer(8, true),
            b'L' | b'T' => integer(8, false),
            b'i' | b'I' => {
                let bytes = self.number().unwrap_or(4);
                if bytes > INTEGER_BYTES_MAX {
                    let words = format!("integral size {bytes} is larger than limit of {INTEGER_BYTES_MAX}");
                    return Err(raise::text(self.lua, words));
                }
                integer(bytes, option == b'i')
            }
            b'f' => Step::Float,
            b'd' => Step::Double,
            b's' => Step::Text,
            b'c' => Step::Chars(self.number().unwrap_or(1)),
            b'x' => Step::Padding,
            b' ' => Step::Nothing,
            b'<' | b'>' => {
                self.is_little = option == b'<';
                Step::Nothing
            }
            b'!' => {
                let alignment = self.number().unwrap_or(ALIGNMENT);
                if !alignment.is_power_of_two() {
                    let words = format!("alignment {alignment} is not a power of 2");
                    return Err(raise::text(self.lua, words));
                }
                self.alignment = alignment;
                Step::Nothing
            }
            other => {
                let option = char::from(other);
                return Err(args.bad(1, format!("invalid format option '{option}'")));
            }
        }))
    }

    /// A number that stands next.
    fn number(&mut self) -> Option<usize> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(rest.get(..digits)?).ok()?;
        self.at += digits;
        // What is too great for a number is too great for anything.
        (digits > 0).then(|| text.parse().unwrap_or(usize::MAX))
    }

    /// How many bytes come before a step so that it is aligned.
    fn gap(&self, step: &Step, total: usize) -> usize {
        let bytes = match step {
            Step::Integer { bytes, .. } => *bytes,
            Step::Float => 4,
            Step::Double => 8,
            _ => return 0,
        };
        let alignment = bytes.min(self.alignment);
        if alignment <= 1 || !alignment.is_power_of_two() {
            return 0;
        }
        total.next_multiple_of(alignment) - total
    }

    /// Bytes in the order of the format, from those with the least first.
    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if !self.is_little {
            bytes.reverse();
        }
        bytes
    }
}

fn pack(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut made = Vec::new();
    let mut index = 2;
    while let Some(step) = format.next(args)? {
        made.resize(made.len() + format.gap(&step, made.len()), 0);
        match step {
            Step::Integer { bytes, .. } => {
                let number = args.number(index)?;
                // A great one that has no sign wraps, as in C.
                let bits = if number < 0.0 {
                    (number as i64).cast_unsigned()
                } else {
                    number as u64
                };
                let fill = if number < 0.0 { 0xFF } else { 0 };
                let mut all = [fill; INTEGER_BYTES_MAX];
                for (to, from) in all.iter_mut().zip(bits.to_le_bytes()) {
                    *to = from;
                }
                let part = all.get_mut(..bytes).unwrap_or_default();
                if !format.is_little {
                    part.reverse();
                }
                made.extend_from_slice(part);
                index += 1;
            }
            Step::Float => {
                let number = args.number(index)? as f32;
                made.extend_from_slice(&format.ordered(number.to_le_bytes()));
                index += 1;
            }
            Step::Double => {
                made.extend_from_slice(&format.ordered(args.number(index)?.to_le_bytes()));
                index += 1;
            }
            Step::Text => {
                made.extend_from_slice(&args.string(index)?.as_bytes());
                made.push(0);
                index += 1;
            }
            Step::Chars(count) => {
                let string = args.string(index)?;
                let string = string.as_bytes();
                let count = if count == 0 { string.len() } else { count };
                let part = string
                    .get(..count)
                    .ok_or_else(|| args.bad(index + 1, "string too short"))?;
                made.extend_from_slice(part);
                index += 1;
            }
            Step::Padding => made.push(0),
            Step::Nothing => {}
        }
        watch.check_bytes(made.len())?;
    }
    lua.create_string(made).map(Value::String).map(one)
}

fn unpack(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let (text, data) = (args.string(1)?, args.string(2)?);
    let (text, data) = (text.as_bytes(), data.as_bytes());
    let begin = args.integer_or(3, 1)?;
    let begin = usize::try_from(begin).ok().and_then(|begin| begin.checked_sub(1));
    let mut at = begin.ok_or_else(|| args.bad(3, "offset must be 1 or greater"))?;
    let mut format = Format::new(lua, &text);
    let mut values = MultiValue::new();
    while let Some(step) = format.next(args)? {
        at += format.gap(&step, at);
        let too_short = || args.bad(2, "data string too short");
        let part = |count: usize| {
            let end = at.checked_add(count)?;
            data.get(at..end)
        };
        match step {
            Step::Integer { bytes, is_signed } => {
                let part = part(bytes).ok_or_else(too_short)?;
                values.push_back(Value::Number(integer(part, format.is_little, is_signed)));
                at += bytes;
            }
            Step::Float => {
                let part = part(4)
                    .and_then(|part| part.try_into().ok())
                    .ok_or_else(too_short)?;
                let number = f32::from_le_bytes(format.ordered(part));
                values.push_back(Value::Number(f64::from(number)));
                at += 4;
            }
            Step::Double => {
                let part = part(8)
                    .and_then(|part| part.try_into().ok())
                    .ok_or_else(too_short)?;
                values.push_back(Value::Number(f64::from_le_bytes(format.ordered(part))));
                at += 8;
            }
            Step::Text => {
                let rest = data.get(at..).unwrap_or_default();
                let end = rest.iter().position(|byte| *byte == 0);
                let end = end.ok_or_else(|| raise::text(lua, "unfinished string in data"))?;
                let found = rest.get(..end).unwrap_or_default();
                values.push_back(Value::String(lua.create_string(found)?));
                at += end + 1;
            }
            Step::Chars(count) => {
                let count = match count {
                    0 => counted(lua, &mut values)?,
                    count => count,
                };
                let part = part(count).ok_or_else(too_short)?;
                values.push_back(Value::String(lua.create_string(part)?));
                at += count;
            }
            Step::Padding => {
                part(1).ok_or_else(too_short)?;
                at += 1;
            }
            Step::Nothing => {}
        }
    }
    values.push_back(Value::Number((at + 1) as f64));
    Ok(values)
}

/// The number before `c0`, which is no result of its own.
fn counted(lua: &Lua, values: &mut MultiValue) -> mlua::Result<usize> {
    match values.pop_back() {
        Some(Value::Number(count)) if count >= 0.0 => Ok(count as usize),
        _ => Err(raise::text(lua, "format 'c0' needs a previous size")),
    }
}

fn integer(bytes: &[u8], is_little: bool, is_signed: bool) -> f64 {
    let mut least_first = [0; 8];
    let count = bytes.len().min(least_first.len());
    for (place, to) in least_first.iter_mut().take(count).enumerate() {
        let from = if is_little { place } else { bytes.len() - 1 - place };
        *to = bytes.get(from).copied().unwrap_or_default();
    }
    let bits = u64::from_le_bytes(least_first);
    if !is_signed {
        return bits as f64;
    }
    let unused = 64 - 8 * u32::try_from(count).unwrap_or(8);
    // Nothing is left to shift where there are no bytes.
    let shifted = bits.checked_shl(unused).unwrap_or_default().cast_signed();
    shifted.checked_shr(unused).unwrap_or_default() as f64
}

fn size(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut format = Format::new(lua, &text);
    let mut total = 0_usize;
    while let Some(step) = format.next(args)? {
        let bytes = match &step {
            Step::Integer { bytes, .. } => *bytes,
            Step::Float => 4,
            Step::Double => 8,
            Step::Text => return Err(args.bad(1, "option 's' has no fixed size")),
            Step::Chars(0) => return Err(args.bad(1, "option 'c0' has no fixed size")),
            Step::Chars(count) => *count,
            Step::Padding => 1,
            Step::Nothing => 0,
        };
        total = total
            .saturating_add(format.gap(&step, total))
            .saturating_add(bytes);
    }
    Ok(one(Value::Number(total as f64)))
}
