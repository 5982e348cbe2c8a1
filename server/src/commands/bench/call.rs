//! Calls: payload there, result back.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use switchboard_peer::{Handlers, Peer};
use tokio::task::JoinSet;

use super::{LAST_WAIT, Run, connections, count_fault, own_name, payload, responder};
use crate::{
    cli::bench::Load,
    client::Client,
    exit::Failure,
    report::{Report, Tally},
};

pub(super) async fn bench(client: &Client, operation: Option<String>, load: &Load) -> anyhow::Result<Report> {
    let payload = payload(load)?;
    let own = operation.is_none().then(|| own_name("call"));
    let mut echo = None;
    if let Some(own) = &own {
        let handlers = Handlers::new().handle_raw(own, |_, payload| async move { Ok(payload) });
        echo = Some(responder(client, load, own, handlers).await?);
    }
    let operation: Arc<str> = operation.or(own).unwrap_or_default().into();
    let peers = connections(client, load).await?;
    if let Some(peer) = peers.first() {
        // One that cannot be called at all is told at once, in its own words.
        let tried = peer.request_raw(&operation, payload.clone()).await;
        tried.map_err(Failure::from)?;
    }
    let run = Run::new(load.goal());
    let mut workers = JoinSet::new();
    for peer in &peers {
        for _ in 0..load.in_flight.get() {
            workers.spawn(worker(
                Arc::clone(&run),
                peer.clone(),
                Arc::clone(&operation),
                payload.clone(),
            ));
        }
    }
    let report = run.to_the_end("call", load, workers).await;
    peers.iter().chain(&echo).for_each(Peer::close);
    Ok(report)
}

async fn worker(run: Arc<Run>, peer: Peer, operation: Arc<str>, payload: Bytes) -> Tally {
    let mut tally = Tally::new();
    while !peer.is_closed() && run.begin_one() {
        let began = Instant::now();
        let answered = tokio::select! {
            biased;
            answer = peer.request_raw(&operation, payload.clone()) => answer,
            () = too_late(&run) => {
                tally.error();
                break;
            }
        };
        match answered {
            Ok(result) => {
                let bytes = payload.len().saturating_add(result.len());
                tally.success(began.elapsed(), u64::try_from(bytes).unwrap_or(u64::MAX));
            }
            Err(fault) => count_fault(&mut tally, &fault).await,
        }
        run.one_done();
    }
    tally
}

/// The run is over, and the wait for what was under way as well.
pub(super) async fn too_late(run: &Run) {
    run.over.cancelled().await;
    tokio::time::sleep(LAST_WAIT).await;
}
