//! The functions on strings that Lua's own library does without bounds: `find`, `match`, `gmatch`, `gsub`, `rep`.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Value};
use parking_lot::Mutex;

use super::arguments::{Arguments, type_name};
use super::library::{Entry, one};
use super::patterns::{Captured, Matcher, Trouble};
use super::raise;
use super::watch::Watch;

/// Take the place of Lua's own.
pub(super) const ENTRIES: &[Entry] = &[
    ("find", find),
    ("match", match_),
    ("gmatch", gmatch),
    ("gfind", gmatch),
    ("gsub", gsub),
    ("rep", rep),
];

/// What has a meaning in a pattern.
const SPECIALS: &[u8] = b"^$*+?.([%-";

fn trouble(lua: &Lua, trouble: Trouble) -> mlua::Error {
    match trouble {
        Trouble::Pattern(words) => raise::text(lua, words),
        Trouble::Ended(error) => error,
    }
}

fn captured(lua: &Lua, captured: Captured<'_>) -> mlua::Result<Value> {
    match captured {
        Captured::Bytes(bytes) => lua.create_string(bytes).map(Value::String),
        Captured::Position(position) => Ok(Value::Number(position as f64)),
    }
}

/// Adds the captures of the last match.
fn add_captures(
    lua: &Lua,
    matcher: &Matcher<'_>,
    (start, end): (usize, usize),
    count: usize,
    values: &mut MultiValue,
) -> mlua::Result<()> {
    for index in 0..count {
        let capture = matcher.capture(index, start, end);
        let value = captured(lua, capture.map_err(|error| trouble(lua, error))?)?;
        values.push_back(value);
    }
    Ok(())
}

/// Where to begin, counted from 0: from the end if it was negative.
fn begin(position: i64, length: usize) -> usize {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let position = if position < 0 {
        length.saturating_add(position)
    } else {
        position.saturating_sub(1)
    };
    usize::try_from(position.clamp(0, length)).unwrap_or_default()
}

fn find(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    search(lua, watch, args, true)
}

fn match_(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    search(lua, watch, args, false)
}

fn search(lua: &Lua, watch: &Watch, args: &Arguments<'_>, is_find: bool) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (args.string(1)?, args.string(2)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let begin = begin(args.integer_or(3, 1)?, subject.len());
    let is_plain = !matches!(args.value(4), Value::Nil | Value::Boolean(false));
    if is_find && (is_plain || !pattern.iter().any(|byte| SPECIALS.contains(byte))) {
        let found = position(watch, subject.get(begin..).unwrap_or_default(), &pattern)?;
        return Ok(match found {
            None => one(Value::Nil),
            Some(at) => {
                let start = begin + at;
                [start + 1, start + pattern.len()]
                    .map(|place| Value::Number(place as f64))
                    .into_iter()
                    .collect()
            }
        });
    }
    let is_anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(
        &subject,
        pattern.get(usize::from(is_anchored)..).unwrap_or_default(),
        watch,
    );
    for start in begin..=subject.len() {
        if let Some(end) = matcher.match_at(start).map_err(|error| trouble(lua, error))? {
            let mut values = MultiValue::new();
            let mut count = matcher.captures();
            if is_find {
                values.push_back(Value::Number((start + 1) as f64));
                values.push_back(Value::Number(end as f64));
            } else {
                count = count.max(1);
            }
            add_captures(lua, &matcher, (start, end), count, &mut values)?;
            return Ok(values);
        }
        if is_anchored {
            break;
        }
    }
    Ok(one(Value::Nil))
}

/// Where some bytes are in others. It looks at the clock now and then.
fn position(watch: &Watch, subject: &[u8], wanted: &[u8]) -> mlua::Result<Option<usize>> {
    /// Bytes compared until it does so.
    const BYTES_UNTIL_CHECK: usize = 1024 * 1024;
    let Some(first) = wanted.first() else {
        return Ok(Some(0));
    };
    let mut compared = 0;
    let mut from = 0;
    while let Some(rest) = subject.get(from..).filter(|rest| rest.len() >= wanted.len()) {
        let Some(skipped) = rest.iter().position(|byte| byte == first) else {
            return Ok(None);
        };
        let here = rest.get(skipped..).unwrap_or_default();
        if here.starts_with(wanted) {
            return Ok(Some(from + skipped));
        }
        from += skipped + 1;
        compared += skipped + wanted.len();
        if compared > BYTES_UNTIL_CHECK {
            compared = 0;
            watch.check()?;
        }
    }
    Ok(None)
}

fn gmatch(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (args.string(1)?, args.string(2)?);
    let (watch, next) = (Arc::clone(watch), Mutex::new(0));
    let iterator = lua.create_function(move |lua, ()| {
        let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
        let mut matcher = Matcher::new(&subject, &pattern, &watch);
        let begin = *next.lock();
        for start in begin..=subject.len() {
            if let Some(end) = matcher.match_at(start).map_err(|error| trouble(lua, error))? {
                *next.lock() = if end == start { end + 1 } else { end };
                let mut values = MultiValue::new();
                let count = matcher.captures().max(1);
                add_captures(lua, &matcher, (start, end), count, &mut values)?;
                return Ok(values);
            }
        }
        *next.lock() = subject.len() + 1;
        Ok(one(Value::Nil))
    })?;
    Ok(one(Value::Function(iterator)))
}

fn gsub(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let (subject, pattern) = (args.string(1)?, args.string(2)?);
    let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
    let with = match args.value(3) {
        Value::Number(_) | Value::Integer(_) => Value::String(args.string(3)?),
        with @ (Value::String(_) | Value::Table(_) | Value::Function(_)) => with.clone(),
        _ => return Err(args.bad(3, "string/function/table expected")),
    };
    let most = args.integer_or(4, i64::MAX)?;
    let is_anchored = pattern.first() == Some(&b'^');
    let mut matcher = Matcher::new(
        &subject,
        pattern.get(usize::from(is_anchored)..).unwrap_or_default(),
        watch,
    );
    let (mut made, mut count, mut start) = (Vec::new(), 0, 0);
    while count < most {
        let end = matcher.match_at(start).map_err(|error| trouble(lua, error))?;
        if let Some(end) = end {
            count += 1;
            watch.nested(|| replace(lua, &matcher, (start, end), &with, &mut made))?;
            watch.check_bytes(made.len())?;
        }
        match end.filter(|end| *end > start) {
            Some(end) => start = end,
            None => match subject.get(start) {
                Some(byte) => {
                    made.push(*byte);
                    start += 1;
                }
                None => break,
            },
        }
        if is_anchored {
            break;
        }
    }
    made.extend_from_slice(subject.get(start..).unwrap_or_default());
    let made = Value::String(lua.create_string(made)?);
    Ok([made, Value::Number(count as f64)].into_iter().collect())
}

/// Adds what takes the place of a match.
fn replace(
    lua: &Lua,
    matcher: &Matcher<'_>,
    (start, end): (usize, usize),
    with: &Value,
    made: &mut Vec<u8>,
) -> mlua::Result<()> {
    let capture = |index| {
        matcher
            .capture(index, start, end)
            .map_err(|error| trouble(lua, error))
    };
    // The whole match, if a pattern has no captures.
    let whole = matcher.whole(start, end);
    let value = match with {
        Value::String(template) => {
            let template = template.as_bytes();
            let mut bytes = template.iter();
            while let Some(byte) = bytes.next() {
                match (byte, bytes.as_slice().first()) {
                    (b'%', Some(digit)) if digit.is_ascii_digit() => {
                        bytes.next();
                        let captured = match digit {
                            b'0' => Captured::Bytes(whole),
                            digit => capture(usize::from(digit - b'1'))?,
                        };
                        match captured {
                            Captured::Bytes(bytes) => made.extend_from_slice(bytes),
                            Captured::Position(place) => made.extend_from_slice(place.to_string().as_bytes()),
                        }
                    }
                    (b'%', next) => {
                        made.extend(next);
                        bytes.next();
                    }
                    (byte, _) => made.push(*byte),
                }
            }
            return Ok(());
        }
        Value::Table(table) => table.get(captured(lua, capture(0)?)?)?,
        Value::Function(function) => {
            let mut values = MultiValue::new();
            let count = matcher.captures().max(1);
            add_captures(lua, matcher, (start, end), count, &mut values)?;
            function.call(values)?
        }
        _ => Value::Nil,
    };
    match &value {
        Value::Nil | Value::Boolean(false) => made.extend_from_slice(whole),
        Value::String(text) => made.extend_from_slice(&text.as_bytes()),
        Value::Number(_) | Value::Integer(_) => {
            if let Some(text) = lua.coerce_string(value.clone())? {
                made.extend_from_slice(&text.as_bytes());
            }
        }
        other => {
            let name = type_name(other);
            return Err(raise::text(lua, format!("invalid replacement value (a {name})")));
        }
    }
    Ok(())
}

fn rep(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    let text = args.string(1)?;
    let times = usize::try_from(args.integer(2)?).unwrap_or_default();
    let text = text.as_bytes();
    let bytes = text.len().saturating_mul(times);
    watch.check_bytes(bytes)?;
    let made = if bytes == 0 {
        Vec::new()
    } else {
        text.repeat(times)
    };
    lua.create_string(made).map(Value::String).map(one)
}
