//! What the gateway counts.

use std::sync::atomic::{AtomicU64, Ordering};

use switchboard_hub::Sample;

use crate::clients::Clients;
use crate::waiting::Waiting;

/// Counts since the gateway began. Each is exact by itself; together they are no snapshot of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RedisStats {
    /// Connections that are open.
    pub clients: u64,
    /// Connections that wait for elements.
    pub waiting: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Commands that came.
    pub commands: u64,
    /// Connections ended because what came over them is no Redis.
    pub malformed: u64,
    /// Connections ended because they did not take their replies.
    pub unread: u64,
    /// Connections ended because they were too slow for what they subscribed to.
    pub too_slow: u64,
}

impl RedisStats {
    /// The numbers for the daemon's metrics; how many connections there are the hub tells of every door.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        vec![
            Sample::counter("redis_commands_total", "Commands that came.", self.commands),
            Sample::gauge(
                "redis_waiting",
                "Connections that wait for elements.",
                self.waiting,
            ),
            Sample::counter(
                "redis_malformed_total",
                "Connections ended for what is no Redis.",
                self.malformed,
            ),
            Sample::counter(
                "redis_unread_total",
                "Connections ended because they did not take their replies.",
                self.unread,
            ),
            Sample::counter(
                "redis_too_slow_total",
                "Connections ended because they were too slow for what they subscribed to.",
                self.too_slow,
            ),
        ]
    }
}

/// What the connections count in.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commands: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) unread: AtomicU64,
    pub(crate) too_slow: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, clients: &Clients, waiting: &Waiting) -> RedisStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisStats {
            clients: clients.count() as u64,
            waiting: waiting.count() as u64,
            connections: clients.opened(),
            commands: read(&self.commands),
            malformed: read(&self.malformed),
            unread: read(&self.unread),
            too_slow: read(&self.too_slow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_number() {
        let text = include_str!("../../../docs/http.md");
        let samples = RedisStats::default().samples();
        for sample in &samples {
            let name = format!("`switchboard_{}`", sample.name);
            assert!(text.contains(&name), "docs/http.md does not name {name}");
        }
        assert_eq!(text.matches("`switchboard_redis_").count(), samples.len());
    }
}
