//! How the gateway behaves.

use std::time::Duration;

use switchboard_hub::QueueLimits;

use crate::request::RequestLimits;

/// How each connection behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// How many databases there are: `SELECT` takes 0 to one less. Default 16.
    pub databases: u32,
    /// How large a command may be.
    pub request: RequestLimits,
    /// A connection that sends nothing for so long is closed, unless it waits for something or subscribed. `None`:
    /// never, as with Redis.
    pub idle_timeout: Option<Duration>,
    /// A client that takes nothing of what waits for it for so long is cut off. Default 30 s.
    pub write_timeout: Duration,
    /// Replies are written as soon as there are so many bytes of them, however many commands have come. Default 1 MiB.
    pub replies_bytes_max: usize,
    /// Bytes of commands that are taken in while the client does not take its replies: programs send a whole pipeline
    /// before they read. Default 64 MiB.
    pub unanswered_bytes_max: usize,
    /// Most commands that wait for `EXEC`. Default 100,000.
    pub queued_commands_max: usize,
    /// Most bytes in them. Default 64 MiB.
    pub queued_bytes_max: usize,
    /// What waits for one subscriber at most; beyond that it is cut off. Default 100,000 messages, 32 MiB.
    pub queue: QueueLimits,
    /// Which events of keys are published, in the letters of `notify-keyspace-events`. Default none.
    pub notify_keyspace_events: String,
    /// The longest `CALL`. Default 1 minute.
    pub call_timeout: Duration,
    /// The largest answer to a `CALL`. Default 64 MiB.
    pub answer_bytes_max: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            databases: 16,
            request: RequestLimits::default(),
            idle_timeout: None,
            write_timeout: Duration::from_secs(30),
            replies_bytes_max: 1024 * 1024,
            unanswered_bytes_max: 64 * 1024 * 1024,
            queued_commands_max: 100_000,
            queued_bytes_max: 64 * 1024 * 1024,
            queue: QueueLimits {
                messages: 100_000,
                bytes: 32 * 1024 * 1024,
            },
            notify_keyspace_events: String::new(),
            call_timeout: Duration::from_secs(60),
            answer_bytes_max: 64 * 1024 * 1024,
        }
    }
}
