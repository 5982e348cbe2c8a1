//! `table.insert`, which in Lua's own library moves as many elements as it is told, whether they are there or not.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};

use super::arguments::Arguments;
use super::library::Entry;
use super::raise;
use super::watch::Watch;

/// Take the place of Lua's own.
pub(super) const ENTRIES: &[Entry] = &[("insert", insert)];

/// After so many elements that are moved, the clock is looked at.
const MOVES_UNTIL_CHECK: usize = 10_000;

fn insert(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let table = args.table(1)?;
    let end = table.raw_len() + 1;
    match args.len() {
        2 => table.raw_set(end, args.value(2))?,
        3 => {
            let place = args.integer(2)?;
            let first = usize::try_from(place).map_err(|_| args.bad(2, "position out of bounds"))?;
            for index in (first + 1..=end).rev() {
                if index % MOVES_UNTIL_CHECK == 0 {
                    watch.check()?;
                }
                table.raw_set(index, table.raw_get::<Value>(index - 1)?)?;
            }
            table.raw_set(first, args.value(3))?;
        }
        _ => return Err(raise::text(lua, "wrong number of arguments to 'insert'")),
    }
    Ok(MultiValue::new())
}
