//! Topics and keys that are shared by hubs.

use std::process::Command;

use serde_json::Value;
use switchboard_tests::{Daemon, Peer, Process, run, until};

use super::{killed, nats::Nats};

fn curl(arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--no-buffer"]).args(arguments);
    command
}

/// The payload of the next event.
#[track_caller]
fn payload(events: &mut Process) -> String {
    loop {
        if let Some(data) = events.line().strip_prefix("data:") {
            let message: Value = serde_json::from_str(data).expect("JSON");
            return message["payload"].as_str().expect("text").to_owned();
        }
    }
}

/// Subscribes by HTTP; ready when the head is there.
#[track_caller]
fn events(hub: &Daemon, topic: &str) -> Process {
    let url = format!("http://{}/subscribe?topic={topic}", hub.http_address());
    let mut events = Process::start(&mut curl(&["--include", &url]));
    while !events.line().trim().is_empty() {}
    events
}

#[test]
fn what_is_published_at_one_hub_reaches_every_subscriber_of_all_once() {
    const MESSAGES: usize = 20;
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut at_one = one.subscribe(&["news/#"]);
    let mut at_other = other.subscribe(&["news/#"]);
    let socket = format!("ws://{}", other.http_address());
    let mut by_socket = other.spawn(&["--hub", &socket, "subscribe", "news/#"]);
    by_socket.says("subscribed");
    let mut by_http = events(&other, "news/%23");
    let mut publisher = one.peer();
    for number in 0..MESSAGES {
        let message = format!(r#"{{"topic":"news/a","payload":"{number}"}}"#);
        publisher.ask("hub.publish", &message);
    }
    other.run(&["publish", "news/end", "of it"]).is(0, "");
    for reader in [&mut at_one, &mut at_other, &mut by_socket] {
        for number in 0..MESSAGES {
            assert_eq!(reader.line(), format!("news/a\t{number}"));
        }
        assert_eq!(reader.line(), "news/end\tof it");
    }
    for number in 0..MESSAGES {
        assert_eq!(payload(&mut by_http), number.to_string());
    }
    assert_eq!(payload(&mut by_http), "of it");
}

#[test]
fn keys_are_shared_and_their_changes_are_told_at_every_hub_once() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut changes = other.subscribe(&["$keys/#"]);
    let mut watch = other.spawn(&["watch", "--news", "counts/"]);
    watch.says("watching");
    one.run(&["put", "greeting", "hi"]).is(0, "");
    other.run(&["get", "greeting"]).is(0, "hi");
    for expected in ["1\n", "2\n", "3\n"] {
        one.run(&["incr", "counts/visitors"]).is(0, expected);
    }
    other.run(&["delete", "greeting"]).is(0, "");
    one.run(&["get", "greeting"]).fails(1, &["greeting"]);
    let topics = [
        "greeting",
        "counts/visitors",
        "counts/visitors",
        "counts/visitors",
        "greeting",
    ];
    for key in topics {
        let line = changes.line();
        let topic = line.split('\t').next().expect("a topic");
        assert_eq!(topic, format!("$keys/default/{key}"), "{line}");
    }
    for number in 1..=3 {
        assert_eq!(watch.line(), format!("put\tcounts/visitors\t{number}"));
    }
}

#[test]
fn a_watch_goes_on_when_its_hub_is_back_with_what_changed_at_others() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    one.run(&["put", "a", "1"]).is(0, "");
    let mut watch = one.spawn(&["watch"]);
    assert_eq!(watch.line(), "put\ta\t1");
    let place = killed(one);
    other.run(&["put", "a", "2"]).is(0, "");
    other.run(&["put", "b", "3"]).is(0, "");
    let _again = place.arguments(&["--engine", &nats.url()]).start();
    assert_eq!(watch.line(), "put\ta\t2");
    assert_eq!(watch.line(), "put\tb\t3");
}

#[test]
fn last_values_are_shared_and_all_hubs_come_to_the_same() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    one.run(&["publish", "--retain", "home/lamp", "on"]).is(0, "");
    let mut new = other.subscribe(&["--count", "1", "home/lamp"]);
    assert_eq!(new.line(), "home/lamp\ton");
    // Both change it at the same time, many times.
    std::thread::scope(|scope| {
        for hub in [&one, &other] {
            let address = hub.address();
            scope.spawn(move || {
                let (mut publisher, from) = (Peer::tcp(address), address.port());
                for number in 0..50 {
                    let message =
                        format!(r#"{{"topic":"home/lamp","payload":"{from} {number}","retain":true}}"#);
                    publisher.ask("hub.publish", &message);
                }
            });
        }
    });
    let kept = one.run(&["get", "topic:home/lamp"]);
    assert_eq!(kept.status, 0, "{kept:?}");
    let expected = format!("home/lamp\t{}", kept.text());
    for hub in [&one, &other] {
        until("all are of one mind", || {
            let mut last = hub.subscribe(&["--count", "1", "home/lamp"]);
            (last.line() == expected).then_some(())
        });
    }
    // A hub that comes later, too.
    let third = nats.hub();
    let mut late = third.subscribe(&["--count", "1", "home/lamp"]);
    assert_eq!(late.line(), expected);

    // And what is deleted is gone everywhere.
    one.run(&["publish", "--retain", "home/lamp", ""]).is(0, "");
    other.run(&["get", "topic:home/lamp"]).fails(1, &["home/lamp"]);
    other.run(&["publish", "--retain", "home/door", "shut"]).is(0, "");
    for hub in [&one, &other] {
        until("it is forgotten", || {
            let mut all = hub.subscribe(&["--count", "1", "home/#"]);
            (all.line() == "home/door\tshut").then_some(())
        });
    }
}

#[test]
fn keys_over_http_have_their_etag_at_every_hub() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    one.run(&["put", "greeting", "hi"]).is(0, "");
    let url = |hub: &Daemon| format!("http://{}/keys/greeting", hub.http_address());
    let etag = |hub: &Daemon| {
        let ran = run(&mut curl(&["--include", &url(hub)]), b"");
        let text = ran.text().to_owned();
        assert!(text.ends_with("\r\n\r\nhi"), "{text}");
        let line = text.lines().find(|line| line.to_lowercase().starts_with("etag:"));
        line.expect("an ETag").trim().to_owned()
    };
    let tag = etag(&one);
    assert_eq!(etag(&other), tag);
    let (_, value) = tag.split_once(':').expect("a value");
    let condition = format!("If-Match:{value}");
    let put = |hub: &Daemon| {
        let arguments = [
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-X",
            "PUT",
            "-H",
            &condition,
            "--data",
            "ho",
        ];
        let ran = run(curl(&arguments).arg(url(hub)), b"");
        ran.text().to_owned()
    };
    let first = put(&other);
    assert!(first.starts_with('2'), "{first}");
    assert_eq!(put(&one), "412");
    one.run(&["get", "greeting"]).is(0, "ho");
}
