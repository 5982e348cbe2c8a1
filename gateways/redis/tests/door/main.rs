//! The Redis door from outside: bytes over TCP.

mod connection;
mod hostile;
mod messages;
mod pipelines;
mod scripts;
mod support;
mod transactions;
mod waiting;
