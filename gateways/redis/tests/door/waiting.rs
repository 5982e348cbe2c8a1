//! Commands that wait for elements.

use crate::support::{Door, patient};

#[tokio::test]
async fn first_come_first_served() {
    let door = Door::open().await;
    let (mut one, mut two, mut other) = (door.client().await, door.client().await, door.client().await);
    one.send("BLPOP x a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:1").await;
    two.send("BLPOP a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:2").await;
    other.ask("RPUSH a 1 2 3", ":3\r\n").await;
    one.expect("*2\r\n$1\r\na\r\n$1\r\n1\r\n").await;
    two.expect("*2\r\n$1\r\na\r\n$1\r\n2\r\n").await;
    other.ask("LLEN a", ":1\r\n").await;
}

#[tokio::test]
async fn a_transaction_feeds_those_who_wait_and_does_not_wait_itself() {
    let door = Door::open().await;
    let (mut one, mut other) = (door.client().await, door.client().await);
    one.send("BLPOP a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:1").await;
    other.send("MULTI\r\nBLPOP b 0\r\nRPUSH a 1\r\nEXEC\r\n").await;
    other
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n:1\r\n")
        .await;
    one.expect("*2\r\n$1\r\na\r\n$1\r\n1\r\n").await;
}

#[tokio::test]
async fn a_copy_to_another_database_feeds_who_waits_there() {
    let door = Door::open().await;
    let (mut here, mut there, mut other) = (door.client().await, door.client().await, door.client().await);
    here.send("BLPOP a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:1").await;
    there.send("SELECT 3\r\nBLPOP a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:2").await;
    other.send("RPUSH b x\r\nCOPY b a DB 3\r\nEXISTS a\r\n").await;
    other.expect(":1\r\n:1\r\n:0\r\n").await;
    there.expect("+OK\r\n*2\r\n$1\r\na\r\n$1\r\nx\r\n").await;
    other.ask("RPUSH a y", ":1\r\n").await;
    here.expect("*2\r\n$1\r\na\r\n$1\r\ny\r\n").await;
}

#[tokio::test]
async fn time_runs_out() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client.ask("BLPOP a 0.01", "*-1\r\n").await;
    client
        .ask("BLPOP a x", "-ERR timeout is not a float or out of range\r\n")
        .await;
    client.ask("BLPOP a -1", "-ERR timeout is negative\r\n").await;
}

#[tokio::test]
async fn who_vanishes_takes_nothing_along() {
    let door = Door::open().await;
    let (mut gone, mut other) = (door.client().await, door.client().await);
    gone.send("BLPOP a 0\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:1").await;
    drop(gone);
    door.until(&mut other, "INFO clients", "blocked_clients:0").await;
    other.ask("RPUSH a 1", ":1\r\n").await;
    other.ask("LLEN a", ":1\r\n").await;
}

#[tokio::test]
async fn others_can_end_a_wait() {
    let door = Door::open().await;
    let (mut one, mut other) = (door.client().await, door.client().await);
    one.send("CLIENT ID\r\n").await;
    let id = patient(async {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(
                tokio::io::AsyncReadExt::read_u8(&mut one.stream).await.unwrap(),
            ));
        }
        line.trim().trim_start_matches(':').to_owned()
    })
    .await;
    for (reason, answer) in [
        ("", "*-1\r\n"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
    ] {
        one.send("BLPOP a 0\r\n").await;
        door.until(&mut other, "INFO clients", "blocked_clients:1").await;
        patient(async {
            loop {
                other.send(format!("CLIENT UNBLOCK {id}{reason}\r\n")).await;
                let mut bytes = [0; 4];
                tokio::io::AsyncReadExt::read_exact(&mut other.stream, &mut bytes)
                    .await
                    .unwrap();
                if &bytes == b":1\r\n" {
                    break;
                }
            }
        })
        .await;
        one.expect(answer).await;
    }
    one.ask("PING", "+PONG\r\n").await;
}

#[tokio::test]
async fn what_is_sent_meanwhile_is_done_afterwards() {
    let door = Door::open().await;
    let (mut one, mut other) = (door.client().await, door.client().await);
    one.send("ECHO before\r\nBLPOP a 0\r\nECHO after\r\n").await;
    one.expect("$6\r\nbefore\r\n").await;
    door.until(&mut other, "INFO clients", "blocked_clients:1").await;
    other.ask("RPUSH a 1", ":1\r\n").await;
    one.expect("*2\r\n$1\r\na\r\n$1\r\n1\r\n$5\r\nafter\r\n").await;
}
