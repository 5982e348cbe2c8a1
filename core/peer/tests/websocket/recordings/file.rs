//! The recordings, as `core/wire/tests/vectors/README.md` describes them.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use crate::frames::{BINARY, CLOSE, Frame, TEXT};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/tests/vectors");

/// How the files of those over WebSocket begin.
const PREFIX: &str = "ws_";

#[derive(Deserialize)]
pub struct Recording {
    pub name: String,
    pub server: String,
    #[serde(default)]
    pub order_may_vary: bool,
    pub messages: Vec<Sent>,
}

/// One thing that an end did.
#[derive(Deserialize)]
pub struct Sent {
    pub from: Side,
    pub event: Option<String>,
    #[serde(default)]
    pub text: String,
    opcode: Option<String>,
    #[serde(default)]
    fin: bool,
    #[serde(default)]
    masked: bool,
    bytes_hex: String,
    payload_repeat: Option<Repeat>,
    #[serde(default)]
    redact: Vec<Redacted>,
}

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

impl Recording {
    /// Every one over WebSocket, by name.
    pub fn all() -> Vec<Self> {
        let entries = std::fs::read_dir(FOLDER).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut recordings: Vec<_> = paths
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
            })
            .map(|path| read(&path))
            .collect();
        recordings.sort_by(|a, b| a.name.cmp(&b.name));
        recordings
    }

    /// What happened on each connection, one after the other.
    pub fn connections(&self) -> Vec<&[Sent]> {
        let opens = |sent: &&Sent| sent.from == Side::Client && sent.event.as_deref() == Some("http");
        let mut starts: Vec<_> = (0..self.messages.len())
            .filter(|at| opens(&&self.messages[*at]))
            .collect();
        starts.push(self.messages.len());
        starts
            .windows(2)
            .map(|ends| &self.messages[ends[0]..ends[1]])
            .collect()
    }
}

impl Sent {
    /// The frame, if this is one.
    pub fn frame(&self) -> Option<Frame> {
        let opcode = match self.opcode.as_deref()? {
            "text" => TEXT,
            "binary" => BINARY,
            "close" => CLOSE,
            other => panic!("the opcode {other}"),
        };
        let mut payload = const_hex::decode(&self.bytes_hex).unwrap();
        if let Some(Repeat { unit_hex, count }) = &self.payload_repeat {
            payload.extend(const_hex::decode(unit_hex).unwrap().repeat(*count));
        }
        Some(Frame {
            last: self.fin,
            opcode,
            masked: self.masked,
            payload,
        })
    }

    /// Where its bytes depend on the clock or on chance.
    pub fn redacted(&self) -> Vec<Range<usize>> {
        let range = |redacted: &Redacted| redacted.offset..redacted.offset + redacted.length;
        self.redact.iter().map(range).collect()
    }
}

fn read(path: &Path) -> Recording {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
