//! Two peers in memory, and a raw end that speaks bytes.
#![allow(dead_code, reason = "each test program uses a part")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchboard_peer::{
    Caller, Context, Fault, Handlers, Options, PartReceiver, Peer, Results, Service, Side,
};
use switchboard_wire::gotalk::{Bounds, Message, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};

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

impl Raw {
    /// Says nothing more, and goes on reading.
    pub async fn half_close(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// Sees that nothing is said for so long.
    pub async fn silence(&mut self, lasts: Duration) {
        let mut byte = [0];
        let read = tokio::time::timeout(lasts, self.io.read(&mut byte)).await;
        assert!(read.is_err(), "{read:?} {:?} instead of silence", text(&byte));
    }

    /// The next message that is no heartbeat; `None` at the end.
    pub async fn message(&mut self) -> Option<Message> {
        let mut heard = BytesMut::new();
        loop {
            let mut byte = [0];
            let read = tokio::time::timeout(Duration::from_secs(60), self.io.read(&mut byte)).await;
            if read.expect("a message, or the end").unwrap() == 0 {
                assert!(heard.is_empty(), "the end came within {:?}", text(&heard));
                return None;
            }
            heard.extend_from_slice(&byte);
            match decode(&mut heard, &Bounds::default()).unwrap() {
                Some(Message::Heartbeat { .. }) | None => {}
                message => return message,
            }
        }
    }

    /// The connection answers as if nothing had happened.
    pub async fn is_well(&mut self) {
        self.send("rwell004echo00000004well").await;
        self.expect("Rwell00000004well").await;
    }
}

/// Lets the handlers of the operation `gate` go on, all of them, for good.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn open(&self) {
        self.0.send_replace(true);
    }
}

/// [`handlers`], and `gate`, which answers with its payload once the gate is open.
pub fn gated() -> (Handlers, Gate) {
    let (sender, gate) = watch::channel(false);
    let handlers = handlers().handle_raw("gate", move |_, payload| {
        let mut gate = gate.clone();
        async move {
            // The gate lives as long as the test.
            let _ = gate.wait_for(|open| *open).await;
            Ok(payload)
        }
    });
    (handlers, Gate(sender))
}

/// What becomes of the operation `probe`, whose handler never ends by itself.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Probe {
    Runs,
    /// The handler was told that its caller is gone.
    Cancelled,
    /// The handler was dropped.
    Dropped,
}

/// [`handlers`], and `probe`.
pub fn probed() -> (Handlers, mpsc::UnboundedReceiver<Probe>) {
    let (tell, told) = mpsc::unbounded_channel();
    let handlers = handlers().handle_raw("probe", move |context, _| {
        let last_word = LastWord(tell.clone());
        async move {
            let _ = last_word.0.send(Probe::Runs);
            context.cancelled().await;
            let _ = last_word.0.send(Probe::Cancelled);
            std::future::pending().await
        }
    });
    (handlers, told)
}

struct LastWord(mpsc::UnboundedSender<Probe>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let _ = self.0.send(Probe::Dropped);
    }
}

/// Waits until `holds`, letting every other task run meanwhile.
pub async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}
