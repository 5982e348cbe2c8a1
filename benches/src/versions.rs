//! What was compared: versions of the crates, from the lock file this binary was built with.

use std::process::Command;

use crate::broker::nats_binary;

const LOCK_FILE: &str = include_str!("../../Cargo.lock");

/// The crates whose versions decide what a table says.
const CRATES: [&str; 7] = [
    "tarpc",
    "tokio-serde",
    "bincode",
    "tonic",
    "prost",
    "async-nats",
    "tokio",
];

/// One line that names every version.
pub fn line() -> String {
    let mut versions: Vec<String> = CRATES
        .iter()
        .map(|name| format!("{name} {}", locked(LOCK_FILE, name).unwrap_or("?")))
        .collect();
    versions.push(nats_server().unwrap_or_else(|| "no nats-server".to_owned()));
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

fn nats_server() -> Option<String> {
    let output = Command::new(nats_binary()).arg("--version").output().ok()?;
    Some(
        String::from_utf8(output.stdout)
            .ok()?
            .trim()
            .replace("nats-server: ", "nats-server "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_in_the_lock_file() {
        for name in CRATES {
            assert!(locked(LOCK_FILE, name).is_some(), "{name} is not locked");
        }
        assert_eq!(locked("[[package]]\nname = \"ab\"\nversion = \"1\"\n", "a"), None);
    }
}
