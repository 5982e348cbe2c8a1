//! Answers, taken apart as far as comparing them needs.

use std::fmt;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    /// What is one line: its mark and text.
    Line(u8, Vec<u8>),
    /// Bytes, of a bulk string or verbatim text.
    Bulk(u8, Vec<u8>),
    /// What has parts.
    Several(u8, Vec<Reply>),
}

impl Reply {
    /// The first answer in what was read, and how many bytes it takes; `None` if it is not there as a whole.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let (mark, line) = bytes[..end].split_first().expect("an answer begins with a mark");
        let mut used = end + 2;
        let is_null = line == b"-1";
        let count = || -> usize { String::from_utf8_lossy(line).parse().expect("a length") };
        match mark {
            b'$' | b'=' if !is_null => {
                let whole = used + count() + 2;
                let text = bytes.get(used..whole)?;
                Some((Self::Bulk(*mark, text[..text.len() - 2].to_vec()), whole))
            }
            b'*' | b'%' | b'~' | b'>' if !is_null => {
                let count = if *mark == b'%' { count() * 2 } else { count() };
                let mut parts = Vec::new();
                for _ in 0..count {
                    let (part, more) = Self::parse(&bytes[used..])?;
                    parts.push(part);
                    used += more;
                }
                Some((Self::Several(*mark, parts), used))
            }
            _ => Some((Self::Line(*mark, line.to_vec()), used)),
        }
    }

    /// The words of an error.
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Line(b'-', words) => Some(String::from_utf8_lossy(words).into_owned()),
            _ => None,
        }
    }

    /// The same, with the parts of all arrays in order. Those of a map stay with each other.
    pub fn sorted(&self) -> Self {
        match self {
            Self::Several(b'%', parts) => {
                let mut pairs: Vec<_> = parts
                    .chunks(2)
                    .map(|pair| pair.iter().map(Self::sorted).collect::<Vec<_>>())
                    .collect();
                pairs.sort();
                Self::Several(b'%', pairs.concat())
            }
            Self::Several(mark, parts) => {
                let mut parts: Vec<_> = parts.iter().map(Self::sorted).collect();
                parts.sort();
                Self::Several(*mark, parts)
            }
            other => other.clone(),
        }
    }

    /// Whether both are the same, or numbers that differ by at most so much.
    pub fn is_near(&self, other: &Self, most: i64) -> bool {
        let number = |reply: &Self| match reply {
            Self::Line(b':', text) => String::from_utf8_lossy(text).parse::<i64>().ok(),
            _ => None,
        };
        match (number(self), number(other)) {
            (Some(one), Some(other)) if one >= 0 && other >= 0 => one.abs_diff(other) <= most.unsigned_abs(),
            _ => self == other,
        }
    }

    /// What type it is, and how many parts it has.
    pub fn shape(&self) -> (u8, usize) {
        match self {
            Self::Line(mark, _) | Self::Bulk(mark, _) => (*mark, 0),
            Self::Several(mark, parts) => (*mark, parts.len()),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(mark, text) => write!(f, "{}{}", *mark as char, text.escape_ascii()),
            Self::Bulk(mark, text) => write!(f, "{}\"{}\"", *mark as char, text.escape_ascii()),
            Self::Several(mark, parts) => {
                let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
                write!(f, "{}[{}]", *mark as char, parts.join(", "))
            }
        }
    }
}
