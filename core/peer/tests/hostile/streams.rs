//! Streams that nobody reads, nobody ends, or nobody began.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{Handlers, Limits, Options, Reply};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::common::{handlers, pair_with, quiet};
use crate::room::Room;

/// Little room for each stream.
fn narrow() -> Options {
    Options {
        limits: Limits {
            stream_bytes_max: 1000,
            ..Limits::default()
        },
        ..quiet()
    }
}

/// An operation whose handler never reads its body, and says when it was entered, and how the body ended for it.
fn deaf() -> (Handlers, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let handlers = handlers().handle_stream("deaf", move |context, mut body, _| {
        let tell = tell.clone();
        async move {
            let _ = tell.send("entered".to_owned());
            context.peer().closed().await;
            while let Some(part) = body.next().await {
                if let Err(fault) = part {
                    let _ = tell.send(fault.message().to_owned());
                }
            }
            Ok(())
        }
    });
    (handlers, told)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_its_handler_does_not_read_stalls_the_connection_for_a_bounded_time() {
    let (handlers, mut told) = deaf();
    let options = narrow();
    let stall_timeout = options.stall_timeout;
    let mut room = Room::new(handlers, options).await;
    room.raw.send("s0001004deaf00000000").await;
    assert_eq!(told.recv().await.unwrap(), "entered");
    let part = format!("p0001000001f4{}", "x".repeat(500));
    for _ in 0..3 {
        room.raw.send(&part).await;
    }
    room.neighbour_is_well().await;
    let began = Instant::now();
    room.raw.is_well().await;
    assert_eq!(began.elapsed(), stall_timeout);
    // Its further parts are thrown away, and hold nobody up.
    for _ in 0..100 {
        room.raw.send(&part).await;
    }
    room.raw.send("p000100000000").await;
    let began = Instant::now();
    room.all_is_well().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    room.peer.close();
    assert!(told.recv().await.unwrap().contains("did not read"));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_its_caller_does_not_read_costs_that_result_only() {
    let flood = handlers().handle_stream("flood", |_, _, results| async move {
        while results.send(vec![b'x'; 1000]).await.is_ok() {}
        Ok(())
    });
    let options = narrow();
    let stall_timeout = options.stall_timeout;
    let (left, right) = pair_with(Handlers::new(), options, flood, quiet()).await;
    // It is told of calls that are given up, and so can stop.
    left.set_knows_cancel();
    let Reply::Stream(mut unread) = left.call("flood").send("").await.unwrap() else {
        panic!("a stream")
    };
    let began = Instant::now();
    assert_eq!(left.request_raw("echo", "held up").await.unwrap(), "held up");
    assert_eq!(began.elapsed(), stall_timeout);
    // What had come is there, then the fault.
    let mut parts = 0;
    let fault = loop {
        match unread.next().await {
            Some(Ok(_)) => parts += 1,
            Some(Err(fault)) => break fault,
            None => panic!("a stream that was cut off has no end"),
        }
    };
    assert!(parts > 0 && fault.is_retry(), "{parts} parts, {fault:?}");
    crate::common::until(|| right.requests_in_service() == 0).await;
    assert_eq!(left.request_raw("echo", "well").await.unwrap(), "well");
    assert_eq!(left.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn parts_after_the_handler_has_ended_are_thrown_away() {
    let handlers = handlers()
        .handle_stream("brief", |_, _, _| async { Ok(()) })
        .handle_stream("failing", |_, _, _| async {
            Err(switchboard_peer::Fault::failed("no"))
        });
    let mut room = Room::new(handlers, narrow()).await;
    room.raw
        .send("s0001005brief00000001as0002007failing00000001bs0003004nope00000001c")
        .await;
    room.raw
        .expect("S000100000000E000200000002noE000300000018unknown operation \"nope\"")
        .await;
    for _ in 0..100 {
        for id in ["0001", "0002", "0003"] {
            room.raw.send(format!("p{id}000001f4{}", "x".repeat(500))).await;
        }
    }
    room.all_is_well().await;
    room.raw.send("p000100000000p000200000000p000300000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn more_streams_than_are_remembered_can_end_early() {
    let handlers = handlers().handle_stream("brief", |_, _, _| async { Ok(()) });
    let mut room = Room::new(handlers, quiet()).await;
    // None of their bodies is ever ended.
    for number in 0..5000 {
        room.raw.send(format!("s{number:04}005brief00000000")).await;
        room.raw.expect(format!("S{number:04}00000000")).await;
    }
    room.raw.send("s9999003cat00000001xp999900000000").await;
    room.raw.expect("S999900000001xS999900000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_first_part_says_nothing_and_an_empty_part_ends() {
    let mut room = Room::new(handlers(), quiet()).await;
    room.raw
        .send("s0001003cat00000000p000100000003abcp000100000000")
        .await;
    room.raw.expect("S000100000003abcS000100000000").await;
    room.raw.send("s0002003cat00000000p000200000000").await;
    room.raw.expect("S000200000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_that_came_twice_is_a_part_without_a_start() {
    let mut room = Room::new(handlers(), quiet()).await;
    room.raw
        .send("s0001003cat00000001xp000100000000p000100000000")
        .await;
    let told: Vec<_> = [
        room.raw.message().await,
        room.raw.message().await,
        room.raw.message().await,
    ]
    .into();
    let told = format!("{told:?}");
    assert!(told.contains("InvalidMessage"), "{told}");
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_thousand_small_parts_arrives_whole() {
    let mut room = Room::new(handlers(), narrow()).await;
    let (mut body, reply) = room.neighbour.call("cat").stream();
    let sending = tokio::spawn(async move {
        for number in 0..1000_u32 {
            body.send(number.to_string()).await.unwrap();
            body.send(Bytes::new()).await.unwrap();
        }
        body.finish();
    });
    let Reply::Stream(mut parts) = reply.await.unwrap() else {
        panic!("a stream")
    };
    for number in 0..1000_u32 {
        assert_eq!(parts.next().await, Some(Ok(Bytes::from(number.to_string()))));
    }
    assert_eq!(parts.next().await, None);
    sending.await.unwrap();
    room.all_is_well().await;
}
