//! What stands in `redis`, beside `call` and `pcall`.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::Arguments;
use super::library::{self, Entry, one};
use super::raise;
use super::watch::Watch;
use crate::commands::connection::VERSION;

const ENTRIES: &[Entry] = &[
    ("error_reply", error_reply),
    ("status_reply", status_reply),
    ("sha1hex", sha1hex),
    ("log", log),
    ("setresp", setresp),
    ("replicate_commands", replicate_commands),
    ("set_repl", nothing),
    ("breakpoint", breakpoint),
    ("debug", nothing),
];

/// # Errors
/// When memory does not suffice.
pub(super) fn table(lua: &Lua, watch: &Arc<Watch>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    library::add(lua, watch, &table, ENTRIES)?;
    table.raw_set("REDIS_VERSION", VERSION)?;
    let parts = VERSION.split('.').filter_map(|part| part.parse::<u32>().ok());
    table.raw_set(
        "REDIS_VERSION_NUM",
        parts.fold(0, |number, part| (number << 8) | part),
    )?;
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"]
        .iter()
        .enumerate()
    {
        table.raw_set(*name, level)?;
    }
    for (name, number) in [
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ] {
        table.raw_set(name, number)?;
    }
    Ok(table)
}

fn reply(lua: &Lua, args: &Arguments<'_>, field: &str) -> mlua::Result<MultiValue> {
    let table = lua.create_table_with_capacity(0, 1)?;
    match (args.len(), args.value(1)) {
        (1, Value::String(text)) => {
            let text = text.as_bytes();
            let words = if field == "err" {
                text.strip_prefix(b"-").unwrap_or(&text)
            } else {
                &text
            };
            table.raw_set(field, lua.create_string(words)?)?;
        }
        _ => table.raw_set("err", "ERR wrong number or type of arguments")?,
    }
    Ok(one(Value::Table(table)))
}

fn error_reply(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    reply(lua, args, "err")
}

fn status_reply(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    reply(lua, args, "ok")
}

fn sha1hex(lua: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(raise::answer("ERR wrong number of arguments"));
    }
    let digest = super::Digest::of(&args.string(1)?.as_bytes());
    lua.create_string(digest.hex()).map(Value::String).map(one)
}

fn log(_: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    /// No line is longer.
    const LINE_BYTES_MAX: usize = 4096;
    if args.len() < 2 {
        return Err(raise::answer("ERR redis.log() requires two arguments or more."));
    }
    let (Value::Number(_) | Value::Integer(_)) = args.value(1) else {
        return Err(raise::answer("ERR First argument must be a number (log level)."));
    };
    let mut words = Vec::new();
    for index in 2..=args.len() {
        if let Ok(text) = args.string(index) {
            words.push(text.to_string_lossy());
        }
    }
    let mut line = words.join(" ");
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    match args.integer(1)? {
        0 => tracing::debug!(line, "a script says"),
        1 | 2 => tracing::info!(line, "a script says"),
        3 => tracing::warn!(line, "a script says"),
        _ => return Err(raise::answer("ERR Invalid debug level.")),
    }
    Ok(MultiValue::new())
}

fn setresp(_: &Lua, _: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(raise::answer("ERR redis.setresp() requires one argument."));
    }
    match args.number(1)? {
        2.0 => Ok(MultiValue::new()),
        3.0 => Err(raise::answer(
            "ERR redis.setresp(3) is not supported: scripts see answers as RESP2 has them",
        )),
        _ => Err(raise::answer("ERR RESP version must be 2 or 3.")),
    }
}

fn replicate_commands(_: &Lua, _: &Arc<Watch>, _: &Arguments<'_>) -> mlua::Result<MultiValue> {
    Ok(one(Value::Boolean(true)))
}

fn breakpoint(_: &Lua, _: &Arc<Watch>, _: &Arguments<'_>) -> mlua::Result<MultiValue> {
    Ok(one(Value::Boolean(false)))
}

fn nothing(_: &Lua, _: &Arc<Watch>, _: &Arguments<'_>) -> mlua::Result<MultiValue> {
    Ok(MultiValue::new())
}
