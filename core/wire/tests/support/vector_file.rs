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
    /// What an event tells.
    #[serde(default)]
    pub text: String,
    /// Of a WebSocket frame, as are the next two.
    pub opcode: Option<String>,
    #[serde(default)]
    pub fin: bool,
    #[serde(default)]
    pub masked: bool,
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

    /// What happened on each connection, one after the other.
    pub fn connections(&self) -> Vec<&[Sent]> {
        let opens = |sent: &Sent| sent.from == Side::Client && sent.event.as_deref() == Some("http");
        let mut starts: Vec<_> = (1..self.messages.len())
            .filter(|at| opens(&self.messages[*at]))
            .collect();
        starts.insert(0, 0);
        starts.push(self.messages.len());
        starts
            .windows(2)
            .map(|ends| &self.messages[ends[0]..ends[1]])
            .collect()
    }

    /// The gotalk bytes which one end sent, a stream for each connection.
    pub fn streams(&self, side: Side) -> Vec<Vec<u8>> {
        let sent = |connection: &[Sent]| {
            let of_side = connection.iter().filter(|sent| sent.from == side);
            of_side.flat_map(Sent::bytes).collect()
        };
        self.connections().into_iter().map(sent).collect()
    }
}

impl Sent {
    /// The gotalk bytes; none for events and for control frames.
    pub fn bytes(&self) -> Vec<u8> {
        if self.event.is_some() || self.opcode.as_deref() == Some("close") {
            return vec![];
        }
        self.payload()
    }

    /// All bytes that were recorded.
    pub fn payload(&self) -> Vec<u8> {
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
