//! Reads the recorded conversations in `core/wire/tests/vectors`; its README describes the files.
//!
//! Tests of other crates include this file with `#[path]`; `FOLDER` is right for every crate of `core`.
#![allow(dead_code, reason = "each test program uses a part")]

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

/// Where the files are.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/tests/vectors");

/// One recorded scenario.
#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    /// The program at each end.
    pub server: String,
    pub client: String,
    /// The scheduler decided the order of the messages.
    #[serde(default)]
    pub order_may_vary: bool,
    pub messages: Vec<Sent>,
}

/// One thing that an end did.
#[derive(Deserialize)]
pub struct Sent {
    pub from: Side,
    pub event: Option<String>,
    opcode: Option<String>,
    bytes_hex: String,
    payload_repeat: Option<Repeat>,
    #[serde(default)]
    redact: Vec<Redacted>,
}

/// Who did it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Client,
    Server,
}

#[derive(Deserialize)]
struct Repeat {
    unit_hex: String,
    count: usize,
}

#[derive(Deserialize)]
struct Redacted {
    offset: usize,
    length: usize,
}

impl Vector {
    /// Every recorded scenario, by name.
    pub fn all() -> Vec<Vector> {
        let entries = std::fs::read_dir(FOLDER).expect("the folder of the vectors");
        let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
        let mut vectors: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|x| x == "json"))
            .map(|path| read(&path))
            .collect();
        vectors.sort_by(|a, b| a.name.cmp(&b.name));
        vectors
    }

    /// The gotalk bytes which one end sent, a stream for each connection.
    pub fn streams(&self, side: Side) -> Vec<Vec<u8>> {
        let mut streams = vec![];
        for (index, sent) in self.messages.iter().enumerate() {
            let opens = sent.from == Side::Client && sent.event.as_deref() == Some("http");
            if index == 0 || opens {
                streams.push(vec![]);
            }
            if let Some(stream) = streams.last_mut()
                && sent.from == side
            {
                stream.extend(sent.bytes());
            }
        }
        streams
    }
}

impl Sent {
    /// The gotalk bytes; none for events and for control frames.
    pub fn bytes(&self) -> Vec<u8> {
        if self.event.is_some() || self.opcode.as_deref() == Some("close") {
            return vec![];
        }
        let mut bytes = const_hex::decode(&self.bytes_hex).expect("hex");
        if let Some(Repeat { unit_hex, count }) = &self.payload_repeat {
            bytes.extend(const_hex::decode(unit_hex).expect("hex").repeat(*count));
        }
        bytes
    }

    /// Where its bytes depend on the clock or on chance.
    pub fn redacted(&self) -> Vec<Range<usize>> {
        let range = |redacted: &Redacted| redacted.offset..redacted.offset + redacted.length;
        self.redact.iter().map(range).collect()
    }
}

fn read(path: &Path) -> Vector {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
