//! What others hear of: the notifications that commands cause, in their order.

use crate::groups::Group;
use crate::reply::Reply;
use crate::servers::{Client, EVENTS, Servers};
use crate::template::Asked;

/// One server, with somebody who listens.
struct Watched {
    client: Client,
    listener: Client,
}

impl Watched {
    async fn connect(socket: &std::path::Path) -> Self {
        let mut listener = Client::connect(socket, 3).await;
        listener.ask("PSUBSCRIBE __keyevent@*__:*").await;
        Self {
            client: Client::connect(socket, 3).await,
            listener,
        }
    }

    /// What is heard of some commands: `0__:set k1`.
    async fn heard_of(&mut self, batch: &[Asked]) -> Vec<String> {
        self.client.ask_all(batch).await;
        self.client.ask("PUBLISH __keyevent@0__:mark end").await;
        let mut heard = Vec::new();
        loop {
            let message = event(&self.listener.next().await);
            if message == "0__:mark end" {
                return heard;
            }
            heard.push(message);
        }
    }
}

fn event(message: &Reply) -> String {
    let Reply::Several(_, parts) = message else {
        panic!("no message: {message}");
    };
    match &parts[..] {
        [_, _, Reply::Bulk(_, channel), Reply::Bulk(_, key)] => {
            let channel = String::from_utf8_lossy(channel);
            let name = channel.trim_start_matches("__keyevent@");
            format!("{name} {}", key.escape_ascii())
        }
        _ => panic!("no message: {message}"),
    }
}

/// Both must tell the same of each command.
pub async fn compare(servers: &Servers, group: &Group, seed: u64, commands: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ours = Watched::connect(&servers.ours).await;
    let mut theirs = Watched::connect(&servers.theirs).await;
    ours.client.ask("FLUSHALL").await;
    theirs.client.ask("FLUSHALL").await;
    ours.heard_of(&[]).await;
    theirs.heard_of(&[]).await;
    let mut count = 0;
    for _ in 0..commands {
        let asked = [group.command(&mut random)];
        let (ours, theirs) = tokio::join!(ours.heard_of(&asked), theirs.heard_of(&asked));
        assert_eq!(
            ours, theirs,
            "{}, seed {seed}, events {EVENTS}: {}",
            group.name, asked[0]
        );
        count += ours.len();
    }
    assert!(count > commands / 10, "{}: only {count} were heard", group.name);
}
