//! From JSON to values of Lua.

use std::sync::Arc;

use mlua::{Lua, MultiValue, Table, Value};

use super::DEPTH_MAX;
use crate::scripts::arguments::Arguments;
use crate::scripts::library::one;
use crate::scripts::raise;
use crate::scripts::watch::Watch;

/// What JSON is made of.
#[derive(Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    End,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    /// It is none of these: why.
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Wrong(why) => why,
        }
    }
}

/// Reads one token after the other.
struct Tokens<'t> {
    text: &'t [u8],
    at: usize,
}

/// What is being read.
enum Open {
    Array { table: Table, count: usize },
    Object { table: Table, key: Value },
}

pub(super) fn decode(lua: &Lua, watch: &Arc<Watch>, args: &Arguments<'_>) -> mlua::Result<MultiValue> {
    if args.len() != 1 {
        return Err(args.bad(1, "expected 1 argument"));
    }
    let text = args.string(1)?;
    let text = text.as_bytes();
    let mut tokens = Tokens { text: &text, at: 0 };
    let mut open = Vec::new();
    let mut steps = 0_u32;
    loop {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(4096) {
            watch.check()?;
        }
        let (token, place) = tokens.next();
        let Some(mut value) = begin(lua, token, place, &mut open, &mut tokens)? else {
            continue;
        };
        // It may be the last of what is around it, which is then the last of what is around that.
        loop {
            let Some(innermost) = open.last_mut() else {
                let (token, place) = tokens.next();
                if token != Token::End {
                    return Err(expected(lua, "the end", &token, place));
                }
                return Ok(one(value));
            };
            match add(lua, innermost, value, &mut tokens)? {
                None => break,
                Some(whole) => {
                    value = whole;
                    open.pop();
                }
            }
        }
    }
}

/// A value that is there at once; `None` when something was opened that has others inside of it.
fn begin(
    lua: &Lua,
    token: Token,
    place: usize,
    open: &mut Vec<Open>,
    tokens: &mut Tokens<'_>,
) -> mlua::Result<Option<Value>> {
    let check_depth = |open: &Vec<Open>| {
        if open.len() < DEPTH_MAX {
            return Ok(());
        }
        let depth = open.len() + 1;
        let words = format!("Found too many nested data structures ({depth}) at character {place}");
        Err(raise::text(lua, words))
    };
    match token {
        Token::String(string) => Ok(Some(Value::String(lua.create_string(string)?))),
        Token::Number(number) => Ok(Some(Value::Number(number))),
        Token::Boolean(yes) => Ok(Some(Value::Boolean(yes))),
        Token::Null => Ok(Some(Value::NULL)),
        Token::ArrayBegin => {
            check_depth(open)?;
            let table = lua.create_table()?;
            let before = tokens.at;
            if tokens.next().0 == Token::ArrayEnd {
                return Ok(Some(Value::Table(table)));
            }
            tokens.at = before;
            open.push(Open::Array { table, count: 0 });
            Ok(None)
        }
        Token::ObjectBegin => {
            check_depth(open)?;
            let table = lua.create_table()?;
            let before = tokens.at;
            if tokens.next().0 == Token::ObjectEnd {
                return Ok(Some(Value::Table(table)));
            }
            tokens.at = before;
            let key = name(lua, tokens)?;
            open.push(Open::Object { table, key });
            Ok(None)
        }
        token => Err(expected(lua, "value", &token, place)),
    }
}

/// Adds a value to what is around it; tells the whole when that ends.
fn add(
    lua: &Lua,
    innermost: &mut Open,
    value: Value,
    tokens: &mut Tokens<'_>,
) -> mlua::Result<Option<Value>> {
    match innermost {
        Open::Array { table, count } => {
            *count += 1;
            table.raw_set(*count, value)?;
            match tokens.next() {
                (Token::Comma, _) => Ok(None),
                (Token::ArrayEnd, _) => Ok(Some(Value::Table(table.clone()))),
                (token, place) => Err(expected(lua, "comma or array end", &token, place)),
            }
        }
        Open::Object { table, key } => {
            table.raw_set(&*key, value)?;
            match tokens.next() {
                (Token::Comma, _) => {
                    *key = name(lua, tokens)?;
                    Ok(None)
                }
                (Token::ObjectEnd, _) => Ok(Some(Value::Table(table.clone()))),
                (token, place) => Err(expected(lua, "comma or object end", &token, place)),
            }
        }
    }
}

/// The name of a member, and the colon after it.
fn name(lua: &Lua, tokens: &mut Tokens<'_>) -> mlua::Result<Value> {
    let name = match tokens.next() {
        (Token::String(name), _) => lua.create_string(name)?,
        (token, place) => return Err(expected(lua, "object key string", &token, place)),
    };
    match tokens.next() {
        (Token::Colon, _) => Ok(Value::String(name)),
        (token, place) => Err(expected(lua, "colon", &token, place)),
    }
}

fn expected(lua: &Lua, wanted: &str, found: &Token, place: usize) -> mlua::Error {
    let found = found.name();
    raise::text(
        lua,
        format!("Expected {wanted} but found {found} at character {place}"),
    )
}

impl Tokens<'_> {
    /// The next token, and at which character it is.
    fn next(&mut self) -> (Token, usize) {
        let rest = |at: usize| self.text.get(at..).unwrap_or_default();
        let spaces = rest(self.at).iter().take_while(|byte| b" \t\r\n".contains(byte));
        self.at += spaces.count();
        let place = self.at + 1;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(first) = rest.first() else {
            return (Token::End, place);
        };
        let (token, length) = match first {
            b'{' => (Token::ObjectBegin, 1),
            b'}' => (Token::ObjectEnd, 1),
            b'[' => (Token::ArrayBegin, 1),
            b']' => (Token::ArrayEnd, 1),
            b':' => (Token::Colon, 1),
            b',' => (Token::Comma, 1),
            b'"' => {
                let (token, length, place) = string(rest, self.at);
                self.at += length;
                return (token, place);
            }
            b't' if rest.starts_with(b"true") => (Token::Boolean(true), 4),
            b'f' if rest.starts_with(b"false") => (Token::Boolean(false), 5),
            b'n' if rest.starts_with(b"null") => (Token::Null, 4),
            _ => number(rest),
        };
        self.at += length;
        (token, place)
    }
}

/// A string in quotes, how many bytes that takes, and at which character it is, or what is wrong in it.
fn string(text: &[u8], at: usize) -> (Token, usize, usize) {
    let mut made = Vec::new();
    let mut index = 1;
    loop {
        let rest = text.get(index..).unwrap_or_default();
        match rest {
            [] => return (Token::Wrong("unexpected end of string"), index, at + index + 1),
            [b'"', ..] => return (Token::String(made), index + 1, at + 1),
            [b'\\', b'u', ..] => match unicode(rest) {
                Some((letter, length)) => {
                    made.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    index += length;
                }
                None => {
                    let why = Token::Wrong("invalid unicode escape code");
                    return (why, index, at + index + 1);
                }
            },
            [b'\\', escape, ..] => {
                let byte = match escape {
                    b'"' | b'\\' | b'/' => *escape,
                    b'b' => 0x08,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'f' => 0x0C,
                    b'r' => b'\r',
                    _ => return (Token::Wrong("invalid escape code"), index, at + index + 1),
                };
                made.push(byte);
                index += 2;
            }
            [b'\\'] => return (Token::Wrong("invalid escape code"), index, at + index + 1),
            [byte, ..] => {
                made.push(*byte);
                index += 1;
            }
        }
    }
}

/// `\uXXXX`, or two of them that are one letter; and how many bytes that takes.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(0)?;
    if let Some(letter) = char::from_u32(u32::from(first)) {
        return Some((letter, 6));
    }
    let pair = [first, unit(6)?];
    let letter = char::decode_utf16(pair).next()?.ok()?;
    Some((letter, 12))
}

/// A number, as C reads it: in hex, infinite and none as well.
fn number(text: &[u8]) -> (Token, usize) {
    const WRONG: (Token, usize) = (Token::Wrong("invalid token"), 0);
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = text.iter().take_while(is_part).count();
    let Some(word) = text.get(..length).and_then(|word| std::str::from_utf8(word).ok()) else {
        return WRONG;
    };
    let (digits, sign) = match word.strip_prefix('-') {
        Some(digits) => (digits, -1.0),
        None => (word, 1.0),
    };
    let lower = digits.to_ascii_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|number| number as f64),
        None if digits.starts_with('+') => None,
        None => digits.parse().ok(),
    };
    match number {
        Some(number) => (Token::Number(sign * number), length),
        None => WRONG,
    }
}
