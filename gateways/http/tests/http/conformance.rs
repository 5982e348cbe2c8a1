//! What RFC 9113 says of frames that should not be, as `h2spec` would ask it: each with its section, and what comes
//! of it. The protocol is hyper's; that our door's own layers leave it whole, and stay bounded, is ours.

use crate::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, Outcome, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR,
    PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Wire, fields, frame, pseudo, request,
};
use crate::support::{Door, Raw};

/// Sends on a new connection that has begun well, and tells what comes of it.
async fn tried(door: &Door, stream: u32, bytes: &[u8]) -> Outcome {
    let mut wire = Wire::open(door).await;
    wire.send(bytes).await;
    wire.outcome(stream).await
}

/// Each of these ends the connection, for this reason or the general one, which the library below says of some; and
/// does no harm to others.
async fn end_the_connection(cases: &[(&str, u32, Vec<u8>)]) {
    let door = Door::open().await;
    door.serve_usual();
    let mut other = Wire::open(&door).await;
    for (name, code, bytes) in cases {
        let outcome = tried(&door, 1, bytes).await;
        let said = [Outcome::GoAway(*code), Outcome::GoAway(PROTOCOL_ERROR)];
        assert!(said.contains(&outcome), "{name}: {outcome:?}");
    }
    other.is_well(1).await;
}

fn settings(name: u16, value: u32) -> Vec<u8> {
    let mut payload = name.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, payload)
}

fn update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

/// A request without its end.
fn begun() -> Vec<u8> {
    request(1, 0, "POST", "/call/upper")
}

#[tokio::test]
async fn a_connection_begins_as_it_should_or_not_at_all() {
    let door = Door::open().await;
    // 3.4: what only begins like the preface is no HTTP/1 either.
    let mut raw = door.raw().await;
    raw.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    let answer = raw.rest().await;
    assert!(!answer.contains("HTTP/1.1 2"), "{answer}");
    // 3.4: the first frame is SETTINGS. Whoever says something else first gets no answer to it before.
    for first in [frame(PING, 0, 0, [0; 9]), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let mut wire = Wire::silent(&door).await;
        wire.send(PREFACE).await;
        wire.send(&first).await;
        assert!(matches!(
            wire.outcome(1).await,
            Outcome::GoAway(_) | Outcome::Closed
        ));
    }
}

#[tokio::test]
async fn frames_of_the_wrong_size_end_the_connection() {
    // 4.2, and the size of each in section 6.
    end_the_connection(&[
        (
            "a frame over the maximum",
            FRAME_SIZE_ERROR,
            [begun(), frame(DATA, 0, 1, vec![0; 16_385])].concat(),
        ),
        (
            "a head over the maximum",
            FRAME_SIZE_ERROR,
            frame(HEADERS, END_HEADERS, 1, vec![0; 16_385]),
        ),
        ("a long PING", FRAME_SIZE_ERROR, frame(PING, 0, 0, [0; 9])),
        ("a short PING", FRAME_SIZE_ERROR, frame(PING, 0, 0, [0; 7])),
        (
            "SETTINGS that end within one",
            FRAME_SIZE_ERROR,
            frame(SETTINGS, 0, 0, [0; 5]),
        ),
        (
            "an acknowledgement that says something",
            FRAME_SIZE_ERROR,
            frame(SETTINGS, ACK, 0, [0; 6]),
        ),
        (
            "a short WINDOW_UPDATE",
            FRAME_SIZE_ERROR,
            frame(WINDOW_UPDATE, 0, 0, [0; 3]),
        ),
        (
            "a short RST_STREAM",
            FRAME_SIZE_ERROR,
            [begun(), frame(RST_STREAM, 0, 1, [0; 3])].concat(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn frames_on_the_wrong_stream_end_the_connection() {
    let get = fields(&pseudo("GET", "/healthz"));
    end_the_connection(&[
        ("6.1: DATA on 0", PROTOCOL_ERROR, frame(DATA, 0, 0, "x")),
        (
            "6.2: HEADERS on 0",
            PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS, 0, &get),
        ),
        (
            "6.3: PRIORITY on 0",
            PROTOCOL_ERROR,
            frame(PRIORITY, 0, 0, [0; 5]),
        ),
        (
            "6.4: RST_STREAM on 0",
            PROTOCOL_ERROR,
            frame(RST_STREAM, 0, 0, [0; 4]),
        ),
        ("6.5: SETTINGS on 1", PROTOCOL_ERROR, frame(SETTINGS, 0, 1, "")),
        ("6.7: PING on 1", PROTOCOL_ERROR, frame(PING, 0, 1, [0; 8])),
        ("6.8: GOAWAY on 1", PROTOCOL_ERROR, frame(GOAWAY, 0, 1, [0; 8])),
        (
            "6.10: CONTINUATION on 0",
            PROTOCOL_ERROR,
            frame(CONTINUATION, END_HEADERS, 0, ""),
        ),
        (
            "6.6: a client promises",
            PROTOCOL_ERROR,
            frame(PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2], &get[..]].concat()),
        ),
        (
            "5.1.1: HEADERS with an even id",
            PROTOCOL_ERROR,
            frame(HEADERS, END_HEADERS | END_STREAM, 2, &get),
        ),
        (
            "5.1: DATA on an idle stream",
            PROTOCOL_ERROR,
            frame(DATA, END_STREAM, 1, "x"),
        ),
        (
            "5.1: RST_STREAM on an idle stream",
            PROTOCOL_ERROR,
            frame(RST_STREAM, 0, 1, [0; 4]),
        ),
        (
            "5.1: WINDOW_UPDATE on an idle stream",
            PROTOCOL_ERROR,
            update(1, 1),
        ),
        (
            "5.1: CONTINUATION on an idle stream",
            PROTOCOL_ERROR,
            frame(CONTINUATION, END_HEADERS, 1, &get),
        ),
    ])
    .await;
}

#[tokio::test]
async fn settings_and_windows_are_within_their_bounds() {
    end_the_connection(&[
        ("6.5.2: ENABLE_PUSH", PROTOCOL_ERROR, settings(2, 2)),
        (
            "6.5.2: INITIAL_WINDOW_SIZE",
            FLOW_CONTROL_ERROR,
            settings(4, 1 << 31),
        ),
        (
            "6.5.2: MAX_FRAME_SIZE, small",
            PROTOCOL_ERROR,
            settings(5, (1 << 14) - 1),
        ),
        (
            "6.5.2: MAX_FRAME_SIZE, large",
            PROTOCOL_ERROR,
            settings(5, 1 << 24),
        ),
        ("6.9: WINDOW_UPDATE by nothing", PROTOCOL_ERROR, update(0, 0)),
        (
            "6.9.1: a window over the maximum",
            FLOW_CONTROL_ERROR,
            update(0, (1 << 31) - 1),
        ),
        (
            "6.1: padding longer than the frame",
            PROTOCOL_ERROR,
            [begun(), frame(DATA, PADDED | END_STREAM, 1, [9, b'x'])].concat(),
        ),
    ])
    .await;
    let door = Door::open().await;
    for (name, code, bytes) in [
        ("6.9: by nothing", PROTOCOL_ERROR, update(1, 0)),
        (
            "6.9.1: over the maximum",
            FLOW_CONTROL_ERROR,
            update(1, (1 << 31) - 1),
        ),
    ] {
        let outcome = tried(&door, 1, &[begun(), bytes].concat()).await;
        // 5.4.1: what ends a stream may end the connection.
        let said = [Outcome::Reset(code), Outcome::GoAway(code)];
        assert!(said.contains(&outcome), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_head_in_several_frames_is_not_interrupted() {
    let get = fields(&pseudo("GET", "/healthz"));
    let (begin, end) = get.split_at(5);
    let open = frame(HEADERS, END_STREAM, 1, begin);
    end_the_connection(&[
        (
            "6.10: by another frame",
            PROTOCOL_ERROR,
            [open.clone(), frame(PING, 0, 0, [0; 8])].concat(),
        ),
        (
            "6.10: by an unknown frame",
            PROTOCOL_ERROR,
            [open.clone(), frame(0x42, 0, 0, "")].concat(),
        ),
        (
            "6.10: by another stream's",
            PROTOCOL_ERROR,
            [open.clone(), frame(CONTINUATION, END_HEADERS, 3, end)].concat(),
        ),
        (
            "6.2: by another head",
            PROTOCOL_ERROR,
            [open.clone(), frame(HEADERS, END_HEADERS, 3, &get)].concat(),
        ),
        (
            "6.10: CONTINUATION after the end of a head",
            PROTOCOL_ERROR,
            [begun(), frame(CONTINUATION, END_HEADERS, 1, end)].concat(),
        ),
        (
            "4.3: a field that is none",
            COMPRESSION_ERROR,
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                [0xff, 0xff, 0xff, 0xff, 0xff],
            ),
        ),
        (
            "RFC 7541, 6.1: the field 0",
            COMPRESSION_ERROR,
            frame(HEADERS, END_HEADERS | END_STREAM, 1, [0x80]),
        ),
    ])
    .await;
    let door = Door::open().await;
    let whole = [
        open,
        frame(CONTINUATION, 0, 1, ""),
        frame(CONTINUATION, END_HEADERS, 1, end),
    ]
    .concat();
    assert_eq!(tried(&door, 1, &whole).await, Outcome::Ok);
}

#[tokio::test]
async fn malformed_requests_are_refused_and_call_nothing() {
    let door = Door::open().await;
    door.serve_usual();
    let post = || pseudo("POST", "/call/upper");
    let without = |name: &str| -> Vec<_> { post().into_iter().filter(|field| field.0 != name).collect() };
    let with = |name, value| [post(), vec![(name, value)]].concat();
    for (name, head) in [
        ("8.2.1: an upper-case name", with("X-Name", "x")),
        ("8.2.1: a name with a space", with("x name", "x")),
        ("8.2.1: a value with a line end", with("x", "a\r\nb")),
        ("8.2.2: Connection", with("connection", "keep-alive")),
        ("8.2.2: Keep-Alive", with("keep-alive", "timeout=1")),
        ("8.2.2: Proxy-Connection", with("proxy-connection", "keep-alive")),
        ("8.2.2: Transfer-Encoding", with("transfer-encoding", "chunked")),
        ("8.2.2: Upgrade", with("upgrade", "websocket")),
        ("8.2.2: TE", with("te", "gzip")),
        ("8.3: an unknown pseudo-field", with(":x", "x")),
        ("8.3: one of answers", with(":status", "200")),
        ("8.3: one behind a field", [vec![("x", "x")], post()].concat()),
        ("8.3.1: no method", without(":method")),
        ("8.3.1: no scheme", without(":scheme")),
        ("8.3.1: no path", without(":path")),
        ("8.3.1: an empty path", pseudo("POST", "")),
        ("8.3.1: two methods", with(":method", "POST")),
        ("8.3.1: two schemes", with(":scheme", "http")),
        ("8.3.1: two paths", with(":path", "/call/upper")),
        ("8.1.1: a length that is none", with("content-length", "x")),
    ] {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(&head));
        let outcome = tried(&door, 1, &head).await;
        assert!(
            matches!(
                outcome,
                Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR) | Outcome::Refused
            ),
            "{name}: {outcome:?}"
        );
    }
    assert_eq!(door.hub.stats().calls, 0, "nothing was called");
}

#[tokio::test]
async fn a_body_has_the_length_that_was_said() {
    let door = Door::open().await;
    door.serve_usual();
    let head = |length| {
        let mut head = pseudo("POST", "/call/upper");
        head.push(("content-length", length));
        frame(HEADERS, END_HEADERS, 1, fields(&head))
    };
    for (name, length, bodies) in [
        ("8.1.1: less", "3", vec![frame(DATA, END_STREAM, 1, "ab")]),
        ("8.1.1: more", "1", vec![frame(DATA, END_STREAM, 1, "ab")]),
        (
            "8.1.1: more, in two",
            "1",
            vec![frame(DATA, 0, 1, "a"), frame(DATA, END_STREAM, 1, "b")],
        ),
        ("8.1.1: none at all", "1", vec![frame(DATA, END_STREAM, 1, "")]),
    ] {
        let outcome = tried(&door, 1, &[head(length), bodies.concat()].concat()).await;
        assert!(
            matches!(
                outcome,
                Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR) | Outcome::Refused
            ),
            "{name}: {outcome:?}"
        );
    }
    let whole = [head("2"), frame(DATA, END_STREAM, 1, "ab")].concat();
    assert_eq!(tried(&door, 1, &whole).await, Outcome::Ok);
    assert_eq!(door.hub.stats().calls, 1, "the one that was whole");
}

#[tokio::test]
async fn nothing_follows_the_end_of_a_stream() {
    let door = Door::open().await;
    let (tell, _held) = tokio::sync::mpsc::unbounded_channel();
    door.serve("hold", move |_, reply| drop(tell.send(reply)));
    let ended = request(1, END_STREAM, "POST", "/call/hold");
    let reset = [begun(), frame(RST_STREAM, 0, 1, [0, 0, 0, 8])].concat();
    for (name, bytes) in [
        (
            "5.1: DATA behind the end",
            [ended.clone(), frame(DATA, 0, 1, "x")].concat(),
        ),
        (
            "5.1: HEADERS behind the end",
            [ended.clone(), request(1, END_STREAM, "GET", "/healthz")].concat(),
        ),
        (
            "8.1: HEADERS that do not end it",
            [begun(), request(1, 0, "POST", "/call/hold")].concat(),
        ),
        (
            "5.1.1: an id that was left out",
            [
                request(5, END_STREAM, "POST", "/call/hold"),
                request(3, END_STREAM, "POST", "/call/hold"),
            ]
            .concat(),
        ),
    ] {
        let outcome = tried(&door, 1, &bytes).await;
        assert!(
            matches!(
                outcome,
                Outcome::GoAway(STREAM_CLOSED | PROTOCOL_ERROR)
                    | Outcome::Reset(STREAM_CLOSED | PROTOCOL_ERROR)
            ),
            "{name}: {outcome:?}"
        );
    }
    // What was under way when the stream was reset is passed over for a while: that is no fault.
    let mut wire = Wire::open(&door).await;
    wire.send([reset, frame(DATA, 0, 1, "x")].concat()).await;
    wire.is_well(3).await;
}

#[tokio::test]
async fn what_is_not_known_is_passed_over_and_what_is_asked_is_answered() {
    let door = Door::open().await;
    door.serve_usual();
    let mut wire = Wire::open(&door).await;
    // 4.1, 5.5 and 6.5.2: unknown frames, flags and settings.
    wire.send(frame(0x42, 0xff, 0, "whatever")).await;
    wire.send(settings(0x4242, 7)).await;
    let acknowledged = wire.next_of(|frame| frame.kind == SETTINGS).await;
    assert_eq!(acknowledged.map(|frame| frame.flags), Some(ACK));
    // 6.7: a PING is answered with what it said; an answer is not.
    wire.send(frame(PING, ACK, 0, *b"answered")).await;
    wire.send(frame(PING, 0xf0, 0, *b"question")).await;
    let expected = Frame {
        kind: PING,
        flags: ACK,
        stream: 0,
        payload: b"question".to_vec(),
    };
    assert_eq!(wire.next_of(|frame| frame.kind == PING).await, Some(expected));
    // 6.1, 6.2 and 6.3: padding, and priorities of whatever stream.
    wire.send(frame(PRIORITY, 0, 99, [0, 0, 0, 1, 5])).await;
    let head = [&[2][..], &fields(&pseudo("POST", "/call/upper")), &[0; 2]].concat();
    wire.send(frame(HEADERS, END_HEADERS | PADDED, 1, head)).await;
    wire.send(frame(DATA, PADDED, 1, [&[3][..], b"padded", &[0; 3]].concat()))
        .await;
    // 8.1: trailers end a request as well.
    wire.send(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        fields(&[("x-sum", "1")]),
    ))
    .await;
    assert_eq!(wire.outcome(1).await, Outcome::Ok);
    let body = wire.next_of(|frame| frame.kind == DATA).await.unwrap();
    assert_eq!(body.payload, b"PADDED");
    // 6.8: whoever says good-bye gets what it asked for.
    wire.send(request(3, 0, "POST", "/call/upper")).await;
    wire.send(frame(GOAWAY, 0, 0, [0; 8])).await;
    wire.send(frame(DATA, END_STREAM, 3, "x")).await;
    assert_eq!(wire.outcome(3).await, Outcome::Ok);
}

#[tokio::test]
async fn windows_hold_the_answer_back() {
    let door = Door::open().await;
    door.serve_usual();
    // 6.9.2: the window of each stream is as small as the client says at first, and as large as it says later.
    let mut wire = Wire::with(&door, &[(4, 3)]).await;
    wire.send(request(1, 0, "POST", "/call/upper")).await;
    wire.send(frame(DATA, END_STREAM, 1, "abcdefgh")).await;
    assert_eq!(wire.outcome(1).await, Outcome::Ok);
    let data = async |wire: &mut Wire| {
        let frame = wire.next_of(|frame| frame.kind == DATA).await.unwrap();
        (
            String::from_utf8(frame.payload).unwrap(),
            frame.flags & END_STREAM,
        )
    };
    assert_eq!(data(&mut wire).await, ("ABC".into(), 0));
    // Nothing more comes before there is room: what is asked next is answered first.
    wire.send(frame(PING, 0, 0, [7; 8])).await;
    let next = wire.next().await.unwrap();
    assert_eq!((next.kind, next.flags), (PING, ACK));
    wire.send(update(1, 2)).await;
    assert_eq!(data(&mut wire).await, ("DE".into(), 0));
    wire.send(settings(4, 100)).await;
    let (rest, _) = data(&mut wire).await;
    assert_eq!(rest, "FGH");
    wire.is_well(3).await;
}

#[tokio::test]
async fn over_http_1_a_preface_in_the_middle_is_no_http_2() {
    let door = Door::open().await;
    let mut raw: Raw = door.raw().await;
    raw.request("GET", "/healthz", "", "").await;
    assert_eq!(raw.response("GET").await.status, 200);
    raw.send(PREFACE).await;
    let rest = raw.rest().await;
    assert!(
        !rest.contains("HTTP/1.1 2") && !rest.starts_with('\0'),
        "{rest:?}"
    );
}
