//! What a command is refused with: Redis's own words.

use std::borrow::Cow;
use std::fmt;

use switchboard_hub::Fault;
use switchboard_hub::keys::EngineError;

/// An error reply, with its code: `ERR no such key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(Cow<'static, str>);

/// Words that several commands use.
impl Refusal {
    pub(crate) const SYNTAX: Self = Self::new("ERR syntax error");
    pub(crate) const NOT_AN_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    pub(crate) const NOT_A_FLOAT: Self = Self::new("ERR value is not a valid float");
    pub(crate) const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub(crate) const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    pub(crate) const INDEX_OUT_OF_RANGE: Self = Self::new("ERR index out of range");
    pub(crate) const NOT_TEXT: Self = Self::new("ERR what names something at the hub must be UTF-8");
    pub(crate) const OUT_OF_RANGE: Self = Self::new("ERR value is out of range");
    pub(crate) const BEYOND_INT: Self =
        Self::new("ERR value is out of range, value must between -2147483648 and 2147483647");
    pub(crate) const BEYOND_LONG: Self = Self::new(
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    pub(crate) const MUST_BE_POSITIVE: Self = Self::new("ERR value is out of range, must be positive");

    /// Words that are always the same.
    pub(crate) const fn new(words: &'static str) -> Self {
        Self(Cow::Borrowed(words))
    }

    /// Words that depend on something.
    pub(crate) fn of(words: impl Into<String>) -> Self {
        Self(Cow::Owned(words.into()))
    }

    /// The words, with their code first.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::WrongKind(_) => Self::WRONG_TYPE,
            EngineError::NotAnInteger => Self::NOT_AN_INTEGER,
            EngineError::NotANumber => Self::NOT_A_FLOAT,
            EngineError::Overflow => Self::new("ERR increment or decrement would overflow"),
            EngineError::Unavailable { reason, .. } => Self::of(format!("TRYAGAIN {reason}")),
            other => Self::of(format!("ERR {other}")),
        }
    }
}

impl From<Fault> for Refusal {
    /// The one place where the hub's faults become errors of Redis.
    fn from(fault: Fault) -> Self {
        use switchboard_hub::ErrorKind;
        match fault {
            Fault::Retry { .. } => Self::of(format!("TRYAGAIN {fault}")),
            Fault::Error {
                kind: ErrorKind::Denied,
                ..
            } => Self::of(format!("NOPERM {fault}")),
            Fault::Error { .. } => Self::of(format!("ERR {fault}")),
        }
    }
}
