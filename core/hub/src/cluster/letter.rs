//! What hubs write to each other over the bus.
//!
//! ```text
//! topic          what                                                                who reads it
//! hubs           Presence: who is here, and the version of what is served there      every hub
//! messages       News: what was published at a hub                                   every hub
//! hub/ID         Letter: questions and answers of what is served, and calls          the hub of that id
//! ```
//!
//! Presence is JSON. The others are binary, numbers little-endian: [`VERSION`], then as said at [`Letter::encode`] and
//! [`News::encode`]. What is not understood is left out and logged: it comes from a newer hub.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use switchboard_peer::{ErrorKind, Fault};

/// The version of what is written. Another one is not read.
pub(crate) const VERSION: u8 = 1;

/// A hub, for as long as its process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct HubId(pub(crate) u64);

impl HubId {
    /// Where its letters go.
    pub(crate) fn topic(self) -> ByteString {
        format!("hub/{:016x}", self.0).into()
    }
}

/// That a hub is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) hub: HubId,
    /// Changes with what is served there.
    pub(crate) version: u64,
    /// Changes when letters to or from that hub may have been lost: calls from before are not to be waited for.
    #[serde(default)]
    pub(crate) losses: u64,
}

/// An operation that is served at a hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Served {
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) safe: bool,
    #[serde(default)]
    pub(crate) result_type: Option<String>,
}

/// A part of what is served at a hub, in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedPage {
    pub(crate) version: u64,
    /// The name that was asked for.
    pub(crate) after: String,
    pub(crate) ops: Vec<Served>,
    /// In the last page: what was served until a moment ago, and may be again soon. What is neither is unknown there.
    #[serde(default)]
    pub(crate) missed: Vec<String>,
    /// Whether there is another page, after the last of these names.
    pub(crate) more: bool,
}

/// A call, as it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) op: String,
    pub(crate) account: String,
    pub(crate) door: String,
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) deadline_ms: Option<u64>,
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    /// Whether the body is a stream for who answers, too.
    pub(crate) stream: bool,
    /// Whether the caller can turn to somebody else if it hears [`Said::NotServed`].
    #[serde(default)]
    pub(crate) again: bool,
}

/// A call between two hubs: the hub that makes it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallId {
    pub(crate) caller: HubId,
    pub(crate) number: u64,
}

/// One letter to one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) from: HubId,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// What is served there, after that name?
    Ask {
        after: String,
    },
    Served(ServedPage),
    /// The hub that writes knows that the one which reads takes no more calls: after this none comes.
    Released,
    /// The hub that writes is gone: nothing of it is to be waited for.
    Left,
    /// Something of a call.
    Call {
        call: CallId,
        /// Counts what one hub says of one call, from 0: a gap shows that something was lost.
        serial: u32,
        said: Said,
    },
}

/// What is said of a call. A body, and likewise a result, is a single payload, or pieces and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It begins; the body follows as pieces, unless it is here.
    Open(Opening, Option<Bytes>),
    /// The whole result.
    Result(Bytes),
    /// The result is a stream, of pieces that follow. `whole`: it is one payload all the same, only too large for one
    /// letter.
    Stream { whole: bool },
    /// A piece of a part; the last one ends the part.
    Piece { bytes: Bytes, last: bool },
    /// All was said of this body or result.
    End,
    /// It went wrong, and nothing more is said in this direction.
    Fault(Fault),
    /// So many bytes were read: as many more may be sent.
    Credit(u32),
    /// The caller has given the call up.
    Cancel,
    /// Nobody serves it here any more: the call has not begun.
    NotServed,
}

/// A letter that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of another hub is not understood: is it of another version?")]
pub(crate) struct NotUnderstood;

const ASK: u8 = 0;
const SERVED: u8 = 1;
const OPEN: u8 = 2;
const OPEN_SINGLE: u8 = 3;
const RESULT: u8 = 4;
const STREAM: u8 = 5;
const STREAM_WHOLE: u8 = 6;
const PIECE: u8 = 7;
const PIECE_LAST: u8 = 8;
const END: u8 = 9;
const ERROR: u8 = 10;
const RETRY: u8 = 11;
const CREDIT: u8 = 12;
const CANCEL: u8 = 13;
const NOT_SERVED: u8 = 14;
const RELEASED: u8 = 15;
const LEFT: u8 = 16;

/// What a letter takes beside its content, at most: for bounds on payloads.
pub(crate) const LETTER_OVERHEAD_BYTES: usize = 64;

impl Letter {
    /// Version, kind, the hub that writes (u64); of a call the hub that makes it and its number (u64 each) and the
    /// serial (u32); then what is particular to the kind.
    pub(crate) fn encode(&self) -> Bytes {
        let mut letter = BytesMut::with_capacity(LETTER_OVERHEAD_BYTES);
        letter.put_u8(VERSION);
        letter.put_u8(self.content.kind());
        letter.put_u64_le(self.from.0);
        match &self.content {
            Content::Ask { after } => letter.put_slice(after.as_bytes()),
            Content::Served(page) => put_json(&mut letter, page),
            Content::Released | Content::Left => {}
            Content::Call { call, serial, said } => {
                letter.put_u64_le(call.caller.0);
                letter.put_u64_le(call.number);
                letter.put_u32_le(*serial);
                said.encode(&mut letter);
            }
        }
        letter.freeze()
    }

    pub(crate) fn decode(letter: &Bytes) -> Result<Self, NotUnderstood> {
        read(letter).ok_or(NotUnderstood)
    }
}

impl Content {
    fn kind(&self) -> u8 {
        let said = match self {
            Self::Ask { .. } => return ASK,
            Self::Served(_) => return SERVED,
            Self::Released => return RELEASED,
            Self::Left => return LEFT,
            Self::Call { said, .. } => said,
        };
        match said {
            Said::Open(_, None) => OPEN,
            Said::Open(_, Some(_)) => OPEN_SINGLE,
            Said::Result(_) => RESULT,
            Said::Stream { whole: false } => STREAM,
            Said::Stream { whole: true } => STREAM_WHOLE,
            Said::Piece { last: false, .. } => PIECE,
            Said::Piece { last: true, .. } => PIECE_LAST,
            Said::End => END,
            Said::Fault(Fault::Error { .. }) => ERROR,
            Said::Fault(Fault::Retry { .. }) => RETRY,
            Said::Credit(_) => CREDIT,
            Said::Cancel => CANCEL,
            Said::NotServed => NOT_SERVED,
        }
    }
}

impl Said {
    fn encode(&self, letter: &mut BytesMut) {
        match self {
            Self::Open(opening, payload) => {
                let at = letter.len();
                letter.put_u32_le(0);
                put_json(letter, opening);
                // Bounded by the names in it, far below 4 GiB.
                let length = (letter.len() - at - size_of::<u32>()) as u32;
                if let Some(place) = letter.get_mut(at..at + size_of::<u32>()) {
                    place.copy_from_slice(&length.to_le_bytes());
                }
                letter.put_slice(payload.as_deref().unwrap_or_default());
            }
            Self::Result(bytes) | Self::Piece { bytes, .. } => letter.put_slice(bytes),
            Self::Fault(Fault::Error { kind, message }) => {
                letter.put_u8(kind_number(*kind));
                letter.put_slice(message.as_bytes());
            }
            Self::Fault(Fault::Retry { wait, message }) => {
                letter.put_u64_le(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                letter.put_slice(message.as_bytes());
            }
            Self::Credit(bytes) => letter.put_u32_le(*bytes),
            Self::Stream { .. } | Self::End | Self::Cancel | Self::NotServed => {}
        }
    }

    fn read(kind: u8, mut rest: Bytes) -> Option<Self> {
        Some(match kind {
            OPEN | OPEN_SINGLE => {
                let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
                if rest.len() < length {
                    return None;
                }
                let opening = serde_json::from_slice(&rest.split_to(length)).ok()?;
                Self::Open(opening, (kind == OPEN_SINGLE).then_some(rest))
            }
            RESULT => Self::Result(rest),
            STREAM => Self::Stream { whole: false },
            STREAM_WHOLE => Self::Stream { whole: true },
            PIECE => Self::Piece {
                bytes: rest,
                last: false,
            },
            PIECE_LAST => Self::Piece {
                bytes: rest,
                last: true,
            },
            END => Self::End,
            ERROR => Self::Fault(Fault::error(kind_of(rest.try_get_u8().ok()?)?, text(rest)?)),
            RETRY => Self::Fault(Fault::retry(
                Duration::from_millis(rest.try_get_u64_le().ok()?),
                text(rest)?,
            )),
            CREDIT => Self::Credit(rest.try_get_u32_le().ok()?),
            CANCEL => Self::Cancel,
            NOT_SERVED => Self::NotServed,
            _ => return None,
        })
    }
}

fn read(letter: &Bytes) -> Option<Letter> {
    let mut rest = letter.clone();
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let kind = rest.try_get_u8().ok()?;
    let from = HubId(rest.try_get_u64_le().ok()?);
    let content = match kind {
        ASK => Content::Ask { after: text(rest)? },
        SERVED => Content::Served(serde_json::from_slice(&rest).ok()?),
        RELEASED => Content::Released,
        LEFT => Content::Left,
        _ => Content::Call {
            call: CallId {
                caller: HubId(rest.try_get_u64_le().ok()?),
                number: rest.try_get_u64_le().ok()?,
            },
            serial: rest.try_get_u32_le().ok()?,
            said: Said::read(kind, rest)?,
        },
    };
    Some(Letter { from, content })
}

fn put_json(letter: &mut BytesMut, value: &impl Serialize) {
    // Of strings and numbers there always is JSON.
    letter.put_slice(&serde_json::to_vec(value).unwrap_or_default());
}

fn text(bytes: Bytes) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}

const KINDS: [ErrorKind; 7] = [
    ErrorKind::Unknown,
    ErrorKind::Denied,
    ErrorKind::Invalid,
    ErrorKind::Conflict,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::Failed,
];

fn kind_number(kind: ErrorKind) -> u8 {
    KINDS.iter().position(|other| *other == kind).unwrap_or_default() as u8
}

fn kind_of(number: u8) -> Option<ErrorKind> {
    KINDS.get(usize::from(number)).copied()
}

/// A message that was published at a hub, for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) from: HubId,
    pub(crate) topic: ByteString,
    pub(crate) retain: bool,
    /// How long it is of use from now on; clocks of different machines are not compared.
    pub(crate) expires_ms: Option<u64>,
    /// As [`record`](crate::retained::record) has it: when it was published, headers, payload.
    pub(crate) record: Bytes,
}

const NEVER: u64 = u64::MAX;

impl News {
    /// Version, whether to retain (1 or 0), the hub that writes (u64), milliseconds until it expires (u64, all ones for
    /// never), the topic (u16 length, bytes), the record.
    pub(crate) fn encode(&self) -> Bytes {
        let mut news = BytesMut::with_capacity(LETTER_OVERHEAD_BYTES + self.topic.len() + self.record.len());
        news.put_u8(VERSION);
        news.put_u8(u8::from(self.retain));
        news.put_u64_le(self.from.0);
        news.put_u64_le(self.expires_ms.unwrap_or(NEVER));
        // A topic has at most 4095 bytes.
        news.put_u16_le(self.topic.len() as u16);
        news.put_slice(self.topic.as_bytes());
        news.put_slice(&self.record);
        news.freeze()
    }

    pub(crate) fn decode(news: &Bytes) -> Result<Self, NotUnderstood> {
        Self::read(news.clone()).ok_or(NotUnderstood)
    }

    fn read(mut rest: Bytes) -> Option<Self> {
        if rest.try_get_u8().ok()? != VERSION {
            return None;
        }
        let retain = rest.try_get_u8().ok()? != 0;
        let from = HubId(rest.try_get_u64_le().ok()?);
        let expires_ms = Some(rest.try_get_u64_le().ok()?).filter(|millis| *millis != NEVER);
        let length = usize::from(rest.try_get_u16_le().ok()?);
        if rest.len() < length {
            return None;
        }
        let topic = ByteString::try_from(rest.split_to(length)).ok()?;
        Some(Self {
            from,
            topic,
            retain,
            expires_ms,
            record: rest,
        })
    }
}

#[cfg(test)]
mod tests;
