//! Calls with more to them than a name and a payload.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::connection::Outgoing;
use crate::fault::Fault;
use crate::parts::PartSender;
use crate::peer::{Peer, from_json, to_json};
use crate::reply::{Body, Replier, Reply, ReplyFuture, deadline_passed};
use crate::retry::RetryPolicy;

/// A call in the making: see [`Peer::call`].
#[derive(Debug)]
#[must_use = "a call is made by one of its request methods"]
pub struct CallBuilder<'a> {
    peer: &'a Peer,
    operation: &'a str,
    deadline: Option<Instant>,
    retry: RetryPolicy,
}

impl<'a> CallBuilder<'a> {
    pub(crate) fn new(peer: &'a Peer, operation: &'a str) -> Self {
        Self {
            peer,
            operation,
            deadline: None,
            retry: RetryPolicy::never(),
        }
    }

    /// Gives the call up, with a Retry, when this has passed; retries included. Millisecond resolution.
    pub fn timeout(self, timeout: Duration) -> Self {
        let deadline = Instant::now().checked_add(timeout);
        Self { deadline, ..self }
    }

    /// Gives the call up, with a Retry, at this time.
    pub fn deadline(self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// Tries again after a Retry, as `policy` says. For single payloads only: a stream is sent once.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self {
            retry: policy,
            ..self
        }
    }

    /// Makes the call with JSON in and out.
    ///
    /// # Errors and cancel safety
    /// As [`Peer::request`].
    pub async fn request<P, R>(self, parameters: &P) -> Result<R, Fault>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let operation = self.operation;
        let result = self.request_raw(to_json(parameters)?).await?;
        from_json(&result).map_err(|error| {
            Fault::failed(format!(
                "the result of {operation:?} is not what was expected: {error}"
            ))
        })
    }

    /// Makes the call with bytes in and out. A streamed result is joined, up to the payload limit.
    ///
    /// # Errors and cancel safety
    /// As [`Peer::request_raw`].
    pub async fn request_raw(self, payload: impl Into<Bytes>) -> Result<Bytes, Fault> {
        let bytes_max = self.peer.connection().options.limits.payload_bytes_max;
        match self.send(payload).await? {
            Reply::Single(payload) => Ok(payload),
            Reply::Stream(parts) => parts.collect(bytes_max).await,
        }
    }

    /// Makes the call with one payload, and hands out the reply as it comes: whole or as a stream.
    ///
    /// # Errors and cancel safety
    /// As [`Peer::request_raw`]; a stream that fails says so at its end.
    pub async fn send(self, payload: impl Into<Bytes>) -> Result<Reply, Fault> {
        let payload = payload.into();
        let mut retries = self.retry.start();
        loop {
            self.room().await?;
            match self.once(Body::Single(payload.clone())).await {
                Err(fault) => match retries.next(&fault, self.deadline) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(fault),
                },
                reply => return reply,
            }
        }
    }

    /// Makes the call with any body, once.
    ///
    /// # Errors and cancel safety
    /// As [`send`](Self::send).
    pub async fn send_body(self, body: Body) -> Result<Reply, Fault> {
        self.room().await?;
        self.once(body).await
    }

    /// Makes the call with a body that is sent while the reply comes: write to the sender, await the reply.
    /// Dropping the future gives the call up.
    pub fn stream(self) -> (PartSender, ReplyFuture) {
        let (replier, reply) = self.replier();
        let sender =
            self.peer
                .connection()
                .call_streaming(self.operation, self.deadline, &Bytes::new(), replier);
        (sender, reply)
    }

    /// Waits for room in the outbox, but no longer than the caller waits.
    async fn room(&self) -> Result<(), Fault> {
        let room = self.peer.room();
        match self.deadline {
            Some(deadline) => {
                let waited = tokio::time::timeout_at(deadline, room).await;
                waited.map_err(|_| deadline_passed())
            }
            None => {
                room.await;
                Ok(())
            }
        }
    }

    fn once(&self, body: Body) -> ReplyFuture {
        let (replier, reply) = self.replier();
        let call = Outgoing {
            operation: self.operation,
            body,
            deadline: self.deadline,
            caller: None,
        };
        self.peer.connection().call(call, replier);
        reply
    }

    fn replier(&self) -> (Replier, ReplyFuture) {
        Replier::pair(self.peer.connection().options.limits.stream_bytes_max)
    }
}
