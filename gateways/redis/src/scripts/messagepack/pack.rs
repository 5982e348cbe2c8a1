//! From values of Lua to MessagePack.

use super::*;

/// What is nested deeper becomes nil.
const DEPTH_MAX: usize = 16;

pub(super) fn pack(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    if args.len() == 0 {
        return Err(args.bad(0, "MessagePack pack needs input."));
    }
    let mut made = Vec::new();
    for value in args.values() {
        add(watch, &mut made, value, 0)?;
    }
    lua.create_string(made).map(Value::String).map(one)
}

fn add(watch: &Watch, made: &mut Vec<u8>, value: &Value, depth: usize) -> mlua::Result<()> {
    match value {
        Value::String(text) => {
            let text = text.as_bytes();
            add_length(made, text.len(), (0xA0, 32), &[0xD9, 0xDA, 0xDB]);
            made.extend_from_slice(&text);
        }
        Value::Boolean(yes) => made.push(if *yes { 0xC3 } else { 0xC2 }),
        Value::Integer(number) => add_integer(made, *number),
        Value::Number(number) => add_number(made, *number),
        Value::Table(_) if depth >= DEPTH_MAX => made.push(0xC0),
        Value::Table(table) => add_table(watch, made, table, depth)?,
        _ => made.push(0xC0),
    }
    watch.check_bytes(made.len())
}

fn add_table(watch: &Watch, made: &mut Vec<u8>, table: &Table, depth: usize) -> mlua::Result<()> {
    watch.check()?;
    let (mut count, mut last) = (0_usize, 0_usize);
    let mut is_array = true;
    table.for_each(|key: Value, _: Value| {
        count += 1;
        match key {
            Value::Integer(place @ 1..) => last = last.max(usize::try_from(place).unwrap_or(usize::MAX)),
            _ => is_array = false,
        }
        Ok(())
    })?;
    if is_array && last == count {
        add_length(made, count, (0x90, 16), &[0xDC, 0xDD]);
        for place in 1..=count {
            add(watch, made, &table.raw_get(place)?, depth + 1)?;
        }
        return Ok(());
    }
    add_length(made, count, (0x80, 16), &[0xDE, 0xDF]);
    table.for_each(|key: Value, element: Value| {
        add(watch, made, &key, depth + 1)?;
        add(watch, made, &element, depth + 1)
    })
}

/// Adds the head of something that has a length: in one byte if it is below that, else as the marks say (for one byte,
/// if there are three, then for two and for four).
fn add_length(made: &mut Vec<u8>, length: usize, (short, below): (u8, usize), marks: &[u8]) {
    let (one, two, four) = match marks {
        [one, two, four] => (Some(*one), *two, *four),
        [two, four] => (None, *two, *four),
        _ => return,
    };
    if length < below {
        made.push(short | u8::try_from(length).unwrap_or_default());
    } else if let (Some(one), Ok(length)) = (one, u8::try_from(length)) {
        made.extend([one, length]);
    } else if let Ok(length) = u16::try_from(length) {
        made.push(two);
        made.extend(length.to_be_bytes());
    } else {
        made.push(four);
        made.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}

fn add_integer(made: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        if number < 0x80 {
            made.push(number as u8);
        } else if let Ok(number) = u8::try_from(number) {
            made.extend([0xCC, number]);
        } else if let Ok(number) = u16::try_from(number) {
            made.push(0xCD);
            made.extend(number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            made.push(0xCE);
            made.extend(number.to_be_bytes());
        } else {
            made.push(0xCF);
            made.extend(number.to_be_bytes());
        }
    } else if let Ok(number) = i8::try_from(number) {
        if number >= -32 {
            made.push(number.cast_unsigned());
        } else {
            made.extend([0xD0, number.cast_unsigned()]);
        }
    } else if let Ok(number) = i16::try_from(number) {
        made.push(0xD1);
        made.extend(number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        made.push(0xD2);
        made.extend(number.to_be_bytes());
    } else {
        made.push(0xD3);
        made.extend(number.to_be_bytes());
    }
}

fn add_number(made: &mut Vec<u8>, number: f64) {
    /// Beyond that, integers are not exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        add_integer(made, number as i64);
    } else if f64::from(number as f32) == number {
        made.push(0xCA);
        made.extend((number as f32).to_be_bytes());
    } else {
        made.push(0xCB);
        made.extend(number.to_be_bytes());
    }
}
