//! A door with a hub behind it, and ways to talk to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use switchboard_gateway_gotalk::{GatewayOptions, GotalkGateway, check_guest};
use switchboard_hub::{Hub, HubConfig, Stats};
use switchboard_net::{Limits, Listener, ListenerConfig, LocalAddress, Network, Shutdown};
use switchboard_peer::{Fault, Handlers, Options, Peer, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No single step of a test takes longer, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits a step of a test, within reason.
pub async fn patient<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("this should not take so long")
}

/// A hub with one gotalk door.
pub struct Door {
    pub hub: Hub,
    pub gateway: GotalkGateway,
    pub shutdown: Shutdown,
    pub local: LocalAddress,
}

impl Door {
    pub async fn open() -> Self {
        Self::with(HubConfig::default(), GatewayOptions::default()).await
    }

    pub async fn with(hub: HubConfig, options: GatewayOptions) -> Self {
        Self::at("tcp://127.0.0.1:0", hub, options).await
    }

    pub async fn at(address: &str, hub: HubConfig, options: GatewayOptions) -> Self {
        let config = ListenerConfig::new(address.parse().unwrap());
        let listener = Listener::bind(config, &Network::new(Limits::default()))
            .await
            .unwrap();
        let local = listener.local_address().clone();
        check_guest(&local).unwrap();
        let (hub, shutdown) = (Hub::new(hub), Shutdown::new());
        let gateway = GotalkGateway::new(hub.clone(), options, shutdown.clone());
        tokio::spawn(listener.run(gateway.clone(), shutdown.clone()));
        Self {
            hub,
            gateway,
            shutdown,
            local,
        }
    }

    pub fn ip(&self) -> SocketAddr {
        self.local.ip().expect("a door on TCP")
    }

    /// A peer of our own library.
    pub async fn peer(&self, handlers: Handlers) -> Peer {
        let url = match &self.local {
            LocalAddress::Ip(address) => format!("tcp://{address}"),
            LocalAddress::Unix(path) => format!("unix://{}", path.display()),
        };
        patient(connect(&url, handlers)).await.unwrap()
    }

    /// A peer that serves all that it handles.
    pub async fn responder(&self, handlers: Handlers) -> Peer {
        let request =
            serde_json::json!({ "ops": handlers.operations().iter().map(|op| &**op).collect::<Vec<_>>() });
        let peer = self.peer(handlers).await;
        ask(&peer, "hub.serve", &request.to_string()).await.unwrap();
        peer
    }

    /// An end that speaks bytes, after the handshake.
    pub async fn raw(&self) -> Raw {
        let mut raw = Raw {
            io: patient(TcpStream::connect(self.ip())).await.unwrap(),
        };
        raw.send("01").await;
        raw.expect("01").await;
        raw
    }

    /// Waits until the hub is in this state.
    pub async fn until(&self, state: impl Fn(&Stats) -> bool) {
        patient(async {
            while !state(&self.hub.stats()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

/// Options without heartbeats, so that a raw end sees only what the test is about.
pub fn quiet() -> GatewayOptions {
    GatewayOptions {
        peer: Options {
            heartbeat_interval: None,
            ..Options::default()
        },
        ..GatewayOptions::default()
    }
}

/// Calls an operation with JSON text, and reads the answer as JSON.
pub async fn ask(peer: &Peer, operation: &str, request: &str) -> Result<Value, Fault> {
    let answer = patient(peer.request_raw(operation, request.to_owned())).await?;
    Ok(serde_json::from_slice(&answer).expect("the hub answers with JSON"))
}

/// Calls an operation with bytes.
pub async fn call(peer: &Peer, operation: &str, payload: &str) -> Result<Bytes, Fault> {
    patient(peer.request_raw(operation, payload.to_owned())).await
}

/// The operations that the hub lists, its own left out.
pub async fn ops(peer: &Peer) -> Vec<String> {
    let page = ask(peer, "hub.ops", "").await.unwrap();
    let ops = page["ops"].as_array().expect("a list").iter();
    ops.map(|op| op["op"].as_str().expect("a name").to_owned())
        .filter(|op| !op.starts_with("hub."))
        .collect()
}

/// One end of a connection, by hand.
pub struct Raw {
    pub io: TcpStream,
}

impl Raw {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        patient(self.io.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a single request.
    pub async fn request(&mut self, id: &str, operation: &str, payload: &str) {
        self.send(format!(
            "r{id}{:03x}{operation}{:08x}{payload}",
            operation.len(),
            payload.len()
        ))
        .await;
    }

    /// Sends a request to the hub that is answered with `{}`.
    pub async fn ask(&mut self, operation: &str, payload: &str) {
        self.request("ask0", operation, payload).await;
        self.expect("Rask000000002{}").await;
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let wanted = bytes.as_ref();
        let mut got = Vec::new();
        while got.len() < wanted.len() {
            let mut byte = [0];
            match patient(self.io.read(&mut byte)).await {
                Ok(1) => got.push(byte[0]),
                end => panic!("{end:?} after {:?}, wanted {:?}", text(&got), text(wanted)),
            }
            let same = got == wanted[..got.len()];
            assert!(same, "got {:?}, wanted {:?}", text(&got), text(wanted));
        }
    }

    /// Reads so many bytes.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        patient(self.io.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads one request and tells its id; it must be of this kind, operation and payload.
    pub async fn requested(&mut self, kind: char, operation: &str, payload: &str) -> [u8; 4] {
        self.expect(kind.to_string()).await;
        let id = self.take(4).await.try_into().unwrap();
        self.expect(format!(
            "{:03x}{operation}{:08x}{payload}",
            operation.len(),
            payload.len()
        ))
        .await;
        id
    }

    /// Answers a request with one payload.
    pub async fn answer(&mut self, id: [u8; 4], payload: &str) {
        let head = format!("{:08x}{payload}", payload.len());
        self.send([b"R", &id[..], head.as_bytes()].concat()).await;
    }

    /// Reads one notification: its name and payload.
    pub async fn notified(&mut self) -> (String, Vec<u8>) {
        self.expect("n").await;
        let size = self.hex(3).await;
        let name = self.take(size).await;
        let size = self.hex(8).await;
        (String::from_utf8(name).unwrap(), self.take(size).await)
    }

    async fn hex(&mut self, digits: usize) -> usize {
        let digits = String::from_utf8(self.take(digits).await).unwrap();
        usize::from_str_radix(&digits, 16).unwrap()
    }

    /// Reads to the end, which must come.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        patient(self.io.read_to_end(&mut rest)).await.unwrap();
        text(&rest)
    }

    /// Reads to the end, which may be a reset: how many bytes came.
    pub async fn drain(&mut self) -> usize {
        let mut count = 0;
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = patient(self.io.read(&mut bytes)).await {
            count += read;
        }
        count
    }
}

pub fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
