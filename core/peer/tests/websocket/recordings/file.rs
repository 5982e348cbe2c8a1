//! The recordings over WebSocket, and their frames.

use crate::frames::{BINARY, CLOSE, Frame, TEXT};
pub use crate::vector_file::{Sent, Side, Vector as Recording};

/// How the names of those over WebSocket begin.
const PREFIX: &str = "ws_";

/// Every one, by name.
pub fn all() -> Vec<Recording> {
    let mut recordings = Recording::all();
    recordings.retain(|recording| recording.name.starts_with(PREFIX));
    recordings
}

/// The frame that was sent, if it is one.
pub fn frame(sent: &Sent) -> Option<Frame> {
    let opcode = match sent.opcode.as_deref()? {
        "text" => TEXT,
        "binary" => BINARY,
        "close" => CLOSE,
        other => panic!("the opcode {other}"),
    };
    Some(Frame {
        last: sent.fin,
        opcode,
        masked: sent.masked,
        payload: sent.payload(),
    })
}
