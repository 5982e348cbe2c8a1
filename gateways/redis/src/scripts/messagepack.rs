//! `cmsgpack`: MessagePack to and from values of Lua (<https://github.com/msgpack/msgpack/blob/master/spec.md>), as the
//! module of that name does it.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::arguments::Arguments;
use super::library::{self, Entry, one};
use super::raise;
use super::watch::Watch;

mod pack;
#[cfg(test)]
mod tests;
mod unpack;

const ENTRIES: &[Entry] = &[
    ("pack", pack::pack),
    ("unpack", unpack::unpack),
    ("unpack_one", unpack::unpack_one),
    ("unpack_limit", unpack::unpack_limit),
];

/// The library.
///
/// # Errors
/// When memory does not suffice.
pub(super) fn table(lua: &Lua, watch: &Arc<Watch>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    library::add(lua, watch, &table, ENTRIES)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    Ok(table)
}
