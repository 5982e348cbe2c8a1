//! The gotalk door.

use std::time::Duration;

use switchboard_gateway_gotalk::{GatewayOptions, GotalkGateway};
use switchboard_hub::Hub;
use switchboard_net::Address;
use switchboard_peer::{Limits, Options};

use super::{Entrance, House, listener};
use crate::config::{Config, address, resolve::Gotalk};

/// The part of the daemon's grace, in percent, that calls under way may take: the rest is for the good-byes.
const CALLS_GRACE_PERCENT: u32 = 90;

pub(super) fn entrance(house: &House) -> Entrance {
    let settings = &house.config.gotalk;
    let listen = settings.listen.iter().map(|address| {
        let mut config = listener(house, address);
        config.unix = settings.unix.clone();
        if !matches!(address, Address::Unix(_)) {
            config.proxy = settings.proxy.clone();
        }
        config
    });
    Entrance {
        name: "gotalk",
        schemes: &address::GOTALK,
        // It has no name there.
        alpn: &[],
        listen: listen.collect(),
    }
}

pub(super) fn gateway(house: &House, hub: &Hub) -> GotalkGateway {
    GotalkGateway::new(hub.clone(), options(&house.config), house.shutdown.clone())
}

/// Also those of gotalk that comes by another door.
pub(super) fn options(config: &Config) -> GatewayOptions {
    let grace = config.server.grace;
    GatewayOptions {
        peer: peer_options(&config.gotalk, config.connection.handshake_timeout),
        grace: grace / 100 * CALLS_GRACE_PERCENT,
        ..GatewayOptions::default()
    }
}

fn peer_options(settings: &Gotalk, handshake_timeout: Duration) -> Options {
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
    Options {
        limits: Limits {
            requests_max: count(settings.requests_in_flight),
            streams_max: count(settings.streams_in_flight),
            payload_bytes_max: settings.payload_max,
            buffered_bytes_max: settings.buffered_max,
            stream_bytes_max: settings.stream_buffer,
            ..Limits::default()
        },
        handshake_timeout,
        read_timeout: Some(settings.read_timeout),
        heartbeat_interval: Some(settings.heartbeat_interval),
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Setting, Sources};

    #[test]
    fn settings_reach_the_gateway() {
        let flags = vec![
            Setting::flag("-", "gotalk", "payload_max", "1KiB"),
            Setting::flag("-", "gotalk", "read_timeout", "40s"),
            Setting::flag("-", "server", "grace", "20s"),
        ];
        let loaded = config::load(&Sources {
            flags,
            ..Sources::default()
        });
        let options = options(&loaded.expect("good").config);
        assert_eq!(options.grace, Duration::from_secs(18));
        assert_eq!(options.peer.limits.payload_bytes_max, 1024);
        assert_eq!(options.peer.limits.requests_max, 4096);
        assert_eq!(options.peer.read_timeout, Some(Duration::from_secs(40)));
        assert_eq!(options.peer.heartbeat_interval, Some(Duration::from_secs(20)));
    }
}
