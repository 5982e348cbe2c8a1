//! A gotalk client that knows nothing of us: exact bytes, in the manner of the recorded conversations.

use std::time::Duration;

use bytes::Bytes;
use switchboard_hub::HubConfig;
use switchboard_peer::{Fault, Handlers};

use crate::support::{Door, call, quiet};

async fn door() -> Door {
    Door::with(HubConfig::default(), quiet()).await
}

#[tokio::test]
async fn a_foreign_client_calls() {
    let door = door().await;
    let _responder = door
        .responder(
            Handlers::new()
                .handle_raw("echo", |_, payload| async { Ok(payload) })
                .handle_raw("fail", |_, _| async { Err(Fault::failed("boom")) })
                .handle_raw("busy", |_, _| async {
                    Err(Fault::retry(Duration::from_millis(5000), "request rate limit"))
                })
                .handle_stream("cat", |_, mut body, results| async move {
                    while let Some(part) = body.next().await {
                        if results.send(part?).await.is_err() {
                            break;
                        }
                    }
                    Ok(())
                }),
        )
        .await;
    let mut raw = door.raw().await;
    raw.send("r0001004echo00000005hello").await;
    raw.expect("R000100000005hello").await;
    // The ids of the Go library are raw bytes.
    raw.send(b"r\x01\x00\x00\x00004echo00000005world").await;
    raw.expect(b"R\x01\x00\x00\x0000000005world").await;
    raw.send("r0002004nope0000001dpayload is read and discarded")
        .await;
    raw.expect(r#"E000200000018unknown operation "nope""#).await;
    raw.send("r0003004fail00000000").await;
    raw.expect("E000300000004boom").await;
    raw.send("r0004004busy00000000").await;
    raw.expect("e00040000138800000012request rate limit").await;
    raw.send("s0005003cat00000003one").await;
    raw.expect("S000500000003one").await;
    raw.send("p000500000003twop000500000000").await;
    raw.expect("S000500000003twoS000500000000").await;
}

#[tokio::test]
async fn a_foreign_client_is_called() {
    let door = door().await;
    let mut raw = door.raw().await;
    raw.send(r#"r0001009hub.serve0000000d{"ops":["x"]}"#).await;
    raw.expect("R000100000002{}").await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "x", "hello"), async {
        let id = raw.requested('r', "x", "hello").await;
        raw.answer(id, "HELLO").await;
    });
    assert_eq!(answer, Ok(Bytes::from("HELLO")));

    let (answer, ()) = tokio::join!(call(&caller, "x", ""), async {
        let id = raw.requested('r', "x", "").await;
        raw.send([b"E", &id[..], b"00000004boom"].concat()).await;
    });
    assert_eq!(answer, Err(Fault::failed("boom")));

    let (answer, ()) = tokio::join!(call(&caller, "x", ""), async {
        let id = raw.requested('r', "x", "").await;
        raw.send([b"e", &id[..], b"0000138800000004wait"].concat()).await;
    });
    assert_eq!(answer, Err(Fault::retry(Duration::from_secs(5), "wait")));

    // A streamed result of a single request.
    let (answer, ()) = tokio::join!(call(&caller, "x", ""), async {
        let id = raw.requested('r', "x", "").await;
        for part in ["00000003one", "00000003two", "00000000"] {
            raw.send([b"S", &id[..], part.as_bytes()].concat()).await;
        }
    });
    assert_eq!(answer, Ok(Bytes::from("onetwo")));
}

#[tokio::test]
async fn a_foreign_client_publishes_and_is_notified() {
    let door = door().await;
    let mut subscriber = door.raw().await;
    subscriber.ask("hub.subscribe", r#"{"topics":["chat/+"]}"#).await;
    let mut publisher = door.raw().await;
    publisher
        .send("n006chat/a00000002hin005other00000001xn006chat/b00000000")
        .await;
    subscriber.expect("n006chat/a00000002hin006chat/b00000000").await;
}

#[tokio::test]
async fn messages_may_come_with_the_version_and_in_pieces() {
    let door = door().await;
    let mut raw = door.raw().await;
    for piece in [&b"r00010"[..], b"0ahub.whoam", b"i000000", b"00"] {
        raw.send(piece).await;
        tokio::task::yield_now().await;
    }
    raw.expect("R0001").await;
}

#[tokio::test]
async fn what_is_illegal_ends_this_connection_and_no_other() {
    let door = door().await;
    let mut other = door.raw().await;
    for (bytes, last) in [
        ("q0001", "f00000002"),
        ("rxxxx0zz", "f00000002"),
        ("p000100000003abc", "f00000002"),
        ("r0001004echoffffffff", "f00000002"),
    ] {
        let mut raw = door.raw().await;
        raw.ask("hub.serve", r#"{"ops":["x"]}"#).await;
        raw.send(bytes).await;
        assert_eq!(raw.rest().await, last, "{bytes}");
        // It is out of the table at once, though its end of the connection is still open.
        other.request("0001", "x", "").await;
        other
            .expect(r#"e0001000001f40000003ewhoever served "x" was lost a moment ago, and may be back soon"#)
            .await;
    }
}
