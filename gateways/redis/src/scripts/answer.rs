//! From what a script gives back to what its caller is answered.
//!
//! | in Lua | answer |
//! | --- | --- |
//! | number, string | integer (without its fraction), bulk string |
//! | `true`, `false`, `nil` | 1, null, null |
//! | table with `ok` or `err` | status, error |
//! | other table | array, up to the first `nil` |

use mlua::{Table, Value};

use crate::refusal::Refusal;
use crate::reply::Reply;

/// Tables may be nested so deep.
const DEPTH_MAX: usize = 128;

/// Says a value.
///
/// # Errors
/// When it is nested too deep, or has more bytes than that: a table may stand at many places.
pub(super) fn say(reply: &mut Reply, value: &Value, bytes_max: usize) -> Result<(), Refusal> {
    let end = reply.len().saturating_add(bytes_max);
    add(reply, value, end, 0)
}

fn add(reply: &mut Reply, value: &Value, end: usize, depth: usize) -> Result<(), Refusal> {
    if depth > DEPTH_MAX {
        return Err(Refusal::new("ERR reached lua stack limit"));
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(truncated(*number)),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(table) => return add_table(reply, table, end, depth),
        _ => reply.null(),
    }
    check(reply, end)
}

fn add_table(reply: &mut Reply, table: &Table, end: usize, depth: usize) -> Result<(), Refusal> {
    if let Some(words) = field(table, "err") {
        // A text that begins so brings its own code, as its makers were told once.
        reply.refusal(&Refusal::of(words.strip_prefix('-').unwrap_or(&words)));
    } else if let Some(word) = field(table, "ok") {
        reply.simple(&word.replace(['\r', '\n'], " "));
    } else {
        let mut elements = Vec::new();
        for index in 1.. {
            match table.raw_get(index) {
                Ok(Value::Nil) | Err(_) => break,
                Ok(element) => elements.push(element),
            }
        }
        reply.array(elements.len());
        for element in &elements {
            add(reply, element, end, depth + 1)?;
        }
    }
    check(reply, end)
}

fn field(table: &Table, name: &str) -> Option<String> {
    match table.raw_get(name) {
        Ok(Value::String(text)) => Some(text.to_string_lossy()),
        _ => None,
    }
}

fn check(reply: &Reply, end: usize) -> Result<(), Refusal> {
    if reply.len() > end {
        return Err(Refusal::new("ERR what the script gives back is too large"));
    }
    Ok(())
}

/// As C does it on the machines that Redis runs on: what is too great, and what is no number, is the least integer.
fn truncated(number: f64) -> i64 {
    /// 2^63, the first that is too great.
    const TOO_GREAT: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() || number >= TOO_GREAT {
        return i64::MIN;
    }
    number as i64
}
