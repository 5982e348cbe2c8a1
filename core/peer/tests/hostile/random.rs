//! Anything at all, and anything legal in any order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use switchboard_peer::{Caller, Name, Peer, RequestId, Side};
use switchboard_wire::gotalk::{Bounds, Message, ProtocolErrorCode, VERSION, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{handlers, quiet};

/// A conversation that takes longer, on the paused clock, hangs.
const TALK_MAX: Duration = Duration::from_secs(600);

/// Says all of `input` in pieces, then nothing more; returns the messages that came back, which must be gotalk.
fn talk(input: &[u8], piece: usize) -> Vec<Message> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let heard = runtime.block_on(async {
        let (one, other) = tokio::io::duplex(1 << 20);
        let (mut read, mut write) = tokio::io::split(other);
        let starting = Peer::start(one, Side::Accepting, handlers(), quiet(), Caller::default());
        let saying = async {
            for piece in input.chunks(piece) {
                // The peer may have closed by then.
                let _ = write.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            let _ = write.shutdown().await;
        };
        let mut heard = Vec::new();
        let conversation = async {
            let (_, (), read) = tokio::join!(starting, saying, read.read_to_end(&mut heard));
            read.unwrap();
        };
        tokio::time::timeout(TALK_MAX, conversation)
            .await
            .expect("it hangs");
        heard
    });
    messages(&heard)
}

fn messages(heard: &[u8]) -> Vec<Message> {
    let mut buffer = BytesMut::from(heard.strip_prefix(&VERSION).expect("the version comes first"));
    let mut messages = Vec::new();
    while let Some(message) = decode(&mut buffer, &Bounds::default()).expect("our own bytes are gotalk") {
        messages.push(message);
    }
    assert!(buffer.is_empty(), "half a message was the last word");
    messages
}

fn refusal(messages: &[Message]) -> Option<ProtocolErrorCode> {
    messages.iter().find_map(|message| match message {
        Message::ProtocolError(code) => Some(*code),
        _ => None,
    })
}

/// Bytes that look like gotalk here and there.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let alphabet = prop_oneof![
        4 => prop::sample::select(b"rspnRSEehf0123456789abcdef".to_vec()),
        1 => any::<u8>(),
    ];
    vec(alphabet, 0..300)
}

/// Few ids, so that they collide.
fn id() -> impl Strategy<Value = RequestId> {
    (0..4_u8).prop_map(|number| RequestId([b'i', b'd', b'0', b'0' + number]))
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(Bytes::new()), vec(any::<u8>(), 1..40).prop_map(Bytes::from)]
}

/// `never` is left out: nothing would be answered.
fn operation() -> impl Strategy<Value = Name> {
    let known = [
        "echo",
        "add",
        "fail",
        "busy",
        "panic",
        "late panic",
        "cat",
        "nope",
        "",
    ];
    prop::sample::select(known.to_vec()).prop_map(Name::from)
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => (id(), operation(), payload())
            .prop_map(|(id, operation, payload)| Message::SingleRequest { id, operation, payload }),
        3 => (id(), prop::sample::select(vec!["cat", "echo"]), payload())
            .prop_map(|(id, operation, payload)| Message::StreamRequest { id, operation: operation.into(), payload }),
        6 => (id(), payload()).prop_map(|(id, payload)| Message::StreamPart { id, payload }),
        1 => (id(), payload()).prop_map(|(id, payload)| Message::SingleResult { id, payload }),
        1 => (id(), payload()).prop_map(|(id, payload)| Message::StreamResult { id, payload }),
        1 => (id(), payload()).prop_map(|(id, payload)| Message::ErrorResult { id, payload }),
        1 => (id(), any::<u32>(), payload())
            .prop_map(|(id, wait_ms, payload)| Message::RetryResult { id, wait_ms, payload }),
        1 => (operation(), payload()).prop_map(|(name, payload)| Message::Notification { name, payload }),
        1 => (any::<u16>(), any::<u32>()).prop_map(|(load, time)| Message::Heartbeat { load, time }),
    ]
}

/// What must come of a sequence of legal messages.
#[derive(Default)]
struct Expected {
    /// Final answers, by id.
    answers: HashMap<RequestId, usize>,
    /// Streams whose body has not ended.
    open: HashSet<RequestId>,
    /// The sequence is against the rules somewhere.
    illegal: bool,
}

impl Expected {
    fn of(messages: &[Message]) -> Self {
        let mut expected = Self::default();
        for message in messages {
            match message {
                Message::SingleRequest { id, .. } => *expected.answers.entry(*id).or_default() += 1,
                Message::StreamRequest { id, .. } => {
                    expected.illegal |= !expected.open.insert(*id);
                    *expected.answers.entry(*id).or_default() += 1;
                }
                Message::StreamPart { id, payload } => {
                    expected.illegal |= !expected.open.contains(id);
                    if payload.is_empty() {
                        expected.open.remove(id);
                    }
                }
                _ => {}
            }
            if expected.illegal {
                break;
            }
        }
        expected
    }
}

/// Final answers, by id.
fn answers(messages: &[Message]) -> HashMap<RequestId, usize> {
    let mut answers = HashMap::new();
    for message in messages {
        let id = match message {
            Message::SingleResult { id, .. }
            | Message::ErrorResult { id, .. }
            | Message::RetryResult { id, .. } => id,
            Message::StreamResult { id, payload } if payload.is_empty() => id,
            _ => continue,
        };
        *answers.entry(*id).or_default() += 1;
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_bytes_at_all_are_refused_as_such_or_waited_on(bytes in vec(any::<u8>(), 0..100), piece in 1..20_usize) {
        let heard = talk(&bytes, piece);
        let code = refusal(&heard);
        let allowed = [None, Some(ProtocolErrorCode::Unsupported), Some(ProtocolErrorCode::InvalidMessage)];
        prop_assert!(allowed.contains(&code), "{heard:?}");
    }

    #[test]
    fn garbage_after_the_version_is_an_invalid_message_or_the_begin_of_one(garbage in garbage(), piece in 1..50_usize) {
        let heard = talk(&[&VERSION, &garbage[..]].concat(), piece);
        let code = refusal(&heard);
        prop_assert!(matches!(code, None | Some(ProtocolErrorCode::InvalidMessage)), "{heard:?}");
        if code.is_some() {
            prop_assert!(matches!(heard.last(), Some(Message::ProtocolError(_))), "nothing follows an f");
        }
    }

    #[test]
    fn every_request_gets_one_answer_or_the_connection_an_f(
        said in vec(message(), 0..40),
        piece in 1..200_usize,
    ) {
        let mut input = BytesMut::from(&VERSION[..]);
        for message in &said {
            message.encode(&mut input).unwrap();
        }
        let heard = talk(&input, piece);
        let expected = Expected::of(&said);
        if expected.illegal {
            let last = heard.last();
            let refused = matches!(last, Some(Message::ProtocolError(ProtocolErrorCode::InvalidMessage)));
            prop_assert!(refused, "{last:?}");
        } else {
            prop_assert_eq!(refusal(&heard), None);
            prop_assert_eq!(answers(&heard), expected.answers);
        }
    }
}
