//! `/gotalk/`: gotalk over WebSocket.
//!
//! Elsewhere no gateway speaks another gateway's protocol. This is the one exception, and it is one call: gotalk may
//! travel in a WebSocket, which begins as a request of HTTP. This door judges that request, then hands the connection
//! over, and the gotalk gateway serves it like any other of its own.

use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use switchboard_hub::ErrorKind;
use switchboard_net::Stream;
use switchboard_peer::websocket::{self, Framing, Upgrade, WebSocketOptions};

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
const DOOR: bytestring::ByteString = bytestring::ByteString::from_static("websocket");

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
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            crate::stats::RETRY_KIND,
            "the daemon is shutting down",
        ));
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

/// Talks over a connection that was upgraded, to its end.
pub(crate) async fn talk(granted: Granted, shared: &Shared, address: String) {
    let Granted { upgrade, framing } = granted;
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(address, %error, "the connection ended before it was upgraded"),
    };
    // It is what was put into the server, which has no other.
    let Ok(parts) = downcast::<TokioIo<Guard<Stream>>>(upgraded) else {
        return tracing::error!(
            address,
            "the server gave another connection back than it was given"
        );
    };
    Counters::add_one(&shared.counters.web_sockets);
    let guard = parts.io.into_inner().upgraded(parts.read_buf);
    let transport = websocket::server_transport(guard, framing, &WebSocketOptions::default());
    shared.gotalk.talk_over(transport, address, DOOR).await;
}
