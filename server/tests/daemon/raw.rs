//! A gotalk client that knows nothing of us: bytes on a socket.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::*;

/// A connection, after the exchange of versions.
pub struct RawPeer(TcpStream);

impl RawPeer {
    pub async fn connect(url: &str) -> Self {
        let address = url.strip_prefix("tcp://").expect("a TCP door");
        let mut stream = within("a connection", TcpStream::connect(address))
            .await
            .expect("it listens");
        stream.write_all(b"01").await.expect("it reads");
        let mut peer = Self(stream);
        assert_eq!(peer.read(2).await, "01");
        peer
    }

    pub async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("it reads");
    }

    async fn read(&mut self, size: usize) -> String {
        let mut bytes = vec![0; size];
        within("an answer", self.0.read_exact(&mut bytes))
            .await
            .expect("it writes");
        String::from_utf8(bytes).expect("text")
    }

    /// The next message that is no heartbeat.
    async fn next(&mut self, size: usize) -> String {
        loop {
            let kind = self.read(1).await;
            if kind != "h" {
                return kind + &self.read(size - 1).await;
            }
            self.read(12).await;
        }
    }

    /// A single request whose answer is `{}`.
    pub async fn ask(&mut self, operation: &str, json: &str) {
        let request = format!("rask0{:03x}{operation}{:08x}{json}", operation.len(), json.len());
        self.write(&request).await;
        assert_eq!(self.next(15).await, "Rask000000002{}");
    }
}

#[tokio::test]
async fn it_calls_and_is_called() {
    let daemon = Daemon::start().await;
    let _upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]).await;
    let mut raw = RawPeer::connect(daemon.url()).await;
    raw.write("r0001005upper00000005hello").await;
    assert_eq!(raw.next(18).await, "R000100000005HELLO");

    raw.ask("hub.serve", r#"{"ops":["greet"]}"#).await;
    let call = daemon.spawn(&["call", "greet", "Ann"]);
    let request = raw.next(24).await;
    let (head, rest) = request.split_at(5);
    assert_eq!((&head[..1], rest), ("r", "005greet00000003Ann"));
    raw.write(&format!("R{}00000009Hello Ann", &head[1..])).await;
    call.end().await.is(0, "Hello Ann");

    // A stream request ends with an empty part, and its result does so too.
    raw.write("s0002005upper00000002ab").await;
    raw.write("p000200000002cd").await;
    raw.write("p000200000000").await;
    let mut result = String::new();
    while let Some(size) = Some(raw.next(13).await) {
        let size = size.strip_prefix("S0002").expect("a part of the result");
        let size = usize::from_str_radix(size, 16).expect("hex");
        if size == 0 {
            break;
        }
        result += &raw.read(size).await;
    }
    assert_eq!(result, "ABCD");
}

#[tokio::test]
async fn its_notifications_are_published_and_it_gets_those_of_others() {
    let daemon = Daemon::start().await;
    let subscriber = daemon.subscribe(&["home/#", "--count", "1"]).await;
    let mut raw = RawPeer::connect(daemon.url()).await;
    raw.ask("hub.subscribe", r#"{"topics":["office/#"]}"#).await;
    raw.write("n009home/lamp00000002on").await;
    subscriber.end().await.is(0, "home/lamp\ton\n");
    daemon.run(&["publish", "office/door", "open"]).await.is(0, "");
    assert_eq!(raw.next(27).await, "n00boffice/door00000004open");
}
