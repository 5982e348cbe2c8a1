//! Reads the input as an export. If it begins with `F`, what follows are frames without their checksums (kind, two bytes
//! of length, payload), which are added, so that what is in them is reached; else it is the export itself.
#![no_main]

use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use switchboard_engine::transfer::{self, Totals, TransferError, VERSION};
use xxhash_rust::xxh3::xxh3_64_with_seed;

fuzz_target!(|input: &[u8]| {
    let export = match input.split_first() {
        Some((b'F', frames)) => export_of(frames),
        _ => input.to_vec(),
    };
    let mut told = 0;
    let mut progress = |totals: &Totals| {
        assert!(totals.bytes >= told);
        told = totals.bytes;
    };
    let reading = transfer::verify(&export[..], &mut progress);
    match reading.now_or_never().expect("memory does not wait") {
        Ok(totals) => assert_eq!(totals.bytes, export.len() as u64),
        Err(TransferError::Damaged { at, .. }) => assert!(at <= export.len() as u64),
        Err(TransferError::Foreign | TransferError::Newer(_)) => {}
        Err(error) => panic!("{error}"),
    }
});

fn export_of(mut frames: &[u8]) -> Vec<u8> {
    let mut export = b"switchboard state\n".to_vec();
    export.extend(VERSION.to_le_bytes());
    let mut sum = 0;
    while let [kind, low, high, rest @ ..] = frames {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        let mut frame = vec![*kind];
        frame.extend((length as u32).to_le_bytes());
        frame.extend(payload);
        sum = xxh3_64_with_seed(&frame, sum);
        export.extend(frame);
        export.extend(sum.to_le_bytes());
        frames = rest;
    }
    export
}
