//! What the hub allows in number and size.

use std::time::Duration;

use crate::policy::QueueLimits;
use crate::retained::RetainedLimits;

/// The bounds of a hub. All are checked where something is added; what is over a bound is refused with a fault that
/// says which, and is possible again as soon as there is room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Most sessions at once. Default 65,536: more than one process has file descriptors for, as a rule.
    pub sessions_max: usize,
    /// Most operations that one session serves. Default 1,024.
    pub operations_per_session_max: usize,
    /// Most subscriptions of one session. Default 1,024.
    pub subscriptions_per_session_max: usize,
    /// Most responders that share the calls of one operation. Default 1,024: all of them are looked at for each call.
    pub responders_per_operation_max: usize,
    /// What is retained at most. Default: see [`RetainedLimits`].
    pub retained: RetainedLimits,
    /// Most last values that wait unread for one reader after it has subscribed. Default 16,384: 256 KiB of
    /// references.
    pub retained_unread_max: usize,
    /// What the queue of a sink holds, unless its maker says otherwise. Default: see [`QueueLimits`].
    pub queue: QueueLimits,
    /// How long a caller waits that does not say how long; `None`: for ever, as does one that streams its body.
    /// Default 10 minutes.
    pub call_timeout: Option<Duration>,
    /// How long calls of an operation are told to try again after its last responder was lost (not withdrawn); from
    /// then on the operation is unknown. Default 5 s; zero does without.
    pub absence_grace: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            sessions_max: 65_536,
            operations_per_session_max: 1024,
            subscriptions_per_session_max: 1024,
            responders_per_operation_max: 1024,
            retained: RetainedLimits::default(),
            retained_unread_max: 16_384,
            queue: QueueLimits::default(),
            call_timeout: Some(Duration::from_secs(600)),
            absence_grace: Duration::from_secs(5),
        }
    }
}
