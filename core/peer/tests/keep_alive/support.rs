//! A network in a test's hands, and a hub that writes down what it is told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use switchboard_peer::{
    Caller, Context, DeliveryPolicy, Fault, Handlers, KeepAlive, KeepAliveOptions, Login, Options, Peer,
    Presence, Service, Side, State, Subscription,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::common::{handlers, quiet};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// What a try to connect comes to.
#[derive(Clone, Copy)]
pub enum Try {
    /// Nobody answers.
    Fails,
    /// Neither yes nor no.
    Hangs,
}

/// A network whose first tries come to what the script says, and whose others succeed.
#[derive(Clone)]
pub struct Network {
    pub script: Arc<Mutex<VecDeque<Try>>>,
    pub tries: Arc<Mutex<Vec<Instant>>>,
    pub hub: Arc<dyn Service>,
    pub accepted: mpsc::UnboundedSender<Peer>,
}

impl Network {
    /// Says also where the other ends of the connections come out.
    pub fn new(
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

    pub fn keep(&self, service: impl Service, options: KeepAliveOptions) -> KeepAlive {
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

    pub fn gaps(&self) -> Vec<Duration> {
        let tries = self.tries.lock();
        tries.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// A hub that writes down all requests and notifications in their order.
#[derive(Clone, Default)]
pub struct Scribe {
    said: Arc<Mutex<Vec<(String, Value)>>>,
    /// What is answered to which operation; the rest is agreed to.
    answers: Arc<Mutex<VecDeque<(&'static str, Fault)>>>,
}

impl Scribe {
    pub fn refusing(answers: impl IntoIterator<Item = (&'static str, Fault)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    pub fn handlers(&self) -> Handlers {
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

    pub fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.said.lock())
    }

    pub fn names(&self) -> Vec<String> {
        self.take().into_iter().map(|(name, _)| name).collect()
    }
}

pub fn presence() -> Presence {
    Presence {
        login: Some(Login::account("lamp").password("hush")),
        operations: vec!["lamp.switch".into()],
        declared: vec![],
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

pub fn at_hub() -> KeepAliveOptions {
    KeepAliveOptions {
        hub: Some(presence()),
        ..KeepAliveOptions::default()
    }
}

pub async fn state_that(kept: &KeepAlive, is: impl FnMut(&State) -> bool) -> State {
    kept.state().wait_for(is).await.unwrap().clone()
}

/// Waits until the other side has handled all that was sent to it before.
pub async fn settled(kept: &KeepAlive) {
    assert_eq!(kept.request_raw("echo", "settled").await.unwrap(), "settled");
}
