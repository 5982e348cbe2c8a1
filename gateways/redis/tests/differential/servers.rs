//! Our door and a Redis, each at a socket in a folder of its own, and their clients.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_gateway_redis::{RedisGateway, RedisOptions};
use switchboard_hub::{Hub, HubConfig};
use switchboard_net::{Limits, Listener, ListenerConfig, Network, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::reply::Reply;
use crate::template::{Asked, Compare};

/// No batch takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which events of keys both publish.
pub const EVENTS: &str = "Eg$lshz";

/// Both, until dropped.
pub struct Servers {
    pub ours: PathBuf,
    pub theirs: PathBuf,
    redis: Child,
    _directory: tempfile::TempDir,
}

impl Servers {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
        open_door(&ours).await;
        Self {
            redis: start_redis(directory.path(), &theirs),
            ours,
            theirs,
            _directory: directory,
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
    }
}

async fn open_door(socket: &Path) {
    let engine = Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap();
    let hub = Hub::with_engine(HubConfig::default(), engine).await.unwrap();
    let config = ListenerConfig::new(format!("unix://{}", socket.display()).parse().unwrap());
    let listener = Listener::bind(config, &Network::new(Limits::default()))
        .await
        .unwrap();
    let shutdown = Shutdown::new();
    let options = RedisOptions {
        notify_keyspace_events: EVENTS.to_owned(),
        ..RedisOptions::default()
    };
    let gateway = RedisGateway::new(hub, options, shutdown.clone());
    tokio::spawn(listener.run(gateway, shutdown));
}

fn start_redis(directory: &Path, socket: &Path) -> Child {
    let mut redis = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(socket)
        .arg("--dir")
        .arg(directory)
        .args(["--notify-keyspace-events", EVENTS])
        .stdout(Stdio::piped())
        .spawn()
        .expect("`redis-server` is needed in PATH: install Debian's package redis-server, or Redis 7");
    let mut lines = BufReader::new(redis.stdout.take().unwrap()).lines();
    let is_ready = |line: &String| line.contains("eady to accept connections");
    let ready = lines.by_ref().map_while(Result::ok).any(|line| is_ready(&line));
    assert!(ready, "redis-server does not start");
    // It must not wait for somebody to read the rest.
    std::thread::spawn(move || lines.for_each(drop));
    redis
}

/// A connection to one of them.
pub struct Client {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(socket: &Path, protocol: u8) -> Self {
        let mut client = Self {
            stream: UnixStream::connect(socket).await.unwrap(),
            read: Vec::new(),
        };
        client.ask(&format!("HELLO {protocol}")).await;
        client
    }

    /// Runs a command, which must not be refused.
    pub async fn ask(&mut self, line: &str) -> Reply {
        let asked = Asked {
            words: line.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
            compare: Compare::Exact,
        };
        let reply = self.ask_all(&[asked]).await.remove(0);
        assert!(reply.error().is_none(), "{line}: {reply}");
        reply
    }

    /// Sends commands, and reads their answers.
    pub async fn ask_all(&mut self, batch: &[Asked]) -> Vec<Reply> {
        let talk = async {
            let mut bytes = Vec::new();
            batch.iter().for_each(|asked| asked.encode(&mut bytes));
            self.stream.write_all(&bytes).await.unwrap();
            let mut replies = Vec::new();
            for asked in batch {
                match self.read().await {
                    Some(reply) => replies.push(reply),
                    None => panic!("closed instead of an answer to {asked}"),
                }
            }
            replies
        };
        tokio::time::timeout(PATIENCE, talk)
            .await
            .expect("answers should not take so long")
    }

    /// What comes next, whether it was asked for or not.
    pub async fn next(&mut self) -> Reply {
        let next = tokio::time::timeout(PATIENCE, self.read()).await;
        next.expect("something should come").expect("still open")
    }

    async fn read(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, used)) = Reply::parse(&self.read) {
                self.read.drain(..used);
                return Some(reply);
            }
            if self.stream.read_buf(&mut self.read).await.unwrap() == 0 {
                return None;
            }
        }
    }
}
