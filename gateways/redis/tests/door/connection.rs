//! What has to do with the connection itself.

use tokio::io::AsyncWriteExt;

use crate::support::{Door, patient};

#[tokio::test]
async fn a_person_can_type() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("PING", "+PONG\r\n").await;
    client.ask("set 'a key' \"x\\x41\\n\"", "+OK\r\n").await;
    client.ask("get \"a key\"", "$3\r\nxA\n\r\n").await;
    client
        .ask(
            "echo \"a",
            "-ERR Protocol error: unbalanced quotes in request\r\n",
        )
        .await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn what_is_unknown_or_wrong_is_refused_as_redis_does() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .ask(
            "foo bar 'b z'",
            "-ERR unknown command 'foo', with args beginning with: 'bar' 'b z' \r\n",
        )
        .await;
    client
        .ask("GeT", "-ERR wrong number of arguments for 'get' command\r\n")
        .await;
    client
        .ask("get a b", "-ERR wrong number of arguments for 'get' command\r\n")
        .await;
    client
        .ask(
            "client nope",
            "-ERR unknown subcommand 'nope'. Try CLIENT HELP.\r\n",
        )
        .await;
    client
        .ask(
            "config get",
            "-ERR wrong number of arguments for 'config|get' command\r\n",
        )
        .await;
    client.ask("select 16", "-ERR DB index is out of range\r\n").await;
    client.ask("auth x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n").await;
    client
        .ask(
            "auth me x",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        )
        .await;
}

#[tokio::test]
async fn databases_are_apart() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("SET a 1", "+OK\r\n").await;
    client.ask("SELECT 1", "+OK\r\n").await;
    client.ask("GET a", "$-1\r\n").await;
    client.ask("DBSIZE", ":0\r\n").await;
    client.ask("SET b 2", "+OK\r\n").await;
    client.ask("FLUSHDB", "+OK\r\n").await;
    client.ask("GET b", "$-1\r\n").await;
    client.ask("SELECT 0", "+OK\r\n").await;
    client.ask("GET a", "$1\r\n1\r\n").await;
    client.ask("FLUSHALL", "+OK\r\n").await;
    client.ask("DBSIZE", ":0\r\n").await;
}

#[tokio::test]
async fn hello_changes_the_protocol_and_reset_changes_it_back() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.send("HELLO 3 AUTH default any SETNAME me\r\n").await;
    client.expect("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n").await;
    client
        .send("GET a\r\nCLIENT GETNAME\r\nRESET\r\nGET a\r\nCLIENT GETNAME\r\nQUIT\r\n")
        .await;
    let rest = client.rest().await;
    assert!(
        rest.ends_with("_\r\n$2\r\nme\r\n+RESET\r\n$-1\r\n$-1\r\n+OK\r\n"),
        "{rest}"
    );
}

#[tokio::test]
async fn replies_can_be_kept_back() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\nCLIENT REPLY OFF\r\nECHO b\r\nCLIENT REPLY ON\r\nECHO c\r\n")
        .await;
    client.expect("$1\r\na\r\n+OK\r\n$1\r\nc\r\n").await;
}

#[tokio::test]
async fn who_stops_sending_is_still_answered() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.send("SET a 1\r\nGET a\r\nGET").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "+OK\r\n$1\r\n1\r\n");
}

#[tokio::test]
async fn a_client_is_listed_and_can_be_ended() {
    let door = Door::open().await;
    let (mut one, mut other) = (door.client().await, door.client().await);
    one.ask("CLIENT SETNAME one", "+OK\r\n").await;
    door.until(&mut other, "CLIENT LIST", "name=one").await;
    let address = one.stream.local_addr().unwrap();
    other.ask(&format!("CLIENT KILL {address}"), "+OK\r\n").await;
    assert_eq!(one.rest().await, "");
    other.ask("CLIENT KILL ADDR 127.0.0.1:1", ":0\r\n").await;
    other.ask("CLIENT KILL SKIPME no", ":1\r\n").await;
    assert_eq!(other.rest().await, "");
}

#[tokio::test]
async fn connections_end_as_the_daemon_does() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("PING", "+PONG\r\n").await;
    door.shutdown.begin();
    assert_eq!(client.rest().await, "");
    patient(door.shutdown.drain(std::time::Duration::from_secs(10))).await;
}

#[tokio::test]
async fn operations_can_be_called() {
    let door = Door::open().await;
    let session = door.session();
    let echo = |call: switchboard_hub::Call, reply: switchboard_hub::Replier| {
        if let switchboard_hub::Body::Single(payload) = call.body {
            reply.result(payload);
        }
    };
    session.serve("echo", std::sync::Arc::new(echo)).unwrap();
    let mut client = door.client().await;
    client.ask("CALL echo hello", "$5\r\nhello\r\n").await;
    client.ask("call echo", "$0\r\n\r\n").await;
    client.send("CALL nope\r\n").await;
    client.expect("-ERR ").await;
}
