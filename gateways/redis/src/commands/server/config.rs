//! `CONFIG`: what clients look at.

use crate::args::Args;
use crate::conversation::{Conversation, Step};
use crate::gateway::Shared;
use crate::glob::Glob;
use crate::refusal::Refusal;

/// The one that can be changed.
const EVENTS: &str = "notify-keyspace-events";

/// All that there are, with what they are.
fn settings(shared: &Shared) -> Vec<(&'static str, String)> {
    let options = &shared.options;
    let idle = options.idle_timeout.map_or(0, |timeout| timeout.as_secs());
    let fixed = |name, value: &str| (name, value.to_owned());
    vec![
        // Everything is on its way to the disk at once, as with an append-only file.
        fixed("appendonly", "yes"),
        fixed("appendfsync", "everysec"),
        fixed("bind", "127.0.0.1"),
        fixed("cluster-enabled", "no"),
        ("databases", options.databases.to_string()),
        fixed("dir", "."),
        fixed("lua-time-limit", "5000"),
        fixed("maxclients", "10000"),
        fixed("maxmemory", "0"),
        fixed("maxmemory-policy", "noeviction"),
        (EVENTS, shared.keyspace.letters()),
        ("proto-max-bulk-len", options.request.word_bytes_max.to_string()),
        fixed("protected-mode", "yes"),
        fixed("requirepass", ""),
        fixed("save", ""),
        fixed("slowlog-log-slower-than", "-1"),
        fixed("slowlog-max-len", "0"),
        fixed("tcp-keepalive", "0"),
        ("timeout", idle.to_string()),
    ]
}

pub(super) fn get(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let patterns: Vec<_> = args
        .from(2)
        .iter()
        .map(|pattern| Glob::new(&pattern.to_ascii_lowercase()))
        .collect();
    let mut found = settings(&talk.shared);
    found.retain(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name.as_bytes())));
    talk.reply.map(found.len());
    for (name, value) in found {
        talk.reply.bulk(name.as_bytes());
        talk.reply.bulk(value.as_bytes());
    }
    Ok(Step::Done)
}

pub(super) fn set(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let (pairs, is_odd) = args.from(2).pairs();
    if is_odd {
        return Err(Refusal::new(
            "ERR wrong number of arguments for 'config|set' command",
        ));
    }
    for [name, value] in pairs.clone() {
        let name = String::from_utf8_lossy(name).to_lowercase();
        if name != EVENTS {
            return Err(Refusal::of(
                match settings(&talk.shared).iter().any(|(known, _)| *known == name) {
                    true => format!(
                        "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
                    ),
                    false => format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"),
                },
            ));
        }
        crate::check_events(&String::from_utf8_lossy(value)).map_err(|_| {
            Refusal::new(
                "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class \
                 character. Use 'Ag$lshzxeKEtmdn'.",
            )
        })?;
    }
    for [_, value] in pairs {
        // They were checked above.
        let _ = talk.shared.keyspace.set(&String::from_utf8_lossy(value));
    }
    talk.shared.watch_expiry();
    talk.reply.ok();
    Ok(Step::Done)
}
