//! The patterns of Lua 5.1 (§5.4.1 of its manual), matched in bounded time and depth.
//!
//! Lua's own matcher recurses as deep as a pattern asks for, and can run for ages without looking at a clock: a script
//! could end the whole program with it.

use super::watch::Watch;

/// A pattern has no more captures.
pub(super) const CAPTURES_MAX: usize = 32;
/// The matcher goes no deeper.
const DEPTH_MAX: usize = 200;
/// After so many steps it looks at the clock.
const STEPS_UNTIL_CHECK: u32 = 10_000;

/// What a pattern is matched against, and how far that is.
pub(super) struct Matcher<'m> {
    subject: &'m [u8],
    pattern: &'m [u8],
    watch: &'m Watch,
    captures: Vec<(usize, Capture)>,
    depth: usize,
    steps: u32,
}

/// What is captured, from where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Capture {
    Open,
    Position,
    Length(usize),
}

/// What a capture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Captured<'m> {
    Bytes(&'m [u8]),
    /// A place, counted from 1.
    Position(usize),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The pattern is wrong: so.
    Pattern(&'static str),
    /// The script must end.
    Ended(mlua::Error),
}

type Outcome<T> = Result<T, Trouble>;

impl<'m> Matcher<'m> {
    pub(super) fn new(subject: &'m [u8], pattern: &'m [u8], watch: &'m Watch) -> Self {
        Self {
            subject,
            pattern,
            watch,
            captures: Vec::new(),
            depth: 0,
            steps: 0,
        }
    }

    /// Where the match that begins there ends, if there is one.
    ///
    /// # Errors
    /// When the pattern is wrong, or takes too long.
    pub(super) fn match_at(&mut self, start: usize) -> Outcome<Option<usize>> {
        self.captures.clear();
        self.depth = 0;
        self.step()?;
        self.matches(start, 0)
    }

    /// How many captures the last match has.
    pub(super) fn captures(&self) -> usize {
        self.captures.len()
    }

    /// A capture of the last match; the whole match is the first of a pattern that has none.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn capture(&self, index: usize, start: usize, end: usize) -> Outcome<Captured<'m>> {
        match self.captures.get(index) {
            None if index == 0 => Ok(Captured::Bytes(self.slice(start, end))),
            None => Err(Trouble::Pattern("invalid capture index")),
            Some((_, Capture::Open)) => Err(Trouble::Pattern("unfinished capture")),
            Some((start, Capture::Position)) => Ok(Captured::Position(start + 1)),
            Some((start, Capture::Length(length))) => Ok(Captured::Bytes(self.slice(*start, start + length))),
        }
    }

    /// What the last match is.
    pub(super) fn whole(&self, start: usize, end: usize) -> &'m [u8] {
        self.slice(start, end)
    }

    fn slice(&self, start: usize, end: usize) -> &'m [u8] {
        self.subject.get(start..end).unwrap_or_default()
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps += 1;
        if self.steps >= STEPS_UNTIL_CHECK {
            self.steps = 0;
            self.watch.check().map_err(Trouble::Ended)?;
        }
        Ok(())
    }

    fn at(&self, pattern: usize) -> Option<u8> {
        self.pattern.get(pattern).copied()
    }

    fn matches(&mut self, subject: usize, pattern: usize) -> Outcome<Option<usize>> {
        if self.depth >= DEPTH_MAX {
            return Err(Trouble::Pattern("pattern too complex"));
        }
        self.depth += 1;
        let outcome = self.go_on(subject, pattern);
        self.depth -= 1;
        outcome
    }

    /// Goes through the pattern as long as there is only one way to.
    fn go_on(&mut self, mut subject: usize, mut pattern: usize) -> Outcome<Option<usize>> {
        loop {
            self.step()?;
            let next = self.at(pattern + 1);
            match self.at(pattern) {
                None => return Ok(Some(subject)),
                Some(b'(') if next == Some(b')') => {
                    return self.open(subject, pattern + 2, Capture::Position);
                }
                Some(b'(') => return self.open(subject, pattern + 1, Capture::Open),
                Some(b')') => return self.close(subject, pattern + 1),
                Some(b'$') if next.is_none() => {
                    return Ok((subject == self.subject.len()).then_some(subject));
                }
                Some(b'%') if next == Some(b'b') => match self.balanced(subject, pattern + 2)? {
                    Some(end) => (subject, pattern) = (end, pattern + 4),
                    None => return Ok(None),
                },
                Some(b'%') if next == Some(b'f') => match self.frontier(subject, pattern + 2)? {
                    Some(after) => pattern = after,
                    None => return Ok(None),
                },
                Some(b'%') if next.is_some_and(|digit| digit.is_ascii_digit()) => {
                    match self.same(subject, next.unwrap_or_default())? {
                        Some(end) => (subject, pattern) = (end, pattern + 2),
                        None => return Ok(None),
                    }
                }
                Some(_) => {
                    let after = self.class_end(pattern)?;
                    match self.at(after) {
                        Some(b'?') => {
                            if self.is_single(subject, pattern, after)
                                && let Some(end) = self.matches(subject + 1, after + 1)?
                            {
                                return Ok(Some(end));
                            }
                            pattern = after + 1;
                        }
                        Some(b'*') => return self.most(subject, pattern, after, 0),
                        Some(b'+') => return self.most(subject, pattern, after, 1),
                        Some(b'-') => return self.fewest(subject, pattern, after),
                        _ if self.is_single(subject, pattern, after) => {
                            (subject, pattern) = (subject + 1, after);
                        }
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, subject: usize, pattern: usize, capture: Capture) -> Outcome<Option<usize>> {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(Trouble::Pattern("too many captures"));
        }
        let count = self.captures.len();
        self.captures.push((subject, capture));
        let end = self.matches(subject, pattern)?;
        if end.is_none() {
            self.captures.truncate(count);
        }
        Ok(end)
    }

    fn close(&mut self, subject: usize, pattern: usize) -> Outcome<Option<usize>> {
        let open = (self.captures.iter()).rposition(|(_, capture)| *capture == Capture::Open);
        let index = open.ok_or(Trouble::Pattern("invalid pattern capture"))?;
        self.set_capture(index, |start| Capture::Length(subject.saturating_sub(start)));
        let end = self.matches(subject, pattern)?;
        if end.is_none() {
            self.set_capture(index, |_| Capture::Open);
        }
        Ok(end)
    }

    fn set_capture(&mut self, index: usize, capture: impl FnOnce(usize) -> Capture) {
        if let Some((start, slot)) = self.captures.get_mut(index) {
            *slot = capture(*start);
        }
    }

    /// `%bxy`
    fn balanced(&mut self, subject: usize, pattern: usize) -> Outcome<Option<usize>> {
        let (Some(open), Some(close)) = (self.at(pattern), self.at(pattern + 1)) else {
            return Err(Trouble::Pattern("unbalanced pattern"));
        };
        if self.subject.get(subject) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for (index, byte) in self.subject.iter().enumerate().skip(subject + 1) {
            self.step()?;
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(index + 1));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`; tells where the pattern goes on.
    fn frontier(&mut self, subject: usize, pattern: usize) -> Outcome<Option<usize>> {
        if self.at(pattern) != Some(b'[') {
            return Err(Trouble::Pattern("missing '[' after '%f' in pattern"));
        }
        let after = self.class_end(pattern)?;
        let byte_at = |index: Option<usize>| {
            index
                .and_then(|index| self.subject.get(index))
                .copied()
                .unwrap_or_default()
        };
        let (before, here) = (byte_at(subject.checked_sub(1)), byte_at(Some(subject)));
        let is_frontier =
            !self.is_in_set(before, pattern, after - 1) && self.is_in_set(here, pattern, after - 1);
        Ok(is_frontier.then_some(after))
    }

    /// `%1`: what was captured before, once more.
    fn same(&mut self, subject: usize, digit: u8) -> Outcome<Option<usize>> {
        let index = usize::from(digit.wrapping_sub(b'1'));
        let Some((start, Capture::Length(length))) = self.captures.get(index).copied() else {
            return Err(Trouble::Pattern("invalid capture index"));
        };
        let captured = self.slice(start, start + length);
        let rest = self.subject.get(subject..).unwrap_or_default();
        // Comparing takes time, too.
        self.steps = self
            .steps
            .saturating_add(u32::try_from(length / 16).unwrap_or(u32::MAX));
        Ok(rest.starts_with(captured).then_some(subject + length))
    }

    /// As many as there are, then fewer.
    fn most(&mut self, subject: usize, pattern: usize, after: usize, least: usize) -> Outcome<Option<usize>> {
        let mut count = 0;
        while self.is_single(subject + count, pattern, after) {
            self.step()?;
            count += 1;
        }
        loop {
            if count < least {
                return Ok(None);
            }
            if let Some(end) = self.matches(subject + count, after + 1)? {
                return Ok(Some(end));
            }
            let Some(fewer) = count.checked_sub(1) else {
                return Ok(None);
            };
            count = fewer;
        }
    }

    /// None, then more.
    fn fewest(&mut self, mut subject: usize, pattern: usize, after: usize) -> Outcome<Option<usize>> {
        loop {
            if let Some(end) = self.matches(subject, after + 1)? {
                return Ok(Some(end));
            }
            if !self.is_single(subject, pattern, after) {
                return Ok(None);
            }
            subject += 1;
        }
    }

    /// Where the class that begins there ends.
    fn class_end(&self, pattern: usize) -> Outcome<usize> {
        match self.at(pattern) {
            Some(b'%') if self.at(pattern + 1).is_none() => {
                Err(Trouble::Pattern("malformed pattern (ends with '%')"))
            }
            Some(b'%') => Ok(pattern + 2),
            Some(b'[') => {
                let mut index = pattern + 1;
                if self.at(index) == Some(b'^') {
                    index += 1;
                }
                loop {
                    // A bracket that comes first stands for itself.
                    let byte = self.at(index);
                    index += if byte == Some(b'%') { 2 } else { 1 };
                    if byte.is_none() || self.at(index).is_none() {
                        return Err(Trouble::Pattern("malformed pattern (missing ']')"));
                    }
                    if self.at(index) == Some(b']') {
                        return Ok(index + 1);
                    }
                }
            }
            _ => Ok(pattern + 1),
        }
    }

    /// Whether one byte of the subject fits the class from there to there.
    fn is_single(&self, subject: usize, pattern: usize, after: usize) -> bool {
        let Some(byte) = self.subject.get(subject).copied() else {
            return false;
        };
        match self.at(pattern) {
            Some(b'.') => true,
            Some(b'%') => is_in_class(byte, self.at(pattern + 1).unwrap_or_default()),
            Some(b'[') => self.is_in_set(byte, pattern, after - 1),
            other => other == Some(byte),
        }
    }

    /// Whether a byte is in the set between these brackets.
    fn is_in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let mut index = open + 1;
        let is_negated = self.at(index) == Some(b'^');
        index += usize::from(is_negated);
        while index < close {
            let first = self.at(index).unwrap_or_default();
            let second = self.at(index + 1).unwrap_or_default();
            let is_in = if first == b'%' {
                index += 2;
                is_in_class(byte, second)
            } else if second == b'-' && index + 2 < close {
                let last = self.at(index + 2).unwrap_or_default();
                index += 3;
                (first..=last).contains(&byte)
            } else {
                index += 1;
                first == byte
            };
            if is_in {
                return !is_negated;
            }
        }
        is_negated
    }
}

/// `%a` and the like; in capitals what is not in the class; other bytes stand for themselves.
fn is_in_class(byte: u8, class: u8) -> bool {
    let is_in = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_in != class.is_ascii_uppercase()
}
