//! Bodies of requests: gathered into one payload, or handed on part by part.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use switchboard_hub::{Body, ErrorKind, Fault};
use switchboard_peer::{PartSender, parts};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::options::BodyOptions;
use crate::problem::Problem;

/// How long to wait for room when too much is being gathered.
const GATHER_RETRY_WAIT: Duration = Duration::from_secs(1);

/// The bytes that are being gathered, over all connections.
#[derive(Debug)]
pub(crate) struct Gathering {
    bytes_max: usize,
    bytes: Arc<AtomicUsize>,
}

/// Counts bytes that are held for as long as it lives.
#[derive(Debug)]
struct Held {
    total: Arc<AtomicUsize>,
    bytes: usize,
}

impl Gathering {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: Arc::default(),
        }
    }

    fn hold(&self) -> Held {
        Held {
            total: Arc::clone(&self.bytes),
            bytes: 0,
        }
    }

    /// Adds to what is held, as it comes: what was only announced takes no room.
    fn add(&self, held: &mut Held, bytes: usize) -> Result<(), Problem> {
        held.bytes += bytes;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.bytes_max {
            return Ok(());
        }
        let fault = Fault::retry(
            GATHER_RETRY_WAIT,
            "too many large requests are on their way at once",
        );
        Err(Problem::from(fault).closing())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The rest of a streamed body, on its way to who reads it. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Upload(AbortHandle);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the body of a call becomes.
///
/// # Errors
/// As [`gather`]; 413 for a body that says it is longer than any may be.
pub(crate) async fn receive(
    body: Incoming,
    options: &BodyOptions,
    gathering: &Gathering,
) -> Result<(Body, Option<Upload>), Problem> {
    let size = body.size_hint();
    if size.lower() > options.bytes_max {
        return Err(over(options.bytes_max));
    }
    let single = usize::try_from(size.lower()).is_ok_and(|bytes| bytes <= options.single_bytes_max);
    if body.is_end_stream() || (single && size.exact().is_some()) {
        let payload = gather(body, options, gathering).await?;
        return Ok((Body::Single(payload), None));
    }
    let (sender, receiver) = parts(options.stream_bytes_max);
    let (bytes_max, stall_timeout) = (options.bytes_max, options.stall_timeout);
    let task = tokio::spawn(hand_on(body, sender, bytes_max, stall_timeout));
    Ok((Body::Stream(receiver), Some(Upload(task.abort_handle()))))
}

/// All of a body.
///
/// # Errors
/// 413 if it is longer than one payload may be, 408 if it does not come in time, 503 while too many others come, 400
/// if it is no whole body.
pub(crate) async fn gather(
    body: Incoming,
    options: &BodyOptions,
    gathering: &Gathering,
) -> Result<Bytes, Problem> {
    let bytes_max = options.single_bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(over(bytes_max as u64));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let whole = gather_in_time(body, bytes_max, gathering);
    timeout(options.gather_timeout, whole).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {:?}", options.gather_timeout);
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorKind::Failed.as_str(), message).closing())
    })
}

async fn gather_in_time(
    mut body: Incoming,
    bytes_max: usize,
    gathering: &Gathering,
) -> Result<Bytes, Problem> {
    let mut held = gathering.hold();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(part) = next_part(&mut body).await {
        let part = part?;
        gathering.add(&mut held, part.len())?;
        if first.len() + whole.len() + part.len() > bytes_max {
            return Err(over(bytes_max as u64));
        }
        if first.is_empty() && whole.is_empty() {
            // A body that comes in one piece is not copied.
            first = part;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&part);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// Hands a body on as it comes. A body that is cut off is never taken for a whole one.
async fn hand_on(mut body: Incoming, mut sender: PartSender, bytes_max: u64, stall_timeout: Duration) {
    let mut bytes = 0;
    loop {
        let part = match timeout(stall_timeout, next_part(&mut body)).await {
            Ok(Some(Ok(part))) => part,
            Ok(Some(Err(problem))) => return sender.fail(Fault::failed(problem.message)),
            Ok(None) => return sender.finish(),
            Err(_) => {
                let message = format!("nothing of the body came for {stall_timeout:?}");
                return sender.fail(Fault::failed(message));
            }
        };
        bytes += part.len() as u64;
        if bytes > bytes_max {
            return sender.fail(Fault::error(ErrorKind::TooLarge, over(bytes_max).message));
        }
        if sender.send(part).await.is_err() {
            // Who should read it is done with it.
            return;
        }
    }
}

/// The next bytes of a body; trailers say nothing here.
async fn next_part(body: &mut Incoming) -> Option<Result<Bytes, Problem>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_trailers)) => {}
            Err(error) => {
                tracing::debug!(%error, "the body of a request broke off");
                return Some(Err(Problem::bad_request(
                    "the body of the request is malformed or broke off",
                )
                .closing()));
            }
        }
    }
}

fn over(bytes_max: u64) -> Problem {
    Problem::too_large(format!(
        "the body is longer than the {bytes_max} bytes that are possible here"
    ))
}
