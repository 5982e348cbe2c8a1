//! How a connection ends: nobody loses what was said, nobody waits for what will not come.

#[path = "closing/calls.rs"]
mod calls;
mod common;
#[path = "closing/draining.rs"]
mod draining;
#[path = "closing/last_words.rs"]
mod last_words;
#[path = "closing/races.rs"]
mod races;
