//! A call in the making: who answers is known, and nothing is asked yet.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytestring::ByteString;
use switchboard_peer::{Body, Replier, arrival};
use tokio::time::Instant;

use crate::call::{Call, Caller};
use crate::media_type::MediaType;
use crate::responders::Chosen;
use crate::session::Session;

/// Who answers a call that is not made yet. Its place among the calls in flight is taken already.
#[must_use = "a call is made by `Found::call`"]
pub struct Found<'a> {
    pub(crate) session: &'a Session,
    pub(crate) operation: ByteString,
    pub(crate) chosen: Chosen,
    pub(crate) content_type: Option<MediaType>,
}

impl Found<'_> {
    /// Whether all who serve the operation say that calls change nothing: see [`Declaration::safe`](crate::Declaration::safe).
    pub fn is_safe(&self) -> bool {
        self.chosen.safe
    }

    /// What the one who answers says that its results are.
    pub fn result_type(&self) -> Option<&MediaType> {
        self.chosen.result_type.as_ref()
    }

    /// The same, with what the body is.
    pub fn content_type(self, content_type: Option<MediaType>) -> Self {
        Self { content_type, ..self }
    }

    /// Makes the call: see [`Session::call`].
    pub fn call(self, body: Body, deadline: Option<Instant>, mut reply: Replier) {
        let Self {
            session,
            operation,
            chosen,
            content_type,
        } = self;
        session.hub.counters.calls.add_one();
        let now = arrival();
        if let Some(watched) = chosen.place.begin(session.core.door, now) {
            reply.hold(watched);
        }
        let deadline = deadline.or_else(|| session.default_deadline(&body, now));
        let caller = Caller {
            session: session.core.id,
            info: Arc::clone(&session.core.info),
        };
        let name = operation.clone();
        let call = Call {
            operation,
            body,
            content_type,
            caller,
            deadline,
        };
        // A replier that a panic drops tells its caller so.
        if catch_unwind(AssertUnwindSafe(|| chosen.responder.respond(call, reply))).is_err() {
            tracing::error!(operation = &*name, "the responder panicked");
        }
    }
}

impl fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}
