//! Publishing and subscribing, and what keys tell.

use switchboard_gateway_redis::RedisOptions;
use switchboard_hub::{Policy, Publish, QueueLimits};

use crate::support::{Door, patient};

#[tokio::test]
async fn a_channel_is_a_topic() {
    let door = Door::open().await;
    let session = door.session();
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("home/#", &sink).unwrap();
    let (mut client, mut other) = (door.client().await, door.client().await);
    client
        .ask(
            "SUBSCRIBE home/lamp a+b",
            "*3\r\n$9\r\nsubscribe\r\n$9\r\nhome/lamp\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$3\r\na+b\r\n:2\r\n",
        )
        .await;
    other.ask("PUBLISH home/lamp on", ":2\r\n").await;
    client
        .expect("*3\r\n$7\r\nmessage\r\n$9\r\nhome/lamp\r\n$2\r\non\r\n")
        .await;
    assert_eq!(patient(deliveries.recv()).await.unwrap().message.payload, "on");
    session.publish(Publish::new("home/lamp", "off")).await.unwrap();
    client
        .expect("*3\r\n$7\r\nmessage\r\n$9\r\nhome/lamp\r\n$3\r\noff\r\n")
        .await;
    client.ask("GET a", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n").await;
    client.ask("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n").await;
    other
        .ask(
            "PUBSUB NUMSUB home/lamp x",
            "*4\r\n$9\r\nhome/lamp\r\n:1\r\n$1\r\nx\r\n:0\r\n",
        )
        .await;
    client.ask("UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$3\r\na+b\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$9\r\nhome/lamp\r\n:0\r\n").await;
    client.ask("GET a", "$-1\r\n").await;
    other.ask("PUBSUB CHANNELS", "*0\r\n").await;
}

#[tokio::test]
async fn patterns_are_those_of_redis() {
    let door = Door::open().await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    client.send("HELLO 3\r\nPSUBSCRIBE home/l?mp news*\r\n").await;
    let subscribed =
        ">3\r\n$10\r\npsubscribe\r\n$10\r\nhome/l?mp\r\n:1\r\n".replace("$10\r\nhome", "$9\r\nhome");
    patient(async {
        let mut seen = String::new();
        while !seen.ends_with(":2\r\n") {
            let mut byte = [0];
            tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut byte)
                .await
                .unwrap();
            seen.push(char::from(byte[0]));
        }
        assert!(seen.contains(&subscribed), "{seen}");
    })
    .await;
    other
        .send("PUBLISH home/lump 1\r\nPUBLISH home/lamps 2\r\nPUBLISH news/today 3\r\nPUBLISH old 4\r\n")
        .await;
    client
        .expect(">4\r\n$8\r\npmessage\r\n$9\r\nhome/l?mp\r\n$9\r\nhome/lump\r\n$1\r\n1\r\n")
        .await;
    client
        .expect(">4\r\n$8\r\npmessage\r\n$5\r\nnews*\r\n$10\r\nnews/today\r\n$1\r\n3\r\n")
        .await;
    client.ask("GET a", "_\r\n").await;
}

#[tokio::test]
async fn keys_tell_what_happens_to_them() {
    let door = Door::with(RedisOptions {
        notify_keyspace_events: "KEA".to_owned(),
        ..RedisOptions::default()
    })
    .await;
    let (mut client, mut other) = (door.client().await, door.client().await);
    client
        .send("PSUBSCRIBE __keyspace@*\r\nSUBSCRIBE __keyevent@0__:expired\r\n")
        .await;
    client.expect("*3\r\n$10\r\npsubscribe\r\n$12\r\n__keyspace@*\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:expired\r\n:2\r\n").await;
    other.ask("SET a 1", "+OK\r\n").await;
    client
        .expect("*4\r\n$8\r\npmessage\r\n$12\r\n__keyspace@*\r\n$16\r\n__keyspace@0__:a\r\n$3\r\nset\r\n")
        .await;
    other.ask("CONFIG SET notify-keyspace-events Kg", "+OK\r\n").await;
    other
        .ask(
            "CONFIG GET notify-keyspace-events",
            "*2\r\n$22\r\nnotify-keyspace-events\r\n$2\r\ngK\r\n",
        )
        .await;
    other.ask("SET a 2", "+OK\r\n").await;
    other.ask("DEL a", ":1\r\n").await;
    client
        .expect("*4\r\n$8\r\npmessage\r\n$12\r\n__keyspace@*\r\n$16\r\n__keyspace@0__:a\r\n$3\r\ndel\r\n")
        .await;
}

#[tokio::test]
async fn a_subscriber_slower_than_its_publishers_is_cut_off() {
    let door = Door::with(RedisOptions {
        queue: QueueLimits {
            messages: 16,
            bytes: 1 << 20,
        },
        ..RedisOptions::default()
    })
    .await;
    let mut client = door.client().await;
    client
        .ask("SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        .await;
    let session = door.session();
    let payload = bytes::Bytes::from(vec![b'x'; 256 * 1024]);
    patient(async {
        while door.gateway.stats().too_slow == 0 {
            session.publish(Publish::new("a", payload.clone())).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.rest().await;
}
