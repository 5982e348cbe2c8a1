//! The HTTP door.

use std::sync::Arc;

use switchboard_gateway_http::{
    AccessLog, Assets, BodyOptions, ConnectionOptions, EventOptions, HttpGateway, HttpOptions,
};
use switchboard_hub::Hub;
use switchboard_net::Address;

use super::{Entrance, House, gotalk, listener};
use crate::config::{Config, address, raw::AccessLog as Written, resolve::Http};

/// What is offered to clients that ask over TLS, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// gotalk for web pages, as `clients/js` builds it.
const LIBRARY: &str = include_str!("../../../clients/js/dist/gotalk.js");

pub(super) fn entrance(house: &House) -> Entrance {
    let settings = &house.config.http;
    let listen = settings.listen.iter().map(|address| {
        let mut config = listener(house, address);
        config.unix = settings.unix.clone();
        if !matches!(address, Address::Unix(_)) {
            config.proxy = settings.proxy.clone();
        }
        config
    });
    Entrance {
        name: "http",
        schemes: &address::HTTP,
        alpn: &ALPN,
        listen: listen.collect(),
    }
}

pub(super) fn gateway(house: &House, hub: &Hub) -> HttpGateway {
    let mut options = options(&house.config);
    options.access_log = access_log(house);
    let assets = Assets::none().library(LIBRARY).console();
    HttpGateway::new(hub.clone(), options, assets, house.shutdown.clone())
}

fn access_log(house: &House) -> AccessLog {
    match (&house.config.http.access_log, &house.access_log) {
        (Written::Log, _) => AccessLog::Tracing,
        (_, Some(file)) => {
            let file = file.clone();
            AccessLog::Writer(Arc::new(move |line| file.write(line)))
        }
        (_, None) => AccessLog::Off,
    }
}

/// All but the access log.
fn options(config: &Config) -> HttpOptions {
    let settings = &config.http;
    HttpOptions {
        connection: connection_options(settings),
        body: BodyOptions {
            single_bytes_max: settings.payload_max,
            gathered_bytes_max: settings.buffered_max,
            bytes_max: settings.body_max,
            gather_timeout: settings.body_timeout,
            stall_timeout: settings.stall_timeout,
            stream_bytes_max: settings.stream_buffer,
        },
        events: EventOptions {
            comment_interval: settings.comment_interval,
            wait_max: settings.wait_max,
            ..EventOptions::default()
        },
        call_timeout: settings.call_timeout,
        origins: settings.origins.clone(),
        hosts: settings.hosts.clone(),
        gotalk: gotalk::options(config),
        ..HttpOptions::default()
    }
}

fn connection_options(settings: &Http) -> ConnectionOptions {
    ConnectionOptions {
        head_bytes_max: settings.head_max,
        head_timeout: settings.head_timeout,
        idle_timeout: settings.idle_timeout,
        write_timeout: settings.write_timeout,
        streams_max: settings.requests_in_flight.get(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Setting, Sources};

    fn options_of(flags: Vec<Setting>) -> HttpOptions {
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        options(&config::load(&sources).expect("good").config)
    }

    #[test]
    fn the_defaults_are_those_of_the_gateway() {
        let (ours, gateways) = (options_of(Vec::new()), HttpOptions::default());
        assert_eq!(ours.connection, gateways.connection);
        assert_eq!(ours.body, gateways.body);
        assert_eq!(ours.events, gateways.events);
        assert_eq!(ours.call_timeout, gateways.call_timeout);
        assert!(ours.origins.is_empty() && ours.hosts.is_empty());
    }

    #[test]
    fn settings_reach_the_gateway() {
        let set = |key, value: &str| Setting::flag("-", "http", key, value);
        let options = options_of(vec![
            set("origins", "https://example.org"),
            set("hosts", "hub.example.org"),
            set("call_timeout", "1m"),
            set("head_max", "16KiB"),
            set("head_timeout", "1s"),
            set("idle_timeout", "2s"),
            set("write_timeout", "3s"),
            set("payload_max", "1KiB"),
            set("buffered_max", "2KiB"),
            set("body_max", "unlimited"),
            set("body_timeout", "4s"),
            set("stall_timeout", "5s"),
            set("stream_buffer", "3KiB"),
            set("comment_interval", "6s"),
            set("wait_max", "7s"),
            Setting::flag("-", "http", "requests_in_flight", 9),
            Setting::flag("-", "gotalk", "payload_max", "4KiB"),
        ]);
        let seconds = Duration::from_secs;
        assert_eq!(options.origins, ["https://example.org"]);
        assert_eq!(options.hosts, ["hub.example.org"]);
        assert_eq!(options.call_timeout, seconds(60));
        let connection = ConnectionOptions {
            head_bytes_max: 16 << 10,
            head_timeout: seconds(1),
            idle_timeout: seconds(2),
            write_timeout: seconds(3),
            streams_max: 9,
        };
        assert_eq!(options.connection, connection);
        let body = BodyOptions {
            single_bytes_max: 1 << 10,
            gathered_bytes_max: 2 << 10,
            bytes_max: u64::MAX,
            gather_timeout: seconds(4),
            stall_timeout: seconds(5),
            stream_bytes_max: 3 << 10,
        };
        assert_eq!(options.body, body);
        assert_eq!(options.events.comment_interval, seconds(6));
        assert_eq!(options.events.wait_max, seconds(7));
        assert_eq!(options.gotalk.peer.limits.payload_bytes_max, 4 << 10);
    }
}
