//! From a connection to requests, and to the end of both.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use switchboard_gateway_gotalk::{GatewayStats, GotalkGateway, check_guest};
use switchboard_hub::Hub;
use switchboard_net::{Accept, Connection, Shutdown, Stream};
use switchboard_peer::LastLook;
use tokio::time::timeout;

use crate::assets::Assets;
use crate::attentive::Attentive;
use crate::exchange::RequestIds;
use crate::guard::Guard;
use crate::options::{AccessLog, HttpOptions};
use crate::origin::Trusted;
use crate::prompt::Prompt;
use crate::router;
use crate::stats::{Counters, HttpStats};
use crate::upload::Gathering;
use crate::visitor::Visitor;
use crate::web_socket;

/// A ping is sent over an HTTP/2 connection that was silent for so long while requests are under way.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Its answer must come within this.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an idle HTTP/2 connection may take to say good-bye.
const GOOD_BYE_TIMEOUT: Duration = Duration::from_secs(5);

/// What one HTTP/2 stream may send before it is read: small, since many may be open.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// What all streams of one HTTP/2 connection may send before they are read.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// What is buffered of one answer over HTTP/2 before its source is held back.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// The least that the server below buffers of an HTTP/1 connection, each way.
const BUFFER_BYTES_MIN: usize = 64 << 10;

/// Takes HTTP connections to a hub. Cheap to clone: all clones are one gateway.
#[derive(Debug, Clone)]
pub struct HttpGateway {
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) gotalk: GotalkGateway,
    pub(crate) shutdown: Shutdown,
    pub(crate) options: HttpOptions,
    pub(crate) access_log: AccessLog,
    pub(crate) trusted: Trusted,
    pub(crate) assets: Assets,
    pub(crate) counters: Arc<Counters>,
    pub(crate) request_ids: RequestIds,
    pub(crate) gathering: Gathering,
    server: auto::Builder<TokioExecutor>,
}

impl HttpGateway {
    /// A gateway to `hub` that serves `assets` beside it, whose connections end as `shutdown` drains.
    pub fn new(hub: Hub, options: HttpOptions, assets: Assets, shutdown: Shutdown) -> Self {
        let gotalk = GotalkGateway::new(hub.clone(), options.gotalk.clone(), shutdown.clone());
        Self {
            shared: Arc::new(Shared {
                hub,
                gotalk,
                shutdown,
                access_log: options.access_log.clone(),
                trusted: Trusted::new(&options.origins, &options.hosts),
                assets,
                counters: Arc::default(),
                request_ids: RequestIds::default(),
                gathering: Gathering::new(options.body.gathered_bytes_max),
                server: server(&options),
                options,
            }),
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> HttpStats {
        self.shared.counters.read()
    }

    /// What was counted of gotalk over WebSocket.
    pub fn gotalk_stats(&self) -> GatewayStats {
        self.shared.gotalk.stats()
    }
}

/// The server that all connections run in.
fn server(options: &HttpOptions) -> auto::Builder<TokioExecutor> {
    let limits = &options.connection;
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        // Heads are timed in the guard, which tells one that is slow from a connection that is idle.
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes().max(BUFFER_BYTES_MIN));
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes()).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    server
}

impl Accept for HttpGateway {
    async fn accept(&self, connection: Connection) {
        let Connection { stream, info } = connection;
        if let Err(error) = check_guest(&info.local) {
            // Whoever bound the listener should have asked.
            tracing::error!(peer = %info.peer, %error, "connection refused");
            return;
        }
        let visitor = Arc::new(Visitor::new(Arc::clone(&self.shared), info));
        // In a box of its own: nothing of it takes up memory once the connection speaks something else.
        Box::pin(serve(&visitor, stream)).await;
        let granted = visitor.granted.lock().take();
        if let Some(granted) = granted {
            let address = visitor.address.clone();
            drop(visitor);
            if let Some(transport) = Box::pin(web_socket::transport(granted, &self.shared)).await {
                let gotalk = &self.shared.gotalk;
                gotalk.talk_over(transport, address, web_socket::DOOR).await;
            }
        }
    }
}

/// Answers requests until the client ends the connection, was silent for too long, or the daemon drains.
async fn serve(visitor: &Arc<Visitor>, stream: Stream) {
    let shared = &visitor.shared;
    let limits = &shared.options.connection;
    let guard = Guard::new(stream, limits, Arc::clone(&shared.counters));
    let service = service_fn(|request| {
        let visitor = Arc::clone(visitor);
        async move { Ok::<_, Infallible>(router::answer(&visitor, request).await) }
    });
    let connection = shared
        .server
        .serve_connection_with_upgrades(TokioIo::new(guard), service);
    let connection = pin!(connection);
    let looks = LastLook::new(shared.options.gotalk.peer.busy_poll);
    let mut connection = Attentive::new(Prompt::new(connection), &visitor.activity, looks);
    let idle = tokio::select! {
        biased;
        ended = &mut connection => return log_end(visitor, ended),
        () = shared.shutdown.draining() => false,
        () = visitor.activity.quiet_for(limits.idle_timeout) => true,
    };
    connection.get_mut().get_mut().as_mut().graceful_shutdown();
    if idle {
        if let Ok(ended) = timeout(GOOD_BYE_TIMEOUT, connection).await {
            log_end(visitor, ended);
        }
    } else {
        // The grace of the daemon is the bound.
        log_end(visitor, connection.await);
    }
}

fn log_end(visitor: &Visitor, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    let address = &visitor.address;
    match ended {
        Ok(()) => tracing::debug!(address, "connection closed"),
        Err(error) => tracing::debug!(address, error, "connection closed"),
    }
}
