//! How a kept connection does, in words.

use std::time::Duration;

use tokio::time::Instant;

use crate::close::CloseReason;
use crate::fault::Fault;

/// How a [`KeepAlive`](super::KeepAlive) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A connection is being made and set up.
    Connecting {
        /// Counts the tries since the last connection that lasted, from 1.
        attempt: u32,
        /// The rest before the next try, should this one come to nothing.
        next_try: Duration,
    },
    /// There is a connection, the hub knows what is wanted of it, and what was queued has been sent.
    Connected,
    /// There is none, and none is being made for a while.
    Waiting {
        /// When the next try begins.
        until: Instant,
        /// Why the last one came to nothing, or how its connection was lost.
        why: Setback,
    },
    /// It has ended for good. No state follows.
    Closed(Ended),
}

/// Why there is no connection for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Setback {
    /// No connection could be made.
    #[error("{0}")]
    Unreachable(String),
    /// It was not made and set up in time.
    #[error("no connection was made and set up within {0:?}")]
    TimedOut(Duration),
    /// The hub refused a part of the set-up.
    #[error("{operation} was refused: {fault}")]
    Refused {
        /// Which of the hub's operations it was.
        operation: &'static str,
        /// What the hub said.
        fault: Fault,
    },
    /// There was one, and it ended.
    #[error("the connection was lost: {0}")]
    Lost(CloseReason),
}

/// Why there will be no connection any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// This program closed it.
    #[error("the connection was closed by this program")]
    Local,
    /// The hub refused the set-up with an Error: the same would happen again.
    #[error("{operation} was refused: {fault}")]
    Refused {
        /// Which of the hub's operations it was.
        operation: &'static str,
        /// What the hub said.
        fault: Fault,
    },
    /// It was tried for as often, or as long, as the options say.
    #[error("given up after {tries} tries: {last}")]
    GaveUp {
        /// Tries in a row that came to nothing.
        tries: u32,
        /// What became of the last one.
        last: Setback,
    },
}

impl Ended {
    /// The fault of a send that comes too late: an Error, as trying again will not help.
    pub(super) fn to_fault(&self) -> Fault {
        match self {
            // As the hub said it, so that its kind is kept.
            Self::Refused { fault, .. } => fault.clone(),
            Self::Local | Self::GaveUp { .. } => Fault::failed(self.to_string()),
        }
    }
}
