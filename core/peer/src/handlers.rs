//! Handlers by name: the [`Service`] that most programs use.

mod invoke;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use switchboard_wire::gotalk::Name;

use crate::context::{Cancellation, Context};
use crate::fault::Fault;
use crate::parts::PartReceiver;
use crate::peer::{Peer, from_json, to_json};
use crate::reply::{Body, Replier};
use crate::results::Results;
use crate::service::{BoxFuture, Request, Service};

/// The name under which the handler of everything else is kept. On the wire it is a name like any other.
const FALLBACK: &str = "";

type ByName<H> = HashMap<Name, H, foldhash::fast::RandomState>;
type RequestHandler = Arc<dyn Fn(Context, Body, Replier) -> BoxFuture<()> + Send + Sync>;
type NotificationHandler = Arc<dyn Fn(Context, Bytes) -> BoxFuture<()> + Send + Sync>;

/// What a program answers: handlers of requests and of notifications, each under its name.
///
/// Any handler can be called with a single payload or with a stream: what it is not made for is joined, or split, on
/// the way. A handler runs in the connection's own task until it first waits, and in a task of its own from then on;
/// it must not block. Its panic is an Error to the caller and a line in the log.
///
/// A clone is a cheap copy of its own. A [`child`](Self::child) looks first in itself, then in its parent.
#[derive(Clone, Default)]
pub struct Handlers {
    requests: ByName<RequestHandler>,
    notifications: ByName<NotificationHandler>,
    parent: Option<Arc<Handlers>>,
}

impl Handlers {
    /// No handlers: every request is an unknown operation, every notification is dropped.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope inside these handlers: what it does not handle itself, they do.
    pub fn child(self: &Arc<Self>) -> Self {
        Self {
            parent: Some(Arc::clone(self)),
            ..Self::default()
        }
    }

    /// Handles `operation` with JSON in and out. Parameters of another type are an Error to the caller, with the
    /// text `unexpected parameter type`; no payload at all reads as `null`.
    #[must_use]
    pub fn handle<P, R, H, F>(self, operation: &str, handler: H) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        H: Fn(Context, P) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Fault>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.handle_raw(operation, move |context, payload| {
            let handler = Arc::clone(&handler);
            async move {
                let parameters = from_json(&payload).map_err(unexpected_parameters)?;
                to_json(&handler(context, parameters).await?)
            }
        })
    }

    /// Handles `operation` with bytes in and out.
    #[must_use]
    pub fn handle_raw<H, F>(mut self, operation: &str, handler: H) -> Self
    where
        H: Fn(Context, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Bytes, Fault>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.requests.insert(
            operation.into(),
            Arc::new(move |context, body, reply| {
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    let bytes_max = context.peer().connection().options.limits.payload_bytes_max;
                    match body.collect(bytes_max).await {
                        Ok(payload) => reply.answer(handler(context, payload).await),
                        Err(fault) => reply.fault(fault),
                    }
                })
            }),
        );
        self
    }

    /// Handles `operation` as streams: the handler reads the body as it comes and writes the result as it likes. The
    /// stream ends as the handler does: whole, or with its fault.
    #[must_use]
    pub fn handle_stream<H, F>(mut self, operation: &str, handler: H) -> Self
    where
        H: Fn(Context, PartReceiver, Results) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.requests.insert(
            operation.into(),
            Arc::new(move |context, body, reply| {
                let handler = Arc::clone(&handler);
                Box::pin(async move {
                    let results = Results::new(reply);
                    let ended = handler(context, body.into_parts(), results.clone()).await;
                    results.end(ended).await;
                })
            }),
        );
        self
    }

    /// Handles `operation` in full: whichever body came, and the duty to answer, now or later.
    #[must_use]
    pub fn handle_call<H, F>(mut self, operation: &str, handler: H) -> Self
    where
        H: Fn(Context, Body, Replier) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.requests.insert(
            operation.into(),
            Arc::new(move |context, body, reply| Box::pin(handler(context, body, reply))),
        );
        self
    }

    /// Handles every request for which nothing else is registered, with bytes in and out;
    /// [`Context::operation`] says which it is.
    #[must_use]
    pub fn fallback<H, F>(self, handler: H) -> Self
    where
        H: Fn(Context, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Bytes, Fault>> + Send + 'static,
    {
        self.handle_raw(FALLBACK, handler)
    }

    /// Handles the notification `name` with JSON. A payload of another type is dropped with a line in the log.
    #[must_use]
    pub fn on<P, H, F>(self, name: &str, handler: H) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        H: Fn(Context, P) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.on_raw(name, move |context, payload| {
            let handler = Arc::clone(&handler);
            async move {
                match from_json(&payload) {
                    Ok(payload) => handler(context, payload).await,
                    Err(error) => {
                        tracing::warn!(name = &**context.operation(), %error, "dropping a notification")
                    }
                }
            }
        })
    }

    /// Handles the notification `name` with bytes. Notifications of one peer are handled one after the other, in
    /// their order.
    #[must_use]
    pub fn on_raw<H, F>(mut self, name: &str, handler: H) -> Self
    where
        H: Fn(Context, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.notifications.insert(
            name.into(),
            Arc::new(move |context, payload| Box::pin(handler(context, payload))),
        );
        self
    }

    /// Handles every notification for which nothing else is registered.
    #[must_use]
    pub fn on_any<H, F>(self, handler: H) -> Self
    where
        H: Fn(Context, Bytes) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_raw(FALLBACK, handler)
    }

    /// The operations handled here and above, the fallback left out, in no order.
    pub fn operations(&self) -> Vec<Name> {
        let mut all = self
            .parent
            .as_ref()
            .map_or_else(Vec::new, |parent| parent.operations());
        all.extend(self.requests.keys().filter(|name| !name.is_empty()).cloned());
        all.sort();
        all.dedup();
        all
    }

    fn find<H>(&self, name: &str, of: fn(&Self) -> &ByName<H>) -> Option<&H> {
        let scopes = || std::iter::successors(Some(self), |scope| scope.parent.as_deref());
        // A specific handler wins over any fallback, however near.
        scopes()
            .find_map(|scope| of(scope).get(name))
            .or_else(|| scopes().find_map(|scope| of(scope).get(FALLBACK)))
    }
}

impl Service for Handlers {
    fn request(&self, request: Request) {
        let Request {
            operation,
            body,
            reply,
            peer,
            described,
        } = request;
        let Some(handler) = self.find(&operation, |scope| &scope.requests) else {
            return reply.fault(Fault::unknown_operation(&operation));
        };
        let collect =
            matches!(body, Body::Stream(_)) && described.as_ref().is_some_and(|described| !described.stream);
        let context = Context {
            operation,
            peer,
            described,
            cancellation: reply.cancellation_source(),
        };
        if collect {
            invoke::run_collected(handler, context, body, reply);
        } else {
            invoke::run(handler(context.clone(), body, reply), &context);
        }
    }

    fn notification(&self, peer: &Peer, name: Name, payload: Bytes) -> Option<BoxFuture<()>> {
        let handler = self.find(&name, |scope| &scope.notifications)?;
        let context = Context {
            operation: name,
            peer: peer.clone(),
            described: None,
            cancellation: Cancellation::Connection,
        };
        invoke::poll_once(handler(context, payload))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("requests", &self.requests.keys())
            .field("notifications", &self.notifications.keys())
            .field("parent", &self.parent)
            .finish()
    }
}

fn unexpected_parameters(error: serde_json::Error) -> Fault {
    tracing::debug!(%error, "parameters of another type");
    Fault::invalid("unexpected parameter type")
}
