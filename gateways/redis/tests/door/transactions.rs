//! `MULTI` and `EXEC`.

use switchboard_gateway_redis::RedisOptions;

use crate::support::Door;

#[tokio::test]
async fn what_is_queued_is_done_in_one_step() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("MULTI\r\nSET a 1\r\nINCR a\r\nPING\r\nSADD a x\r\nGET a\r\nEXEC\r\n")
        .await;
    client
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+OK\r\n:2\r\n+PONG\r\n")
        .await;
    client
        .expect("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$1\r\n2\r\n")
        .await;
    client.ask("EXEC", "-ERR EXEC without MULTI\r\n").await;
    client.ask("DISCARD", "-ERR DISCARD without MULTI\r\n").await;
    client.send("MULTI\r\nSET a 9\r\nDISCARD\r\nGET a\r\n").await;
    client.expect("+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n2\r\n").await;
    client.send("MULTI\r\nMULTI\r\nEXEC\r\n").await;
    client
        .expect("+OK\r\n-ERR MULTI calls can not be nested\r\n*0\r\n")
        .await;
}

#[tokio::test]
async fn a_mistake_while_queueing_undoes_all() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("MULTI\r\nSET a 1\r\nGET\r\nSET b 1\r\nEXEC\r\nGET a\r\n")
        .await;
    client
        .expect(
            "+OK\r\n+QUEUED\r\n-ERR wrong number of arguments for 'get' command\r\n+QUEUED\r\n\
             -EXECABORT Transaction discarded because of previous errors.\r\n$-1\r\n",
        )
        .await;
}

#[tokio::test]
async fn what_leads_to_another_database_is_not_queued() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("SET a 1", "+OK\r\n").await;
    // Done without its first half, this would lose the value.
    client
        .send("MULTI\r\nCOPY a b DB 1\r\nDEL a\r\nEXEC\r\nGET a\r\n")
        .await;
    client
        .expect(
            "+OK\r\n-ERR COPY to another database is not possible inside a transaction\r\n+QUEUED\r\n\
             -EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n1\r\n",
        )
        .await;
    client
        .send("SELECT 1\r\nSET a 2\r\nMULTI\r\nCOPY a b DB 1\r\nGET b\r\nEXEC\r\n")
        .await;
    client
        .expect("+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$1\r\n2\r\n")
        .await;
}

#[tokio::test]
async fn what_was_watched_and_changed_keeps_exec_from_doing_anything() {
    let door = Door::open().await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    client.ask("SET a 1", "+OK\r\n").await;
    client.ask("WATCH a gone", "+OK\r\n").await;
    other.ask("SET a 2", "+OK\r\n").await;
    client.send("MULTI\r\nSET a 3\r\nEXEC\r\nGET a\r\n").await;
    client.expect("+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n2\r\n").await;
    client.ask("WATCH a gone", "+OK\r\n").await;
    client.send("MULTI\r\nSET a 4\r\nEXEC\r\n").await;
    client.expect("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n").await;
    client.send("WATCH a\r\nUNWATCH\r\n").await;
    client.expect("+OK\r\n+OK\r\n").await;
    other.ask("SET a 5", "+OK\r\n").await;
    client.send("MULTI\r\nWATCH a\r\nGET a\r\nEXEC\r\n").await;
    client
        .expect("+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n*1\r\n$1\r\n5\r\n")
        .await;
}

#[tokio::test]
async fn what_is_queued_is_bounded() {
    let door = Door::with(RedisOptions {
        queued_commands_max: 2,
        queued_bytes_max: 100,
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    client.send("MULTI\r\nPING\r\nPING\r\nPING\r\n").await;
    client
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR too much is queued: at most 2 commands with 100 bytes are possible\r\n")
        .await;
    client
        .ask(
            "EXEC",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
        )
        .await;
    client
        .send(format!("MULTI\r\nSET a {}\r\n", "x".repeat(100)))
        .await;
    client.expect("+OK\r\n-ERR too much is queued").await;
}

#[tokio::test]
async fn multi_that_is_left_open_ends_with_the_connection() {
    let door = Door::with(RedisOptions {
        idle_timeout: Some(std::time::Duration::from_millis(50)),
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    client.send("MULTI\r\nSET a 1\r\n").await;
    client.expect("+OK\r\n+QUEUED\r\n").await;
    assert_eq!(client.rest().await, "");
    door.client().await.ask("GET a", "$-1\r\n").await;
}
