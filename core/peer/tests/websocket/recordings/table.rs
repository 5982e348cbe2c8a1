//! Where our peer does something else than the recorded program, and why.

use crate::frames::Frame;

/// A frame of our peer.
#[derive(Clone, Copy)]
pub enum Said {
    Binary(&'static [u8]),
    Close(u16),
}

impl Said {
    pub fn frame(&self, masked: bool) -> Frame {
        let frame = match self {
            Self::Binary(payload) => Frame::binary(payload),
            Self::Close(code) => Frame::close(*code),
        };
        Frame { masked, ..frame }
    }
}

use Said::{Binary, Close};

/// A recording in which our peer says something else.
pub struct Differs {
    pub name: &'static str,
    /// What it says instead of each run of frames, `None` where it is the same; so it is after the last.
    pub says: &'static [Option<&'static [Said]>],
    /// What differs, and what we promise instead.
    pub why: &'static str,
}

const CODE_WHY: &str = "the reference closes with 1000 after its f message; the close code says it too";
const ILLEGAL_WHY: &str =
    "the reference closes without a word; every illegal message gets f00000002 and 4002";

pub const SERVER_DIFFERS: &[Differs] = &[
    Differs {
        name: "ws_js_gets_protocol_error_abnormal",
        says: &[None, Some(&[Binary(b"f00000000"), Close(4000)]), Some(&[])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_js_gets_protocol_error_unsupported",
        says: &[None, Some(&[Binary(b"f00000001"), Close(4001)])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_js_gets_protocol_error_invalid",
        says: &[None, Some(&[Binary(b"f00000002"), Close(4002)]), Some(&[])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_js_gets_protocol_error_timeout",
        says: &[None, Some(&[Binary(b"f00000003"), Close(4003)]), Some(&[])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_js_read_timeout",
        says: &[None, Some(&[Binary(b"f00000003"), Close(4003)])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_raw_invalid_msg",
        says: &[None, Some(&[Binary(b"f00000002"), Close(4002)])],
        why: CODE_WHY,
    },
    Differs {
        name: "ws_raw_bad_version",
        says: &[None, Some(&[Binary(b"f00000001"), Close(4001)])],
        why: "the reference closes without a word; a version mismatch gets f00000001 and 4001",
    },
    Differs {
        name: "ws_raw_unmasked",
        says: &[None, Some(&[Close(1002)])],
        why: "the reference sends a second close frame, which nothing allows",
    },
    Differs {
        name: "ws_js_gets_stream_request",
        says: &[
            None,
            Some(&[
                Binary(b"s\0\0\0\x00001x00000000"),
                Binary(b"p\0\0\0\x0000000003"),
                Binary(b"abc"),
            ]),
        ],
        why: "our streams begin with an empty first message",
    },
    Differs {
        name: "ws_js_request_variants",
        says: &[None, Some(&[Binary(b"R000000000004"), Binary(b"null")])],
        why: "the reference refuses an empty payload; gotalk.js sends one for request(op), so it reads as null",
    },
    Differs {
        name: "ws_js_stream_end_only",
        says: &[
            None,
            Some(&[Binary(b"E!0000000001d"), Binary(b"no end of stream within 300ms")]),
        ],
        why: "the reference sends an empty S after the E: accept it, do not send it",
    },
    Differs {
        name: "ws_js_request_emoji_bug",
        says: &[
            None,
            Some(&[
                Binary(b"E000000000019"),
                Binary(b"unexpected parameter type"),
                Binary(b"f00000002"),
                Close(4002),
            ]),
        ],
        why: ILLEGAL_WHY,
    },
    Differs {
        name: "ws_js_text_protocol_nonascii_bug",
        says: &[
            None,
            Some(&[
                Binary(b"E000000000019"),
                Binary(b"unexpected parameter type"),
                Binary(b"f00000002"),
                Close(4002),
            ]),
            Some(&[]),
        ],
        why: ILLEGAL_WHY,
    },
    Differs {
        name: "ws_js_text_protocol_server_request_bug",
        says: &[None, None, Some(&[Binary(b"f00000002"), Close(4002)])],
        why: ILLEGAL_WHY,
    },
];

pub const CLIENT_DIFFERS: &[Differs] = &[
    Differs {
        name: "ws_js_error_code_9",
        says: &[None, Some(&[Close(1000)])],
        why: "gotalk.js says the code back; the close code of who found nothing wrong is 1000",
    },
    Differs {
        name: "ws_js_request_named_tostring",
        says: &[
            None,
            Some(&[
                Binary(b"E00010000001c"),
                Binary(b"unknown operation \"toString\""),
                Binary(b"E00020000001f"),
                Binary(b"unknown operation \"constructor\""),
                Binary(b"E000300000018"),
                Binary(b"unknown operation \"nope\""),
                Close(1000),
            ]),
        ],
        why: "gotalk.js finds members of Object.prototype: toString is an ordinary name; and the text is the server's",
    },
];

/// Recordings whose request for an upgrade we answer with another status.
pub const UPGRADES_DIFFER: &[(&str, u16, &str)] = &[
    (
        "ws_raw_http_get",
        426,
        "the reference answers 400; 426 says what is missing (RFC 9110, 15.5.22)",
    ),
    (
        "ws_raw_version_header_8",
        426,
        "the reference answers 400; 426 is what RFC 6455, 4.4, shows",
    ),
    (
        "ws_raw_subprotocol_two",
        101,
        "the reference refuses two sub-protocols; we choose ours, or none",
    ),
    (
        "ws_raw_no_origin",
        101,
        "the reference wants an Origin; who serves HTTP judges that, not the transport",
    ),
    (
        "ws_raw_bad_origin",
        101,
        "the reference wants a URL; who serves HTTP judges that, not the transport",
    ),
];

/// Sub-protocols that the reference names in its answer, and we do not.
pub const REFUSED: &[(&str, &str)] = &[(
    "ws_raw_subprotocol_one",
    "the reference echoes whatever is offered; we name only what we speak",
)];
