//! Scripts, from outside.

use crate::support::{Door, patient};

/// `return 1`
const DIGEST: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";

#[tokio::test]
async fn scripts_run_and_are_known() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .ask(
            "EVAL 'return {KEYS[1], ARGV[1]}' 1 a b",
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        )
        .await;
    client
        .ask("SCRIPT LOAD 'return 1'", &format!("$40\r\n{DIGEST}\r\n"))
        .await;
    client.ask(&format!("EVALSHA {DIGEST} 0"), ":1\r\n").await;
    client
        .ask(&format!("SCRIPT EXISTS {DIGEST} x"), "*2\r\n:1\r\n:0\r\n")
        .await;
    client
        .ask(
            "EVALSHA x 0",
            "-NOSCRIPT No matching script. Please use EVAL.\r\n",
        )
        .await;
    client
        .ask("EVAL 'return 1' -1", "-ERR Number of keys can't be negative\r\n")
        .await;
}

#[tokio::test]
async fn other_keys_than_the_declared_are_reached() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .ask(
            r#"EVAL "redis.call('set', 'a', 1) redis.call('rpush', 'l', 1, 2) return redis.call('get', 'a')" 0"#,
            "$1\r\n1\r\n",
        )
        .await;
    client.ask("LRANGE l 0 -1", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n").await;
}

#[tokio::test]
async fn scripts_stay_in_their_database() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send(
            "SELECT 2\r\nSET a 1\r\nEVAL \"return redis.call('copy', 'a', 'b', 'DB', 2)\" 2 a b\r\nGET b\r\n",
        )
        .await;
    client.expect("+OK\r\n+OK\r\n:1\r\n$1\r\n1\r\n").await;
    client
        .ask(
            "EVAL \"return redis.pcall('copy', 'a', 'c', 'DB', 0)['err']\" 2 a c",
            "$60\r\nERR COPY to another database is not possible inside a script\r\n",
        )
        .await;
    client.ask("EXISTS c", ":0\r\n").await;
}

#[tokio::test]
async fn scripts_stand_in_transactions() {
    let door = Door::open().await;
    let mut client = door.client().await;
    client
        .send("MULTI\r\nSET a 1\r\nEVAL \"return redis.call('incr', 'a') + redis.call('incr', 'b')\" 0\r\nGET b\r\nEXEC\r\n")
        .await;
    client
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:3\r\n$1\r\n1\r\n")
        .await;
    // There is nothing else in it that has keys.
    client
        .send("MULTI\r\nEVAL 'return 7' 0\r\nSCRIPT EXISTS x\r\nEXEC\r\n")
        .await;
    client
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:7\r\n*1\r\n:0\r\n")
        .await;
}

#[tokio::test]
async fn what_scripts_publish_arrives() {
    let door = Door::open().await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    other
        .ask("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        .await;
    client
        .ask(r#"EVAL "return redis.call('publish', 'c', 'm')" 0"#, ":0\r\n")
        .await;
    other
        .expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n")
        .await;
    client
        .send("MULTI\r\nEVAL \"return redis.call('publish', 'c', 'n')\" 0\r\nEXEC\r\n")
        .await;
    other
        .expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nn\r\n")
        .await;
}

#[tokio::test]
async fn what_scripts_push_wakes_those_who_wait() {
    let door = Door::open().await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    other.send("BLPOP l 0\r\n").await;
    client
        .ask(r#"EVAL "return redis.call('rpush', 'l', 'x')" 0"#, ":1\r\n")
        .await;
    other.expect("*2\r\n$1\r\nl\r\n$1\r\nx\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_comes_in_between() {
    const CLIENTS: usize = 4;
    const TURNS: usize = 50;
    let door = Door::open().await;
    let turn = r#"EVAL "local n = tonumber(redis.call('get', 'n') or 0) for i = 1, 100 do redis.call('set', 'n', n + i) end redis.call('set', 'n', n + 1) return 0" 0"#;
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = door.client().await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..TURNS {
                client.ask(turn, ":0\r\n").await;
            }
        }));
    }
    for task in tasks {
        patient(task).await.unwrap();
    }
    let count = (CLIENTS * TURNS).to_string();
    let mut client = door.client().await;
    client
        .ask("GET n", &format!("${}\r\n{count}\r\n", count.len()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn others_are_answered_while_a_script_runs() {
    let door = Door::open().await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    other.ask("PING", "+PONG\r\n").await;
    // Some hundreds of milliseconds.
    client.send("EVAL 'for i = 1, 2e7 do end return 1' 0\r\n").await;
    for _ in 0..50 {
        other.ask("PING", "+PONG\r\n").await;
    }
    let early = client.stream.try_read(&mut [0; 4]).map_err(|error| error.kind());
    assert_eq!(
        early,
        Err(std::io::ErrorKind::WouldBlock),
        "the script is not done"
    );
    client.expect(":1\r\n").await;
}
