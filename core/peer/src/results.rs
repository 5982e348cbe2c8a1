//! What a stream handler writes its result to.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::fault::Fault;
use crate::parts::{PartSender, Unread};
use crate::reply::Replier;

/// The streamed result of one request. It ends as its handler returns.
///
/// A clone writes to the same stream: a part at a time, in the order of the sends.
#[derive(Debug, Clone)]
pub struct Results(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    /// Nothing was sent: a fault can still be the whole answer.
    Unsent(Replier),
    Sending(PartSender),
    Ended,
}

impl Results {
    pub(crate) fn new(reply: Replier) -> Self {
        Self(Arc::new(Mutex::new(State::Unsent(reply))))
    }

    /// Sends one part, waiting while the caller is behind. An empty part says nothing and is not sent.
    ///
    /// # Errors
    /// [`Unread`] once the caller is gone, or the handler has returned.
    ///
    /// # Cancel safety
    /// Either the part is sent whole or not at all.
    pub async fn send(&self, part: impl Into<Bytes>) -> Result<(), Unread> {
        let mut state = self.0.lock().await;
        if let State::Unsent(_) = *state {
            state.begin();
        }
        match &mut *state {
            State::Sending(parts) => parts.send(part).await,
            _ => Err(Unread),
        }
    }

    /// Ends the stream as its handler did.
    pub(crate) async fn end(&self, ended: Result<(), Fault>) {
        let mut state = self.0.lock().await;
        match (std::mem::replace(&mut *state, State::Ended), ended) {
            (State::Unsent(reply), Ok(())) => reply.stream().finish(),
            (State::Unsent(reply), Err(fault)) => reply.fault(fault),
            (State::Sending(parts), Ok(())) => parts.finish(),
            (State::Sending(parts), Err(fault)) => parts.fail(fault),
            (State::Ended, _) => {}
        }
    }
}

impl State {
    fn begin(&mut self) {
        if let Self::Unsent(reply) = std::mem::replace(self, Self::Ended) {
            *self = Self::Sending(reply.stream());
        }
    }
}
