//! Two peers in memory, and a raw end that speaks bytes.
#![allow(dead_code, reason = "each test program uses a part")]

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{
    Caller, Context, Fault, Handlers, Options, PartReceiver, Peer, Results, Service, Side,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes that the in-memory pipe holds each way.
const PIPE_BYTES: usize = 64 * 1024;

/// Options without heartbeats, so that a raw end sees only what the test is about.
pub fn quiet() -> Options {
    Options {
        heartbeat_interval: None,
        ..Options::default()
    }
}

/// Two connected peers.
pub async fn pair(left: impl Service, right: impl Service) -> (Peer, Peer) {
    pair_with(left, quiet(), right, quiet()).await
}

/// Two connected peers, each with its own options.
pub async fn pair_with(
    left: impl Service,
    left_options: Options,
    right: impl Service,
    right_options: Options,
) -> (Peer, Peer) {
    let (one, other) = tokio::io::duplex(PIPE_BYTES);
    let (left, right) = tokio::join!(
        Peer::start(one, Side::Connecting, left, left_options, Caller::default()),
        Peer::start(other, Side::Accepting, right, right_options, Caller::default()),
    );
    (left.unwrap(), right.unwrap())
}

/// A peer whose other end is in the test's hands, after the handshake.
pub async fn raw(service: impl Service, options: Options) -> (Peer, Raw) {
    let (one, other) = tokio::io::duplex(PIPE_BYTES);
    let mut raw = Raw { io: other };
    let (peer, ()) = tokio::join!(
        Peer::start(one, Side::Accepting, service, options, Caller::default()),
        async {
            raw.send("01").await;
            raw.expect("01").await;
        }
    );
    (peer.unwrap(), raw)
}

/// One end of a connection, by hand.
pub struct Raw {
    pub io: DuplexStream,
}

impl Raw {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let mut got = Vec::new();
        while got.len() < wanted.len() {
            let mut byte = [0];
            let read = tokio::time::timeout(Duration::from_secs(60), self.io.read(&mut byte)).await;
            match read {
                Ok(Ok(1)) => got.push(byte[0]),
                end => panic!("{end:?} after {:?}, wanted {:?}", text(&got), text(wanted)),
            }
            assert_eq!(
                text(&got),
                text(&wanted[..got.len()]),
                "wanted {:?}",
                text(wanted)
            );
        }
    }

    /// Reads to the end, which must come.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), self.io.read_to_end(&mut rest)).await;
        read.expect("the connection must end").unwrap();
        text(&rest)
    }
}

pub fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A few handlers that many tests use.
pub fn handlers() -> Handlers {
    Handlers::new()
        .handle_raw("echo", |_, payload| async { Ok(payload) })
        .handle("add", |_, (a, b): (i64, i64)| async move { Ok(a + b) })
        .handle_raw("fail", |_, _| async { Err(Fault::failed("it failed")) })
        .handle_raw("busy", |_, _| async {
            Err(Fault::retry(Duration::from_millis(1500), "come back"))
        })
        .handle_raw("panic", |_, _| async { panic!("on purpose") })
        .handle_raw("late panic", |_, _| async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        })
        .handle_raw("never", |_, _| std::future::pending::<Result<Bytes, Fault>>())
        .handle_stream("cat", cat)
}

/// Sends every part back as it comes.
pub async fn cat(_: Context, mut body: PartReceiver, results: Results) -> Result<(), Fault> {
    while let Some(part) = body.next().await {
        if results.send(part?).await.is_err() {
            break;
        }
    }
    Ok(())
}
