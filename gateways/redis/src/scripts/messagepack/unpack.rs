//! From MessagePack to values of Lua.

use super::*;

/// Values may be nested so deep.
const DEPTH_MAX: usize = 128;
/// No call gives more results: Lua's stack has no room for them.
const RESULTS_MAX: usize = 7000;

/// Why bytes are no value.
enum Trouble {
    Short,
    Format,
    Deep,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Trouble {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// What is left to read.
struct Input<'i> {
    lua: &'i Lua,
    watch: &'i Watch,
    bytes: &'i [u8],
    at: usize,
}

pub(super) fn unpack(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    read(lua, watch, args, None, 0)
}

pub(super) fn unpack_one(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    read(lua, watch, args, Some(1), args.integer_or(2, 0)?)
}

pub(super) fn unpack_limit(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    read(lua, watch, args, Some(args.integer(2)?), args.integer_or(3, 0)?)
}

/// Reads values; with a limit, tells first where to go on (-1 at the end).
fn read(
    lua: &Lua,
    watch: &Watch,
    args: &Arguments<'_>,
    limit: Option<i64>,
    offset: i64,
) -> mlua::Result<MultiValue> {
    let text = args.string(1)?;
    let bytes = text.as_bytes();
    let Some(at) = usize::try_from(offset)
        .ok()
        .filter(|_| limit.is_none_or(|limit| limit >= 0))
    else {
        // The one of Redis says the length where it means the limit.
        let length = bytes.len();
        let words = format!("Invalid request to unpack with offset of {offset} and limit of {length}.");
        return Err(raise::text(lua, words));
    };
    if at > bytes.len() {
        let length = bytes.len();
        let words = format!("Start offset {offset} greater than input length {length}.");
        return Err(raise::text(lua, words));
    }
    let count = match limit {
        None | Some(0) => usize::MAX,
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut input = Input {
        lua,
        watch,
        bytes: &bytes,
        at,
    };
    let mut values = MultiValue::new();
    while values.len() < count && input.at < bytes.len() {
        if values.len() >= RESULTS_MAX {
            return Err(raise::text(lua, "too many results to unpack"));
        }
        let value = input.value(0).map_err(|trouble| match trouble {
            Trouble::Short => raise::text(lua, "Missing bytes in input."),
            Trouble::Format => raise::text(lua, "Bad data format in input."),
            Trouble::Deep => raise::text(lua, "Values are nested too deep in input."),
            Trouble::Lua(error) => error,
        })?;
        values.push_back(value);
    }
    if limit.is_some() {
        let next = if input.at < bytes.len() {
            input.at as f64
        } else {
            -1.0
        };
        values.push_front(Value::Number(next));
    }
    Ok(values)
}

impl<'i> Input<'i> {
    fn take(&mut self, count: usize) -> Result<&'i [u8], Trouble> {
        let end = self.at.checked_add(count).ok_or(Trouble::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Trouble::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        self.take(N)?.try_into().map_err(|_| Trouble::Short)
    }

    /// An integer of so many bytes, without a sign.
    fn unsigned(&mut self, bytes: usize) -> Result<u64, Trouble> {
        let taken = self.take(bytes)?;
        Ok(taken
            .iter()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, Trouble> {
        usize::try_from(self.unsigned(bytes)?).map_err(|_| Trouble::Short)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Trouble> {
        let [mark] = self.array()?;
        let number = match mark {
            0x00..=0x7F => f64::from(mark),
            0xE0..=0xFF => f64::from(mark.cast_signed()),
            0xC0 => return Ok(Value::Nil),
            0xC2 | 0xC3 => return Ok(Value::Boolean(mark == 0xC3)),
            0xCA => f64::from(f32::from_be_bytes(self.array()?)),
            0xCB => f64::from_be_bytes(self.array()?),
            0xCC => self.unsigned(1)? as f64,
            0xCD => self.unsigned(2)? as f64,
            0xCE => self.unsigned(4)? as f64,
            0xCF => self.unsigned(8)? as f64,
            0xD0 => f64::from(i8::from_be_bytes(self.array()?)),
            0xD1 => f64::from(i16::from_be_bytes(self.array()?)),
            0xD2 => f64::from(i32::from_be_bytes(self.array()?)),
            0xD3 => i64::from_be_bytes(self.array()?) as f64,
            0xA0..=0xBF => return self.string(usize::from(mark & 0x1F)),
            0xC4 | 0xD9 => return self.long(1, Self::string),
            0xC5 | 0xDA => return self.long(2, Self::string),
            0xC6 | 0xDB => return self.long(4, Self::string),
            0x90..=0x9F => return self.elements(usize::from(mark & 0x0F), depth),
            0xDC => return self.long(2, |input, count| input.elements(count, depth)),
            0xDD => return self.long(4, |input, count| input.elements(count, depth)),
            0x80..=0x8F => return self.members(usize::from(mark & 0x0F), depth),
            0xDE => return self.long(2, |input, count| input.members(count, depth)),
            0xDF => return self.long(4, |input, count| input.members(count, depth)),
            0xC1 | 0xC7..=0xC9 | 0xD4..=0xD8 => return Err(Trouble::Format),
        };
        Ok(Value::Number(number))
    }

    /// What has its length in so many bytes before it.
    fn long(
        &mut self,
        bytes: usize,
        read: impl FnOnce(&mut Self, usize) -> Result<Value, Trouble>,
    ) -> Result<Value, Trouble> {
        let length = self.length(bytes)?;
        read(self, length)
    }

    fn string(&mut self, length: usize) -> Result<Value, Trouble> {
        let bytes = self.take(length)?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn check(&self, depth: usize) -> Result<(), Trouble> {
        self.watch.check()?;
        if depth >= DEPTH_MAX {
            return Err(Trouble::Deep);
        }
        Ok(())
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<Value, Trouble> {
        self.check(depth)?;
        let table = self.lua.create_table()?;
        for place in 1..=count {
            table.raw_set(place, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn members(&mut self, count: usize, depth: usize) -> Result<Value, Trouble> {
        self.check(depth)?;
        let table = self.lua.create_table()?;
        for _ in 0..count {
            let key = self.value(depth + 1)?;
            let element = self.value(depth + 1)?;
            let is_nan = key.as_number().is_some_and(f64::is_nan);
            if key.is_nil() || is_nan {
                return Err(Trouble::Format);
            }
            table.raw_set(key, element)?;
        }
        Ok(Value::Table(table))
    }
}
