//! When it is tried again, and when no more.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{CloseReason, Ended, Fault, GiveUp, Handlers, KeepAliveOptions, Setback, State};
use tokio::time::Instant;

use crate::common::handlers;
use crate::support::{MS, Network, SECOND, Try, at_hub, state_that};

#[tokio::test(start_paused = true)]
async fn it_tries_again_after_longer_and_longer_rests() {
    let (network, mut accepted) = Network::new([Try::Fails; 6], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let waiting = state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    let State::Waiting { until, why } = waiting else {
        unreachable!()
    };
    assert_eq!(why, Setback::Unreachable("no route".into()));
    assert!(until > Instant::now());
    let second = state_that(&kept, |state| {
        matches!(state, State::Connecting { attempt: 2, .. })
    })
    .await;
    let State::Connecting { next_try, .. } = second else {
        unreachable!()
    };
    kept.connected().await.unwrap();
    assert_eq!(*kept.state().borrow(), State::Connected);
    let gaps = network.gaps();
    assert_eq!(gaps.len(), 6);
    // Each begins with the millisecond that the try took; the timer is exact to another one.
    for (gap, full_ms) in gaps.iter().zip([500, 1000, 2000, 4000, 5000, 5000]) {
        let full = full_ms * MS;
        assert!((full / 2..=full + 2 * MS).contains(gap), "{gap:?} of {full:?}");
    }
    assert!(
        gaps[1].abs_diff(next_try) <= 2 * MS,
        "{next_try:?} was said, {:?} it was",
        gaps[1]
    );
    assert!(accepted.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_door_that_opens_and_shuts_is_not_knocked_at_without_pause() {
    let (network, mut accepted) = Network::new([], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    for _ in 0..6 {
        accepted.recv().await.unwrap().close();
    }
    kept.connected().await.unwrap();
    let gaps = network.gaps();
    assert!(gaps.iter().take(5).sum::<Duration>() >= 6 * SECOND, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_connection_that_lasted_rests_begin_anew() {
    let (network, mut accepted) = Network::new([Try::Fails; 5], handlers());
    let options = KeepAliveOptions {
        give_up: GiveUp {
            tries_max: Some(6),
            time_max: None,
        },
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let far = accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    tokio::time::sleep(6 * SECOND).await;
    far.close();
    let waiting = state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    let State::Waiting { until, why } = waiting else {
        unreachable!()
    };
    assert_eq!(why, Setback::Lost(CloseReason::Remote));
    assert!(until - Instant::now() <= 501 * MS);
    state_that(&kept, |state| {
        matches!(state, State::Connecting { attempt: 1, .. })
    })
    .await;
    kept.connected().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_try_that_hangs_is_given_up() {
    let (network, _accepted) = Network::new([Try::Hangs], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let waiting = state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    let State::Waiting { why, .. } = waiting else {
        unreachable!()
    };
    assert_eq!(why, Setback::TimedOut(30 * SECOND));
    kept.connected().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_does_not_answer_the_login_is_left() {
    let silent =
        Handlers::new().handle_raw("hub.login", |_, _| std::future::pending::<Result<Bytes, Fault>>());
    let (network, mut accepted) = Network::new([], silent);
    let kept = network.keep(Handlers::new(), at_hub());
    let far = accepted.recv().await.unwrap();
    state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    // The connection that came to nothing does not stay open, and it was not the hub that closed it.
    assert_ne!(far.closed().await, CloseReason::Local);
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_when_told_so() {
    let by_number = GiveUp {
        tries_max: Some(3),
        time_max: None,
    };
    let by_time = GiveUp {
        tries_max: None,
        time_max: Some(3 * SECOND),
    };
    for (give_up, tries_at_most) in [(by_number, 3), (by_time, 6)] {
        let (network, _accepted) = Network::new([Try::Fails; 100], handlers());
        let began = Instant::now();
        let options = KeepAliveOptions {
            give_up,
            ..KeepAliveOptions::default()
        };
        let kept = network.keep(Handlers::new(), options);
        let fault = kept.request_raw("echo", "x").await.unwrap_err();
        assert!(
            !fault.is_retry() && fault.message().contains("no route"),
            "{fault}"
        );
        let Ended::GaveUp { tries, last } = kept.closed().await else {
            panic!("{kept:?}")
        };
        assert_eq!(last, Setback::Unreachable("no route".into()));
        assert_eq!(tries as usize, network.tries.lock().len());
        assert!((2..=tries_at_most).contains(&tries), "{tries}");
        assert!(began.elapsed() <= 4 * SECOND);
        assert_eq!(kept.connected().await.unwrap_err(), fault);
        assert!(!kept.notify("n", &1).await.unwrap_err().is_retry());
        assert!(!kept.serve(&["x"]).await.unwrap_err().is_retry());
    }
}
