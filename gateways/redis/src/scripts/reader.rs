//! From what a command answered (RESP2) to what a script sees of it.
//!
//! | answer | in Lua |
//! | --- | --- |
//! | integer, bulk string | number, string |
//! | status | table with `ok` |
//! | error | table with `err` |
//! | null | `false` |
//! | array | table |

use mlua::{Lua, Value};

/// Answers are not nested deeper.
const DEPTH_MAX: usize = 32;

/// What was answered.
pub(super) enum Answered {
    /// Something.
    Value(Value),
    /// An error, with its code.
    Error(String),
}

/// Reads one answer.
///
/// # Errors
/// When memory does not suffice, or the bytes are no answer.
pub(super) fn read(lua: &Lua, mut bytes: &[u8]) -> mlua::Result<Answered> {
    if let Some(line) = bytes.strip_prefix(b"-") {
        let line = String::from_utf8_lossy(line);
        return Ok(Answered::Error(line.trim_end().to_owned()));
    }
    value(lua, &mut bytes, 0).map(Answered::Value)
}

fn value(lua: &Lua, bytes: &mut &[u8], depth: usize) -> mlua::Result<Value> {
    let (mark, line) = line(bytes).filter(|_| depth < DEPTH_MAX).ok_or_else(broken)?;
    let number = || number(line).ok_or_else(broken);
    match mark {
        b'+' | b'-' => {
            let table = lua.create_table_with_capacity(0, 1)?;
            let field = if mark == b'+' { "ok" } else { "err" };
            table.raw_set(field, lua.create_string(line)?)?;
            Ok(Value::Table(table))
        }
        b':' => Ok(Value::Number(number()? as f64)),
        b'$' => {
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Value::Boolean(false));
            };
            let text = bytes.get(..length).ok_or_else(broken)?;
            *bytes = bytes.get(length + 2..).ok_or_else(broken)?;
            lua.create_string(text).map(Value::String)
        }
        b'*' => {
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Value::Boolean(false));
            };
            // No element has fewer bytes than this.
            const ELEMENT_BYTES_MIN: usize = 4;
            let table = lua.create_table_with_capacity(length.min(bytes.len() / ELEMENT_BYTES_MIN), 0)?;
            for index in 1..=length {
                table.raw_set(index, value(lua, bytes, depth + 1)?)?;
            }
            Ok(Value::Table(table))
        }
        _ => Err(broken()),
    }
}

/// The mark and the text of the next line.
fn line<'b>(bytes: &mut &'b [u8]) -> Option<(u8, &'b [u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let (mark, text) = bytes.get(..end)?.split_first()?;
    *bytes = bytes.get(end + 2..)?;
    Some((*mark, text))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn broken() -> mlua::Error {
    super::raise::answer("ERR the command's answer cannot be read")
}
