//! Scripts, run at both.

use crate::reply::Reply;
use crate::servers::{Client, Servers};
use crate::template::{Asked, Compare};

mod list;

/// What is there when each script begins.
const BEGIN: &[&str] = &[
    "FLUSHALL",
    "SET s 5",
    "RPUSH l a b c",
    "HSET h f 1 g 2",
    "SADD set x",
    "ZADD z 1 a 2.5 b",
];

/// Runs each script at both.
pub async fn compare(servers: &Servers, protocol: u8) {
    let mut ours = Client::connect(&servers.ours, protocol).await;
    let mut theirs = Client::connect(&servers.theirs, protocol).await;
    let mut differences = Vec::new();
    for script in list::SCRIPTS {
        for name in ["EVAL", "EVAL_RO"] {
            let words = [name, script, "2", "s", "l", "x", "7"];
            let (mut before, after) = (asked(BEGIN), asked(&["GET s", "LRANGE l 0 -1", "DBSIZE"]));
            before.push(Asked {
                words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
                compare: Compare::Exact,
            });
            before.extend(after);
            let (ours, theirs) = tokio::join!(ours.ask_all(&before), theirs.ask_all(&before));
            for (place, (ours, theirs)) in ours.iter().zip(&theirs).enumerate().skip(BEGIN.len()) {
                if ours != theirs {
                    differences.push(difference(name, script, place - BEGIN.len(), ours, theirs));
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "RESP{protocol}:\n{}",
        differences.join("\n")
    );
}

fn difference(name: &str, script: &str, place: usize, ours: &Reply, theirs: &Reply) -> String {
    let of = ["", "GET s after ", "LRANGE l after ", "DBSIZE after "][place];
    format!("{of}{name} {script}\n  Redis: {theirs}\n  ours:  {ours}")
}

fn asked(lines: &[&str]) -> Vec<Asked> {
    let words = |line: &&str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let lines = lines.iter().map(|line| Asked {
        words: words(line),
        compare: Compare::Exact,
    });
    lines.collect()
}
