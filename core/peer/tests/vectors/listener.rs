//! The test's own end of a connection: says bytes, and compares what it hears message by message.

use std::ops::Range;

use bytes::{Buf, BytesMut};
use switchboard_wire::gotalk::{Bounds, Message, VERSION, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::vector_file::Sent;

/// The bytes of one message, of which some ranges may differ.
pub struct Wanted {
    pub bytes: Vec<u8>,
    pub free: Vec<Range<usize>>,
}

impl Wanted {
    fn is(&self, heard: &[u8]) -> bool {
        let free = |at: &usize| self.free.iter().any(|range| range.contains(at));
        heard.len() == self.bytes.len()
            && (0..heard.len()).all(|at| free(&at) || heard.get(at) == self.bytes.get(at))
    }
}

impl From<&Sent> for Wanted {
    fn from(sent: &Sent) -> Self {
        Self {
            bytes: sent.bytes(),
            free: sent.redacted(),
        }
    }
}

pub struct Listener {
    io: DuplexStream,
    buffer: BytesMut,
    /// The version was heard.
    versioned: bool,
    /// Heard before it was wanted.
    ahead: Vec<Vec<u8>>,
}

impl Listener {
    pub fn new(io: DuplexStream) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
            versioned: false,
            ahead: Vec::new(),
        }
    }

    pub async fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        let said = self.io.write_all(bytes).await;
        said.map_err(|error| format!("cannot say {:?}: {error}", show(bytes)))
    }

    /// Says nothing more, and goes on listening.
    pub async fn end(&mut self) {
        // The other side may have gone before.
        let _ = self.io.shutdown().await;
    }

    /// Hears this message next or, if the order may vary, before the end.
    pub async fn hear(&mut self, wanted: &Wanted, any_order: bool) -> Result<(), String> {
        if let Some(at) = self.ahead.iter().position(|heard| wanted.is(heard)) {
            self.ahead.remove(at);
            return Ok(());
        }
        loop {
            match self.next().await? {
                Some(heard) if wanted.is(&heard) => return Ok(()),
                Some(heard) if any_order => self.ahead.push(heard),
                other => {
                    let heard = other.map_or_else(|| "the end".to_owned(), |heard| show(&heard));
                    return Err(format!("wanted {:?}, heard {heard:?}", show(&wanted.bytes)));
                }
            }
        }
    }

    /// Hears the end, and nothing before it.
    pub async fn hear_end(&mut self) -> Result<(), String> {
        if let Some(unwanted) = self.ahead.first() {
            return Err(format!("heard {:?}, which nobody wanted", show(unwanted)));
        }
        match self.next().await? {
            None if self.buffer.is_empty() => Ok(()),
            None => Err(format!("the end came within {:?}", show(&self.buffer))),
            Some(heard) => Err(format!("wanted the end, heard {:?}", show(&heard))),
        }
    }

    /// The next message as a type; the version is none.
    pub async fn next_message(&mut self) -> Result<Message, String> {
        let heard = self.next().await?.ok_or("heard the end, wanted a message")?;
        let decoded = decode(&mut BytesMut::from(&heard[..]), &Bounds::default());
        decoded
            .ok()
            .flatten()
            .ok_or_else(|| format!("{:?} is no message", show(&heard)))
    }

    /// The bytes of the next message, the version as one; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(length) = self.whole()? {
                let message = self.buffer.split_to(length);
                return Ok(Some(message.chunk().to_vec()));
            }
            let read = self.io.read_buf(&mut self.buffer).await;
            if read.map_err(|error| format!("the connection broke: {error}"))? == 0 {
                return Ok(None);
            }
        }
    }

    /// How long the message at the front of the buffer is, once it is whole.
    fn whole(&mut self) -> Result<Option<usize>, String> {
        if !self.versioned && self.buffer.len() >= VERSION.len() {
            self.versioned = true;
            return Ok(Some(VERSION.len()));
        }
        // The messages are few or small: a copy is no matter.
        let mut copy = self.buffer.clone();
        match decode(&mut copy, &Bounds::default()) {
            _ if !self.versioned => Ok(None),
            Ok(Some(_)) => Ok(Some(self.buffer.len() - copy.len())),
            Ok(None) => Ok(None),
            Err(error) => Err(format!("heard {:?}: {error}", show(&self.buffer))),
        }
    }
}

/// Bytes as a person reads them, the long ones cut.
pub fn show(bytes: &[u8]) -> String {
    let shown = bytes.get(..200).unwrap_or(bytes);
    crate::common::text(shown)
}

/// The version and the messages that `whole` is made of.
pub fn split(whole: &Wanted) -> Vec<Wanted> {
    let mut buffer = BytesMut::from(&whole.bytes[VERSION.len()..]);
    let mut ends = vec![0, VERSION.len()];
    while let Some(_message) = decode(&mut buffer, &Bounds::default()).expect("the table holds gotalk") {
        ends.push(whole.bytes.len() - buffer.len());
    }
    assert!(buffer.is_empty(), "the table holds half a message");
    let message = |ends: &[usize]| Wanted {
        bytes: whole.bytes[ends[0]..ends[1]].to_vec(),
        free: within(&whole.free, ends[0], ends[1]),
    };
    ends.windows(2).map(message).collect()
}

fn within(ranges: &[Range<usize>], start: usize, end: usize) -> Vec<Range<usize>> {
    let inside = |range: &&Range<usize>| range.start >= start && range.end <= end;
    let moved = |range: &Range<usize>| range.start - start..range.end - start;
    ranges.iter().filter(inside).map(moved).collect()
}
