//! Calls from one hub to another.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use switchboard_tests::{Alive, Daemon, Peer, Ran, Signal, run, single, until};

use super::{killed, nats::Nats, serves, until_missed};

/// More than fits between two hubs at once, and into the buffers of all sockets on the way.
const MUCH: usize = 10_000_000;

fn numbered(size: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(size).collect()
}

#[track_caller]
fn feeds(hub: &Daemon, arguments: &[&str], input: &[u8]) -> Ran {
    run(&mut hub.command(arguments), input)
}

#[test]
fn what_is_served_at_one_hub_is_called_through_another() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    serves(&other, "upper");
    other.run(&["call", "upper", "hello"]).is(0, "HELLO");
    // And by HTTP.
    let url = format!("http://{}/call/upper", other.http_address());
    run(Command::new("curl").args(["-sS", "--data", "hello", &url]), b"").is(0, "HELLO");

    // Who calls is known there.
    let _who = one.handle(&[
        "who",
        "--",
        "sh",
        "-c",
        "printf \"$SWITCHBOARD_ACCOUNT $SWITCHBOARD_DOOR\"",
    ]);
    serves(&other, "who");
    other.run(&["call", "who", ""]).is(0, "guest gotalk");

    // Faults keep their kind.
    let _fails = one.handle(&["fails", "--", "sh", "-c", "cat >&2; exit 1"]);
    let _later = one.handle(&["later", "--", "sh", "-c", "cat >&2; exit 75"]);
    serves(&other, "fails");
    serves(&other, "later");
    other.run(&["call", "fails", "no way"]).fails(1, &["no way"]);
    other
        .run(&["call", "later", "not now"])
        .fails(75, &["not now", "try again in"]);
}

#[test]
fn much_passes_between_hubs_both_ways() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let much = numbered(MUCH);
    let _copy = one.handle(&["copy", "--", "cat"]);
    serves(&other, "copy");
    for arguments in [&["call", "copy"][..], &["call", "--stream", "copy"]] {
        let ran = feeds(&other, arguments, &much);
        assert_eq!(
            (ran.status, ran.stdout.len()),
            (0, MUCH),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(
            ran.stdout == much,
            "{arguments:?}: what came is not what was sent"
        );
    }
}

#[test]
fn a_reader_that_is_slow_holds_up_nobody_else_and_misses_nothing() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let zeros = format!("head -c {MUCH} /dev/zero");
    let _flood = one.handle(&["flood", "--stream", "--", "sh", "-c", &zeros]);
    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    serves(&other, "flood");
    serves(&other, "upper");
    let mut slow = Peer::tcp_narrow(other.address());
    slow.send(single(b"0001", "flood", ""));
    let first = slow.message();
    assert_eq!(first.kind, 'S', "{first:?}");
    let mut read = first.payload.len();
    // It reads no more, and the way between the hubs is free all the same.
    for _ in 0..3 {
        other.run(&["call", "upper", "hello"]).is(0, "HELLO");
    }
    loop {
        let part = slow.message();
        assert_eq!(part.kind, 'S', "{part:?}");
        if part.payload.is_empty() {
            break;
        }
        read += part.payload.len();
    }
    assert_eq!(read, MUCH);
}

#[test]
fn a_responder_that_vanishes_costs_a_caller_at_another_hub_a_retry() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut responder = one.peer().serve("work");
    serves(&other, "work");
    let call = other.spawn(&["call", "work", "x"]);
    assert_eq!(responder.message().name, "work");
    responder.reset();
    call.end().fails(75, &["try again in"]);
    // It is missed there too, as it would be at its own hub: who calls now is to try again.
    until_missed(&other, "work");
    other.run(&["call", "work", "x"]).fails(75, &["try again in"]);
}

#[test]
fn a_caller_that_vanishes_at_another_hub_cancels_its_call() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let alive = Alive::new(one.folder(), "alive");
    let _tree = one.handle(&["tree", "--", "sh", "-c", "exec 3> alive; sleep 1000 & sleep 1000"]);
    serves(&other, "tree");
    let call = other.spawn(&["call", "tree", "x"]);
    alive.began();
    call.send(Signal::SIGKILL);
    alive.ended();
}

#[test]
fn responders_at_several_hubs_share_calls_and_one_hub_that_stops_harms_nobody() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let _here = one.handle(&["where", "--", "echo", "one"]);
    let _there = other.handle(&["where", "--", "echo", "other"]);
    let third = nats.hub();
    let mut answered = BTreeSet::new();
    until("both are called", || {
        let ran = third.run(&["call", "where", ""]);
        if answered.is_empty() && ran.status != 0 {
            // It has not heard of them yet.
            return None;
        }
        assert_eq!(ran.status, 0, "{ran:?}");
        answered.insert(ran.text().to_owned());
        (answered.len() == 2).then_some(())
    });
    // Calls go on while it stops, and after.
    let is_gone = {
        let status = format!("/proc/{}/status", one.process.id());
        move || fs::read_to_string(&status).map_or(true, |status| status.contains("zombie"))
    };
    one.process.send(Signal::SIGTERM);
    let mut after = 0;
    while after < 5 {
        let ran = third.run(&["call", "where", ""]);
        assert_eq!(ran.status, 0, "{ran:?}");
        after += usize::from(is_gone());
    }
    assert_eq!(one.process.end().status, 0);
}

#[test]
fn a_hub_that_stops_ends_what_it_was_called_for_from_elsewhere() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut responder = one.peer().serve("work");
    serves(&other, "work");
    let call = other.spawn(&["call", "work", "x"]);
    let request = responder.message();
    assert_eq!(request.name, "work");
    one.process.send(Signal::SIGTERM);
    // It takes no more, which its callers know before it goes.
    until_missed(&other, "work");
    other.run(&["call", "work", "x"]).fails(75, &["try again in"]);
    responder.send([b"R", &request.id[..], b"00000004done"].concat());
    call.end().is(0, "done");
    assert_eq!(one.process.end().status, 0);
}

/// From when a hub is lost: 5 s of silence, a second between two looks, and as much again for a busy machine.
const LOST_AFTER_MAX: Duration = Duration::from_secs(12);

#[test]
fn a_hub_that_is_killed_costs_its_callers_a_retry_and_is_found_when_it_is_back() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut responder = one.peer().serve("work");
    // This one comes back by itself.
    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    serves(&other, "work");
    serves(&other, "upper");
    let call = other.spawn(&["call", "work", "x"]);
    assert_eq!(responder.message().name, "work");
    let begin = Instant::now();
    let place = killed(one);
    call.end().fails(75, &["try again in"]);
    assert!(begin.elapsed() < LOST_AFTER_MAX, "it took {:?}", begin.elapsed());
    let ran = other.run(&["call", "upper", "hello"]);
    assert_eq!(ran.status, 75, "{ran:?}");

    let _again = place.arguments(&["--engine", &nats.url()]).start();
    serves(&other, "upper");
    other.run(&["call", "upper", "hello"]).is(0, "HELLO");
}

#[test]
fn a_hub_that_stands_still_is_lost_and_found_again() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());
    let mut responder = one.peer().serve("work");
    serves(&other, "work");
    let call = other.spawn(&["call", "work", "x"]);
    let request = responder.message();
    one.process.send(Signal::SIGSTOP);
    call.end().fails(75, &["try again in"]);
    one.process.send(Signal::SIGCONT);
    // The caller gave up on the first call, and what is said of it now is for nobody.
    responder.send([b"R", &request.id[..], b"00000004late"].concat());
    serves(&other, "work");
    let call = other.spawn(&["call", "work", "y"]);
    let request = loop {
        let message = responder.message();
        if message.kind == 'r' {
            break message;
        }
    };
    responder.send([b"R", &request.id[..], b"00000004done"].concat());
    call.end().is(0, "done");
}
