//! `math.random` and `math.randomseed`.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};

use super::arguments::Arguments;
use super::library::{Entry, one};
use super::random::Random;
use super::watch::Watch;

/// Take the place of Lua's own.
pub(super) const ENTRIES: &[Entry] = &[("random", random), ("randomseed", randomseed)];

fn random(_: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let drawn = watch.random.lock().next();
    let number = match args.len() {
        0 => drawn,
        1 => {
            let most = args.integer(1)?;
            if most < 1 {
                return Err(args.bad(1, "interval is empty"));
            }
            (drawn * most as f64).floor() + 1.0
        }
        _ => {
            let (least, most) = (args.integer(1)?, args.integer(2)?);
            if least > most {
                return Err(args.bad(2, "interval is empty"));
            }
            let many = most as f64 - least as f64 + 1.0;
            (drawn * many).floor() + least as f64
        }
    };
    Ok(one(Value::Number(number)))
}

fn randomseed(_: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    // What C takes: the low 32 bits.
    let seed = args.integer(1)? as i32;
    *watch.random.lock() = Random::seed(seed);
    Ok(MultiValue::new())
}
