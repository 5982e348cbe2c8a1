//! Functions in Rust that scripts call.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::Arguments;
use super::watch::Watch;

/// A function of a library, with its name.
pub(super) type Entry = (&'static str, Function);

/// What a script calls.
pub(super) type Function = fn(&Lua, &Arc<Watch>, &Arguments<'_>) -> mlua::Result<MultiValue>;

/// Puts functions into a table.
///
/// # Errors
/// When memory does not suffice.
pub(super) fn add(lua: &Lua, watch: &Arc<Watch>, table: &Table, entries: &[Entry]) -> mlua::Result<()> {
    for (name, function) in entries.iter().copied() {
        let watch = Arc::clone(watch);
        let made = lua.create_function(move |lua, values: MultiValue| {
            function(lua, &watch, &Arguments::new(lua, name, values))
        })?;
        table.raw_set(name, made)?;
    }
    Ok(())
}

/// One result.
pub(super) fn one(value: Value) -> MultiValue {
    MultiValue::from_iter([value])
}
