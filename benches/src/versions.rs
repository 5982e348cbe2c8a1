//! What was compared: versions of the crates, from the lock file this binary was built with.

use std::process::Command;

use crate::broker::nats_binary;
use crate::queues::redis_binary;
use crate::web::{file, nginx_binary};

const LOCK_FILE: &str = include_str!("../../Cargo.lock");

/// The crates whose versions decide what a table says.
const CRATES: [&str; 11] = [
    "tarpc",
    "tokio-serde",
    "bincode",
    "tonic",
    "prost",
    "async-nats",
    "fjall",
    "parking_lot",
    "axum",
    "hyper",
    "tokio",
];

/// One line that names every version; programs that are not here are left out.
pub fn line() -> String {
    let mut versions: Vec<String> = CRATES
        .iter()
        .map(|name| format!("{name} {}", locked(LOCK_FILE, name).unwrap_or("?")))
        .collect();
    let in_node = |name: &str| {
        let package = file("node/node_modules").join(name).join("package.json");
        let version = json_version(&std::fs::read_to_string(package).ok()?)?.to_owned();
        Some(format!("{name} {version}"))
    };
    versions.extend(
        [
            said_by(&nats_binary(), &["--version"]).map(|line| line.replace("nats-server: ", "nats-server ")),
            said_by(&redis_binary(), &["--version"]).and_then(|line| redis_version(&line)),
            said_by(&nginx_binary(), &["-v"]).map(|line| line.replace("nginx version: nginx/", "nginx ")),
            said_by("dpkg-query", &["--show", "libnginx-mod-nchan"]).map(|line| line.replace('\t', " ")),
            said_by("dpkg-query", &["--show", "wrk"]).map(|line| line.replace('\t', " ")),
            said_by("node", &["--version"]).map(|line| format!("node {line}")),
            in_node("socket.io"),
            in_node("socket.io-client"),
        ]
        .into_iter()
        .flatten(),
    );
    versions.join(", ")
}

fn locked<'a>(lock_file: &'a str, name: &str) -> Option<&'a str> {
    let entry = lock_file.split("[[package]]").find(|entry| {
        entry.lines().any(|line| {
            line.strip_prefix("name = \"")
                .is_some_and(|rest| rest.strip_suffix('"') == Some(name))
        })
    })?;
    entry
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// The first line of what a program says, wherever it says it.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let said = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let line = String::from_utf8(said).ok()?.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}

/// `redis 7.0.15` of `Redis server v=7.0.15 sha=…`.
fn redis_version(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("v=")?;
    Some(format!("redis {}", rest.split(' ').next()?))
}

/// The version in a `package.json`.
fn json_version(package: &str) -> Option<&str> {
    let (_, rest) = package.split_once("\"version\": \"")?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_in_the_lock_file() {
        for name in CRATES {
            assert!(locked(LOCK_FILE, name).is_some(), "{name} is not locked");
        }
        assert_eq!(json_version("{ \"version\": \"4.8.4\" }"), Some("4.8.4"));
        assert_eq!(
            redis_version("Redis server v=7.0.15 sha=0:0").as_deref(),
            Some("redis 7.0.15")
        );
        assert_eq!(locked("[[package]]\nname = \"ab\"\nversion = \"1\"\n", "a"), None);
    }
}
