//! The Redis door: every Redis client is a party at the hub.
//!
//! ```text
//! net: Connection ─► RedisGateway ─► Conversation ─┬─ a command on keys  ─► Session::keys().edit   (in one step)
//!   bytes ─► Request (RESP or inline) ─► Args      ├─ PUBLISH, SUBSCRIBE ─► Session::publish, subscribe
//!   Reply (RESP2 or RESP3) ─► bytes                └─ CALL               ─► Session::call
//! ```
//!
//! | in Redis | at the hub |
//! | --- | --- |
//! | database 0, database N | bucket `default`, bucket `dbN` |
//! | key; string, hash, list, set, sorted set | key; plain value, [structures](switchboard_hub::keys::structures) |
//! | channel | topic |
//!
//! A command (`command::Command`) is a row of a table: its name, arity, flags, keys, documentation, and the function
//! that does it. Dispatch, `COMMAND`, `COMMAND DOCS` and `docs/redis.md` come from there. Most commands are
//! functions on keys (`command::KeyFunction`): they can stand alone, in `MULTI` and in a script alike.
//!
//! | module | what it is |
//! | --- | --- |
//! | `command`, `table` | what a command is; all of them |
//! | `commands` | a file for each group |
//! | `args`, `reply`, `refusal`, `call` | what a command works with |
//! | `scan`, `random` | what commands on structures share |
//! | `cursors` | where scans of keys go on |
//! | `long` | what takes long |
//! | `long_double` | numbers as Redis adds them |
//! | `glob` | patterns of keys and channels |
//! | `edit`, `transaction` | commands on their way through the engine, one or several |
//! | `scripts` | Lua |
//! | `request` | from bytes to commands |
//! | `gateway`, `connection`, `conversation` | from a connection to what its commands do |
//! | `waiting` | who waits for elements |
//! | `subscriptions`, `keyspace` | messages, and what keys tell |
//! | `clients`, `stats` | who is connected; what is counted |

mod args;
mod call;
mod clients;
mod command;
mod commands;
mod connection;
mod conversation;
mod cursors;
mod edit;
mod gateway;
mod glob;
mod keyspace;
mod limits;
mod long;
mod long_double;
mod options;
mod random;
mod refusal;
mod reply;
mod request;
mod scan;
mod scripts;
mod stats;
mod subscriptions;
mod table;
#[cfg(test)]
mod testing;
mod transaction;
mod waiting;
mod words;

pub use gateway::RedisGateway;
pub use keyspace::check_events;
pub use options::RedisOptions;
pub use request::{RequestError, RequestLimits, Requests};
pub use stats::RedisStats;
pub use words::{WordSlice, Words};
