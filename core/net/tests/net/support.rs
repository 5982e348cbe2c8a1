//! A listener that echoes, and ways to talk to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use switchboard_net::{
    Connection, ConnectionInfo, Limits, Listener, ListenerConfig, LocalAddress, Network, Shutdown,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// No single step of a test takes longer, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A listener whose handler echoes, and tells of each connection when it begins and when it has ended.
pub struct Server {
    pub local: LocalAddress,
    pub network: Network,
    pub shutdown: Shutdown,
    begun: mpsc::UnboundedReceiver<ConnectionInfo>,
    ended: mpsc::UnboundedReceiver<u64>,
}

impl Server {
    pub async fn start(config: ListenerConfig, limits: Limits) -> Self {
        Self::on(config, &Network::new(limits)).await
    }

    pub async fn on(config: ListenerConfig, network: &Network) -> Self {
        let listener = Listener::bind(config, network)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let local = listener.local_address().clone();
        let shutdown = Shutdown::new();
        let (tell_begun, begun) = mpsc::unbounded_channel();
        let (tell_ended, ended) = mpsc::unbounded_channel();
        let echo = move |connection: Connection| {
            let (tell_begun, tell_ended) = (tell_begun.clone(), tell_ended.clone());
            async move {
                let id = connection.info.id;
                // The test may have heard enough.
                let _ = tell_begun.send(connection.info);
                let (mut read, mut write) = tokio::io::split(connection.stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
                drop(read.unsplit(write));
                let _ = tell_ended.send(id);
            }
        };
        tokio::spawn(listener.run(echo, shutdown.clone()));
        Self {
            local,
            network: network.clone(),
            shutdown,
            begun,
            ended,
        }
    }

    pub fn ip(&self) -> SocketAddr {
        self.local.ip().expect("a listener on TCP")
    }

    /// What the handler was told of the next connection.
    pub async fn begun(&mut self) -> ConnectionInfo {
        patient(self.begun.recv()).await.expect("the server lives")
    }

    /// The number of the next connection whose stream is dropped.
    pub async fn ended(&mut self) -> u64 {
        patient(self.ended.recv()).await.expect("the server lives")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

pub fn config(address: &str) -> ListenerConfig {
    ListenerConfig::new(
        address
            .parse()
            .unwrap_or_else(|error| panic!("{address}: {error}")),
    )
}

/// A listener on a free port of 127.0.0.1.
pub fn tcp() -> ListenerConfig {
    config("tcp://127.0.0.1:0")
}

/// Awaits a step of a test, within reason.
pub async fn patient<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("this should not take so long")
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address))
        .await
        .expect("the port is open")
}

/// Connects to an IPv4 address from another address of this machine, such as 127.0.0.2.
pub async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::new(source.parse().expect("an address"), 0))
        .expect("an address of ours");
    patient(socket.connect(address)).await.expect("the port is open")
}

/// Whether `stream` echoes; false if the server closed it.
pub async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> bool {
    let mut answer = [0; 4];
    let round = async {
        stream.write_all(b"ping").await?;
        stream.flush().await?;
        stream.read_exact(&mut answer).await
    };
    patient(round).await.is_ok() && &answer == b"ping"
}

/// Waits for the server to close `stream` without having sent anything.
pub async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = Vec::new();
    // A reset is as good as an end: it depends on whether the server had read everything.
    let _ = patient(stream.read_to_end(&mut buffer)).await;
    assert_eq!(buffer, b"", "nothing was sent");
}

/// The path of a built example of this crate.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/PROFILE/deps");
    let path = folder.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo test` without --test builds it",
        path.display()
    );
    path
}
