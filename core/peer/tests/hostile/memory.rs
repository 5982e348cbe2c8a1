//! What a hostile end can make a peer hold.

use switchboard_peer::{Handlers, Limits, Options};

use crate::ALLOCATED;
use crate::common::{handlers, quiet, raw};
use crate::room::Room;

const MIB: usize = 1 << 20;

/// What `grow` adds to the allocated bytes. Other tests of the process may run meanwhile: the bounds are far from
/// what would be allocated were they not kept.
fn growth_since(before: usize) -> usize {
    ALLOCATED.current_usage().saturating_sub(before)
}

#[tokio::test(start_paused = true)]
async fn a_declared_size_reserves_nothing() {
    let declared = quiet().limits.payload_bytes_max;
    let before = ALLOCATED.current_usage();
    let mut open = Vec::new();
    for kind in ["r0001004echo", "s0001003cat", "n004note", "R0001", "E0001"] {
        for _ in 0..100 {
            let (peer, mut raw) = raw(handlers(), quiet()).await;
            raw.send(format!("{kind}{declared:08x}a few bytes")).await;
            raw.send("and a few more").await;
            open.push((peer, raw));
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert!(open.iter().all(|(peer, _)| !peer.is_closed()));
    // Two pipes of 64 KiB each are the test's own, if they are ever full.
    let grown = growth_since(before);
    assert!(grown < 64 * MIB, "{} KiB a connection", grown / open.len() / 1024);
}

/// A small piece that is kept, and much that is not: the piece must not keep the rest.
async fn send_bait(raw: &mut crate::common::Raw, kept: &str) {
    const JUNK: usize = 200_000;
    raw.send(kept).await;
    // An answer that nobody waits for.
    raw.send(format!("R9999{JUNK:08x}{}", "x".repeat(JUNK))).await;
}

/// How often. Each time the peer reads about 200 kB: in all about 100 MB.
const BAITS: usize = 500;

/// What may be held at the end: the limits below, the tables, and what calls may share.
const HELD_MAX: usize = 40 * MIB;

fn small_limits() -> Options {
    Options {
        limits: Limits {
            buffered_bytes_max: MIB,
            stream_bytes_max: MIB,
            ..Limits::default()
        },
        ..quiet()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_held_do_not_hold_what_came_with_them() {
    let held = handlers().handle_raw("held", |context, payload| async move {
        std::future::pending::<()>().await;
        drop(context);
        Ok(payload)
    });
    let mut room = Room::new(held, small_limits()).await;
    let before = ALLOCATED.current_usage();
    for number in 0..BAITS {
        send_bait(&mut room.raw, &format!("r{number:04}004held00000004xxxx")).await;
    }
    room.all_is_well().await;
    assert_eq!(room.peer.requests_in_service(), BAITS);
    let grown = growth_since(before);
    assert!(
        grown < HELD_MAX,
        "{} KiB are held by requests of 4 bytes",
        grown / 1024
    );
}

#[tokio::test(start_paused = true)]
async fn parts_that_wait_do_not_hold_what_came_with_them() {
    let held = handlers().handle_stream("held", |_, body, _| async move {
        std::future::pending::<()>().await;
        drop(body);
        Ok(())
    });
    let mut room = Room::new(held, small_limits()).await;
    room.raw.send("s0001004held00000000").await;
    let before = ALLOCATED.current_usage();
    for _ in 0..BAITS {
        send_bait(&mut room.raw, "p000100000001x").await;
    }
    room.all_is_well().await;
    let grown = growth_since(before);
    assert!(
        grown < HELD_MAX,
        "{} KiB are held by parts of 1 byte",
        grown / 1024
    );
}

#[tokio::test(start_paused = true)]
async fn notifications_that_wait_do_not_hold_what_came_with_them() {
    let held = Handlers::new()
        .handle_raw("echo", |_, payload| async { Ok(payload) })
        .on_raw("held", |context, payload| async move {
            std::future::pending::<()>().await;
            drop((context, payload));
        });
    let mut room = Room::new(held, small_limits()).await;
    let before = ALLOCATED.current_usage();
    for _ in 0..BAITS {
        send_bait(&mut room.raw, "n004held00000001x").await;
    }
    room.neighbour_is_well().await;
    let grown = growth_since(before);
    assert!(
        grown < HELD_MAX,
        "{} KiB are held by notifications of 1 byte",
        grown / 1024
    );
}

#[tokio::test(start_paused = true)]
async fn parts_of_one_byte_are_bounded_by_what_they_cost() {
    let held = handlers().handle_stream("held", |_, body, _| async move {
        std::future::pending::<()>().await;
        drop(body);
        Ok(())
    });
    let mut room = Room::new(held, small_limits()).await;
    room.raw.send("s0001004held00000000").await;
    let before = ALLOCATED.current_usage();
    let parts = "p000100000001x".repeat(1000);
    // The stream stalls at its limit and is then given up; to get there is what counts.
    for _ in 0..1000 {
        room.raw.send(&parts).await;
        let grown = growth_since(before);
        assert!(
            grown < 8 * MIB,
            "{} KiB are held by parts of 1 byte",
            grown / 1024
        );
    }
    room.neighbour_is_well().await;
}
