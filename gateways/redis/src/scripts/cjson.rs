//! `cjson`: JSON to and from values of Lua, as the module of that name does it.
//!
//! Nesting is followed on a stack of our own, so that its depth costs no stack of the thread.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::{Arguments, type_name};
use super::library::{self, Entry, one};
use super::raise;
use super::watch::Watch;

mod decode;
#[cfg(test)]
mod tests;

use super::numbers::general;

const ENTRIES: &[Entry] = &[
    ("encode", encode),
    ("decode", decode::decode),
    ("encode_max_depth", |_, _, _| {
        Ok(one(Value::Number(DEPTH_MAX as f64)))
    }),
    ("decode_max_depth", |_, _, _| {
        Ok(one(Value::Number(DEPTH_MAX as f64)))
    }),
    ("encode_number_precision", |_, _, _| {
        Ok(one(Value::Number(DIGITS as f64)))
    }),
    ("encode_keep_buffer", |_, _, _| Ok(one(Value::Boolean(true)))),
    ("encode_invalid_numbers", |_, _, _| Ok(one(Value::Boolean(false)))),
    ("decode_invalid_numbers", |_, _, _| Ok(one(Value::Boolean(true)))),
    ("encode_sparse_array", |_, _, _| {
        let settings = [
            Value::Boolean(false),
            Value::Number(SPARSE_RATIO as f64),
            Value::Number(SPARSE_SAFE as f64),
        ];
        Ok(settings.into_iter().collect())
    }),
];

/// Values may be nested so deep.
const DEPTH_MAX: usize = 1000;
/// Numbers are written with so many digits.
const DIGITS: usize = 14;
/// An array that is larger than this may have no more places than so many for each element.
const SPARSE_SAFE: usize = 10;
const SPARSE_RATIO: usize = 2;

/// The library.
///
/// # Errors
/// When memory does not suffice.
pub(super) fn table(lua: &Lua, watch: &Arc<Watch>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    library::add(lua, watch, &table, ENTRIES)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// What is being written.
enum Open {
    Array { table: Table, next: usize, last: usize },
    Object { table: Table, key: Value },
}

fn encode(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(args.bad(1, "expected 1 argument"));
    }
    let mut text = Vec::new();
    let mut open = Vec::new();
    add(lua, &mut text, &mut open, args.value(1))?;
    let mut steps = 0_u32;
    while let Some(innermost) = open.last_mut() {
        watch.check_bytes(text.len())?;
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(4096) {
            watch.check()?;
        }
        let element = match innermost {
            Open::Array { next, last, .. } if *next > *last => {
                text.push(b']');
                None
            }
            Open::Array { table, next, .. } => {
                if *next > 1 {
                    text.push(b',');
                }
                let element: Value = table.raw_get(*next)?;
                *next += 1;
                Some(element)
            }
            Open::Object { table, key } => match following(lua, table, key)? {
                None => {
                    text.push(b'}');
                    None
                }
                Some((name, element)) => {
                    if !key.is_nil() {
                        text.push(b',');
                    }
                    add_name(lua, &mut text, &name)?;
                    *key = name;
                    Some(element)
                }
            },
        };
        match element {
            None => drop(open.pop()),
            Some(element) => add(lua, &mut text, &mut open, &element)?,
        }
    }
    lua.create_string(text).map(Value::String).map(one)
}

/// What comes after a key in a table; nil for the first.
fn following(lua: &Lua, table: &Table, key: &Value) -> mlua::Result<Option<(Value, Value)>> {
    let next: mlua::Function = lua.globals().raw_get("next")?;
    let (key, value): (Value, Value) = next.call((table, key))?;
    Ok((!key.is_nil()).then_some((key, value)))
}

/// Writes a value; what has others inside of it is opened.
fn add(lua: &Lua, text: &mut Vec<u8>, open: &mut Vec<Open>, value: &Value) -> mlua::Result<()> {
    match value {
        Value::String(string) => add_string(text, &string.as_bytes()),
        Value::Integer(number) => add_number(lua, text, *number as f64)?,
        Value::Number(number) => add_number(lua, text, *number)?,
        Value::Boolean(true) => text.extend_from_slice(b"true"),
        Value::Boolean(false) => text.extend_from_slice(b"false"),
        Value::Nil => text.extend_from_slice(b"null"),
        Value::LightUserData(_) if *value == Value::NULL => text.extend_from_slice(b"null"),
        Value::Table(table) => {
            if open.len() >= DEPTH_MAX {
                let depth = open.len() + 1;
                return Err(raise::text(
                    lua,
                    format!("Cannot serialise, excessive nesting ({depth})"),
                ));
            }
            match array_length(lua, table)? {
                Some(last) if last > 0 => {
                    text.push(b'[');
                    open.push(Open::Array {
                        table: table.clone(),
                        next: 1,
                        last,
                    });
                }
                _ => {
                    text.push(b'{');
                    open.push(Open::Object {
                        table: table.clone(),
                        key: Value::Nil,
                    });
                }
            }
        }
        other => return Err(cannot(lua, other, "type not supported")),
    }
    Ok(())
}

/// The last place of a table that is an array; `None` if it is none.
fn array_length(lua: &Lua, table: &Table) -> mlua::Result<Option<usize>> {
    let (mut last, mut count) = (0, 0);
    let mut is_array = true;
    table.for_each(|key: Value, _: Value| {
        let place = match key {
            Value::Integer(place) => usize::try_from(place).ok(),
            _ => None,
        };
        match place.filter(|place| *place > 0) {
            Some(place) => {
                last = last.max(place);
                count += 1;
            }
            None => is_array = false,
        }
        Ok(())
    })?;
    if !is_array {
        return Ok(None);
    }
    if last > SPARSE_SAFE && last > count * SPARSE_RATIO {
        let table = Value::Table(table.clone());
        return Err(cannot(lua, &table, "excessively sparse array"));
    }
    Ok(Some(last))
}

fn add_name(lua: &Lua, text: &mut Vec<u8>, name: &Value) -> mlua::Result<()> {
    match name {
        Value::String(name) => add_string(text, &name.as_bytes()),
        Value::Integer(_) | Value::Number(_) => {
            text.push(b'"');
            let number = if let Value::Integer(number) = name {
                *number as f64
            } else {
                name.as_f64().unwrap_or_default()
            };
            add_number(lua, text, number)?;
            text.push(b'"');
        }
        other => return Err(cannot(lua, other, "table key must be a number or string")),
    }
    text.push(b':');
    Ok(())
}

fn add_number(lua: &Lua, text: &mut Vec<u8>, number: f64) -> mlua::Result<()> {
    if !number.is_finite() {
        return Err(cannot(lua, &Value::Number(number), "must not be NaN or Inf"));
    }
    text.extend_from_slice(general(number, DIGITS).as_bytes());
    Ok(())
}

fn add_string(text: &mut Vec<u8>, string: &[u8]) {
    text.push(b'"');
    for byte in string {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'/' => b"\\/",
            0x08 => b"\\b",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            0x0C => b"\\f",
            b'\r' => b"\\r",
            0..=0x1F | 0x7F => {
                text.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            _ => std::slice::from_ref(byte),
        };
        text.extend_from_slice(escaped);
    }
    text.push(b'"');
}

fn cannot(lua: &Lua, value: &Value, why: &str) -> mlua::Error {
    raise::text(lua, format!("Cannot serialise {}: {why}", type_name(value)))
}
