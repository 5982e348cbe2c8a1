//! `INFO`: how the server does, as clients read it.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::args::Args;
use crate::commands::connection::VERSION;
use crate::conversation::{Conversation, Step};
use crate::gateway::Shared;
use crate::refusal::Refusal;

/// The sections that there are, in their order.
const SECTIONS: [&str; 9] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "cluster",
    "keyspace",
];

/// What stands for all of them.
const ALL: [&str; 3] = ["all", "everything", "default"];

pub(super) fn info(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let names: Vec<_> = args
        .from(1)
        .iter()
        .map(|name| String::from_utf8_lossy(name).to_lowercase())
        .collect();
    let is_all = names.is_empty() || names.iter().any(|name| ALL.contains(&&**name));
    let wanted = |section: &&str| is_all || names.iter().any(|name| name == section);
    let sections: Vec<_> = SECTIONS.into_iter().filter(wanted).collect();
    let (session, shared) = (talk.session.clone(), talk.shared.clone());
    Ok(Step::then(async move {
        let mut databases = Vec::new();
        if sections.contains(&"keyspace") {
            let buckets = session.keys()?.buckets().await?;
            for bucket in buckets {
                if let Some(database) = shared.database(&bucket) {
                    let count = session.keys()?.count(&bucket)?;
                    databases.push((database, count.await?));
                }
            }
            databases.sort_unstable();
        }
        let mut text = String::new();
        for section in sections {
            // Writing to memory does not fail.
            let _ = write_section(&mut text, section, &shared, &databases);
        }
        Ok(move |talk: &mut Conversation| talk.reply.verbatim(&text))
    }))
}

fn write_section(
    text: &mut String,
    section: &str,
    shared: &Shared,
    databases: &[(u32, u64)],
) -> std::fmt::Result {
    if !text.is_empty() {
        text.push_str("\r\n");
    }
    let mut title = section.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    write!(text, "# {title}\r\n")?;
    match section {
        "server" => server(text, shared),
        "clients" => clients(text, shared),
        "memory" => memory(text),
        "persistence" => text.write_str(
            "loading:0\r\nrdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\n\
             aof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_last_write_status:ok\r\n",
        ),
        "stats" => stats(text, shared),
        "replication" => text.write_str(
            "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\nmaster_repl_offset:0\r\n",
        ),
        "cluster" => text.write_str("cluster_enabled:0\r\n"),
        "keyspace" => databases
            .iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(database, count)| write!(text, "db{database}:keys={count},expires=0,avg_ttl=0\r\n")),
        _ => Ok(()),
    }
}

fn server(text: &mut String, shared: &Shared) -> std::fmt::Result {
    let uptime = shared.since.elapsed().as_secs();
    write!(
        text,
        "redis_version:{VERSION}\r\nredis_mode:standalone\r\nos:{}\r\narch_bits:{}\r\nprocess_id:{}\r\n\
         run_id:{:040x}\r\ntcp_port:4779\r\nuptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n\
         switchboard_version:{}\r\n",
        std::env::consts::OS,
        usize::BITS,
        std::process::id(),
        shared.hub.epoch(),
        uptime / 86_400,
        env!("CARGO_PKG_VERSION"),
    )
}

fn clients(text: &mut String, shared: &Shared) -> std::fmt::Result {
    let (count, blocked) = (shared.clients.count(), shared.waiting.count());
    write!(
        text,
        "connected_clients:{count}\r\nmaxclients:10000\r\nblocked_clients:{blocked}\r\n"
    )
}

/// Bytes of memory in use, as far as the system tells.
fn memory_bytes() -> u64 {
    /// What the system counts in.
    const PAGE_BYTES: u64 = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    resident.unwrap_or_default() * PAGE_BYTES
}

fn memory(text: &mut String) -> std::fmt::Result {
    let bytes = memory_bytes();
    write!(
        text,
        "used_memory:{bytes}\r\nused_memory_human:{:.2}M\r\nused_memory_rss:{bytes}\r\nused_memory_peak:{bytes}\r\n\
         maxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\nmem_fragmentation_ratio:1.00\r\n",
        bytes as f64 / f64::from(1 << 20)
    )
}

fn stats(text: &mut String, shared: &Shared) -> std::fmt::Result {
    let commands = shared.counters.commands.load(Ordering::Relaxed);
    let channels = shared.channels.names(crate::subscriptions::Kind::Channel).len();
    let patterns = shared.channels.names(crate::subscriptions::Kind::Pattern).len();
    write!(
        text,
        "total_connections_received:{}\r\ntotal_commands_processed:{commands}\r\nexpired_keys:0\r\n\
         evicted_keys:0\r\nkeyspace_hits:0\r\nkeyspace_misses:0\r\npubsub_channels:{channels}\r\n\
         pubsub_patterns:{patterns}\r\n",
        shared.clients.opened()
    )
}
