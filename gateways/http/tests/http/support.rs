//! A door with a hub behind it, and ways to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use switchboard_engine::Engine;
use switchboard_gateway_http::{Assets, HttpGateway, HttpOptions, HttpStats};
use switchboard_hub::{
    Account, Body, Call, Fault, Hub, HubConfig, Publish, Replier, Session, SessionInfo, Stats,
};
use switchboard_net::{
    Certificate, ClientCertificates, Limits, Listener, ListenerConfig, LocalAddress, Network, Shutdown, Tls,
    TlsSettings,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// No single step of a test takes longer, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Awaits a step of a test, within reason.
pub async fn patient<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("this should not take so long")
}

pub const LIBRARY: &str = "export const library = 'library library library library library library';";

/// A hub with one HTTP door, and a party of its own.
pub struct Door {
    pub hub: Hub,
    pub gateway: HttpGateway,
    pub shutdown: Shutdown,
    pub local: LocalAddress,
    pub session: Session,
}

impl Door {
    pub async fn open() -> Self {
        Self::with(HttpOptions::default()).await
    }

    pub async fn with(options: HttpOptions) -> Self {
        Self::at(config("tcp://127.0.0.1:0"), HubConfig::default(), options).await
    }

    /// A door with TLS, and its certificate, which is in this folder afterwards.
    pub async fn with_tls(directory: &std::path::Path) -> Self {
        let mut config = config("tls://127.0.0.1:0");
        config.tls = Some(
            Tls::new(TlsSettings {
                certificate: Certificate::SelfSigned {
                    names: Vec::new(),
                    directory: Some(directory.to_owned()),
                },
                clients: ClientCertificates::Off,
                alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            })
            .unwrap(),
        );
        Self::at(config, HubConfig::default(), HttpOptions::default()).await
    }

    /// A door of a hub that keeps keys.
    pub async fn with_keys(options: HttpOptions, engine: Arc<dyn Engine>) -> Self {
        let hub = Hub::with_engine(HubConfig::default(), engine).await.unwrap();
        Self::of(config("tcp://127.0.0.1:0"), hub, options).await
    }

    pub async fn at(config: ListenerConfig, hub: HubConfig, options: HttpOptions) -> Self {
        Self::of(config, Hub::new(hub), options).await
    }

    async fn of(config: ListenerConfig, hub: Hub, options: HttpOptions) -> Self {
        let listener = Listener::bind(config, &Network::new(Limits::default()))
            .await
            .unwrap();
        let local = listener.local_address().clone();
        let shutdown = Shutdown::new();
        let assets = Assets::none()
            .library(LIBRARY)
            .page("/index.html", "<!doctype html>");
        let gateway = HttpGateway::new(hub.clone(), options, assets, shutdown.clone());
        tokio::spawn(listener.run(gateway.clone(), shutdown.clone()));
        Self {
            session: session(&hub),
            hub,
            gateway,
            shutdown,
            local,
        }
    }

    pub fn ip(&self) -> SocketAddr {
        self.local.ip().expect("a door on TCP")
    }

    /// Serves an operation from within.
    pub fn serve(&self, operation: &str, responder: impl Fn(Call, Replier) + Send + Sync + 'static) {
        self.session.serve(operation, Arc::new(responder)).unwrap();
    }

    /// Serves `upper`, `fail`, `busy` and `shout`, the last part by part.
    pub fn serve_usual(&self) {
        self.serve("upper", |call, reply| {
            tokio::spawn(async move {
                reply.answer(
                    call.body
                        .collect(16 << 20)
                        .await
                        .map(|body| body.to_ascii_uppercase().into()),
                );
            });
        });
        self.serve("fail", |_, reply| reply.fault(Fault::failed("it failed")));
        self.serve("busy", |_, reply| {
            reply.fault(Fault::retry(Duration::from_millis(1500), "come back"))
        });
        self.serve("shout", |call, reply| {
            tokio::spawn(async move {
                let mut results = reply.stream();
                let mut parts = call.body.into_parts();
                while let Some(part) = parts.next().await {
                    match part {
                        Ok(part) => results.send(part.to_ascii_uppercase()).await.unwrap_or_default(),
                        Err(fault) => return results.fail(fault),
                    }
                }
                results.finish();
            });
        });
    }

    pub async fn raw(&self) -> Raw {
        Raw::new(patient(TcpStream::connect(self.ip())).await.unwrap())
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Response {
        let mut raw = self.raw().await;
        raw.request(method, target, headers, body).await;
        raw.response(method).await
    }

    pub async fn get(&self, target: &str) -> Response {
        self.ask("GET", target, "", "").await
    }

    pub async fn post(&self, target: &str, body: &str) -> Response {
        self.ask("POST", target, "", body).await
    }

    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes>) {
        let publish = Publish::new(topic.to_owned(), payload);
        patient(self.session.publish(publish)).await.unwrap();
    }

    pub async fn retain(&self, topic: &str, payload: &str) {
        let publish = Publish::new(topic.to_owned(), payload.to_owned()).retain();
        patient(self.session.publish(publish)).await.unwrap();
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

    /// Waits until the door is in this state.
    pub async fn until_door(&self, state: impl Fn(&HttpStats) -> bool) {
        patient(async {
            while !state(&self.gateway.stats()) {
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

pub fn config(address: &str) -> ListenerConfig {
    ListenerConfig::new(address.parse().unwrap())
}

pub fn session(hub: &Hub) -> Session {
    hub.open(SessionInfo {
        door: "test".into(),
        address: "here".to_owned(),
        account: Account::guest(),
        client: None,
    })
    .unwrap()
}

/// What a body is, for a responder that was called in the way the test expects.
pub fn single(body: Body) -> Bytes {
    match body {
        Body::Single(body) => body,
        Body::Stream(_) => panic!("a stream"),
    }
}

/// An answer as it came.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body has come to its end.
    pub whole: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// One end of a connection, by hand.
pub struct Raw<S = TcpStream> {
    pub io: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn new(io: S) -> Self {
        Self { io, read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        patient(self.io.write_all(bytes.as_ref())).await.unwrap();
        patient(self.io.flush()).await.unwrap();
    }

    /// Sends a request with a body of that length; `headers` are whole lines.
    pub async fn request(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = if body.is_empty() && method != "POST" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}"
        ))
        .await;
    }

    /// Sends the head of a request whose body is chunked.
    pub async fn begin_chunked(&mut self, target: &str) {
        self.send(format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    }

    pub async fn chunk(&mut self, chunk: &str) {
        self.send(format!("{:x}\r\n{chunk}\r\n", chunk.len())).await;
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        // A reset is an end as well.
        let count = patient(self.io.read(&mut bytes)).await.unwrap_or(0);
        self.read.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// Takes what comes up to this text, which is left out.
    pub async fn until(&mut self, end: &str) -> Option<String> {
        let mut searched = 0;
        loop {
            let found = self.read[searched..]
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found.map(|at| at + searched) {
                let taken: Vec<u8> = self.read.drain(..at + end.len()).collect();
                return Some(String::from_utf8_lossy(&taken[..at]).into_owned());
            }
            searched = (self.read.len() + 1).saturating_sub(end.len());
            if !self.more().await {
                return None;
            }
        }
    }

    /// Takes so many bytes, fewer at the end.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count && self.more().await {}
        self.read.drain(..count.min(self.read.len())).collect()
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await.expect("an answer")
    }

    /// The next chunk of a body; empty at its end, `None` if it broke off.
    pub async fn next_chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.until("\r\n").await?, 16).expect("the size of a chunk");
        let chunk = self.take(size + 2).await;
        (chunk.len() == size + 2).then(|| chunk[..size].to_vec())
    }

    /// The next answer, to a request of that method.
    pub async fn response(&mut self, method: &str) -> Response {
        let head = self.head().await;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
            whole: true,
        };
        if method == "HEAD" || matches!(status, 101 | 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                match self.next_chunk().await {
                    Some(chunk) if chunk.is_empty() => return response,
                    Some(chunk) => response.body.extend(chunk),
                    None => {
                        response.whole = false;
                        return response;
                    }
                }
            }
        }
        let length = response
            .header("content-length")
            .expect("a length")
            .parse()
            .unwrap();
        response.body = self.take(length).await;
        response.whole = response.body.len() == length;
        response
    }

    /// Waits for the end, and tells what came before.
    pub async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes().await).into_owned()
    }

    /// The same, as it came.
    pub async fn bytes(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }
}
