//! The Redis door.

use std::{num::NonZeroU32, time::Duration};

use switchboard_engine::names::VALUE_BYTES_MAX;
use switchboard_gateway_redis::check_events;
use switchboard_net::{Address, ProxyProtocol, UnixSettings};

use super::{Faults, Server, resolve_listen, resolve_proxy, unix};
use crate::config::{address, raw::RawRedis};

/// Most databases: more are no use, and a bucket is known for each.
const DATABASES_MAX: u32 = 16_384;

/// The Redis door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it listens: no address twice, each loopback, a Unix socket or an inherited one. None if it is closed.
    pub listen: Vec<Address>,
    /// Its Unix sockets.
    pub unix: UnixSettings,
    /// Whether proxies in front tell who the clients are; never on Unix sockets.
    pub proxy: ProxyProtocol,
    /// How many databases there are.
    pub databases: u32,
    /// Longest silence of a client; not zero. `None`: any.
    pub idle_timeout: Option<Duration>,
    /// Longest time that a client takes nothing of what waits for it; not zero.
    pub write_timeout: Duration,
    /// Largest word of a command in bytes; at most what a value can have.
    pub value_max: usize,
    /// Largest command in bytes; at least `value_max`.
    pub command_max: usize,
    /// Bytes of answers that are written together.
    pub replies_max: usize,
    /// Bytes of commands taken in while answers wait.
    pub unanswered_max: usize,
    /// Commands that wait for EXEC.
    pub queued_commands: NonZeroU32,
    /// Bytes in them.
    pub queued_max: usize,
    /// Messages that wait for one subscriber.
    pub subscriber_messages: NonZeroU32,
    /// Bytes in them.
    pub subscriber_max: usize,
    /// Which events of keys are published: letters that mean something.
    pub notify_keyspace_events: String,
    /// Longest CALL; not zero.
    pub call_timeout: Duration,
}

pub(super) fn resolve(raw: &RawRedis, server: &Server, faults: &mut Faults) -> Redis {
    let redis = Redis {
        listen: resolve_listen(&address::REDIS, &raw.listen, server, faults),
        unix: unix(raw.unix_mode),
        proxy: resolve_proxy("redis", raw.proxy_protocol, &raw.proxy_trusted, faults),
        databases: raw.databases.get(),
        idle_timeout: raw
            .idle_timeout
            .limit()
            .map(|span| faults.not_zero("redis", "idle_timeout", span)),
        write_timeout: faults.not_zero("redis", "write_timeout", raw.write_timeout),
        value_max: faults.size("redis", "value_max", raw.value_max),
        command_max: faults.size("redis", "command_max", raw.command_max),
        replies_max: faults.size("redis", "replies_max", raw.replies_max),
        unanswered_max: faults.size("redis", "unanswered_max", raw.unanswered_max),
        queued_commands: raw.queued_commands,
        queued_max: faults.size("redis", "queued_max", raw.queued_max),
        subscriber_messages: raw.subscriber_messages,
        subscriber_max: faults.size("redis", "subscriber_max", raw.subscriber_max),
        notify_keyspace_events: raw.notify_keyspace_events.clone(),
        call_timeout: faults.not_zero("redis", "call_timeout", raw.call_timeout),
    };
    if redis.databases > DATABASES_MAX {
        faults.tell("redis", "databases", format!("must be at most {DATABASES_MAX}"));
    }
    if redis.value_max > VALUE_BYTES_MAX {
        faults.tell("redis", "value_max", "is more than a key can have (64MiB)");
    }
    if redis.command_max < redis.value_max {
        faults.tell(
            "redis",
            "command_max",
            "must hold at least one value of value_max",
        );
    }
    if let Err(message) = check_events(&redis.notify_keyspace_events) {
        faults.tell("redis", "notify_keyspace_events", message);
    }
    redis
}
