//! Where our peer does something else than the recorded program, and why.

use std::time::Duration;

use switchboard_peer::{Limits, Options};

use crate::common::quiet;

/// A piece of what is heard.
pub enum Piece {
    Bytes(&'static [u8]),
    /// So many bytes which depend on the clock or on chance.
    Any(usize),
}

use Piece::{Any, Bytes};

/// Who closes first.
#[derive(PartialEq)]
pub enum First {
    Client,
    Server,
}

/// A recording in which our server says something else.
pub struct Differs {
    pub name: &'static str,
    /// All that it says, from the version to the end.
    pub says: &'static [Piece],
    pub closes: First,
    /// What differs, and what we promise instead.
    pub why: &'static str,
}

const fn differs(name: &'static str, says: &'static [Piece], closes: First, why: &'static str) -> Differs {
    Differs {
        name,
        says,
        closes,
        why,
    }
}

const UNSUPPORTED: &[Piece] = &[Bytes(b"01f00000001")];
const INVALID: &[Piece] = &[Bytes(b"01f00000002")];
const VERSION_WHY: &str = "the reference closes without a word; a version mismatch gets f00000001 and close";
const ILLEGAL_WHY: &str =
    "the reference resets or closes without a word; every illegal message gets f00000002";

pub const SERVER_DIFFERS: &[Differs] = &[
    differs(
        "handshake_bad_version_client_00",
        UNSUPPORTED,
        First::Server,
        VERSION_WHY,
    ),
    differs(
        "handshake_bad_version_client_02",
        UNSUPPORTED,
        First::Server,
        VERSION_WHY,
    ),
    differs("handshake_nonhex_client", UNSUPPORTED, First::Server, VERSION_WHY),
    differs(
        "handshake_client_silent",
        &[Bytes(b"01f00000003")],
        First::Server,
        "the reference waits for ever; the handshake has a deadline",
    ),
    differs("invalid_hex_name_size", INVALID, First::Server, ILLEGAL_WHY),
    differs("invalid_hex_payload_size", INVALID, First::Server, ILLEGAL_WHY),
    differs("empty_note_name_go_client", INVALID, First::Server, ILLEGAL_WHY),
    differs("empty_op_name_go_client", INVALID, First::Server, ILLEGAL_WHY),
    differs(
        "raw_stream_part_without_start",
        INVALID,
        First::Server,
        ILLEGAL_WHY,
    ),
    differs(
        "invalid_msg_short",
        INVALID,
        First::Server,
        "the reference waits for 13 bytes; an illegal message is refused at the byte that shows it",
    ),
    differs(
        "invalid_msg_type_extra",
        INVALID,
        First::Server,
        "the reference resets the connection over unread input; the last words are flushed before the close",
    ),
    differs(
        "peer_protocol_error_no_fin",
        &[Bytes(b"01")],
        First::Server,
        "the reference waits for 13 bytes; an f message is 9 bytes, and read as such",
    ),
    differs(
        "raw_notify_empty_name",
        &[Bytes(b"01R000100000002ok")],
        First::Client,
        "the reference reads a byte too much and closes; an empty name is a name",
    ),
    differs(
        "stream_disabled",
        &[Bytes(b"01E\0\0\0\x000000001dstream requests not supported")],
        First::Client,
        "the reference closes at the part that was on its way; a refusal costs only its own stream",
    ),
    differs(
        "stream_handler_error",
        &[Bytes(
            b"01S\0\0\0\x0000000007partialE\0\0\0\x0000000015stream handler failed",
        )],
        First::Client,
        "the reference sends an empty S after the E: accept it, do not send it",
    ),
    differs(
        "single_request_to_stream_handler",
        &[Bytes(b"01S\0\0\0\x0000000001xS\0\0\0\x0000000000")],
        First::Client,
        "the reference knows no such operation; single and streaming kinds mix freely",
    ),
    differs(
        "stream_unknown_op",
        &[
            Bytes(b"01h"),
            Any(12),
            Bytes(
                b"e\0\0\0\x00000000640000003dthe caller closed the connection in the middle of its request",
            ),
        ],
        First::Client,
        "the reference knows no such operation; kinds mix freely, and a stream cut off is not taken for whole",
    ),
    differs(
        "client_close_pending",
        &[Bytes(b"01h"), Any(12), Bytes(b"R\0\0\0\x0000000001x")],
        First::Client,
        "the reference loses the late result; results of requests received are delivered before closing",
    ),
    differs(
        "json_bad_params",
        &[Bytes(
            b"01E\0\0\0\x0000000019unexpected parameter type\
              R\x01\0\0\x00000000011R\x02\0\0\x00000000011\
              E\x03\0\0\x0000000019unexpected parameter type\
              R\x04\0\0\x000000000242R\x05\0\0\x000000000242",
        )],
        First::Client,
        "the reference refuses an empty payload; gotalk.js sends one for request(op), so it reads as null",
    ),
    differs(
        "json_void_result",
        &[Bytes(b"01R\0\0\0\x0000000004null")],
        First::Client,
        "the reference sends an empty result, which its own client fails to read as JSON",
    ),
    differs(
        "json_values",
        &[Bytes(
            b"01R\0\0\0\x0000000004nullR\x01\0\0\x0000000004trueR\x02\0\0\x0000000005false\
              R\x03\0\0\x00000000010R\x04\0\0\x0000000004-1.5R\x05\0\0\x00000000051e+21\
              R\x06\0\0\x0000000002\"\"R\x07\0\0\x0000000005\"str\"R\x08\0\0\x0000000007\"<a&b>\"\
              R\x09\0\0\x0000000008\"\xe2\x80\xa8\xe2\x80\xa9\"\
              R\x0a\0\0\x000000000c\"h\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\"\
              R\x0b\0\0\x0000000002[]R\x0c\0\0\x000000000c[1,\"a\",null]\
              R\x0d\0\0\x000000000e{\"a\":{},\"b\":1}",
        )],
        First::Client,
        "Go escapes < > & U+2028 U+2029: the same JSON values in another spelling",
    ),
];

/// A recording in which our peer does not take the recorded client's part as it stands.
pub const CLIENT_DIFFERS: &[(&str, &str)] = &[
    (
        "client_bad_version_server_02",
        "the reference closes without a word: see `a_server_of_another_version_is_told`",
    ),
    (
        "client_handshake_no_timeout",
        "the reference waits for ever: see `a_server_that_says_nothing_is_left`",
    ),
    (
        "empty_note_name_go_client",
        "the reference leaves out the size of an empty name: see `empty_names_are_written_with_their_size`",
    ),
    (
        "empty_op_name_go_client",
        "the reference leaves out the size of an empty name: see `empty_names_are_written_with_their_size`",
    ),
    (
        "heartbeat_explicit_load",
        "the reference's program chose its loads; ours sends what is in use, and nobody can claim another",
    ),
    (
        "stream_disabled",
        "the recorded client sends a part after the refusal: see `a_refused_stream_is_not_sent_on`",
    ),
];

/// The options that the recorded program had, where they were not the usual ones.
pub fn options(name: &str) -> Options {
    let hundred_ms = Some(Duration::from_millis(100));
    let mut options = quiet();
    match name {
        "read_timeout" | "read_timeout_pending_request" => options.read_timeout = hundred_ms,
        "heartbeat_both_50ms" => options.heartbeat_interval = Some(Duration::from_millis(50)),
        "limit_unknown_op" | "retry_buffer_limit" => {
            options.limits = Limits {
                requests_max: 1,
                ..Limits::default()
            };
        }
        "stream_disabled" => options.limits.streams_max = 0,
        _ => {}
    }
    options
}
