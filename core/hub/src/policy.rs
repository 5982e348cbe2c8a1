//! What happens when a reader is slower than what it subscribed to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a publisher waits for a full queue unless told otherwise.
pub const BLOCK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// The longest that a publisher can be made to wait: about what the peers of other doors wait for an
/// acknowledgement before they give the connection up.
pub const BLOCK_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// Most messages that a queue holds unless told otherwise: a second of a busy topic.
pub const QUEUE_MESSAGES_DEFAULT: usize = 1024;

/// Most bytes that a queue holds unless told otherwise, so that ten thousand readers that all stand still cost less
/// than 10 GiB even if they subscribed to different topics.
pub const QUEUE_BYTES_DEFAULT: usize = 1024 * 1024;

/// What a full queue does with one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The publisher waits, at most so long; then the message is dropped for this queue, and counted.
    /// More than [`BLOCK_TIMEOUT_MAX`] is taken as that.
    Block {
        /// The longest wait.
        timeout: Duration,
    },
    /// The oldest messages make room, and are counted.
    DropOldest,
    /// One message a topic is pending, always the newest: for states of which only the last one counts, as frames and
    /// dashboards. When more topics are pending than the queue holds, it drops as [`Policy::DropOldest`] does. A newer
    /// message takes the place of the older one, so that a busy topic waits no longer than a quiet one; so messages come
    /// in another order than they were published, and whoever goes away before all were read and comes back may get
    /// one twice, but misses none.
    Latest,
    /// The queue takes nothing more: its reader gets what is in it, and then
    /// [`Closed::TooSlow`](crate::Closed::TooSlow).
    Disconnect,
}

impl Policy {
    /// [`Policy::Block`] with [`BLOCK_TIMEOUT_DEFAULT`].
    pub const BLOCK: Self = Self::Block {
        timeout: BLOCK_TIMEOUT_DEFAULT,
    };

    /// The word that [`FromStr`] reads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::DropOldest => "drop-oldest",
            Self::Latest => "latest",
            Self::Disconnect => "disconnect",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no policy of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such policy: it is one of block, drop-oldest, latest and disconnect")]
pub struct UnknownPolicy;

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
        let all = [Self::BLOCK, Self::DropOldest, Self::Latest, Self::Disconnect];
        all.into_iter()
            .find(|policy| policy.as_str() == word)
            .ok_or(UnknownPolicy)
    }
}

/// How much a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most messages; 0 counts as 1.
    pub messages: usize,
    /// Most bytes, by [`Message::size`](crate::Message::size). One message alone may be larger: it is let into an
    /// empty queue.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            messages: QUEUE_MESSAGES_DEFAULT,
            bytes: QUEUE_BYTES_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        for policy in [
            Policy::BLOCK,
            Policy::DropOldest,
            Policy::Latest,
            Policy::Disconnect,
        ] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("Latest".parse::<Policy>(), Err(UnknownPolicy));
    }
}
