//! What every engine has to pass: one function for each thing that `switchboard-engine` promises.
//!
//! An engine implements [`TestBed`] in its own tests, and gets one test for each property by one line:
//!
//! ```text
//! switchboard_engine_contract::contract_tests!(my_bed); // async fn my_bed() -> impl TestBed
//! ```
//!
//! Each test has a bed of its own, and each case of a generated one its own buckets and queues. Time is the bed's:
//! where the engine runs by a [`ManualClock`](switchboard_engine::ManualClock), edges are tried to the millisecond and
//! the wall clock jumps; where it cannot, the same promises are tried with time to spare. Every wait has an end, so a
//! property that is not kept fails and does not hang.
//!
//! That the suite can fail is tested too: `tests/reference` has an engine in a few hundred lines that passes, and a row
//! of its mutants, each of which the property that names its flaw refuses.

mod bed;
pub mod blobs;
pub mod bus;
pub mod keys;
pub mod queues;
mod suite;
mod tools;
pub mod whole;

pub use bed::{Abilities, TestBed};
pub use suite::{PROPERTIES, Property, run};
