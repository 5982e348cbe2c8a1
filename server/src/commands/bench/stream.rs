//! Bytes: streams there and back. A chunk is back when as many bytes have come as were sent up to its end, so that the
//! other side may cut the stream into parts as it likes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use switchboard_peer::{Fault, Handlers, PartReceiver, PartSender, Peer, Reply};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Run, call::too_late, connections, count_fault, own_name, payload, responder};
use crate::{
    cli::bench::Load,
    client::Client,
    exit::Failure,
    report::{Report, Tally},
};

/// Bytes, and chunks, of one stream that may be under way, at least one chunk: as much as keeps a connection busy,
/// and little enough that the time of a chunk is that of its way, not of a queue.
const WINDOW_BYTES: usize = 256 * 1024;
const WINDOW_CHUNKS: usize = 32;

pub(super) async fn bench(client: &Client, operation: Option<String>, load: &Load) -> anyhow::Result<Report> {
    let chunk = payload(load)?;
    if chunk.is_empty() {
        return Err(Failure::Usage("--size: a stream needs chunks of at least one byte".to_owned()).into());
    }
    let own = operation.is_none().then(|| own_name("stream"));
    let mut echo = None;
    if let Some(own) = &own {
        echo = Some(responder(client, load, own, echo_handlers(own)).await?);
    }
    let operation: Arc<str> = operation.or(own).unwrap_or_default().into();
    let peers = connections(client, load).await?;
    let run = Run::new(load.goal());
    let mut workers = JoinSet::new();
    for peer in &peers {
        for _ in 0..load.in_flight.get() {
            workers.spawn(worker(
                Arc::clone(&run),
                peer.clone(),
                Arc::clone(&operation),
                chunk.clone(),
            ));
        }
    }
    let report = run.to_the_end("stream", load, workers).await;
    peers.iter().chain(&echo).for_each(Peer::close);
    Ok(report)
}

fn echo_handlers(operation: &str) -> Handlers {
    Handlers::new().handle_stream(operation, |_, mut parts, results| async move {
        while let Some(part) = parts.next().await.transpose()? {
            if results.send(part).await.is_err() {
                break;
            }
        }
        Ok(())
    })
}

/// The chunks of one stream that are under way: the byte at which each ends, and when it was sent.
struct UnderWay {
    window: Semaphore,
    chunks: Mutex<VecDeque<(u64, Instant)>>,
    chunk_bytes: u64,
}

async fn worker(run: Arc<Run>, peer: Peer, operation: Arc<str>, chunk: Bytes) -> Tally {
    let mut tally = Tally::new();
    let under_way = UnderWay {
        window: Semaphore::new((WINDOW_BYTES / chunk.len()).clamp(1, WINDOW_CHUNKS)),
        chunks: Mutex::default(),
        chunk_bytes: u64::try_from(chunk.len()).unwrap_or(u64::MAX),
    };
    let (sender, reply) = peer.call(&operation).stream();
    let receiving = async {
        let received = match reply.await {
            Ok(Reply::Stream(parts)) => under_way.receive(&run, parts, &mut tally).await,
            Ok(Reply::Single(_)) => Err(Fault::failed("the result is no stream")),
            Err(fault) => Err(fault),
        };
        // The other side has said its last: nothing more is to be sent.
        under_way.window.close();
        received
    };
    let both = async { tokio::join!(under_way.send(&run, sender, chunk), receiving).1 };
    let ended = tokio::select! {
        biased;
        ended = both => Some(ended),
        () = too_late(&run) => None,
    };
    match ended {
        Some(Err(fault)) => count_fault(&mut tally, &fault).await,
        Some(Ok(())) | None => {
            // What has not come back does not come any more.
            let left = under_way.lock().len();
            (0..left).for_each(|_| tally.error());
        }
    }
    tally
}

impl UnderWay {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Instant)>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, run: &Run, mut sender: PartSender, chunk: Bytes) {
        let mut sent = 0_u64;
        while let Ok(permit) = self.window.acquire().await {
            permit.forget();
            if !run.begin_one() {
                break;
            }
            sent = sent.saturating_add(self.chunk_bytes);
            self.lock().push_back((sent, Instant::now()));
            if sender.send(chunk.clone()).await.is_err() {
                break;
            }
        }
        sender.finish();
    }

    async fn receive(&self, run: &Run, mut parts: PartReceiver, tally: &mut Tally) -> Result<(), Fault> {
        let mut received = 0_u64;
        while let Some(part) = parts.next().await.transpose()? {
            received = received.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            let mut chunks = self.lock();
            while let Some((_, sent_at)) = chunks.pop_front_if(|(end, _)| *end <= received) {
                tally.success(sent_at.elapsed(), self.chunk_bytes.saturating_mul(2));
                run.one_done();
                self.window.add_permits(1);
            }
        }
        Ok(())
    }
}
