//! Calls over a connection that comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::shared::Shared;
use crate::fault::Fault;
use crate::peer::{from_json, to_json};
use crate::retry::RetryPolicy;

/// A call in the making: see [`KeepAlive::call`](super::KeepAlive::call).
#[derive(Debug)]
#[must_use = "a call is made by one of its request methods"]
pub struct KeptCall<'a> {
    shared: &'a Arc<Shared>,
    operation: &'a str,
    deadline: Option<Instant>,
    retry: RetryPolicy,
}

impl<'a> KeptCall<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, operation: &'a str) -> Self {
        Self {
            shared,
            operation,
            deadline: None,
            retry: shared.retry.clone(),
        }
    }

    /// Gives the call up, with a Retry, when this has passed: waiting for a connection and retries included.
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

    /// Makes the call again after a Retry, as `policy` says, instead of
    /// [`KeepAliveOptions::retry`](super::KeepAliveOptions::retry). When the connection was lost with the call on its
    /// way, it is made again on the next one: only for what may be done twice.
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self {
            retry: policy,
            ..self
        }
    }

    /// Makes the call with JSON in and out.
    ///
    /// # Errors and cancel safety
    /// As [`KeepAlive::request`](super::KeepAlive::request).
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
    /// As [`KeepAlive::request`](super::KeepAlive::request).
    pub async fn request_raw(self, payload: impl Into<Bytes>) -> Result<Bytes, Fault> {
        let payload = payload.into();
        let mut retries = self.retry.start();
        loop {
            match self.once(payload.clone()).await {
                Err(fault) => match retries.next(&fault, self.deadline) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(fault),
                },
                result => return result,
            }
        }
    }

    async fn once(&self, payload: Bytes) -> Result<Bytes, Fault> {
        let bytes = self.operation.len() + payload.len();
        let (peer, _ticket) = self.shared.turn(bytes, self.deadline).await?;
        let call = peer.call(self.operation);
        let call = match self.deadline {
            Some(deadline) => call.deadline(deadline),
            None => call,
        };
        call.request_raw(payload).await
    }
}
