//! Tagged messages over a stream: who gets what, what gives when queues are full, how it ends.

#[path = "tag_queues/ends.rs"]
mod ends;
#[path = "tag_queues/receiving.rs"]
mod receiving;
#[path = "tag_queues/sending.rs"]
mod sending;
#[path = "tag_queues/stress.rs"]
mod stress;
#[path = "tag_queues/support.rs"]
mod support;
