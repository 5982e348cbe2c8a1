//! The Redis door.

use switchboard_gateway_redis::{RedisGateway, RedisOptions, RequestLimits};
use switchboard_hub::{Hub, QueueLimits};
use switchboard_net::Address;

use super::{Entrance, House, listener};
use crate::config::{address, resolve::Redis};

pub(super) fn entrance(house: &House) -> Entrance {
    let settings = &house.config.redis;
    let listen = settings.listen.iter().map(|address| {
        let mut config = listener(house, address);
        config.unix = settings.unix.clone();
        if !matches!(address, Address::Unix(_)) {
            config.proxy = settings.proxy.clone();
        }
        config
    });
    Entrance {
        name: "redis",
        schemes: &address::REDIS,
        // It has no name there.
        alpn: &[],
        listen: listen.collect(),
    }
}

pub(super) fn gateway(house: &House, hub: &Hub) -> RedisGateway {
    let options = options(&house.config.redis);
    RedisGateway::new(hub.clone(), options, house.shutdown.clone())
}

fn options(settings: &Redis) -> RedisOptions {
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
    RedisOptions {
        databases: settings.databases,
        request: RequestLimits {
            word_bytes_max: settings.value_max,
            command_bytes_max: settings.command_max,
            ..RequestLimits::default()
        },
        idle_timeout: settings.idle_timeout,
        write_timeout: settings.write_timeout,
        replies_bytes_max: settings.replies_max,
        unanswered_bytes_max: settings.unanswered_max,
        queued_commands_max: count(settings.queued_commands),
        queued_bytes_max: settings.queued_max,
        queue: QueueLimits {
            messages: count(settings.subscriber_messages),
            bytes: settings.subscriber_max,
        },
        notify_keyspace_events: settings.notify_keyspace_events.clone(),
        call_timeout: settings.call_timeout,
        ..RedisOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Setting, Sources};

    fn options_of(flags: Vec<Setting>) -> RedisOptions {
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        options(&config::load(&sources).expect("good").config.redis)
    }

    #[test]
    fn the_defaults_are_those_of_the_gateway() {
        assert_eq!(options_of(Vec::new()), RedisOptions::default());
    }

    #[test]
    fn settings_reach_the_gateway() {
        let set = |key, value: &str| Setting::flag("-", "redis", key, value);
        let number = |key, value: i64| Setting::flag("-", "redis", key, value);
        let options = options_of(vec![
            number("databases", 3),
            set("idle_timeout", "1m"),
            set("write_timeout", "2s"),
            set("value_max", "1KiB"),
            set("command_max", "2KiB"),
            set("replies_max", "3KiB"),
            set("unanswered_max", "4KiB"),
            number("queued_commands", 5),
            set("queued_max", "6KiB"),
            number("subscriber_messages", 7),
            set("subscriber_max", "8KiB"),
            set("notify_keyspace_events", "Kx"),
            set("call_timeout", "9s"),
        ]);
        let wanted = RedisOptions {
            databases: 3,
            request: RequestLimits {
                word_bytes_max: 1 << 10,
                command_bytes_max: 2 << 10,
                ..RequestLimits::default()
            },
            idle_timeout: Some(Duration::from_secs(60)),
            write_timeout: Duration::from_secs(2),
            replies_bytes_max: 3 << 10,
            unanswered_bytes_max: 4 << 10,
            queued_commands_max: 5,
            queued_bytes_max: 6 << 10,
            queue: QueueLimits {
                messages: 7,
                bytes: 8 << 10,
            },
            notify_keyspace_events: "Kx".to_owned(),
            call_timeout: Duration::from_secs(9),
            ..RedisOptions::default()
        };
        assert_eq!(options, wanted);
    }
}
