//! The listener seen from outside: real sockets on loopback, and real processes where the test is about a process.

mod children;
mod limits;
mod listener;
mod privilege;
mod proxy;
mod support;
mod tls;
mod unix;
