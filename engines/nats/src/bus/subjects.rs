//! Topics as subjects.
//!
//! A level is a token: what has a meaning in subjects is escaped, an empty level is `%`, and one that is long is
//! hashed, with the whole topic beside the message. A last token follows that no level has, so that `a/#` is one
//! wildcard that matches `a` too.

use bytestring::ByteString;
use switchboard_engine::{EngineError, Result};

use crate::names::push_byte;

/// Most bytes in a level that is spelled out.
const LEVEL_BYTES_MAX: usize = 64;

/// Most bytes in a subject: a NATS server allows 4096 in a control line, which has the address for answers and some
/// numbers too.
const SUBJECT_BYTES_MAX: usize = 3_500;

/// Follows the last level.
const ENDS: &str = "!";

/// A topic or filter as a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) subject: String,
    /// Whether it does not tell its topic.
    pub(super) is_hashed: bool,
}

/// The subject of a topic.
///
/// # Errors
/// Too large, if it has so many levels that no control line holds it.
pub(super) fn of_topic(stem: &str, topic: &str) -> Result<Subject> {
    let mut subject = Subject {
        subject: stem.to_owned(),
        is_hashed: false,
    };
    for level in topic.split('/') {
        subject.push(level);
    }
    subject.end(ENDS, topic)
}

/// The subject that matches what a filter matches, but for topics of the hub's own, which no wildcard matches at their
/// first level.
///
/// # Errors
/// As [`of_topic`].
pub(super) fn of_filter(stem: &str, filter: &str) -> Result<Subject> {
    let mut subject = Subject {
        subject: stem.to_owned(),
        is_hashed: false,
    };
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_none() => return subject.end(">", filter),
            "+" => subject.subject.push_str(".*"),
            level => subject.push(level),
        }
    }
    subject.end(ENDS, filter)
}

impl Subject {
    fn push(&mut self, level: &str) {
        self.subject.push('.');
        if level.is_empty() {
            self.subject.push('%');
        } else if level.len() > LEVEL_BYTES_MAX {
            let hash = ring::digest::digest(&ring::digest::SHA256, level.as_bytes());
            self.subject.push('#');
            self.subject.push_str(&const_hex::encode(hash));
            self.is_hashed = true;
        } else {
            for byte in level.bytes() {
                push_byte(&mut self.subject, byte);
            }
        }
    }

    fn end(mut self, end: &str, topic: &str) -> Result<Self> {
        self.subject.push('.');
        self.subject.push_str(end);
        if self.subject.len() > SUBJECT_BYTES_MAX {
            return Err(EngineError::TooLarge(format!(
                "a topic of {} bytes with {} levels does not fit into a subject of NATS, which has at most \
                 {SUBJECT_BYTES_MAX}",
                topic.len(),
                topic.split('/').count()
            )));
        }
        Ok(self)
    }
}

/// The topic of a subject; none where only its message tells.
pub(super) fn topic_of(stem: &str, subject: &str) -> Option<ByteString> {
    let levels = subject
        .strip_prefix(stem)?
        .strip_prefix('.')?
        .strip_suffix(ENDS)?;
    let levels = levels.strip_suffix('.')?;
    let mut topic = Vec::new();
    for (number, level) in levels.split('.').enumerate() {
        if number > 0 {
            topic.push(b'/');
        }
        if level != "%" {
            unescape(level, &mut topic)?;
        }
    }
    String::from_utf8(topic).ok().map(Into::into)
}

/// Any text as one that headers can hold.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        push_byte(&mut escaped, byte);
    }
    escaped
}

/// The text that was escaped.
pub(crate) fn unescaped(escaped: &str) -> Option<ByteString> {
    let mut text = Vec::with_capacity(escaped.len());
    unescape(escaped, &mut text)?;
    String::from_utf8(text).ok().map(Into::into)
}

fn unescape(escaped: &str, text: &mut Vec<u8>) -> Option<()> {
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => text.extend(const_hex::decode([bytes.next()?, bytes.next()?]).ok()?),
            b'#' => return None,
            byte => text.push(byte),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a NATS server does.
    fn matches(filter: &str, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for token in filter.split('.') {
            match (token, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (token, Some(other)) if token == other => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    /// What a hub does.
    fn should_match(filter: &str, topic: &str) -> bool {
        let mut levels = topic.split('/');
        let mut filters = filter.split('/').peekable();
        while let Some(filter) = filters.next() {
            if filter == "#" && filters.peek().is_none() {
                return true;
            }
            match levels.next() {
                Some(level) if filter == "+" || level == filter => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    fn topic() -> impl Strategy<Value = String> {
        let level = prop_oneof![
            4 => prop::sample::select(vec!["", "a", "b", ".", "%", "!", "#x", "ä b"]).prop_map(str::to_owned),
            1 => Just("long".repeat(20)),
        ];
        prop::collection::vec(level, 1..5).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn topics_come_back(topic in "[^/]{0,20}(/[^/]{0,20}){0,5}") {
            let subject = of_topic("p.b", &topic).expect("it is short");
            prop_assert!(!subject.subject.contains([' ', '*', '>']));
            prop_assert!(subject.subject.split('.').all(|token| !token.is_empty()));
            if !subject.is_hashed {
                let back = topic_of("p.b", &subject.subject);
                prop_assert_eq!(back.as_deref(), Some(&topic[..]));
            }
            let back = unescaped(&escape(&topic));
            prop_assert_eq!(back.as_deref(), Some(&topic[..]));
        }

        #[test]
        fn filters_match_what_they_should(topic in topic(), levels in prop::collection::vec((0_u8..4, any::<prop::sample::Index>()), 1..5), rest in any::<bool>()) {
            let topics: Vec<&str> = topic.split('/').collect();
            let mut filter: Vec<&str> = levels
                .iter()
                .map(|(kind, index)| if *kind == 0 { "+" } else { *index.get(&topics) })
                .collect();
            if rest { filter.push("#") }
            let filter = filter.join("/");
            let subject = of_topic("p.b", &topic).expect("it is short").subject;
            let pattern = of_filter("p.b", &filter).expect("it is short").subject;
            prop_assert_eq!(matches(&pattern, &subject), should_match(&filter, &topic), "{} {}", filter, topic);
        }
    }

    #[test]
    fn what_does_not_fit_into_a_control_line_is_too_large() {
        assert!(matches!(
            of_topic("p.b", &"/".repeat(4095)),
            Err(EngineError::TooLarge(_))
        ));
        assert!(of_topic("p.b", &"x".repeat(4095)).is_ok_and(|subject| subject.is_hashed));
    }
}
