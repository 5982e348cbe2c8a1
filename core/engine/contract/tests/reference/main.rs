//! The suite's own test: an engine as plain as can be, which keeps every promise, and its mutants, each of which breaks
//! one.
//!
//! The reference keeps everything in maps behind one lock, looks at the clock whenever it takes that lock, and after a
//! crash has exactly what was flushed: the least that the contract allows. Its watches keep few changes, so that they
//! have to begin anew.

mod bed;
mod engine;
mod mutants;

use bed::{PlainBed, ReferenceBed};
use engine::Flaw;

async fn bed() -> ReferenceBed {
    ReferenceBed::new(Flaw::None)
}

switchboard_engine_contract::contract_tests!(bed);

/// In real time.
mod plain {
    use super::PlainBed;

    async fn bed() -> PlainBed {
        PlainBed::new()
    }

    switchboard_engine_contract::contract_tests!(bed);
}
