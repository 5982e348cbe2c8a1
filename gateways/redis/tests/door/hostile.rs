//! What no good client sends.

use std::time::Duration;

use switchboard_gateway_redis::{RedisOptions, RequestLimits};
use tokio::io::AsyncWriteExt;

use crate::support::{Door, patient};

#[tokio::test]
async fn what_is_no_redis_is_refused_and_closed() {
    let door = Door::open().await;
    for (bytes, error) in [
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"),
        ("*x\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        // A value of 1 GiB.
        (
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1073741824\r\n",
            "invalid bulk length",
        ),
    ] {
        let mut client = door.client().await;
        client.send(format!("PING\r\n{bytes}")).await;
        let said = client.rest().await;
        assert_eq!(
            said,
            format!("+PONG\r\n-ERR Protocol error: {error}\r\n"),
            "{bytes:?}"
        );
    }
    let mut client = door.client().await;
    client.send("x".repeat(70_000)).await;
    assert!(client.rest().await.contains("too big inline request"));
    // A web page that talks to this port.
    let mut client = door.client().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a 1\r\n").await;
    assert_eq!(client.rest().await, "");
    door.client().await.ask("GET a", "$-1\r\n").await;
}

#[tokio::test]
async fn a_word_longer_than_the_named_limit_is_refused() {
    let door = Door::with(RedisOptions {
        request: RequestLimits {
            word_bytes_max: 10,
            command_bytes_max: 60,
            ..RequestLimits::default()
        },
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    client.send("*2\r\n$4\r\nECHO\r\n$11\r\n").await;
    assert_eq!(
        client.rest().await,
        "-ERR Protocol error: invalid bulk length\r\n"
    );
    let mut client = door.client().await;
    client
        .send(format!("*9\r\n{}", "$10\r\n0123456789\r\n".repeat(9)))
        .await;
    assert!(
        client
            .rest()
            .await
            .starts_with("-ERR Protocol error: too big request\r\n")
    );
}

#[tokio::test]
async fn a_long_pipeline_is_done_in_order() {
    const COMMANDS: usize = 100_000;
    let door = Door::open().await;
    let mut client = door.client().await;
    // All of it is sent before anything is read.
    client.send("INCR a\r\n".repeat(COMMANDS)).await;
    let expected: String = (1..=COMMANDS).map(|number| format!(":{number}\r\n")).collect();
    client.expect(&expected).await;
}

#[tokio::test]
async fn answers_larger_than_all_buffers_reach_who_sends_first_and_reads_then() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .ask(&format!("SET a {}", "x".repeat(60_000)), "+OK\r\n")
        .await;
    client.send("GET a\r\n".repeat(500)).await;
    let expected = format!("$60000\r\n{}\r\n", "x".repeat(60_000));
    for _ in 0..500 {
        client.expect(&expected).await;
    }
}

#[tokio::test]
async fn who_never_reads_is_cut_off() {
    let door = Door::with(RedisOptions {
        write_timeout: Duration::from_millis(100),
        unanswered_bytes_max: 64 * 1024,
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    client
        .ask(&format!("SET a {}", "x".repeat(60_000)), "+OK\r\n")
        .await;
    let gets = "GET a\r\n".repeat(1000);
    patient(async {
        while door.gateway.stats().unread == 0 {
            // At last it does not take any more, either because it is full or because it is closed.
            let _ = tokio::time::timeout(
                Duration::from_millis(10),
                client.stream.write_all(gets.as_bytes()),
            )
            .await;
        }
    })
    .await;
    assert_eq!(door.gateway.stats().unread, 1);
    let samples = door.hub.metrics().samples;
    let unread = samples.iter().find(|sample| sample.name == "redis_unread_total");
    assert_eq!(unread.map(|sample| sample.value), Some(1));
}
