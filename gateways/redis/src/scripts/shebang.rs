//! What the first line of a script may say: `#!lua flags=no-writes`.

use super::Stated;
use crate::refusal::Refusal;

/// Flags that mean something where there are replicas, memory limits and clusters.
const IDLE_FLAGS: [&str; 4] = ["allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"];

/// The code, which begins with the end of that line so that its lines keep their numbers; and what the line says.
///
/// # Errors
/// When the line asks for something that is not there.
pub(super) fn read(source: &[u8]) -> Result<(&[u8], Stated), Refusal> {
    if !source.starts_with(b"#!") {
        return Ok((source, Stated::Nothing));
    }
    let end = source.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or(Refusal::new("ERR Invalid script shebang"))?;
    let (line, code) = source.split_at_checked(end).unwrap_or((source, &[]));
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    match words.next() {
        Some("#!lua") => {}
        engine => {
            let engine = engine.unwrap_or_default();
            return Err(Refusal::of(format!(
                "ERR Unexpected engine in script shebang: {engine}"
            )));
        }
    }
    let mut stated = Stated::Writes;
    for word in words {
        let flags = (word.strip_prefix("flags="))
            .ok_or_else(|| Refusal::of(format!("ERR Unknown lua shebang option: {word}")))?;
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            if flag == "no-writes" {
                stated = Stated::NoWrites;
            } else if !IDLE_FLAGS.contains(&flag) {
                return Err(Refusal::of(format!(
                    "ERR Unexpected flag in script shebang: {flag}"
                )));
            }
        }
    }
    Ok((code, stated))
}
