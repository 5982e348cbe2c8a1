//! Filters: which topics a subscription is for.

use std::fmt;

use bytestring::ByteString;

use crate::names::{self, LEVEL_SEPARATOR, NameError, Noun};

/// One topic, or a pattern of topics: `+` stands for any one level, `#` at the end for the level before it and all
/// that follow.
///
/// A wildcard in the first level matches no topic that begins with `$`: those are asked for by name.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    text: ByteString,
    exact: bool,
}

impl Filter {
    /// Reads a filter. The text is copied, so that a long-lived filter pins no read buffer.
    ///
    /// # Errors
    /// When it is empty or too long, holds NUL, has a wildcard out of place, or has wildcards and more than
    /// [`TREE_LEVELS_MAX`](names::TREE_LEVELS_MAX) levels.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        names::check_length(Noun::Filter, text)?;
        if text.contains('\0') {
            return Err(NameError::Nul(Noun::Filter));
        }
        let mut exact = true;
        let mut levels = text.split(LEVEL_SEPARATOR).peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') {
                if level != "#" || levels.peek().is_some() {
                    return Err(NameError::MisplacedHash(text.to_owned()));
                }
                exact = false;
            } else if level.contains('+') {
                if level != "+" {
                    return Err(NameError::PartialPlus(text.to_owned()));
                }
                exact = false;
            }
        }
        if !exact {
            names::check_levels(Noun::Filter, text, "a filter with wildcards")?;
        }
        Ok(Self {
            text: ByteString::from(text),
            exact,
        })
    }

    /// The text of the filter.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn text(&self) -> &ByteString {
        &self.text
    }

    /// Whether it has no wildcards, and so matches the one topic of the same text.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether the topic is one of those that the filter stands for.
    pub fn matches(&self, topic: &str) -> bool {
        if self.exact {
            return self.as_str() == topic;
        }
        if names::is_reserved_topic(topic) && self.text.starts_with(['+', '#']) {
            return false;
        }
        let mut pattern = self.text.split(LEVEL_SEPARATOR);
        let mut levels = topic.split(LEVEL_SEPARATOR);
        loop {
            match (pattern.next(), levels.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{NAME_BYTES_MAX, TREE_LEVELS_MAX};

    #[test]
    fn wildcards_stand_where_they_may() {
        for (text, exact) in [
            ("a/b", true),
            ("/", true),
            ("$a", true),
            ("+", false),
            ("#", false),
            ("a/+/b", false),
            ("/#", false),
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!((filter.is_exact(), filter.as_str()), (exact, text));
        }
        for text in ["a+", "a/+b/c", "++"] {
            assert!(
                matches!(Filter::parse(text), Err(NameError::PartialPlus(_))),
                "{text:?}"
            );
        }
        for text in ["#/a", "a#", "a/#/b", "##", "+#", "#+"] {
            assert!(
                matches!(Filter::parse(text), Err(NameError::MisplacedHash(_))),
                "{text:?}"
            );
        }
        assert_eq!(Filter::parse(""), Err(NameError::Empty(Noun::Filter)));
        assert_eq!(Filter::parse("a\0"), Err(NameError::Nul(Noun::Filter)));
        assert!(Filter::parse(&"x".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn only_filters_with_wildcards_have_a_bound_on_their_levels() {
        let slashes = "/".repeat(NAME_BYTES_MAX);
        assert!(Filter::parse(&slashes).is_ok());
        assert!(Filter::parse(&format!("{}#", "/".repeat(TREE_LEVELS_MAX - 1))).is_ok());
        let deep = Filter::parse(&format!("{}#", "/".repeat(TREE_LEVELS_MAX)));
        assert!(matches!(
            deep,
            Err(NameError::TooManyLevels {
                noun: Noun::Filter,
                ..
            })
        ));
    }

    #[test]
    fn the_examples_of_mqtt_hold() {
        let cases = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("#", "sport", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/monitor/+", "$SYS/monitor/clients", true),
            ("a/#", "a/$b", true),
            ("ACCOUNTS", "Accounts", false),
        ];
        for (filter, topic, matches) in cases {
            assert_eq!(
                Filter::parse(filter).unwrap().matches(topic),
                matches,
                "{filter:?} {topic:?}"
            );
        }
    }
}
