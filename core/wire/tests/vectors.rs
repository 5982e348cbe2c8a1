//! Every byte stream that was recorded from the reference implementation, through the codec.
//!
//! A stream is decoded whole and byte by byte, which must give the same messages and the same end, and encoded
//! again, which must give the same bytes. Streams for which that is not so stand in [`EXCEPTIONS`].

#[path = "support/vector_file.rs"]
mod vector_file;

use bytes::{BufMut, BytesMut};
use switchboard_wire::gotalk::{Bounds, DecodeError, Message, VERSION, decode, decode_version};
use vector_file::{Side, Vector};

/// How many scenarios there are: none may be lost.
const VECTORS: usize = 126;

/// A stream which is not a version and whole messages in lower-case hex.
struct Exception {
    vector: &'static str,
    from: Side,
    expected: Expected,
    /// Why: in the recording, not in our code.
    reason: &'static str,
}

enum Expected {
    /// Nothing was sent, not even the version.
    Silence,
    /// This many bytes of an incomplete message are at the end.
    Incomplete(usize),
    /// Encoding writes lower-case hex where the sender wrote upper case.
    UpperCase,
    /// The first `shown_by` bytes of the stream are no gotalk, and no fewer of them show it.
    Illegal { shown_by: usize, error: DecodeError },
}

use Expected::{Illegal, Incomplete, Silence, UpperCase};
use Side::{Client, Server};

const PAYLOAD_SIZE: &str = "payload size";
const NAME_SIZE: &str = "name size";

const fn version(bytes: &[u8; 2]) -> Expected {
    Illegal {
        shown_by: 2,
        error: DecodeError::UnsupportedVersion(*bytes),
    }
}

/// The first byte of the message that starts at `start` of the stream.
const fn kind(start: usize, byte: u8) -> Expected {
    Illegal {
        shown_by: start + 1,
        error: DecodeError::UnknownType(byte),
    }
}

/// A field of the message that starts at `start` of the stream.
const fn hex(start: usize, field: &'static str, found: u8, offset: usize) -> Expected {
    Illegal {
        shown_by: start + offset + 1,
        error: DecodeError::BadHex { field, found, offset },
    }
}

const fn except(vector: &'static str, from: Side, expected: Expected, reason: &'static str) -> Exception {
    Exception {
        vector,
        from,
        expected,
        reason,
    }
}

const EXCEPTIONS: &[Exception] = &[
    except(
        "client_bad_version_server_02",
        Server,
        version(b"02"),
        "a version that does not exist",
    ),
    except(
        "client_handshake_no_timeout",
        Server,
        Silence,
        "shows a client that waits for ever",
    ),
    except(
        "empty_note_name_go_client",
        Client,
        hex(2, PAYLOAD_SIZE, b'h', 9),
        "the Go library leaves out an empty name's size",
    ),
    except(
        "empty_op_name_go_client",
        Client,
        hex(2, PAYLOAD_SIZE, b'h', 13),
        "the Go library leaves out an empty name's size",
    ),
    except(
        "handshake_bad_version_client_00",
        Client,
        version(b"00"),
        "a version that does not exist",
    ),
    except(
        "handshake_bad_version_client_02",
        Client,
        version(b"02"),
        "a version that does not exist",
    ),
    except(
        "handshake_client_silent",
        Client,
        Silence,
        "shows a server that waits for ever",
    ),
    except(
        "handshake_nonhex_client",
        Client,
        version(b"zz"),
        "a version that is no number",
    ),
    except(
        "invalid_hex_name_size",
        Client,
        hex(2, NAME_SIZE, b'z', 5),
        "letters beyond f",
    ),
    except(
        "invalid_hex_payload_size",
        Client,
        hex(2, PAYLOAD_SIZE, b'Z', 12),
        "letters beyond F",
    ),
    except(
        "invalid_msg_short",
        Client,
        kind(2, b'x'),
        "no such kind; the reference waits for 13 bytes",
    ),
    except("invalid_msg_type", Client, kind(2, b'x'), "no such kind"),
    except("invalid_msg_type_extra", Client, kind(2, b'x'), "no such kind"),
    except(
        "raw_uppercase_hex",
        Client,
        UpperCase,
        "shows that either case is read",
    ),
    except(
        "truncated_then_fin",
        Client,
        Incomplete(22),
        "half a message, then the end",
    ),
    except(
        "ws_js_bad_version",
        Server,
        version(b"02"),
        "a version that does not exist",
    ),
    except(
        "ws_js_request_emoji_bug",
        Client,
        kind(31, b'0'),
        "gotalk.js counts 6 bytes where it sends 4",
    ),
    except(
        "ws_js_text_protocol_nonascii_bug",
        Client,
        kind(27, b'"'),
        "gotalk.js counts UTF-16 units, not bytes",
    ),
    except(
        "ws_js_text_protocol_server_request_bug",
        Client,
        hex(2, PAYLOAD_SIZE, b',', 6),
        "gotalk.js writes an id joined by commas",
    ),
    except("ws_js_unknown_msg", Server, kind(2, b'x'), "no such kind"),
    except(
        "ws_js_upper_hex_payload_mismatch",
        Server,
        Incomplete(27),
        "gotalk.js takes any frame as the payload",
    ),
    except("ws_raw_bad_origin", Server, Silence, "refused in HTTP"),
    except("ws_raw_bad_origin", Client, Silence, "refused in HTTP"),
    except(
        "ws_raw_bad_version",
        Client,
        version(b"02"),
        "a version that does not exist",
    ),
    except("ws_raw_http_get", Server, Silence, "no WebSocket"),
    except("ws_raw_http_get", Client, Silence, "no WebSocket"),
    except("ws_raw_invalid_msg", Client, kind(2, b'x'), "no such kind"),
    except("ws_raw_no_origin", Server, Silence, "refused in HTTP"),
    except("ws_raw_no_origin", Client, Silence, "refused in HTTP"),
    except("ws_raw_subprotocol_two", Server, Silence, "refused in HTTP"),
    except("ws_raw_subprotocol_two", Client, Silence, "refused in HTTP"),
    except("ws_raw_version_header_8", Server, Silence, "refused in HTTP"),
    except("ws_raw_version_header_8", Client, Silence, "refused in HTTP"),
];

/// What came out of a stream.
#[derive(Debug, PartialEq)]
struct Decoded {
    messages: Vec<Message>,
    /// How many bytes of the stream the version and the messages took.
    consumed: usize,
    error: Option<DecodeError>,
}

/// Decodes a stream that arrives `step` bytes at a time. Also returns how much had arrived at the end.
fn play(stream: &[u8], step: usize) -> (Decoded, usize) {
    let mut decoded = Decoded {
        messages: vec![],
        consumed: 0,
        error: None,
    };
    let mut buf = BytesMut::new();
    let mut arrived = 0;
    for chunk in stream.chunks(step) {
        buf.put_slice(chunk);
        arrived += chunk.len();
        let versioned = decoded.consumed > 0;
        decoded.error = drain(&mut buf, versioned, &mut decoded.messages).err();
        decoded.consumed = arrived - buf.len();
        if decoded.error.is_some() {
            break;
        }
    }
    (decoded, arrived)
}

/// Decodes all that is complete, the version first unless it was there before.
fn drain(buf: &mut BytesMut, versioned: bool, messages: &mut Vec<Message>) -> Result<(), DecodeError> {
    if !versioned && decode_version(buf)?.is_none() {
        return Ok(());
    }
    while let Some(message) = decode(buf, &Bounds::default())? {
        messages.push(message);
    }
    Ok(())
}

fn encode(messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::from(&VERSION[..]);
    for message in messages {
        message.encode(&mut bytes).expect("a message that was decoded");
    }
    bytes
}

fn check(stream: &[u8], expected: Option<&Expected>) -> Result<(), String> {
    let (whole, _) = play(stream, stream.len().max(1));
    let (bytewise, arrived) = play(stream, 1);
    if whole != bytewise {
        return Err(format!("whole: {whole:?}\nbyte by byte: {bytewise:?}"));
    }
    let rest = stream.len() - whole.consumed;
    let encoded = encode(&whole.messages);
    let same_bytes = encoded == stream[..whole.consumed];
    let as_expected = match (expected, &whole.error) {
        (None, None) => rest == 0 && same_bytes,
        (Some(Silence), None) => stream.is_empty(),
        (Some(Incomplete(size)), None) => rest == *size && same_bytes,
        (Some(UpperCase), None) => {
            let (again, _) = play(&encoded, encoded.len());
            rest == 0 && !same_bytes && encoded.eq_ignore_ascii_case(stream) && again == whole
        }
        (Some(Illegal { shown_by, error }), Some(found)) => error == found && arrived == *shown_by,
        _ => false,
    };
    match as_expected {
        true => Ok(()),
        false => Err(format!(
            "{arrived} bytes arrived, {rest} remain; {:?}",
            whole.error
        )),
    }
}

#[test]
fn every_recorded_stream() {
    let vectors = Vector::all();
    assert_eq!(vectors.len(), VECTORS);
    let mut failures = vec![];
    let mut exceptions_met = 0;
    for vector in &vectors {
        for side in [Client, Server] {
            let exception = EXCEPTIONS
                .iter()
                .find(|e| e.vector == vector.name && e.from == side);
            exceptions_met += usize::from(exception.is_some());
            for stream in vector.streams(side) {
                let outcome = check(&stream, exception.map(|e| &e.expected));
                if let Err(failure) = outcome {
                    let reason = exception.map_or("", |e| e.reason);
                    failures.push(format!("{} from {side:?} ({reason}): {failure}", vector.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(exceptions_met, EXCEPTIONS.len(), "an exception names no stream");
}
