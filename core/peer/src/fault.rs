//! The two kinds of fault: what the caller did wrong, and what may work later.
//!
//! Every door maps these two, and nothing else: on the gotalk wire an [`Fault::Error`] is the message `E`, a
//! [`Fault::Retry`] the message `e` with its wait.

use std::borrow::Cow;
use std::time::Duration;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The caller's fault: the same call will fail again.
    #[error("{message}")]
    Error {
        /// What kind of mistake it was.
        kind: ErrorKind,
        /// What was wrong, in words that a person can act on.
        message: Cow<'static, str>,
    },
    /// The responder's fault: the same call may succeed later.
    #[error("{message} (try again in {} ms)", wait.as_millis())]
    Retry {
        /// Do not try again before this has passed. Millisecond resolution on the wire, at most `u32::MAX` ms.
        wait: Duration,
        /// Why it did not work now.
        message: Cow<'static, str>,
    },
}

/// The kinds of [`Fault::Error`].
///
/// gotalk's wire carries the message alone: what comes over it is [`Unknown`](Self::Unknown) if it has the words of an
/// unknown operation, else [`Failed`](Self::Failed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such operation, topic, key or account.
    Unknown,
    /// Known, but not allowed to this caller.
    Denied,
    /// The arguments are not understood or out of bounds.
    Invalid,
    /// It contradicts the present state.
    Conflict,
    /// A size is over a limit that will not move.
    TooLarge,
    /// Understood, but not available here.
    Unsupported,
    /// The responder tried and failed.
    Failed,
}

impl ErrorKind {
    /// The kind in lower-case words, as JSON bodies carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::TooLarge => "too large",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }
}

/// How the wire words the fault for an operation that nobody serves; also how it is recognised when read back.
const UNKNOWN_OPERATION: &str = "unknown operation \"";

impl Fault {
    /// An error of the given kind.
    pub fn error(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Error {
            kind,
            message: message.into(),
        }
    }

    /// An error of kind [`ErrorKind::Failed`].
    pub fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::error(ErrorKind::Failed, message)
    }

    /// An error of kind [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::error(ErrorKind::Invalid, message)
    }

    /// The error for an operation that nobody serves: `unknown operation "NAME"`, as every gotalk peer words it.
    pub fn unknown_operation(operation: &str) -> Self {
        Self::error(ErrorKind::Unknown, format!("{UNKNOWN_OPERATION}{operation}\""))
    }

    /// A fault that may pass: try again, not before `wait`.
    pub fn retry(wait: Duration, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Retry {
            wait,
            message: message.into(),
        }
    }

    /// The message alone, without the wait.
    pub fn message(&self) -> &str {
        match self {
            Self::Error { message, .. } | Self::Retry { message, .. } => message,
        }
    }

    /// Whether trying again later may help.
    pub fn is_retry(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }

    /// Reads the payload of an `E` message. The wire has no kind: only the unknown operation can be told apart.
    pub(crate) fn from_error_payload(payload: &[u8]) -> Self {
        let message = String::from_utf8_lossy(payload).into_owned();
        let kind = if message.starts_with(UNKNOWN_OPERATION) {
            ErrorKind::Unknown
        } else {
            ErrorKind::Failed
        };
        Self::error(kind, message)
    }

    /// Reads an `e` message.
    pub(crate) fn from_retry_payload(wait_ms: u32, payload: &[u8]) -> Self {
        Self::retry(
            Duration::from_millis(wait_ms.into()),
            String::from_utf8_lossy(payload).into_owned(),
        )
    }
}

/// A wait as the wire writes it: whole milliseconds, rounded up so that nobody comes back too early.
pub(crate) fn wait_ms(wait: Duration) -> u32 {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_and_saturates() {
        assert_eq!(wait_ms(Duration::ZERO), 0);
        assert_eq!(wait_ms(Duration::from_micros(1)), 1);
        assert_eq!(wait_ms(Duration::from_millis(500)), 500);
        assert_eq!(wait_ms(Duration::from_secs(1 << 40)), u32::MAX);
    }

    #[test]
    fn an_unknown_operation_is_recognised_across_the_wire() {
        let fault = Fault::unknown_operation("nope");
        assert_eq!(fault.message(), "unknown operation \"nope\"");
        assert_eq!(Fault::from_error_payload(fault.message().as_bytes()), fault);
        assert_eq!(
            Fault::from_error_payload(b"boom \xff"),
            Fault::failed("boom \u{fffd}")
        );
    }
}
