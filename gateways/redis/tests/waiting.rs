//! Clients that wait for elements, over real connections.

use std::time::Duration;

use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_gateway_redis::{RedisGateway, RedisOptions};
use switchboard_hub::{Hub, HubConfig};
use switchboard_net::{Limits, Listener, ListenerConfig, LocalAddress, Network, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No step takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

async fn patient<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("this should not take so long")
}

/// A hub with a Redis door.
struct Door {
    gateway: RedisGateway,
    shutdown: Shutdown,
    local: LocalAddress,
}

impl Door {
    async fn open() -> Self {
        let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
        let hub = Hub::with_engine(HubConfig::default(), engine).await.unwrap();
        let config = ListenerConfig::new("tcp://127.0.0.1:0".parse().unwrap());
        let listener = Listener::bind(config, &Network::new(Limits::default()))
            .await
            .unwrap();
        let (local, shutdown) = (listener.local_address().clone(), Shutdown::new());
        let gateway = RedisGateway::new(hub, RedisOptions::default(), shutdown.clone());
        tokio::spawn(listener.run(gateway.clone(), shutdown.clone()));
        Self {
            gateway,
            shutdown,
            local,
        }
    }

    async fn client(&self) -> Client {
        let address = self.local.ip().expect("a door on TCP");
        Client(patient(TcpStream::connect(address)).await.unwrap())
    }

    /// A client that waits: the last of so many.
    async fn waiting(&self, line: &str, count: u64) -> Client {
        let mut client = self.client().await;
        client.send(line).await;
        self.until_waiting(count).await;
        client
    }

    /// Until so many clients wait.
    async fn until_waiting(&self, count: u64) {
        patient(async {
            while self.gateway.stats().waiting != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

/// An answer whose parts stand on one line.
fn encoded(answer: &str) -> String {
    match answer.starts_with('-') {
        true => format!("{answer}\r\n"),
        false => answer.replace(' ', "\r\n") + "\r\n",
    }
}

/// A client that sends lines.
struct Client(TcpStream);

impl Client {
    async fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    /// The next answer is this, line by line.
    #[track_caller]
    fn expect(&mut self, answer: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let answer = encoded(answer);
        async move {
            let mut read = vec![0; answer.len()];
            patient(self.0.read_exact(&mut read)).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&read), answer, "{caller}");
        }
    }

    #[track_caller]
    fn ask(&mut self, line: &str, answer: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let (line, answer) = (line.to_owned(), encoded(answer));
        async move {
            self.send(&line).await;
            let mut read = vec![0; answer.len()];
            patient(self.0.read_exact(&mut read)).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&read), answer, "{caller}");
        }
    }
}

#[tokio::test]
async fn first_come_first_served() {
    let door = Door::open().await;
    let mut first = door.waiting("BLPOP k 0", 1).await;
    let mut second = door.waiting("BRPOP k 0", 2).await;
    let mut third = door.waiting("BLMPOP 0 1 k LEFT COUNT 5", 3).await;
    let mut pusher = door.client().await;
    pusher.ask("RPUSH k a b c d", ":4").await;
    first.expect("*2 $1 k $1 a").await;
    second.expect("*2 $1 k $1 d").await;
    third.expect("*2 $1 k *2 $1 b $1 c").await;
    door.until_waiting(0).await;
    pusher.ask("EXISTS k", ":0").await;
}

#[tokio::test]
async fn elements_go_along_a_chain() {
    let door = Door::open().await;
    let mut first = door.waiting("BLMOVE a b LEFT RIGHT 0", 1).await;
    let mut second = door.waiting("BRPOPLPUSH b c 0", 2).await;
    let mut third = door.waiting("BLPOP c 0", 3).await;
    let mut pusher = door.client().await;
    pusher.ask("LPUSH a x", ":1").await;
    first.expect("$1 x").await;
    second.expect("$1 x").await;
    third.expect("*2 $1 c $1 x").await;
    pusher.ask("EXISTS a b c", ":0").await;
}

#[tokio::test]
async fn time_runs_out() {
    let door = Door::open().await;
    let mut client = door.client().await;
    for line in [
        "BLPOP a b 0.01",
        "BRPOP a 0.01",
        "BLMOVE a b LEFT LEFT 0.01",
        "BRPOPLPUSH a b 0.01",
        "BLMPOP 0.01 1 a LEFT",
    ] {
        client.ask(line, "*-1").await;
    }
    door.until_waiting(0).await;
    // What comes later is for nobody.
    client.ask("RPUSH a x", ":1").await;
    client.ask("LLEN a", ":1").await;
}

#[tokio::test]
async fn commands_after_it_wait_too() {
    let door = Door::open().await;
    let mut client = door.waiting("BLPOP a 0\r\nLLEN a\r\nPING", 1).await;
    let mut pusher = door.client().await;
    pusher.ask("RPUSH a x y", ":2").await;
    client.expect("*2 $1 a $1 x").await;
    client.expect(":1").await;
    client.expect("+PONG").await;
}

#[tokio::test]
async fn who_goes_away_takes_nothing() {
    let door = Door::open().await;
    for _ in 0..20 {
        let gone = door.waiting("BLPOP a 0", 1).await;
        let mut next = door.waiting("BLPOP a 0", 2).await;
        drop(gone);
        door.until_waiting(1).await;
        let mut pusher = door.client().await;
        pusher.ask("RPUSH a x", ":1").await;
        next.expect("*2 $1 a $1 x").await;
        let gone = door.waiting("BLPOP a 0", 1).await;
        drop(gone);
        door.until_waiting(0).await;
        pusher.ask("RPUSH a y", ":1").await;
        pusher.ask("LPOP a", "$1 y").await;
    }
}

#[tokio::test]
async fn any_of_several_keys_will_do() {
    let door = Door::open().await;
    let mut pusher = door.client().await;
    let mut client = door.waiting("BLPOP a b 0", 1).await;
    pusher.ask("RPUSH b x", ":1").await;
    client.expect("*2 $1 b $1 x").await;
    // The first that has something, in the order of the command.
    pusher.ask("RPUSH b x", ":1").await;
    pusher.ask("RPUSH a y", ":1").await;
    client.ask("BLPOP a b 0", "*2 $1 a $1 y").await;
    client.ask("BLPOP a b 0", "*2 $1 b $1 x").await;
}

#[tokio::test]
async fn other_kinds_of_keys_are_waited_through() {
    let door = Door::open().await;
    let mut other = door.client().await;
    let mut client = door.waiting("BLPOP a b 0", 1).await;
    other.ask("SET a x", "+OK").await;
    other.ask("RPUSH b y", ":1").await;
    client.expect("*2 $1 b $1 y").await;
    // Who does not wait yet is refused.
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in ["BLPOP a 0", "BLMPOP 0 1 a LEFT", "BLMOVE a b LEFT LEFT 0"] {
        other.ask(line, wrong).await;
    }
    // As is who has something to move, and nowhere to move it to.
    let mut mover = door.waiting("BLMOVE source a LEFT LEFT 0", 1).await;
    other.ask("RPUSH source z", ":1").await;
    mover.expect(wrong).await;
    other.ask("LRANGE source 0 -1", "*1 $1 z").await;
}

#[tokio::test]
async fn each_database_has_its_own_lines() {
    let door = Door::open().await;
    let mut client = door.waiting("SELECT 1\r\nBLPOP a 0", 1).await;
    client.expect("+OK").await;
    let mut pusher = door.client().await;
    pusher.ask("RPUSH a zero", ":1").await;
    pusher.ask("SELECT 1", "+OK").await;
    pusher.ask("RPUSH a one", ":1").await;
    client.expect("*2 $1 a $3 one").await;
}
