//! Frames to bytes, in place: what was read becomes what the frames in it hold, and nothing is gathered.

use super::WebSocketOptions;
use super::close;
use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Mask, Opcode};
use super::utf8::Utf8;
use super::violation::Violation;

/// The payload of a control frame, as far as it has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Control {
    bytes: [u8; CONTROL_BYTES_MAX],
    length: usize,
}

impl Control {
    fn new() -> Self {
        Self {
            bytes: [0; CONTROL_BYTES_MAX],
            length: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// More than fits was refused with the header.
    fn extend(&mut self, bytes: &[u8]) {
        self.length += append(&mut self.bytes, self.length, bytes);
    }
}

/// Puts as many bytes as fit behind the first `length`, and returns their number.
fn append(to: &mut [u8], length: usize, bytes: &[u8]) -> usize {
    let free = to.iter_mut().skip(length);
    free.zip(bytes).map(|(to, from)| *to = *from).count()
}

/// What came besides bytes.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The last ping, to be answered.
    pub(super) ping: Option<Control>,
    pub(super) pong: bool,
    pub(super) end: Option<End>,
}

/// After which nothing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The other side closed the WebSocket, with this code if it gave one.
    Closed(Option<u16>),
    Violated(Violation),
}

/// Reads the frames of one side.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The other side is a client.
    masked: bool,
    frame_bytes_max: u64,
    message_bytes_max: u64,
    at: At,
    /// The header that was cut.
    begun: [u8; HEADER_BYTES_MAX],
    begun_length: usize,
    /// The message of which more fragments will come.
    message: Option<Message>,
    control: Control,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Header,
    Payload { header: Header, left: u64 },
}

#[derive(Debug)]
struct Message {
    /// For text: what must be valid.
    text: Option<Utf8>,
    bytes: u64,
}

impl Incoming {
    pub(super) fn new(masked: bool, options: &WebSocketOptions) -> Self {
        Self {
            masked,
            frame_bytes_max: options.frame_bytes_max,
            message_bytes_max: options.message_bytes_max,
            at: At::Header,
            begun: [0; HEADER_BYTES_MAX],
            begun_length: 0,
            message: None,
            control: Control::new(),
        }
    }

    /// Reads what came. The bytes that the frames hold are moved to its front, and their number is returned. After an
    /// end there is nothing more to be read.
    pub(super) fn decode(&mut self, raw: &mut [u8], events: &mut Events) -> usize {
        let mut cursor = Cursor {
            raw,
            read: 0,
            written: 0,
        };
        while events.end.is_none() && cursor.read < cursor.raw.len() {
            let done = match self.at {
                At::Header => self.header(&mut cursor),
                At::Payload { header, left } => self.payload(&mut cursor, header, left),
            };
            let ended = done.and_then(|()| self.end_frame(events));
            if let Err(violation) = ended {
                events.end = Some(End::Violated(violation));
            }
        }
        cursor.written
    }

    fn header(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Violation> {
        let rest = cursor.rest();
        let before = self.begun_length;
        let parsed = if before == 0 {
            Header::parse(rest)?
        } else {
            self.begin(rest);
            Header::parse(self.begun.get(..self.begun_length).unwrap_or_default())?
        };
        let Some((header, length)) = parsed else {
            if before == 0 {
                self.begin(rest);
            }
            cursor.read = cursor.raw.len();
            return Ok(());
        };
        cursor.read += length - before;
        self.begun_length = 0;
        self.check(&header)?;
        self.at = At::Payload {
            header,
            left: header.length,
        };
        Ok(())
    }

    /// Keeps a header that is not whole, or more: how long it is says the header.
    fn begin(&mut self, bytes: &[u8]) {
        self.begun_length += append(&mut self.begun, self.begun_length, bytes);
    }

    fn check(&mut self, header: &Header) -> Result<(), Violation> {
        match (self.masked, header.mask) {
            (true, None) => return Err(Violation::Unmasked),
            (false, Some(_)) => return Err(Violation::Masked),
            _ => {}
        }
        if header.opcode.is_control() {
            self.control = Control::new();
            return match header.length {
                _ if !header.last => Err(Violation::FragmentedControl),
                0..=125 => Ok(()),
                _ => Err(Violation::LongControl),
            };
        }
        let message = match (header.opcode, &mut self.message) {
            (Opcode::Continuation, Some(message)) => message,
            (Opcode::Continuation, None) => return Err(Violation::NothingToContinue),
            (_, Some(_)) => return Err(Violation::NotContinued),
            (opcode, none) => none.insert(Message {
                text: (opcode == Opcode::Text).then(Utf8::default),
                bytes: 0,
            }),
        };
        if header.length > self.frame_bytes_max {
            return Err(Violation::FrameTooLarge {
                size: header.length,
                max: self.frame_bytes_max,
            });
        }
        message.bytes = message.bytes.saturating_add(header.length);
        if message.bytes > self.message_bytes_max {
            return Err(Violation::MessageTooLarge {
                max: self.message_bytes_max,
            });
        }
        Ok(())
    }

    fn payload(&mut self, cursor: &mut Cursor<'_>, mut header: Header, left: u64) -> Result<(), Violation> {
        let there = cursor.raw.len() - cursor.read;
        let taken = usize::try_from(left).map_or(there, |left| left.min(there));
        if header.opcode.is_control() {
            let bytes = cursor.raw.get_mut(cursor.read..cursor.read + taken);
            let bytes = bytes.unwrap_or_default();
            unmask(&mut header.mask, bytes);
            self.control.extend(bytes);
            cursor.read += taken;
        } else {
            let bytes = cursor.keep(taken);
            unmask(&mut header.mask, bytes);
            if let Some(Message { text: Some(text), .. }) = &mut self.message
                && !text.take(bytes)
            {
                cursor.written -= taken;
                return Err(Violation::NotUtf8);
            }
        }
        self.at = At::Payload {
            header,
            left: left - taken as u64,
        };
        Ok(())
    }

    /// Does what is to be done with the last byte of a frame.
    fn end_frame(&mut self, events: &mut Events) -> Result<(), Violation> {
        let At::Payload { header, left: 0 } = self.at else {
            return Ok(());
        };
        self.at = At::Header;
        match header.opcode {
            Opcode::Ping => events.ping = Some(self.control),
            Opcode::Pong => events.pong = true,
            Opcode::Close => events.end = Some(End::Closed(close::parse(self.control.bytes())?)),
            _ if header.last => {
                let whole = self.message.take();
                if whole
                    .and_then(|message| message.text)
                    .is_some_and(|text| !text.is_whole())
                {
                    return Err(Violation::NotUtf8);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn unmask(mask: &mut Option<Mask>, bytes: &mut [u8]) {
    if let Some(mask) = mask {
        mask.apply(bytes);
    }
}

/// What came, and how far it is read and kept; what is kept never overtakes what is read.
struct Cursor<'a> {
    raw: &'a mut [u8],
    read: usize,
    written: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        self.raw.get(self.read..).unwrap_or_default()
    }

    /// Moves the next bytes behind those that are kept.
    fn keep(&mut self, length: usize) -> &mut [u8] {
        if self.read != self.written {
            self.raw.copy_within(self.read..self.read + length, self.written);
        }
        let start = self.written;
        self.read += length;
        self.written += length;
        self.raw.get_mut(start..start + length).unwrap_or_default()
    }
}
