//! Connections that come back: back-off, set-up at a hub, queued sends, ends. Over pipes in memory, in paused time.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{handlers, quiet};
use parking_lot::Mutex;
use serde_json::{Value, json};
use switchboard_peer::{
    BackOff, Caller, CloseReason, Connector, Context, DeliveryPolicy, Ended, Fault, GiveUp, Handlers,
    KeepAlive, KeepAliveOptions, Login, Options, Peer, Presence, RetryPolicy, Service, Setback, Side, State,
    Subscription,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a try to connect comes to.
#[derive(Clone, Copy)]
enum Try {
    /// Nobody answers.
    Fails,
    /// Neither yes nor no.
    Hangs,
}

/// A network whose first tries come to what the script says, and whose others succeed.
#[derive(Clone)]
struct Network {
    script: Arc<Mutex<VecDeque<Try>>>,
    tries: Arc<Mutex<Vec<Instant>>>,
    hub: Arc<dyn Service>,
    accepted: mpsc::UnboundedSender<Peer>,
}

impl Network {
    /// Says also where the other ends of the connections come out.
    fn new(
        script: impl IntoIterator<Item = Try>,
        hub: impl Service,
    ) -> (Self, mpsc::UnboundedReceiver<Peer>) {
        let (accepted, accepting) = mpsc::unbounded_channel();
        let network = Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            tries: Arc::default(),
            hub: Arc::new(hub),
            accepted,
        };
        (network, accepting)
    }

    fn keep(&self, service: impl Service, options: KeepAliveOptions) -> KeepAlive {
        let network = self.clone();
        KeepAlive::start(move |service| network.clone().connect(service), service, options)
    }

    async fn connect(self, service: Arc<dyn Service>) -> Result<Peer, &'static str> {
        self.tries.lock().push(Instant::now());
        // As on a real network nothing is at once: so every state can be seen.
        tokio::time::sleep(MS).await;
        let come_to = self.script.lock().pop_front();
        match come_to {
            Some(Try::Fails) => return Err("no route"),
            Some(Try::Hangs) => std::future::pending().await,
            None => {}
        }
        // No time-out: paused time leaps over long silences.
        let options = Options {
            read_timeout: None,
            ..quiet()
        };
        let (one, other) = tokio::io::duplex(64 * 1024);
        let (near, far) = tokio::join!(
            Peer::start(one, Side::Connecting, service, options.clone(), Caller::default()),
            Peer::start(other, Side::Accepting, self.hub, options, Caller::default()),
        );
        self.accepted.send(far.unwrap()).unwrap();
        Ok(near.unwrap())
    }

    fn gaps(&self) -> Vec<Duration> {
        let tries = self.tries.lock();
        tries.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// A hub that writes down all requests and notifications in their order.
#[derive(Clone, Default)]
struct Scribe {
    said: Arc<Mutex<Vec<(String, Value)>>>,
    /// What is answered to which operation; the rest is agreed to.
    answers: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
}

impl Scribe {
    fn refusing(answers: impl IntoIterator<Item = (&'static str, Fault)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    fn handlers(&self) -> Handlers {
        let (requests, notes) = (self.clone(), self.clone());
        handlers()
            .fallback(move |context, payload| {
                let operation = context.operation().to_string();
                requests.note(&context, &payload);
                let mut answers = requests.answers.lock();
                let at = answers.iter().position(|(refused, _)| *refused == operation);
                let answer = match at.and_then(|at| answers.remove(at)) {
                    Some((_, fault)) => Err(fault),
                    None => Ok(Bytes::from("null")),
                };
                async move { answer }
            })
            .on_any(move |context, payload| {
                notes.note(&context, &payload);
                async {}
            })
    }

    fn note(&self, context: &Context, payload: &[u8]) {
        let said = serde_json::from_slice(payload).unwrap();
        self.said.lock().push((context.operation().to_string(), said));
    }

    fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.said.lock())
    }

    fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, _)| name).collect()
    }
}

fn presence() -> Presence {
    Presence {
        login: Some(Login::account("lamp").password("hush")),
        operations: vec!["lamp.switch".into()],
        callers: false,
        subscriptions: vec![
            "home/#".into(),
            Subscription {
                topic: "frames".into(),
                policy: Some(DeliveryPolicy::Latest),
            },
        ],
    }
}

fn at_hub() -> KeepAliveOptions {
    KeepAliveOptions {
        hub: Some(presence()),
        ..KeepAliveOptions::default()
    }
}

async fn state_that(kept: &KeepAlive, is: impl FnMut(&State) -> bool) -> State {
    kept.state().wait_for(is).await.unwrap().clone()
}

/// Waits until the other side has handled all that was sent to it before.
async fn settled(kept: &KeepAlive) {
    assert_eq!(kept.request_raw("echo", "settled").await.unwrap(), "settled");
}

// ---- back-off

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

// ---- at a hub

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_in_order_before_queued_sends_go_out() {
    let hub = Scribe::default();
    let (network, _accepted) = Network::new([Try::Fails], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    for number in 0..100 {
        kept.notify(&format!("t/{number}"), &number).await.unwrap();
    }
    kept.connected().await.unwrap();
    for number in 100..200 {
        kept.notify(&format!("t/{number}"), &number).await.unwrap();
    }
    settled(&kept).await;
    let said = hub.take();
    let set_up = [
        ("hub.login", json!({"account": "lamp", "password": "hush"})),
        ("hub.serve", json!({"ops": ["lamp.switch"]})),
        ("hub.subscribe", json!({"topics": ["home/#"]})),
        ("hub.subscribe", json!({"topics": ["frames"], "policy": "latest"})),
    ];
    for (said, wanted) in said.iter().zip(&set_up) {
        assert_eq!((&*said.0, &said.1), (wanted.0, &wanted.1));
    }
    let notes: Vec<_> = said[set_up.len()..]
        .iter()
        .map(|(_, number)| number.clone())
        .collect();
    assert_eq!(notes, (0..200).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn it_serves_and_subscribes_again_what_it_does_by_then() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let here = Handlers::new().handle("lamp.dim", |_, percent: u8| async move { Ok(percent) });
    let kept = network.keep(here, at_hub());
    let first = accepted.recv().await.unwrap();
    kept.serve(&["lamp.dim", "lamp.blink"]).await.unwrap();
    kept.unserve(&["lamp.switch", "lamp.blink"]).await.unwrap();
    kept.subscribe(&["frames"], None).await.unwrap();
    kept.unsubscribe(&["home/#"]).await.unwrap();
    hub.take();
    first.close();
    let second = accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    let said = hub.take();
    let wanted = [
        ("hub.login", json!({"account": "lamp", "password": "hush"})),
        ("hub.serve", json!({"ops": ["lamp.dim"]})),
        ("hub.subscribe", json!({"topics": ["frames"]})),
    ];
    assert_eq!(said, wanted.map(|(name, body)| (name.to_owned(), body)));
    assert_eq!(second.request::<_, u8>("lamp.dim", &70).await.unwrap(), 70);
}

#[tokio::test(start_paused = true)]
async fn callers_are_described_on_every_connection() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence {
            callers: true,
            operations: vec!["a".into()],
            ..Presence::default()
        }),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.serve(&["b"]).await.unwrap();
    accepted.recv().await.unwrap().close();
    accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    let said: Vec<_> = hub.take().into_iter().map(|(_, request)| request).collect();
    assert_eq!(
        said,
        [
            json!({"ops": ["a"], "caller": true}),
            json!({"ops": ["b"], "caller": true}),
            json!({"ops": ["a", "b"], "caller": true})
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_a_state_and_no_loop() {
    let hub = Scribe::refusing([("hub.login", Fault::failed("wrong password"))]);
    let (network, mut accepted) = Network::new([], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    let refused = Ended::Refused {
        operation: "hub.login",
        fault: Fault::failed("wrong password"),
    };
    assert_eq!(
        kept.request_raw("echo", "x").await,
        Err(Fault::failed("wrong password"))
    );
    assert_eq!(kept.closed().await, refused);
    assert_eq!(refused.to_string(), "hub.login was refused: wrong password");
    assert_eq!(*kept.state().borrow(), State::Closed(refused));
    assert_eq!(accepted.recv().await.unwrap().closed().await, CloseReason::Remote);
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(network.tries.lock().len(), 1);
    assert_eq!(hub.names(), ["hub.login"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_can_be_waited_out() {
    let hub = Scribe::refusing([
        ("hub.serve", Fault::failed("not allowed")),
        ("hub.login", Fault::retry(90 * SECOND, "too many sessions")),
    ]);
    let (network, _accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        refused_wait: Some(60 * SECOND),
        ..at_hub()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.connected().await.unwrap();
    let gaps = network.gaps();
    assert_eq!(gaps.len(), 2);
    // A Retry is waited out as the hub says, an Error as the options do.
    assert!((90 * SECOND..91 * SECOND).contains(&gaps[0]), "{gaps:?}");
    assert!((60 * SECOND..61 * SECOND).contains(&gaps[1]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wish_waits_for_the_connection_and_for_a_hub_that_is_busy() {
    let hub = Scribe::refusing([("hub.serve", Fault::retry(2 * SECOND, "busy"))]);
    let (network, _accepted) = Network::new([Try::Fails], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let began = Instant::now();
    kept.serve(&["a"]).await.unwrap();
    assert!(began.elapsed() >= 2 * SECOND);
    assert_eq!(hub.names(), ["hub.serve", "hub.serve"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_wish_is_forgotten() {
    let hub = Scribe::refusing([("hub.subscribe", Fault::failed("not allowed"))]);
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let refused = kept.subscribe(&["secret"], None).await;
    assert_eq!(refused, Err(Fault::failed("not allowed")));
    kept.subscribe(&["open"], None).await.unwrap();
    hub.take();
    accepted.recv().await.unwrap().close();
    accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    assert_eq!(
        hub.take(),
        [("hub.subscribe".to_owned(), json!({"topics": ["open"]}))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_was_on_its_way_is_asked_for_again() {
    let hub = Scribe::default();
    let stuck = Arc::new(hub.handlers());
    let first = Arc::new(Mutex::new(true));
    let hub_handlers = stuck.child().handle_raw("hub.serve", move |context, _| {
        let first = std::mem::take(&mut *first.lock());
        async move {
            if first {
                context.peer().close();
                std::future::pending::<()>().await;
            }
            Ok(Bytes::new())
        }
    });
    let (network, _accepted) = Network::new([], hub_handlers);
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.serve(&["a"]).await.unwrap();
    assert_eq!(network.tries.lock().len(), 2);
}

// ---- without a hub

#[tokio::test(start_paused = true)]
async fn without_a_hub_no_word_of_one_is_said() {
    let far = Scribe::default();
    let (network, mut accepted) = Network::new([Try::Fails], far.handlers());
    let kept = network.keep(handlers(), KeepAliveOptions::default());
    assert_eq!(kept.request_raw("echo", "queued").await.unwrap(), "queued");
    assert_eq!(kept.request::<_, i64>("add", &(2, 3)).await.unwrap(), 5);
    let first = accepted.recv().await.unwrap();
    assert_eq!(first.request_raw("echo", "back").await.unwrap(), "back");
    first.close();
    first.closed().await;
    assert_eq!(kept.request_raw("echo", "again").await.unwrap(), "again");
    kept.shutdown(SECOND).await;
    assert_eq!(far.names(), [] as [&str; 0]);
}

#[tokio::test]
async fn over_real_sockets_it_comes_back_to_the_same_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("tcp://{address}").parse().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(switchboard_peer::serve(
        listener,
        handlers(),
        quiet(),
        stop.clone(),
        Duration::ZERO,
    ));
    let options = KeepAliveOptions {
        back_off: BackOff {
            first: MS,
            max: 10 * MS,
        },
        ..KeepAliveOptions::default()
    };
    let kept = KeepAlive::connect(url, Connector::default(), Handlers::new(), options);
    settled(&kept).await;
    stop.cancel();
    serving.await.unwrap();
    state_that(&kept, |state| {
        matches!(
            state,
            State::Waiting {
                why: Setback::Unreachable(_),
                ..
            }
        )
    })
    .await;
    let again = tokio::net::TcpSocket::new_v4().unwrap();
    again.set_reuseaddr(true).unwrap();
    again.bind(address).unwrap();
    let listener = again.listen(16).unwrap();
    tokio::spawn(switchboard_peer::serve(
        listener,
        handlers(),
        quiet(),
        CancellationToken::new(),
        Duration::ZERO,
    ));
    settled(&kept).await;
}

// ---- sends

/// Answers `once` only on the second connection: the first closes with the call on its way.
fn closes_once() -> Handlers {
    let first = Arc::new(Mutex::new(true));
    handlers().handle_raw("once", move |context, payload| {
        let first = std::mem::take(&mut *first.lock());
        async move {
            if first {
                context.peer().close();
                std::future::pending::<()>().await;
            }
            Ok(payload)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_on_its_way_fails_with_a_retry() {
    let (network, _accepted) = Network::new([], closes_once());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let fault = kept.request_raw("once", "x").await.unwrap_err();
    assert!(fault.is_retry() && fault.message().contains("lost"), "{fault}");
    assert_eq!(kept.request_raw("once", "y").await.unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn with_a_policy_it_is_made_again_on_the_next_connection() {
    let (network, _accepted) = Network::new([], closes_once());
    let options = KeepAliveOptions {
        retry: RetryPolicy::default(),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    assert_eq!(kept.request_raw("once", "x").await.unwrap(), "x");
    assert_eq!(network.tries.lock().len(), 2);
    let (network, _accepted) = Network::new([], closes_once());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let again = kept.call("once").retry(RetryPolicy::times(1));
    assert_eq!(again.request_raw("x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn over_the_bound_sends_are_refused_at_once_and_room_comes_back() {
    let (network, _accepted) = Network::new([Try::Fails; 3], handlers());
    let options = KeepAliveOptions {
        queue_sends_max: 3,
        queue_bytes_max: 100,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    kept.notify("a", &1).await.unwrap();
    kept.notify("b", &2).await.unwrap();
    let now = Instant::now();
    assert!(
        kept.request_raw("echo", vec![0; 200])
            .await
            .unwrap_err()
            .is_retry()
    );
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    tokio::task::yield_now().await;
    for fault in [
        kept.request_raw("echo", "y").await.unwrap_err(),
        kept.notify("c", &3).await.unwrap_err(),
    ] {
        let Fault::Retry { wait, .. } = &fault else {
            panic!("{fault}")
        };
        assert!((100 * MS..=501 * MS).contains(wait), "{wait:?}");
    }
    assert_eq!(Instant::now(), now, "a refusal waits for nothing");
    // A request that is given up leaves its place to others.
    queued.abort();
    assert!(queued.await.unwrap_err().is_cancelled());
    assert_eq!(kept.request_raw("echo", "z").await.unwrap(), "z");
    for number in 0..100 {
        kept.notify("d", &number).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_queued_request_heeds_its_deadline() {
    let (network, _accepted) = Network::new([Try::Fails; 20], handlers());
    let options = KeepAliveOptions {
        queue_sends_max: 1,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let began = Instant::now();
    for _ in 0..3 {
        let call = kept.call("echo").timeout(SECOND);
        let fault = call.request_raw("x").await.unwrap_err();
        assert!(
            fault.is_retry() && fault.message().contains("deadline"),
            "{fault}"
        );
    }
    assert!((3 * SECOND..4 * SECOND).contains(&began.elapsed()));
    let policy = kept.call("echo").timeout(SECOND).retry(RetryPolicy::default());
    assert!(policy.request_raw("x").await.unwrap_err().is_retry());
    assert!(began.elapsed() < 5 * SECOND, "retries are inside the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_too_long_is_told_at_once_away_or_not() {
    let (network, _accepted) = Network::new([Try::Fails], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let name = "x".repeat(4096);
    let away = kept.notify(&name, &1).await.unwrap_err();
    kept.connected().await.unwrap();
    assert_eq!(kept.notify(&name, &1).await.unwrap_err(), away);
    assert!(!away.is_retry());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_and_notifications_survive_a_connection_that_breaks_all_the_time() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        back_off: BackOff {
            first: MS,
            max: 2 * MS,
        },
        retry: RetryPolicy {
            retries_max: u32::MAX,
            wait_min: MS,
            wait_max: 5 * MS,
            ..RetryPolicy::default()
        },
        queue_sends_max: 100_000,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let breaker = tokio::spawn(async move {
        while let Some(far) = accepted.recv().await {
            tokio::time::sleep(MS * fastrand::u32(0..10)).await;
            far.close();
        }
    });
    let tasks: Vec<_> = (0..20)
        .map(|task: u32| {
            let kept = kept.clone();
            tokio::spawn(async move {
                let name = format!("from/{task}");
                for number in 0..100_u32 {
                    kept.notify(&name, &number).await.unwrap();
                    let text = format!("{task}/{number}");
                    assert_eq!(kept.request_raw("echo", text.clone()).await.unwrap(), text);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(
        network.tries.lock().len() > 3,
        "it must have been lost a few times"
    );
    breaker.abort();
    let mut last = std::collections::HashMap::new();
    for (name, number) in hub.take() {
        let number = number.as_u64().unwrap();
        if let Some(before) = last.insert(name.clone(), number) {
            assert!(before < number, "{name}: {number} came after {before}");
        }
    }
    // A loss takes what was on its way with it, so not all must have come; most do.
    assert_eq!(last.len(), 20);
}

// ---- the end

#[tokio::test(start_paused = true)]
async fn a_close_ends_what_is_queued_and_every_try() {
    let (network, _accepted) = Network::new([Try::Fails; 100], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    kept.close();
    let fault = queued.await.unwrap().unwrap_err();
    assert!(
        !fault.is_retry() && fault.message().contains("closed by this program"),
        "{fault}"
    );
    assert_eq!(kept.closed().await, Ended::Local);
    let tries = network.tries.lock().len();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(network.tries.lock().len(), tries);
    assert!(kept.peer().is_none());
    kept.shutdown(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes() {
    let (network, mut accepted) = Network::new([], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let mut state = kept.state();
    let other = kept.clone();
    kept.connected().await.unwrap();
    drop(kept);
    settled(&other).await;
    drop(other);
    assert_eq!(accepted.recv().await.unwrap().closed().await, CloseReason::Remote);
    assert_eq!(*state.borrow_and_update(), State::Closed(Ended::Local));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_what_is_queued_and_waits_for_answers() {
    let hub = Scribe::default();
    let (network, _accepted) = Network::new([Try::Fails; 2], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    kept.notify("note", &1).await.unwrap();
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    tokio::task::yield_now().await;
    kept.shutdown(60 * SECOND).await;
    assert_eq!(queued.await.unwrap().unwrap(), "x");
    assert!(hub.names().contains(&"note".to_owned()));
    assert_eq!(kept.closed().await, Ended::Local);
    assert_eq!(network.tries.lock().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_has_the_hub_send_no_more_and_finishes_what_it_serves() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let here = Handlers::new().handle_raw("slow", |_, payload| async {
        tokio::time::sleep(10 * SECOND).await;
        Ok(payload)
    });
    let kept = network.keep(here, at_hub());
    kept.connected().await.unwrap();
    let far = accepted.recv().await.unwrap();
    let served = tokio::spawn(async move { far.request_raw("slow", "x").await });
    while kept.peer().unwrap().requests_in_service() == 0 {
        tokio::task::yield_now().await;
    }
    hub.take();
    let began = Instant::now();
    kept.shutdown(60 * SECOND).await;
    assert_eq!(served.await.unwrap().unwrap(), "x");
    assert!(
        (10 * SECOND..12 * SECOND).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        hub.take(),
        [("hub.unserve".to_owned(), json!({"ops": ["lamp.switch"]}))]
    );
    assert_eq!(network.tries.lock().len(), 1);
    assert!(kept.request_raw("echo", "late").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_no_longer_than_its_grace() {
    let (network, _accepted) = Network::new([Try::Fails; 100], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    kept.notify("note", &1).await.unwrap();
    let began = Instant::now();
    kept.shutdown(3 * SECOND).await;
    assert!((3 * SECOND..4 * SECOND).contains(&began.elapsed()));
    assert_eq!(kept.closed().await, Ended::Local);
    // With a call that is never answered, too.
    let (network, _accepted) = Network::new([], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let never = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("never", "x").await }
    });
    kept.connected().await.unwrap();
    while kept.peer().unwrap().requests_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    kept.shutdown(3 * SECOND).await;
    assert!(
        (3 * SECOND..5 * SECOND).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert!(never.await.unwrap().unwrap_err().is_retry());
}
