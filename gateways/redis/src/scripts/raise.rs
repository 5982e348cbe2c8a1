//! What goes wrong inside a script, on its way through Lua.
//!
//! Lua hands on what Rust functions raise as something that scripts cannot read. So the functions with which a script
//! catches errors are ours, and turn that into what a script of Redis would see: see [`caught`].

use mlua::{Lua, Value};

use super::watch::Watch;

/// What a Rust function raises.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Raised {
    /// A text, as `error` raises it.
    #[error("{0}")]
    Text(String),
    /// The error that a command answered, as `redis.call` raises it: a table with `err`.
    #[error("{0}")]
    Answer(String),
    /// The script has run for too long: it cannot go on, whatever it catches.
    #[error("the script ran for too long")]
    Expired,
}

/// Raises a text, which begins with where the caller is, as with Lua's own functions.
pub(super) fn text(lua: &Lua, text: impl AsRef<str>) -> mlua::Error {
    let text = text.as_ref();
    let place = lua.inspect_stack(1, |caller| {
        let source = caller.source().short_src?.into_owned();
        Some(format!("{source}:{}: ", caller.current_line()?))
    });
    let place = place.flatten().unwrap_or_default();
    mlua::Error::external(Raised::Text(format!("{place}{text}")))
}

/// Raises the error that a command answered.
pub(super) fn answer(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(Raised::Answer(text.into()))
}

/// Ends the script.
pub(super) fn expired() -> mlua::Error {
    mlua::Error::external(Raised::Expired)
}

/// What was raised, under what Lua has wrapped around it.
pub(super) fn of(error: &mlua::Error) -> Raised {
    match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => of(cause),
        mlua::Error::ExternalError(error) => match error.downcast_ref::<Raised>() {
            Some(raised) => raised.clone(),
            None => Raised::Text(error.to_string()),
        },
        mlua::Error::MemoryError(_) => Raised::Text("not enough memory".to_owned()),
        mlua::Error::RuntimeError(text) | mlua::Error::SyntaxError { message: text, .. } => {
            Raised::Text(text.clone())
        }
        other => Raised::Text(other.to_string()),
    }
}

/// A text without the place in our own Lua where it was raised: there, Redis has functions in C, which are no place.
pub(super) fn without_own_place(text: &[u8]) -> &[u8] {
    let without = || {
        let rest = text.strip_prefix(b"redis:")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.get(digits..)?.strip_prefix(b": ")
    };
    without().unwrap_or(text)
}

/// What a script sees of what it caught: a text where there was one; the table with `err` if `wants_table`, else what
/// stands there, as Redis does with `pcall`.
///
/// # Errors
/// When the script must not go on.
pub(super) fn caught(lua: &Lua, watch: &Watch, value: Value, wants_table: bool) -> mlua::Result<Value> {
    watch.check()?;
    match value {
        Value::Error(error) => match of(&error) {
            Raised::Expired => Err(expired()),
            Raised::Answer(text) if wants_table => {
                let table = lua.create_table()?;
                table.raw_set("err", text)?;
                Ok(Value::Table(table))
            }
            Raised::Answer(text) | Raised::Text(text) => lua.create_string(text).map(Value::String),
        },
        Value::Table(table) if !wants_table => match table.raw_get("err")? {
            text @ Value::String(_) => Ok(text),
            _ => Ok(Value::Table(table)),
        },
        Value::String(text) => {
            let text = text.as_bytes();
            lua.create_string(without_own_place(&text)).map(Value::String)
        }
        value => Ok(value),
    }
}
