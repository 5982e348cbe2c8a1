//! Many commands at once.

use switchboard_gateway_redis::RedisOptions;
use tokio::io::AsyncWriteExt;

use crate::support::{Door, patient};

#[tokio::test]
async fn commands_on_one_key_are_answered_each_in_its_place() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("SET a 1\r\nINCR a\r\nLPUSH a x\r\nINCR a b\r\nINCR a\r\nGET a\r\nSTRLEN a\r\nINCR b\r\nINCR a\r\nPING\r\nINCR a\r\n")
        .await;
    client
        .expect(
            "+OK\r\n:2\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n\
             -ERR wrong number of arguments for 'incr' command\r\n:3\r\n$1\r\n3\r\n:1\r\n:1\r\n:4\r\n+PONG\r\n:5\r\n",
        )
        .await;
}

#[tokio::test]
async fn what_expires_at_once_is_gone_for_the_next_command() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("SET a 1\r\nPEXPIREAT a 1\r\nSTRLEN a\r\nSET a 1 EXAT 1\r\nINCR a\r\nTTL a\r\n")
        .await;
    client.expect("+OK\r\n:1\r\n:0\r\n+OK\r\n:1\r\n:-1\r\n").await;
    client.send("MULTI\r\nSET a 1 EXAT 1\r\nGET a\r\nEXEC\r\n").await;
    client
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$-1\r\n")
        .await;
}

#[tokio::test]
async fn what_ends_a_connection_comes_after_what_was_asked_before() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.send("INCR a\r\nINCR a\r\necho \"a\r\n").await;
    client
        .expect(":1\r\n:2\r\n-ERR Protocol error: unbalanced quotes in request\r\n")
        .await;
    let mut client = door.client().await;
    client.send("INCR a\r\nQUIT\r\n").await;
    client.expect(":3\r\n+OK\r\n").await;
    let mut client = door.client().await;
    client.send("INCR a\r\nINCR a\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, ":4\r\n:5\r\n");
}

#[tokio::test]
async fn what_changes_the_connection_is_done_in_between() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("INCR a\r\nMULTI\r\nINCR a\r\nINCR a\r\nEXEC\r\nINCR a\r\nSELECT 1\r\nINCR a\r\nINCR a\r\nSELECT 0\r\n")
        .await;
    client
        .expect(":1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:3\r\n:4\r\n+OK\r\n:1\r\n:2\r\n+OK\r\n")
        .await;
    client
        .send("INCR a\r\nCLIENT REPLY SKIP\r\nINCR a\r\nINCR a\r\nCLIENT REPLY OFF\r\nINCR a\r\nINCR a\r\nCLIENT REPLY ON\r\nINCR a\r\n")
        .await;
    client.expect(":5\r\n:7\r\n+OK\r\n:10\r\n").await;
}

#[tokio::test]
async fn long_answers_on_one_key_come_in_parts() {
    const COUNT: usize = 100;
    let door = Door::with(RedisOptions {
        replies_bytes_max: 1000,
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    let value = "x".repeat(400);
    client.ask(&format!("HSET h f {value}"), ":1\r\n").await;
    client.send("HGET h f\r\n".repeat(COUNT)).await;
    client.expect(&format!("$400\r\n{value}\r\n").repeat(COUNT)).await;
    // Each part does what is left, and nothing twice.
    client.ask("SET n 0", "+OK\r\n").await;
    client
        .send(format!("GETSET n {value}\r\nSTRLEN n\r\n").repeat(COUNT))
        .await;
    client.expect("$1\r\n0\r\n:400\r\n").await;
    let later = format!("$400\r\n{value}\r\n:400\r\n");
    client.expect(&later.repeat(COUNT - 1)).await;
    client.send("RPUSH l a\r\n".repeat(COUNT)).await;
    let lengths: String = (1..=COUNT).map(|length| format!(":{length}\r\n")).collect();
    client.expect(&lengths).await;
}

#[tokio::test]
async fn every_command_is_refused_when_the_engine_is_closed() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("INCR a", ":1\r\n").await;
    patient(door.engine.close()).await.unwrap();
    client.send("INCR a\r\nINCR a\r\nINCR a\r\nPING\r\n").await;
    for _ in 0..3 {
        let refusal = client.line().await;
        assert!(refusal.starts_with('-'), "{refusal}");
    }
    client.expect("+PONG\r\n").await;
}
