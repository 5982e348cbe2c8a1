//! Connections that come back: back-off, set-up at a hub, queued sends, ends. Over pipes in memory, in paused time.

#[path = "keep_alive/at_hub.rs"]
mod at_hub;
#[path = "keep_alive/back_off.rs"]
mod back_off;
#[path = "keep_alive/brokerless.rs"]
mod brokerless;
mod common;
#[path = "keep_alive/ends.rs"]
mod ends;
#[path = "keep_alive/sends.rs"]
mod sends;
#[path = "keep_alive/support.rs"]
mod support;
