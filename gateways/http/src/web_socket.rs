//! `/gotalk/`: gotalk over WebSocket.
//!
//! Elsewhere no gateway speaks another gateway's protocol. This is the one exception, and it is one call: gotalk may
//! travel in a WebSocket, which begins as a request of HTTP. This door judges that request, then hands the connection
//! over, and the gotalk gateway serves it like any other of its own.

use std::time::Duration;

use bytestring::ByteString;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use switchboard_hub::{ErrorKind, Fault};
use switchboard_net::Stream;
use switchboard_peer::websocket::{self, Framing, Upgrade, WebSocket};

use crate::answer::{Answer, AnswerBody};
use crate::gateway::Shared;
use crate::guard::Guard;
use crate::origin::{self, Page};
use crate::problem::Problem;
use crate::stats::Counters;
use crate::visitor::Visitor;

/// The path.
pub(crate) const PATH: &str = "/gotalk/";

/// The name at the hub of those who come this way.
pub(crate) const DOOR: ByteString = ByteString::from_static("websocket");

/// How long to wait for a daemon that is shutting down: about what a restart takes.
const DRAINING_RETRY_WAIT: Duration = Duration::from_secs(1);

/// An upgrade that was granted.
#[derive(Debug)]
pub(crate) struct Granted {
    upgrade: OnUpgrade,
    framing: Framing,
}

/// Grants an upgrade, or says why not.
pub(crate) fn answer<B>(visitor: &Visitor, request: &mut Request<B>, page: &Page) -> Result<Answer, Problem> {
    let upgrade =
        Upgrade::check(request.method(), request.version(), request.headers()).map_err(|error| {
            let kind = ErrorKind::Invalid.as_str();
            Problem::new(error.status(), kind, error.to_string()).with(error.headers())
        })?;
    origin::check_page(visitor, page, "a WebSocket")?;
    if visitor.shared.shutdown.is_draining() {
        return Err(Fault::retry(DRAINING_RETRY_WAIT, "the daemon is shutting down").into());
    }
    *visitor.granted.lock() = Some(Granted {
        upgrade: hyper::upgrade::on(request),
        framing: upgrade.framing(),
    });
    let mut answer = Response::new(AnswerBody::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = upgrade.headers();
    Ok(answer)
}

/// The connection as a transport of gotalk, once it is upgraded; `None` if it ended before.
pub(crate) async fn transport(granted: Granted, shared: &Shared) -> Option<WebSocket<Guard<Stream>>> {
    let Granted { upgrade, framing } = granted;
    let upgraded = upgrade
        .await
        .map_err(|error| tracing::debug!(%error, "a connection ended before it was upgraded"))
        .ok()?;
    let Ok(parts) = downcast::<TokioIo<Guard<Stream>>>(upgraded) else {
        tracing::error!("the server gave another connection back than it was given");
        return None;
    };
    Counters::add_one(&shared.counters.web_sockets);
    let guard = parts.io.into_inner().upgraded(parts.read_buf);
    let options = &shared.options.web_socket;
    Some(websocket::server_transport(guard, framing, options))
}
