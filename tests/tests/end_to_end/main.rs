//! The daemon from outside: real processes, real sockets, and clients that know nothing of its code.
//!
//! The stories of the command line itself are told in `server/tests`; here is what strangers, accidents and attackers
//! do. Each test has a daemon, a folder and ports of its own.

mod addresses;
mod cluster;
mod configuration;
mod ending;
mod foreign;
mod half_open;
mod hostile;
mod idle;
mod keys;
mod killed;
mod limits;
mod privileges;
mod proxy;
mod readme;
mod slow_callers;
mod slow_readers;
mod tls;
mod vanishing;
