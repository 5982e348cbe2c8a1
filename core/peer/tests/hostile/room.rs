//! A hostile end, the peer it talks to, and a neighbour.

use std::sync::Arc;

use switchboard_peer::{Caller, CloseReason, Handlers, Options, Peer, ProtocolErrorCode, Service, Side};

use crate::common::{Raw, quiet, raw};

pub struct Room {
    /// What the hostile end talks to.
    pub peer: Peer,
    pub raw: Raw,
    /// A well-behaved client of the same service.
    pub neighbour: Peer,
}

impl Room {
    pub async fn new(service: impl Service, options: Options) -> Self {
        let service = Arc::new(service);
        let (peer, raw) = raw(Arc::clone(&service), options).await;
        let (one, other) = tokio::io::duplex(1024);
        let (neighbour, served) = tokio::join!(
            Peer::start(
                one,
                Side::Connecting,
                Handlers::new(),
                patient(),
                Caller::default()
            ),
            Peer::start(other, Side::Accepting, service, patient(), Caller::default()),
        );
        served.unwrap();
        Self {
            peer,
            raw,
            neighbour: neighbour.unwrap(),
        }
    }

    /// Both connections answer.
    pub async fn all_is_well(&mut self) {
        self.raw.is_well().await;
        self.neighbour_is_well().await;
    }

    pub async fn neighbour_is_well(&self) {
        let answer = self.neighbour.request_raw("echo", "well").await;
        assert_eq!(answer.as_deref(), Ok(&b"well"[..]));
    }

    /// The hostile end is told its fault, after `before`, and nothing more; the neighbour is well.
    pub async fn refused(mut self, before: &str, code: ProtocolErrorCode) {
        self.raw.expect(before).await;
        assert_eq!(self.raw.rest().await, format!("f{:08x}", u32::from(code)));
        drop(self.raw);
        let reason = self.peer.closed().await;
        match code {
            ProtocolErrorCode::Timeout => assert_eq!(reason, CloseReason::ReadTimeout),
            _ => assert!(
                matches!(reason, CloseReason::Illegal(told, _) if told == code),
                "{reason:?}"
            ),
        }
        let answer = self.neighbour.request_raw("echo", "well").await;
        assert_eq!(answer.as_deref(), Ok(&b"well"[..]));
    }
}

/// The neighbour may be silent for as long as a test takes.
fn patient() -> Options {
    Options {
        read_timeout: None,
        ..quiet()
    }
}
