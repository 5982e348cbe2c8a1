//! Prints how many 16-byte echo requests and results a second this machine decodes and encodes.
//!
//! `cargo run --release -p switchboard-wire --example decode_rate`
//!
//! The batch is about what one read of a busy connection brings, and stays in the cache, so that the codec is
//! measured and not the memory. Of several rounds the fastest counts: the others were disturbed.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use switchboard_wire::gotalk::{Bounds, Head, Message, Name, RequestId, decode};

const MESSAGES_PER_BATCH: u32 = 1_500;
const BATCHES_PER_ROUND: u32 = 300;
const ROUNDS: u32 = 10;
const PAYLOAD: &[u8; 16] = b"sixteen bytes...";

fn main() -> Result<(), Box<dyn Error>> {
    let id = RequestId::from(7);
    let payload = Bytes::from_static(PAYLOAD);
    let operation = Name::from_static("echo");
    report(
        "requests",
        &Message::SingleRequest {
            id,
            operation,
            payload: payload.clone(),
        },
    )?;
    report("results", &Message::SingleResult { id, payload })?;

    let mut buf = BytesMut::new();
    let head = Head::SingleRequest {
        id,
        operation: "echo",
    };
    let rate = fastest(|| {
        buf.clear();
        for _ in 0..MESSAGES_PER_BATCH {
            black_box(&head).encode(PAYLOAD.len(), &mut buf)?;
        }
        Ok(())
    })?;
    println!("encode {:8} {rate:6.1} M/s", "heads");
    Ok(())
}

fn report(kind: &str, message: &Message) -> Result<(), Box<dyn Error>> {
    let bounds = Bounds::default();
    let mut batch = BytesMut::new();
    for _ in 0..MESSAGES_PER_BATCH {
        message.encode(&mut batch)?;
    }
    let mut buf = BytesMut::with_capacity(batch.len());
    let rate = fastest(|| {
        buf.reserve(batch.len());
        buf.extend_from_slice(&batch);
        while let Some(message) = decode(&mut buf, &bounds)? {
            black_box(message);
        }
        Ok(())
    })?;
    println!("decode {kind:8} {rate:6.1} M/s");

    let rate = fastest(|| {
        batch.clear();
        for _ in 0..MESSAGES_PER_BATCH {
            black_box(message).encode(&mut batch)?;
        }
        Ok(())
    })?;
    println!("encode {kind:8} {rate:6.1} M/s");
    Ok(())
}

/// The rate of the fastest round, in millions of messages a second.
fn fastest(mut batch: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut seconds_min = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..BATCHES_PER_ROUND {
            batch()?;
        }
        seconds_min = seconds_min.min(start.elapsed().as_secs_f64());
    }
    Ok(f64::from(MESSAGES_PER_BATCH * BATCHES_PER_ROUND) / seconds_min / 1e6)
}
