//! What can go wrong in an engine, by who can mend it.

use std::time::Duration;

/// Why an engine did not do what it was asked for. Unless a variant says otherwise, nothing was changed.
///
/// The hub maps these to its two kinds of fault: [`Unavailable`](Self::Unavailable) is a Retry, all others are Errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// What was asked for makes no sense: an illegal name, a cursor of another scan.
    #[error("{0}")]
    Invalid(String),
    /// It is over a limit, which the message names.
    #[error("{0}")]
    TooLarge(String),
    /// [`Change::Increment`](crate::keys::Change::Increment) of a value that is not an integer of 64 bits.
    #[error("the value is not an integer of 64 bits")]
    NotAnInteger,
    /// [`Change::IncrementFloat`](crate::keys::Change::IncrementFloat) of a value that is not a finite number.
    #[error("the value is not a finite number")]
    NotANumber,
    /// The key has another kind of value than is needed.
    #[error("the key has a {0}, which cannot be used so")]
    WrongKind(crate::Kind),
    /// An increment went out of the range of its type.
    #[error("the result would be out of range")]
    Overflow,
    /// The lease has ended, or the job was cancelled or finished: somebody else may be at it.
    #[error("the lease of job {0} has ended: somebody else may be working on it")]
    LeaseLost(u64),
    /// This engine cannot do that at all; the message says what can be done instead.
    #[error("{0}")]
    Unsupported(String),
    /// Not now: a full disk, a full queue, a cluster without a leader. **A write may or may not have happened**, if the
    /// message does not say that it did not.
    #[error("{reason}")]
    Unavailable {
        /// How long to wait before trying again.
        wait: Duration,
        /// What is the matter.
        reason: String,
    },
    /// What is stored is not what was written; the message says where. It is never served.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Anything else, that trying again will not mend.
    #[error("{0}")]
    Failed(String),
}

impl EngineError {
    /// Short for [`Self::Unavailable`].
    pub fn unavailable(wait: Duration, reason: impl Into<String>) -> Self {
        Self::Unavailable {
            wait,
            reason: reason.into(),
        }
    }
}
