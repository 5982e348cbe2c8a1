use std::time::Duration;

use switchboard_engine::bus::{Bus, BusMessage};
use switchboard_engine::{Answer, Blobs, Health, Keys, Queues};
use switchboard_peer::{Body, ErrorKind, Replier, Reply, parts};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::letter::Opening;
use super::*;
use crate::call::{Call, Caller};
use crate::config::HubConfig;
use crate::declaration::Declaration;
use crate::filter::Filter;
use crate::hub::Hub;
use crate::message::Publish;
use crate::names::Account;
use crate::policy::Policy;
use crate::session::{Session, SessionId, SessionInfo};

/// Takes what is to arrive, and when.
type Subscriber = mpsc::UnboundedSender<(Instant, BusEvent)>;

/// An engine that is shared, and has a bus and nothing else.
#[derive(Debug, Default)]
struct BusOnly {
    subscriptions: Mutex<Vec<(Filter, Subscriber)>>,
    /// Topics of letters that are lost from now on.
    cut: Mutex<Vec<String>>,
    /// How long each subscriber's messages are on their way.
    latency: Mutex<Duration>,
    payload_bytes_max: usize,
}

impl BusOnly {
    /// Something was lost on its way to a subscriber.
    fn miss(&self, topic: &str) {
        for (filter, subscriber) in &*self.subscriptions.lock() {
            if filter.matches(topic) {
                let _ = subscriber.send((Instant::now(), BusEvent::Missed));
            }
        }
    }
}

impl Engine for BusOnly {
    fn description(&self) -> String {
        "a bus".to_owned()
    }
    fn is_shared(&self) -> bool {
        true
    }
    fn health(&self) -> Health {
        Health::Ready
    }
    fn bus(&self) -> &dyn Bus {
        self
    }
    fn keys(&self) -> &dyn Keys {
        unreachable!("no test here uses keys")
    }
    fn queues(&self) -> &dyn Queues {
        unreachable!("no test here uses queues")
    }
    fn blobs(&self) -> &dyn Blobs {
        unreachable!("no test here uses blobs")
    }
    fn flush(&self) -> Answer<()> {
        Answer::ok(())
    }
    fn close(&self) -> Answer<()> {
        self.subscriptions.lock().clear();
        Answer::ok(())
    }
}

impl Bus for BusOnly {
    fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max
    }

    fn publish(&self, topic: ByteString, payload: Bytes) -> Result<()> {
        assert!(payload.len() <= self.payload_bytes_max, "{} bytes", payload.len());
        if self.cut.lock().iter().any(|cut| *cut == *topic) {
            return Ok(());
        }
        let arrives = Instant::now() + *self.latency.lock();
        for (filter, subscriber) in &*self.subscriptions.lock() {
            if filter.matches(&topic) {
                let message = BusMessage {
                    topic: topic.clone(),
                    payload: payload.clone(),
                    reply_to: None,
                };
                let _ = subscriber.send((arrives, BusEvent::Message(message)));
            }
        }
        Ok(())
    }

    fn subscribe(&self, filter: ByteString, _: Option<ByteString>) -> Answer<BusSubscription> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscriptions
            .lock()
            .push((Filter::parse(&filter).unwrap(), sender));
        let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let (arrives, event) = receiver.recv().await?;
            tokio::time::sleep_until(arrives).await;
            Some((event, receiver))
        });
        Answer::ok(events.boxed())
    }

    fn request(&self, _: ByteString, _: Bytes, _: Duration) -> Answer<Bytes> {
        unreachable!("no test here makes requests")
    }
}

/// Some hubs that know of each other.
async fn hubs<const COUNT: usize>(payload_bytes_max: usize) -> (Arc<BusOnly>, [Hub; COUNT]) {
    let bus = Arc::new(BusOnly {
        payload_bytes_max,
        ..BusOnly::default()
    });
    let engine: Arc<dyn Engine> = Arc::clone(&bus) as _;
    let mut hubs = Vec::new();
    for _ in 0..COUNT {
        hubs.push(Hub::joined(HubConfig::default(), &engine).await.unwrap());
    }
    (bus, hubs.try_into().unwrap())
}

fn info() -> SessionInfo {
    SessionInfo {
        door: "test".into(),
        address: "127.0.0.1:5".to_owned(),
        account: Account::guest(),
        client: None,
    }
}

fn session(hub: &Hub) -> Session {
    hub.open(info()).unwrap()
}

/// Waits until so many serve an operation, as a hub sees it.
async fn until_served(session: &Session, operation: &str, responders: usize) {
    let served = || {
        let page = session.ops(&crate::operations::PageRequest::default());
        page.ops
            .iter()
            .find(|known| known.op == operation)
            .map_or(0, |known| known.responders)
    };
    while served() != responders {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn call(session: &Session, operation: &str, body: Body) -> switchboard_peer::ReplyFuture {
    let (reply, answer) = Replier::pair(64 * 1024);
    session.call(ByteString::from(operation), body, None, reply);
    answer
}

/// Serves an operation by an async function.
fn serve<F: Future<Output = ()> + Send + 'static>(
    session: &Session,
    operation: &str,
    answer: impl Fn(Call, Replier) -> F + Send + Sync + 'static,
) {
    let responder = move |call: Call, reply: Replier| drop(tokio::spawn(answer(call, reply)));
    session.serve(operation, Arc::new(responder)).unwrap();
}

/// Answers with what came, in the same shape.
async fn echo(call: Call, reply: Replier) {
    match call.body {
        Body::Single(payload) => reply.result(payload),
        Body::Stream(mut body) => {
            let mut result = reply.stream();
            while let Some(Ok(part)) = body.next().await {
                if result.send(part).await.is_err() {
                    return;
                }
            }
            result.finish();
        }
    }
}

const LETTER_BYTES: usize = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn what_is_served_at_one_hub_is_called_through_another() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let safe = Declaration {
        safe: true,
        ..Declaration::default()
    };
    let who = |call: Call, reply: Replier| {
        let info = call.caller.info;
        reply.result(format!("{} {} {}", info.account, info.door, info.address));
    };
    server.serve_declared("who", Arc::new(who), safe).unwrap();
    until_served(&caller, "who", 1).await;
    let answer = call(&caller, "who", Body::Single(Bytes::new())).await.unwrap();
    assert_eq!(answer.collect(100).await.unwrap(), "guest test 127.0.0.1:5");
    assert!(caller.find("who".into()).unwrap().is_safe());

    server.unserve("who");
    until_served(&caller, "who", 0).await;
    assert_eq!(
        call(&caller, "who", Body::Single(Bytes::new()))
            .await
            .unwrap_err(),
        Fault::unknown_operation("who")
    );
}

#[tokio::test(start_paused = true)]
async fn payloads_and_streams_of_any_size_pass_between_hubs() {
    // Letters of 3 KB: much takes many pieces.
    let (_, [one, other]) = hubs(40 * 1024).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    for size in [0, 1, 10_000, 3_000_000] {
        let payload = Bytes::from(vec![7; size]);
        let answer = call(&caller, "echo", Body::Single(payload.clone()))
            .await
            .unwrap();
        assert!(matches!(answer, Reply::Single(_)), "{size}");
        assert_eq!(answer.collect(size).await.unwrap(), payload, "{size}");
    }
    let (mut body, receiver) = parts(1000);
    let answer = call(&caller, "echo", Body::Stream(receiver));
    let sent: Vec<Bytes> = (0_u32..40)
        .map(|part| vec![part as u8; 1 + part as usize * 20_000].into())
        .collect();
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for part in sent {
                body.send(part).await.unwrap();
            }
            body.finish();
        }
    });
    let mut result = answer.await.unwrap().into_parts();
    let mut heard = Vec::new();
    while let Some(part) = result.next().await {
        heard.push(part.unwrap());
    }
    sending.await.unwrap();
    assert_eq!(heard, sent, "the parts keep their bounds");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_holds_the_responder_back() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let said = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counts = Arc::clone(&said);
    serve(&server, "flood", move |_, reply| {
        let said = Arc::clone(&counts);
        async move {
            let mut result = reply.stream();
            while result.send(vec![1; 10_000]).await.is_ok() {
                said.fetch_add(10_000, Ordering::Relaxed);
            }
        }
    });
    until_served(&caller, "flood", 1).await;
    let answer = call(&caller, "flood", Body::Single(Bytes::new())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let unread = said.load(Ordering::Relaxed);
    assert!((100_000..2_000_000).contains(&unread), "{unread}");
    // And when nobody reads any more, it ends.
    drop(answer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let then = said.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(said.load(Ordering::Relaxed), then);
}

#[tokio::test(start_paused = true)]
async fn faults_and_cancellation_pass_between_hubs() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let faults = [
        Fault::error(ErrorKind::Conflict, "no"),
        Fault::retry(Duration::from_millis(1234), "later"),
    ];
    for (operation, fault) in ["error", "retry"].into_iter().zip(faults.clone()) {
        let answer = move |_: Call, reply: Replier| reply.fault(fault.clone());
        server.serve(operation, Arc::new(answer)).unwrap();
    }
    let given_up = CancellationToken::new();
    let fires = given_up.clone();
    serve(&server, "slow", move |_, reply| {
        let fires = fires.clone();
        async move {
            reply.cancellation().cancelled().await;
            fires.cancel();
        }
    });
    until_served(&caller, "slow", 1).await;
    for (operation, fault) in ["error", "retry"].into_iter().zip(faults) {
        assert_eq!(
            call(&caller, operation, Body::Single(Bytes::new()))
                .await
                .unwrap_err(),
            fault
        );
    }
    let answer = call(&caller, "slow", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!given_up.is_cancelled());
    drop(answer);
    given_up.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_silent_costs_its_callers_a_retry() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "never", |_, reply| async move {
        std::future::pending::<()>().await;
        drop(reply);
    });
    until_served(&caller, "never", 1).await;
    let answer = call(&caller, "never", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    bus.cut.lock().extend(["hubs".to_owned()]);
    assert!(answer.await.unwrap_err().is_retry());
    assert!(begun.elapsed() >= SILENCE_MAX - Duration::from_secs(1));
    // For a while it is missed, then unknown; and when it is heard again, it is back.
    assert!(
        call(&caller, "never", Body::Single(Bytes::new()))
            .await
            .unwrap_err()
            .is_retry()
    );
    bus.cut.lock().clear();
    until_served(&caller, "never", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_was_lost_is_noticed() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    let (mut body, receiver) = parts(1000);
    let answer = call(&caller, "echo", Body::Stream(receiver));
    let mut result = answer.await.unwrap().into_parts();
    body.send("one").await.unwrap();
    assert_eq!(result.next().await.unwrap().unwrap(), "one");
    bus.cut.lock().push(HubId(one.epoch()).topic().to_string());
    body.send("two").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    bus.cut.lock().clear();
    body.send("three").await.unwrap();
    // The responder's hub sees the gap and gives the call up, so the result does not end as if it were whole.
    let end = tokio::time::timeout(Duration::from_secs(60), result.next()).await;
    assert!(matches!(end, Ok(Some(Err(fault))) if fault.is_retry()));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_leaves_is_not_waited_for() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    let begun = Instant::now();
    leave(&one).await;
    until_served(&caller, "echo", 0).await;
    assert!(begun.elapsed() < Duration::from_millis(500));
    // Nor does it wait for one that has left.
    leave(&other).await;
    assert!(begun.elapsed() < Duration::from_millis(500));
}

async fn leave(hub: &Hub) {
    hub.drain();
    hub.inner().cluster.get().unwrap().leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_leaves_costs_no_caller_anything_while_others_serve() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    *bus.latency.lock() = Duration::from_millis(10);
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    let answered = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    for (server, answered) in [&gone, &stays].into_iter().zip(&answered) {
        let answered = Arc::clone(answered);
        serve(server, "echo", move |call, reply| {
            answered.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                echo(call, reply).await;
            }
        });
    }
    until_served(&caller, "echo", 2).await;
    let (caller, over) = (Arc::new(caller), CancellationToken::new());
    let callers = [(); 10].map(|()| {
        let (caller, over) = (Arc::clone(&caller), over.clone());
        tokio::spawn(async move {
            while !over.is_cancelled() {
                let answer = call(&caller, "echo", Body::Single(Bytes::from("x"))).await;
                assert_eq!(answer.unwrap().collect(10).await.unwrap(), "x");
            }
        })
    });
    let more = async |at: usize| {
        let before = answered[at].load(Ordering::Relaxed);
        while answered[at].load(Ordering::Relaxed) < before + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    more(0).await;
    one.drain();
    drop(gone);
    leave(&one).await;
    more(1).await;
    over.cancel();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_hub_that_is_found_gone_is_made_at_another() {
    let (_, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    for server in [&gone, &stays] {
        serve(server, "echo", echo);
    }
    until_served(&caller, "echo", 2).await;
    let not_there = [HubId(other.epoch())];
    let chosen = third
        .inner()
        .responders
        .choose_besides("echo", &not_there)
        .unwrap();
    assert_eq!(chosen.elsewhere, Some(HubId(one.epoch())));
    leave(&one).await;
    until_served(&caller, "echo", 1).await;
    let (reply, answer) = Replier::pair(1000);
    let caller = Caller {
        session: SessionId::HUB,
        info: Arc::new(info()),
    };
    let call = Call {
        operation: "echo".into(),
        body: Body::Single(Bytes::from("x")),
        content_type: None,
        caller,
        deadline: None,
    };
    chosen.responder.respond(call, reply);
    assert_eq!(answer.await.unwrap().collect(10).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hear_that_a_hub_leaves_is_answered_for_a_while() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    bus.cut.lock().push(PRESENCES.to_string());
    let begun = Instant::now();
    let leaving = tokio::spawn(async move { leave(&one).await });
    tokio::time::sleep(LEAVE_TIME_MAX / 2).await;
    let answer = call(&caller, "echo", Body::Single(Bytes::new()));
    assert_eq!(answer.await.unwrap_err(), lost(GONE));
    assert!(!leaving.is_finished());
    leaving.await.unwrap();
    assert_eq!(begun.elapsed(), LEAVE_TIME_MAX);
    until_served(&caller, "echo", 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_whose_letter_comes_before_its_presence_is_answered() {
    let (bus, [hub]) = hubs(LETTER_BYTES).await;
    let server = session(&hub);
    serve(&server, "echo", echo);
    let caller = HubId(7);
    let mut letters = bus.subscribe(caller.topic(), None).await.unwrap();
    let opening = Opening {
        op: "echo".to_owned(),
        account: "guest".to_owned(),
        door: "test".to_owned(),
        address: "127.0.0.1:5".to_owned(),
        deadline_ms: None,
        content_type: None,
        stream: false,
        again: false,
    };
    let of_call = |from, said| Letter {
        from,
        content: Content::Call {
            call: CallId { caller, number: 0 },
            serial: 0,
            said,
        },
    };
    let open = of_call(caller, Said::Open(opening, Some(Bytes::from("x"))));
    bus.publish(HubId(hub.epoch()).topic(), open.encode()).unwrap();
    let Some(BusEvent::Message(answer)) = letters.next().await else {
        panic!("an answer");
    };
    let answer = Letter::decode(&answer.payload).unwrap();
    assert_eq!(
        answer,
        of_call(HubId(hub.epoch()), Said::Result(Bytes::from("x")))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_published_at_one_hub_reaches_all_once() {
    let (_, hubs) = hubs::<3>(LETTER_BYTES).await;
    let mut readers = Vec::new();
    for hub in &hubs {
        let session = session(hub);
        let (sink, deliveries) = session.sink(Policy::DropOldest);
        session.subscribe("home/#", &sink).unwrap();
        readers.push((session, deliveries));
    }
    let publisher = session(&hubs[0]);
    for number in 0..100 {
        let publish = Publish::new("home/lamp", number.to_string()).header("n", "v");
        publisher.publish(publish).await.unwrap();
    }
    for (_, deliveries) in &mut readers {
        for number in 0..100 {
            let delivery = deliveries.recv().await.unwrap();
            assert_eq!(delivery.message.payload, number.to_string());
            assert_eq!(delivery.message.headers, [("n".into(), "v".into())]);
        }
        let more = tokio::time::timeout(Duration::from_secs(10), deliveries.recv()).await;
        assert!(more.is_err(), "nothing comes twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_hub_has_no_room_for_is_told_to_none() {
    let bus = Arc::new(BusOnly {
        payload_bytes_max: LETTER_BYTES,
        ..BusOnly::default()
    });
    let engine: Arc<dyn Engine> = bus;
    let mut config = HubConfig::default();
    config.retained.messages = 1;
    let full = Hub::joined(config, &engine).await.unwrap();
    let roomy = Hub::joined(HubConfig::default(), &engine).await.unwrap();
    let (publisher, reader) = (session(&full), session(&roomy));
    let (sink, mut deliveries) = reader.sink(Policy::DropOldest);
    reader.subscribe("home/#", &sink).unwrap();
    let retain =
        |topic: &'static str, payload: &'static str| publisher.publish(Publish::new(topic, payload).retain());
    retain("home/one", "on").await.unwrap();
    let refused = retain("home/two", "on").await.unwrap_err();
    assert!(!refused.message().is_empty());
    // There is room for another value of the same topic, and to take away.
    retain("home/one", "off").await.unwrap();
    retain("home/two", "").await.unwrap();
    for (topic, payload) in [("home/one", "on"), ("home/one", "off"), ("home/two", "")] {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(
            (&**delivery.topic(), &*delivery.message.payload),
            (topic, payload.as_bytes())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_equals_the_responder_at_hand_is_taken_and_loads_are_shared() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (here, there) = (session(&one), session(&other));
    for (session, name) in [(&here, "here"), (&there, "there")] {
        serve(session, "who", move |_, reply| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reply.result(name);
        });
    }
    until_served(&here, "who", 2).await;
    let first = call(&here, "who", Body::Single(Bytes::new()));
    let second = call(&here, "who", Body::Single(Bytes::new()));
    let third = call(&here, "who", Body::Single(Bytes::new()));
    let mut answers = Vec::new();
    for answer in [first, second, third] {
        answers.push(answer.await.unwrap().collect(10).await.unwrap());
    }
    answers.sort();
    assert!(answers == ["here", "here", "there"], "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn many_operations_are_told_in_pages() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    for number in 0..300 {
        serve(&server, &format!("op{number:03}"), echo);
    }
    for number in [0, 127, 128, 129, 299] {
        until_served(&caller, &format!("op{number:03}"), 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_take_much_room_are_told_in_smaller_pages() {
    let (_, [one, other]) = hubs(64 * 1024).await;
    let (server, caller) = (session(&one), session(&other));
    // As JSON each takes six times as much.
    let long = |number: u32| format!("{number:02}{}", "\u{1}".repeat(4000));
    for number in 0..20 {
        serve(&server, &long(number), echo);
    }
    for number in 0..20 {
        until_served(&caller, &long(number), 1).await;
    }
}

/// Serves what is never answered at one hub, and calls it from the other.
async fn pending_call(one: &Hub, other: &Hub) -> (Session, Session, switchboard_peer::ReplyFuture) {
    let (server, caller) = (session(one), session(other));
    serve(&server, "never", |_, reply| async move {
        reply.cancellation().cancelled().await;
    });
    until_served(&caller, "never", 1).await;
    let answer = call(&caller, "never", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    (server, caller, answer)
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_wait_for_letters_that_were_lost() {
    for loser in [0, 1] {
        let (bus, hubs) = hubs::<2>(LETTER_BYTES).await;
        let [one, other] = &hubs;
        let (_server, caller, answer) = pending_call(one, other).await;
        let begun = Instant::now();
        bus.miss(&HubId(hubs[loser].epoch()).topic());
        let fault = answer.await.unwrap_err();
        assert!(fault.is_retry(), "{fault}");
        assert!(begun.elapsed() <= PRESENCE_INTERVAL, "{loser}");
        // Later calls are not of concern.
        let later = call(&caller, "never", Body::Single(Bytes::new()));
        let later = tokio::time::timeout(Duration::from_secs(30), later).await;
        assert!(later.is_err(), "{loser}: it is still waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_hub_misses_is_missed_here() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller, answer) = pending_call(&one, &other).await;
    drop(server);
    drop(answer);
    until_served(&caller, "never", 0).await;
    let now = || call(&caller, "never", Body::Single(Bytes::new()));
    assert!(now().await.unwrap_err().is_retry());
    tokio::time::sleep(HubConfig::default().absence_grace).await;
    assert_eq!(now().await.unwrap_err(), Fault::unknown_operation("never"));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_goes_down_takes_no_more_calls_and_ends_those_it_has() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "slow", |_, reply| async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        reply.result("done");
    });
    until_served(&caller, "slow", 1).await;
    let answer = call(&caller, "slow", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    one.drain();
    until_served(&caller, "slow", 0).await;
    let next = call(&caller, "slow", Body::Single(Bytes::new()));
    assert!(next.await.unwrap_err().is_retry());
    assert_eq!(answer.await.unwrap().collect(10).await.unwrap(), "done");
}

/// Takes an operation away, which the other hubs do not hear for now.
fn unserve_unheard(bus: &BusOnly, session: &Session, operation: &str) {
    bus.cut.lock().push(PRESENCES.to_string());
    session.unserve(operation);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_does_not_serve_it_any_more_costs_nothing_while_others_do() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    serve(&gone, "who", |_, reply| async move { reply.result("gone") });
    serve(&stays, "who", |call, reply| async move {
        let Body::Single(payload) = call.body else {
            panic!("a payload stays one");
        };
        reply.result(payload);
    });
    until_served(&caller, "who", 2).await;
    unserve_unheard(&bus, &gone, "who");
    // The second one does not fit into a letter.
    for payload in [Bytes::from("stays"), Bytes::from(vec![7; 2_000_000])] {
        for _ in 0..4 {
            let answer = call(&caller, "who", Body::Single(payload.clone())).await.unwrap();
            assert!(answer.collect(3_000_000).await.unwrap() == payload);
        }
    }
    // One that is called from its own hub is found there.
    serve(&caller, "who", |_, reply| async move { reply.result("here") });
    stays.unserve("who");
    for _ in 0..4 {
        let answer = call(&caller, "who", Body::Single(Bytes::new())).await.unwrap();
        assert_eq!(answer.collect(10).await.unwrap(), "here");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_serves_any_more_is_to_be_tried_again() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (here, there, caller) = (session(&one), session(&other), session(&third));
    for server in [&here, &there] {
        serve(server, "echo", echo);
    }
    until_served(&caller, "echo", 2).await;
    unserve_unheard(&bus, &here, "echo");
    unserve_unheard(&bus, &there, "echo");
    let (_sender, stream) = parts(1000);
    for body in [Body::Single(Bytes::new()), Body::Stream(stream)] {
        let answer = tokio::time::timeout(Duration::from_secs(1), call(&caller, "echo", body));
        assert_eq!(answer.await.unwrap().unwrap_err(), lost(GONE));
    }
}
