//! A small web server for the examples: the pages, and gotalk over WebSocket beside them, without any daemon.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use switchboard_peer::websocket::{self, Framing, Upgrade, WebSocketOptions};
use switchboard_peer::{Caller, Options, Peer, Service, Side};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pages;

/// Connections at once. More wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// How long accepting rests after an error of the system's, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// Where gotalk is spoken, by WebSocket.
const GOTALK_PATH: &str = "/gotalk/";

type Answer = Response<Full<Bytes>>;

/// Some of the pages, and who answers what they call.
pub struct Site {
    /// By path, each with what it is.
    files: HashMap<String, (HeaderValue, Bytes)>,
    peers: Option<Peers>,
}

/// Who answers those that come by WebSocket.
struct Peers {
    service: Arc<dyn Service>,
    options: Options,
}

impl Site {
    /// All pages and a list of them at `/`; they talk to the hub at this address, such as `http://127.0.0.1:4780`.
    pub fn of_hub(hub: &str) -> Self {
        let mut site = Self::with(|_| true);
        site.add("hub.json", hub_file(hub));
        site
    }

    /// The page of this name, which talks to `service` over WebSocket at `/gotalk/`, with the library beside it.
    pub fn of_page(name: &str, service: impl Service, options: Options) -> Self {
        let shared = ["hub.js", "style.css"];
        let mut site = Self::with(|file| file.starts_with(name) || shared.contains(&file));
        if let Some(page) = site.files.get(&format!("/{name}.html")).cloned() {
            site.files.insert("/".to_owned(), page);
        }
        site.add("hub.json", hub_file("/"));
        site.add("gotalk/gotalk.js", Bytes::from_static(pages::LIBRARY));
        site.peers = Some(Peers {
            service: Arc::new(service),
            options,
        });
        site
    }

    fn with(wanted: impl Fn(&str) -> bool) -> Self {
        let mut site = Self {
            files: HashMap::new(),
            peers: None,
        };
        for (name, bytes) in pages::FILES.iter().filter(|(name, _)| wanted(name)) {
            site.add(name, Bytes::from_static(bytes));
        }
        site
    }

    fn add(&mut self, name: &str, bytes: Bytes) {
        let file = (content_type(name), bytes);
        if name == "index.html" {
            self.files.insert("/".to_owned(), file.clone());
        }
        self.files.insert(format!("/{name}"), file);
    }

    /// Answers those who connect, for as long as it is polled. Connections already made go on without it.
    pub async fn serve(self, listener: TcpListener) {
        let site = Arc::new(self);
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Nobody closes it, so there always is a permit to come.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, address)) => {
                    tokio::spawn(Arc::clone(&site).talk(stream, address, Arc::new(permit)));
                }
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    async fn talk(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        permit: Arc<OwnedSemaphorePermit>,
    ) {
        if stream.set_nodelay(true).is_err() {
            // It has gone already.
            return;
        }
        let service = service_fn(|request| {
            let answer = self.answer(request, address, &permit);
            async { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // What a client does wrong is its own affair.
        let _ = connection.await;
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Answer {
        match &self.peers {
            Some(peers) if request.uri().path() == GOTALK_PATH => {
                peers.upgrade(&mut request, address, Arc::clone(permit))
            }
            _ => self.file(request.uri().path()),
        }
    }

    fn file(&self, path: &str) -> Answer {
        let Some((content_type, bytes)) = self.files.get(path) else {
            return said(StatusCode::NOT_FOUND, "there is nothing at this path");
        };
        let mut answer = Response::new(Full::new(bytes.clone()));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, content_type.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }
}

impl Peers {
    /// Grants an upgrade to WebSocket, or says why not.
    fn upgrade(
        &self,
        request: &mut Request<Incoming>,
        address: SocketAddr,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Answer {
        let upgrade = match Upgrade::check(request.method(), request.version(), request.headers()) {
            Ok(upgrade) => upgrade,
            Err(error) => {
                let mut answer = said(error.status(), &error.to_string());
                answer.headers_mut().extend(error.headers());
                return answer;
            }
        };
        if !is_own_page(request.headers()) {
            return said(
                StatusCode::FORBIDDEN,
                "pages of other sites may not talk to this one",
            );
        }
        let caller = Caller {
            address: Some(address.to_string()),
            ..Caller::default()
        };
        let (service, options) = (Arc::clone(&self.service), self.options.clone());
        let upgraded = hyper::upgrade::on(request);
        let framing = upgrade.framing();
        tokio::spawn(async move {
            if let Ok(upgraded) = upgraded.await {
                talk_over(TokioIo::new(upgraded), framing, service, options, caller).await;
            }
            drop(permit);
        });
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = upgrade.headers();
        answer
    }
}

/// Speaks gotalk over a connection that was upgraded, until it ends.
async fn talk_over(
    io: TokioIo<hyper::upgrade::Upgraded>,
    framing: Framing,
    service: Arc<dyn Service>,
    options: Options,
    caller: Caller,
) {
    let transport = websocket::server_transport(io, framing, &WebSocketOptions::default());
    if let Ok(peer) = Peer::start(transport, Side::Accepting, service, options, caller).await {
        peer.closed().await;
    }
}

/// A browser says which page a WebSocket is of; others than ours are up to no good. Programs that are no browsers say
/// nothing, and could say what they like.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    match (text(ORIGIN), text(HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.strip_prefix(b"http://") == Some(host),
        (Some(_), None) => false,
    }
}

fn said(status: StatusCode, message: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{message}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type("txt"));
    answer
}

/// What pages read to know where they connect to.
fn hub_file(hub: &str) -> Bytes {
    serde_json::json!({ "hub": hub }).to_string().into()
}

fn content_type(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    })
}
