//! A door with a hub behind it, and ways to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use switchboard_engine::Engine;
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_gateway_redis::{RedisGateway, RedisOptions};
use switchboard_hub::{Account, Hub, HubConfig, Session, SessionInfo};
use switchboard_net::{Limits, Listener, ListenerConfig, Network, Shutdown};
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

/// A hub on an engine in memory, with one Redis door.
pub struct Door {
    pub hub: Hub,
    pub engine: Arc<dyn Engine>,
    pub gateway: RedisGateway,
    pub shutdown: Shutdown,
    pub address: SocketAddr,
}

impl Door {
    pub async fn open() -> Self {
        Self::with(RedisOptions::default()).await
    }

    pub async fn with(options: RedisOptions) -> Self {
        let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
        Self::on(engine, options).await
    }

    pub async fn on(engine: Arc<dyn Engine>, options: RedisOptions) -> Self {
        let hub = Hub::with_engine(HubConfig::default(), Arc::clone(&engine))
            .await
            .unwrap();
        let config = ListenerConfig::new("tcp://127.0.0.1:0".parse().unwrap());
        let listener = Listener::bind(config, &Network::new(Limits::default()))
            .await
            .unwrap();
        let address = listener.local_address().ip().unwrap();
        let shutdown = Shutdown::new();
        let gateway = RedisGateway::new(hub.clone(), options, shutdown.clone());
        tokio::spawn(listener.run(gateway.clone(), shutdown.clone()));
        Self {
            hub,
            engine,
            gateway,
            shutdown,
            address,
        }
    }

    pub async fn client(&self) -> Client {
        Client {
            stream: patient(TcpStream::connect(self.address)).await.unwrap(),
        }
    }

    /// Somebody who came by another door.
    pub fn session(&self) -> Session {
        self.hub
            .open(SessionInfo {
                door: "test".into(),
                address: "here".to_owned(),
                account: Account::guest(),
                client: None,
            })
            .unwrap()
    }

    /// Waits until somebody asks, and is told that.
    pub async fn until(&self, client: &mut Client, line: &str, part: &str) {
        patient(async {
            loop {
                client.send(&format!("{line}\r\n")).await;
                let text = client.bulk().await;
                if text.contains(part) {
                    return;
                }
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

/// An end that speaks bytes.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        patient(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// The next bytes must be these.
    pub async fn expect(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        let mut read = 0;
        while read < bytes.len() && bytes[..read] == expected.as_bytes()[..read] {
            match patient(self.stream.read(&mut bytes[read..])).await.unwrap() {
                0 => break,
                more => read += more,
            }
        }
        assert_eq!(String::from_utf8_lossy(&bytes[..read]), expected);
    }

    /// Sends a line, and must be answered so.
    pub async fn ask(&mut self, line: &str, expected: &str) {
        self.send(format!("{line}\r\n")).await;
        self.expect(expected).await;
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(patient(self.stream.read_u8()).await.unwrap());
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).unwrap()
    }

    /// The text of a bulk string.
    pub async fn bulk(&mut self) -> String {
        let head = self.line().await;
        let length: usize = head.trim_start_matches(['$', '=']).parse().expect(&head);
        let mut text = vec![0; length + 2];
        patient(self.stream.read_exact(&mut text)).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    /// The door must have closed; what came until then.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = patient(self.stream.read_to_end(&mut rest)).await;
        // What was sent and not read makes the end abrupt.
        let _ = read;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
