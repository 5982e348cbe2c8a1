//! The arguments of a function that a script calls, read as Lua's own functions do.

use mlua::{Lua, MultiValue, Table, Value};

use super::raise;

/// What a function was called with. They are counted from 1, as in Lua.
pub(super) struct Arguments<'l> {
    lua: &'l Lua,
    name: &'static str,
    values: MultiValue,
}

impl<'l> Arguments<'l> {
    pub(super) fn new(lua: &'l Lua, name: &'static str, values: MultiValue) -> Self {
        Self { lua, name, values }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// One of them; nil if it is not there.
    pub(super) fn value(&self, index: usize) -> &Value {
        self.values.get(index.wrapping_sub(1)).unwrap_or(&Value::Nil)
    }

    pub(super) fn is_none_or_nil(&self, index: usize) -> bool {
        self.value(index).is_nil()
    }

    /// All of them.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// A string, or a number as one.
    ///
    /// # Errors
    /// When it is neither.
    pub(super) fn string(&self, index: usize) -> mlua::Result<mlua::String> {
        match self.value(index) {
            Value::String(text) => Ok(text.clone()),
            value @ (Value::Integer(_) | Value::Number(_)) => {
                let text = self.lua.coerce_string(value.clone())?;
                text.ok_or_else(|| self.expected(index, "string"))
            }
            _ => Err(self.expected(index, "string")),
        }
    }

    /// A table.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn table(&self, index: usize) -> mlua::Result<&Table> {
        match self.value(index) {
            Value::Table(table) => Ok(table),
            _ => Err(self.expected(index, "table")),
        }
    }

    /// A number, or a string that says one.
    ///
    /// # Errors
    /// When it is neither.
    pub(super) fn number(&self, index: usize) -> mlua::Result<f64> {
        match self.value(index) {
            Value::Number(number) => Ok(*number),
            Value::Integer(number) => Ok(*number as f64),
            value @ Value::String(_) => {
                let number = self.lua.coerce_number(value.clone())?;
                number.ok_or_else(|| self.expected(index, "number"))
            }
            _ => Err(self.expected(index, "number")),
        }
    }

    /// A number without its fraction; the nearest there is, if it is too great.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn integer(&self, index: usize) -> mlua::Result<i64> {
        self.number(index).map(|number| number as i64)
    }

    /// The same, or another one where nothing was said.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn integer_or(&self, index: usize, default: i64) -> mlua::Result<i64> {
        if self.is_none_or_nil(index) {
            return Ok(default);
        }
        self.integer(index)
    }

    /// Says that an argument is not what it should be.
    pub(super) fn bad(&self, index: usize, why: impl AsRef<str>) -> mlua::Error {
        let (name, why) = (self.name, why.as_ref());
        let is_method = self
            .lua
            .inspect_stack(0, |this| this.names().name_what == Some("method"));
        // What stands before the colon is not counted.
        let text = match (is_method, index) {
            (Some(true), 1) => format!("calling '{name}' on bad self ({why})"),
            (Some(true), _) => format!("bad argument #{} to '{name}' ({why})", index.saturating_sub(1)),
            _ => format!("bad argument #{index} to '{name}' ({why})"),
        };
        raise::text(self.lua, text)
    }

    fn expected(&self, index: usize, kind: &str) -> mlua::Error {
        let got = if index > self.len() {
            "no value"
        } else {
            type_name(self.value(index))
        };
        self.bad(index, format!("{kind} expected, got {got}"))
    }
}

/// The name of a value's type, as scripts know it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}
