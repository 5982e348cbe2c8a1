//! Chat between web pages, without a daemon between them.
//!
//! Its page is written for a hub, where a room is a topic. So this program knows the three words of a hub that the page
//! uses: `hub.subscribe`, `hub.unsubscribe`, and a notification as what is published. At a hub the page needs no program
//! at all: see the example `pages`.
//!
//! Open the address that it prints in two tabs; Ctrl-C ends it.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example websocket-chat
//! open http://127.0.0.1:8080/
//! ```
//!
//! Another address may be said: `-- 127.0.0.1:8081`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use switchboard_examples::Site;
use switchboard_peer::{Bytes, Context, Fault, Handlers, Limits, Options, Peer};
use tokio::net::TcpListener;

/// Bytes of the largest message.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// Rooms that one page can be in.
const ROOMS_MAX: usize = 16;

/// Bytes of the longest name of a room, with the prefix of its topic.
const TOPIC_BYTES_MAX: usize = 100;

/// Bytes that wait for a page: one that is so far behind misses what is said.
const BEHIND_BYTES_MAX: usize = 256 << 10;

/// Who is where. A clone is the same.
#[derive(Clone, Default)]
struct Chat {
    rooms: Arc<Mutex<HashMap<String, Vec<Peer>>>>,
}

/// What a page asks: of these rooms, to hear them or not to.
#[derive(Deserialize)]
struct Topics {
    topics: HashSet<String>,
}

/// The answer to both: there is nothing to say.
#[derive(Serialize)]
struct Done {}

impl Chat {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Vec<Peer>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, peer: &Peer, topics: HashSet<String>) -> Result<Done, Fault> {
        let is_room = |topic: &String| topic.starts_with("chat/") && topic.len() <= TOPIC_BYTES_MAX;
        if !topics.iter().all(is_room) {
            return Err(Fault::invalid(
                "a room is a topic like chat/lobby, and not longer than a line",
            ));
        }
        let mut rooms = self.rooms();
        let is_in = |topic: &String| rooms.get(topic).is_some_and(|peers| peers.contains(peer));
        let others = rooms
            .iter()
            .filter(|(topic, peers)| !topics.contains(*topic) && peers.contains(peer));
        if others.count() + topics.len() > ROOMS_MAX {
            return Err(Fault::invalid(format!(
                "nobody is in more than {ROOMS_MAX} rooms"
            )));
        }
        let new: Vec<String> = topics.iter().filter(|topic| !is_in(topic)).cloned().collect();
        for topic in new {
            rooms.entry(topic).or_default().push(peer.clone());
        }
        if peer.data().is_none() {
            // Its first room: from now on there is somebody to look after.
            peer.set_data(Arc::new(()));
            tokio::spawn(self.clone().see_off(peer.clone()));
        }
        Ok(Done {})
    }

    fn leave(&self, peer: &Peer, is_left: impl Fn(&str) -> bool) {
        self.rooms().retain(|topic, peers| {
            peers.retain(|one| one != peer || !is_left(topic));
            !peers.is_empty()
        });
    }

    async fn see_off(self, peer: Peer) {
        peer.closed().await;
        self.leave(&peer, |_| true);
    }

    /// Tells everybody in the room, if the one who says it is there too.
    fn say(&self, peer: &Peer, topic: &str, message: &Bytes) {
        let rooms = self.rooms();
        let Some(peers) = rooms.get(topic).filter(|peers| peers.contains(peer)) else {
            return;
        };
        for one in peers.iter().filter(|one| one.queued_bytes() < BEHIND_BYTES_MAX) {
            // One that has just gone hears nothing more.
            let _ = one.notify_now(topic, message);
        }
    }

    fn handlers(&self) -> Handlers {
        let (entered, left, said) = (self.clone(), self.clone(), self.clone());
        Handlers::new()
            .handle("hub.subscribe", move |context: Context, Topics { topics }| {
                let done = entered.enter(context.peer(), topics);
                async { done }
            })
            .handle("hub.unsubscribe", move |context: Context, Topics { topics }| {
                left.leave(context.peer(), |topic| topics.contains(topic));
                async { Ok(Done {}) }
            })
            .on_any(move |context, message| {
                said.say(context.peer(), context.operation(), &message);
                async {}
            })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    println!("open http://{}/", listener.local_addr()?);

    let options = Options {
        limits: Limits {
            payload_bytes_max: MESSAGE_BYTES_MAX,
            ..Limits::default()
        },
        ..Options::default()
    };
    let site = Site::of_page("websocket_chat", Chat::default().handlers(), options);
    tokio::select! {
        () = site.serve(listener) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
