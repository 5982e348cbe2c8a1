//! The names that everything at the hub goes by, and what makes one legal.
//!
//! A name is checked once, where it enters the hub ([`Session`](crate::Session)); behind that point every operation,
//! topic and filter is known to be well formed.

use std::fmt;

use bytestring::ByteString;

/// Most bytes in the name of an operation, in a topic and in a filter: what gotalk's `text3` can carry.
pub const NAME_BYTES_MAX: usize = 4095;

/// Most bytes in the name of an account.
pub const ACCOUNT_BYTES_MAX: usize = 64;

/// Most levels in a filter with wildcards, and in a topic whose value is retained. Both stand in a tree with a node a
/// level: without a bound, 4095 slashes would cost their sender 4 KiB and the hub half a megabyte.
pub const TREE_LEVELS_MAX: usize = 128;

/// Operations that begin so are the hub's own.
pub const RESERVED_OPERATION_PREFIX: &str = "hub.";

/// So do those for the keys that the hub keeps.
pub const KEYS_OPERATION_PREFIX: &str = "keys.";

/// Topics whose first level begins so are the hub's own.
pub const RESERVED_TOPIC_PREFIX: char = '$';

/// What splits the levels of topics and filters.
pub const LEVEL_SEPARATOR: char = '/';

/// The name of the account that everybody has without logging in.
pub const GUEST: &str = "guest";

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// An operation: something that can be called.
    Operation,
    /// A topic: something that can be published to.
    Topic,
    /// A filter: one topic, or a pattern of topics.
    Filter,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operation => "operation",
            Self::Topic => "topic",
            Self::Filter => "filter",
        })
    }
}

/// Why a name is not legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no bytes.
    #[error("the {0} is empty: it needs 1 to {NAME_BYTES_MAX} bytes")]
    Empty(Noun),
    /// It has more than [`NAME_BYTES_MAX`] bytes.
    #[error("the {noun} has {bytes} bytes: at most {NAME_BYTES_MAX} are possible")]
    TooLong {
        /// What it should have named.
        noun: Noun,
        /// How many bytes it has.
        bytes: usize,
    },
    /// It holds a NUL character.
    #[error("the {0} holds a NUL character")]
    Nul(Noun),
    /// A topic holds `+` or `#`.
    #[error("the topic {0:?} holds a wildcard: `+` and `#` belong into filters")]
    WildcardInTopic(String),
    /// A filter holds `+` beside other characters of a level.
    #[error("the filter {0:?} is malformed: `+` stands for one whole level, as in `home/+/lamp`")]
    PartialPlus(String),
    /// A filter holds `#` elsewhere than as its last level.
    #[error(
        "the filter {0:?} is malformed: `#` stands for all levels that follow, and only at the end, as in `home/#`"
    )]
    MisplacedHash(String),
    /// More than [`TREE_LEVELS_MAX`] levels where these are bounded.
    #[error("the {noun} has {levels} levels: {reason} may have at most {TREE_LEVELS_MAX}")]
    TooManyLevels {
        /// What it should have named.
        noun: Noun,
        /// How many levels it has.
        levels: usize,
        /// Which of these names are bounded.
        reason: &'static str,
    },
    /// Not the name of an account.
    #[error("{0:?} is no account: an account is 1 to {ACCOUNT_BYTES_MAX} of a-z, 0-9, `.`, `_` and `-`")]
    Account(String),
}

/// Checks the name of an operation.
///
/// # Errors
/// When it is empty or longer than [`NAME_BYTES_MAX`] bytes.
pub fn check_operation(name: &str) -> Result<(), NameError> {
    check_length(Noun::Operation, name)
}

/// Checks a topic, as one publishes to it.
///
/// # Errors
/// When it is empty, longer than [`NAME_BYTES_MAX`] bytes, or holds a wildcard or NUL.
pub fn check_topic(topic: &str) -> Result<(), NameError> {
    check_length(Noun::Topic, topic)?;
    match topic.bytes().find(|byte| matches!(byte, b'+' | b'#' | 0)) {
        None => Ok(()),
        Some(0) => Err(NameError::Nul(Noun::Topic)),
        Some(_) => Err(NameError::WildcardInTopic(topic.to_owned())),
    }
}

/// Checks what holds for retained topics beyond [`check_topic`].
///
/// # Errors
/// When it has more than [`TREE_LEVELS_MAX`] levels.
pub(crate) fn check_retained_topic(topic: &str) -> Result<(), NameError> {
    check_levels(Noun::Topic, topic, "a retained topic")
}

pub(crate) fn check_length(noun: Noun, name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty(noun)),
        1..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(NameError::TooLong { noun, bytes }),
    }
}

pub(crate) fn check_levels(noun: Noun, name: &str, reason: &'static str) -> Result<(), NameError> {
    let levels = name.split(LEVEL_SEPARATOR).count();
    if levels > TREE_LEVELS_MAX {
        Err(NameError::TooManyLevels { noun, levels, reason })
    } else {
        Ok(())
    }
}

/// Whether the operation is one that only the hub itself may serve.
pub fn is_reserved_operation(name: &str) -> bool {
    name.starts_with(RESERVED_OPERATION_PREFIX) || name.starts_with(KEYS_OPERATION_PREFIX)
}

/// Whether the topic is one that only the hub itself may publish to.
pub fn is_reserved_topic(topic: &str) -> bool {
    topic.starts_with(RESERVED_TOPIC_PREFIX)
}

/// Splits the first level off. `None` in second place when it was the only one; an empty rest is one empty level.
pub(crate) fn split_level(name: &str) -> (&str, Option<&str>) {
    match name.split_once(LEVEL_SEPARATOR) {
        Some((level, rest)) => (level, Some(rest)),
        None => (name, None),
    }
}

/// The name of an account: `[a-z0-9._-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account(ByteString);

impl Account {
    /// The account that everybody has without logging in.
    pub fn guest() -> Self {
        Self(ByteString::from_static(GUEST))
    }

    /// Reads the name of an account.
    ///
    /// # Errors
    /// When it is no legal name; whether such an account exists is another question.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > ACCOUNT_BYTES_MAX || !name.bytes().all(legal) {
            // Cut by characters: what comes back into a message is as bounded as what is legal.
            return Err(NameError::Account(name.chars().take(ACCOUNT_BYTES_MAX).collect()));
        }
        Ok(Self(ByteString::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_name_is_1_to_4095_bytes() {
        let longest = "x".repeat(NAME_BYTES_MAX);
        let longer = "x".repeat(NAME_BYTES_MAX + 1);
        for check in [check_operation, check_topic] {
            assert_eq!(check("x"), Ok(()));
            assert_eq!(check(&longest), Ok(()));
            assert!(matches!(check(""), Err(NameError::Empty(_))));
            assert!(matches!(
                check(&longer),
                Err(NameError::TooLong { bytes: 4096, .. })
            ));
        }
        // Bytes count, not characters.
        assert!(check_topic(&"é".repeat(NAME_BYTES_MAX / 2 + 1)).is_err());
    }

    #[test]
    fn a_topic_holds_no_wildcards_but_may_have_empty_levels() {
        for legal in ["/", "a//b", "/a", "a/", "$hub/x", "a b", "ünï"] {
            assert_eq!(check_topic(legal), Ok(()), "{legal:?}");
        }
        for wildcard in ["+", "a/+", "a+b", "#", "a/#", "a#"] {
            assert!(
                matches!(check_topic(wildcard), Err(NameError::WildcardInTopic(_))),
                "{wildcard:?}"
            );
        }
        assert_eq!(check_topic("a\0b"), Err(NameError::Nul(Noun::Topic)));
    }

    #[test]
    fn levels_are_counted_where_they_are_bounded() {
        let slashes = |count: usize| "/".repeat(count);
        assert_eq!(check_retained_topic(&slashes(TREE_LEVELS_MAX - 1)), Ok(()));
        assert!(matches!(
            check_retained_topic(&slashes(TREE_LEVELS_MAX)),
            Err(NameError::TooManyLevels { levels: 129, .. })
        ));
    }

    #[test]
    fn reserved_names_are_told_from_those_that_only_look_alike() {
        assert!(is_reserved_operation("hub.ops"));
        assert!(is_reserved_operation("hub."));
        assert!(is_reserved_operation("keys.get"));
        assert!(!is_reserved_operation("hub"));
        assert!(!is_reserved_operation("hubs.ops"));
        assert!(is_reserved_topic("$hub/x"));
        assert!(!is_reserved_topic("a/$hub"));
    }

    #[test]
    fn accounts_are_short_and_plain() {
        assert_eq!(Account::parse("guest"), Ok(Account::guest()));
        assert_eq!(Account::parse("a-b_c.9").unwrap().as_str(), "a-b_c.9");
        let longest = "x".repeat(ACCOUNT_BYTES_MAX);
        assert!(Account::parse(&longest).is_ok());
        for illegal in ["", "Guest", "a b", "a@b", "é", &format!("{longest}x")] {
            assert!(
                matches!(Account::parse(illegal), Err(NameError::Account(_))),
                "{illegal:?}"
            );
        }
    }
}
