//! A gotalk peer by exact bytes.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use socket2::{Domain, SockRef, Type};

use crate::{
    message::{Message, single},
    wait::LIMIT,
};

/// The id of requests that [`Peer::call`] makes.
const CALL_ID: &[u8; 4] = b"call";

/// Small beside everything that tests send to one that does not read, and enough to read it fast in the end.
const NARROW_BYTES: usize = 64 * 1024;

/// The address in a `tcp://` or `tls://` URL.
#[track_caller]
pub fn tcp_address(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a URL");
    address.parse().expect("an IP address and a port")
}

/// What carries the bytes, and how it ends. Its reads end by themselves.
pub(crate) trait Carrier: Read + Write + Send {
    /// Ends the own half.
    fn end_writing(&mut self) -> io::Result<()>;

    /// For socket options, if it is a socket of ours.
    fn socket(&self) -> Option<SockRef<'_>> {
        None
    }
}

impl Carrier for TcpStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn socket(&self) -> Option<SockRef<'_>> {
        Some(self.into())
    }
}

impl Carrier for UnixStream {
    fn end_writing(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn socket(&self) -> Option<SockRef<'_>> {
        Some(self.into())
    }
}

/// A peer that says what it is told, byte by byte. Its reads end after [`LIMIT`].
pub struct Peer(Box<dyn Carrier>);

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.0.socket()).finish()
    }
}

impl Peer {
    /// Over TCP, after the exchange of versions.
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::tcp_silent(address).greeted()
    }

    /// Over a Unix socket, after the exchange of versions.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        Self::unix_silent(path).greeted()
    }

    /// Over TCP, with nothing said yet.
    #[track_caller]
    pub fn tcp_silent(address: SocketAddr) -> Self {
        Self::of_tcp(TcpStream::connect(address).expect("it listens"))
    }

    /// Over TCP from another loopback address, with nothing said yet.
    #[track_caller]
    pub fn tcp_from(source: &str, address: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        let source: SocketAddr = format!("{source}:0").parse().expect("an address");
        socket.bind(&source.into()).expect("an address of ours");
        socket.connect(&address.into()).expect("it listens");
        Self::of_tcp(socket.into())
    }

    /// Over TCP with a buffer of 64 KiB for what comes, after the exchange of versions: who does not read is
    /// soon noticed. (By default the system grows it to many megabytes.)
    #[track_caller]
    pub fn tcp_narrow(address: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(NARROW_BYTES).expect("an option");
        socket.connect(&address.into()).expect("it listens");
        Self::of_tcp(socket.into()).greeted()
    }

    /// Over a Unix socket, with nothing said yet.
    #[track_caller]
    pub fn unix_silent(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("an option");
        Self(Box::new(stream))
    }

    /// Over what else carries bytes, with nothing said yet.
    pub(crate) fn over(carrier: impl Carrier + 'static) -> Self {
        Self(Box::new(carrier))
    }

    fn of_tcp(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        Self(Box::new(stream))
    }

    /// Says `01`, and reads it from the other side.
    #[track_caller]
    pub fn greeted(mut self) -> Self {
        self.send("01");
        assert_eq!(self.read(2), b"01");
        self
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("it reads");
    }

    /// Sends bytes to a side that may be gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.write_all(bytes.as_ref())?;
        self.0.flush()
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub fn read(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.0.read_exact(&mut bytes).expect("it writes");
        bytes
    }

    /// All bytes up to a proper end, heartbeats included. A reset is a failure: it loses what was said before.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)));
        bytes
    }

    /// [`rest`](Self::rest) as text without the heartbeats, which begin a message where they stand.
    #[track_caller]
    pub fn last_words(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.rest()).into_owned();
        let (greeting, mut rest) = match text.strip_prefix("01") {
            Some(rest) => ("01", rest),
            None => ("", &*text),
        };
        while rest.starts_with('h') && rest.len() >= 13 {
            rest = &rest[13..];
        }
        format!("{greeting}{rest}")
    }

    /// How many bytes come up to the end, proper or not.
    pub fn received_to_the_end(&mut self) -> usize {
        let mut bytes = Vec::new();
        // What was read before a reset stays.
        let _ = self.0.read_to_end(&mut bytes);
        bytes.len()
    }

    /// Whether the connection ended without a word, properly or not, within `time`.
    pub fn is_refused(&mut self, time: Duration) -> bool {
        let socket = self.0.socket().expect("a socket");
        socket.set_read_timeout(Some(time)).expect("an option");
        match self.0.read(&mut [0]) {
            Ok(size) => size == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Reads the other side's version, which comes at once; `true` if the connection ends instead.
    pub fn is_refused_before_version(&mut self) -> bool {
        let mut version = [0; 2];
        self.0.read_exact(&mut version).is_err() || version != *b"01"
    }

    /// The next message that is no heartbeat.
    #[track_caller]
    pub fn message(&mut self) -> Message {
        loop {
            let message = Message::read(|size| self.read(size));
            if message.kind != 'h' {
                return message;
            }
        }
    }

    /// Sends a single request and waits for the answer, which must be the next message.
    #[track_caller]
    pub fn call(&mut self, operation: &str, payload: impl AsRef<[u8]>) -> Message {
        self.send(single(CALL_ID, operation, payload));
        let answer = self.message();
        assert_eq!(answer.id, CALL_ID, "{answer:?}");
        answer
    }

    /// [`call`](Self::call)s one of the hub's own operations, which must succeed.
    #[track_caller]
    pub fn ask(&mut self, operation: &str, json: &str) -> serde_json::Value {
        let answer = self.call(operation, json);
        assert_eq!(answer.kind, 'R', "{answer:?}");
        serde_json::from_slice(&answer.payload).expect("JSON")
    }

    /// Serves an operation.
    #[track_caller]
    pub fn serve(mut self, operation: &str) -> Self {
        self.ask(
            "hub.serve",
            &serde_json::json!({ "ops": [operation] }).to_string(),
        );
        self
    }

    /// Subscribes to a topic.
    #[track_caller]
    pub fn subscribe(mut self, topic: &str, policy: &str) -> Self {
        let request = serde_json::json!({ "topics": [topic], "policy": policy });
        self.ask("hub.subscribe", &request.to_string());
        self
    }

    /// Ends the own half of the connection; the other stays.
    #[track_caller]
    pub fn half_close(&mut self) {
        self.0.end_writing().expect("it is open");
    }

    /// Ends the connection as if the machine had gone: a reset, no good-bye.
    #[track_caller]
    pub fn reset(self) {
        let socket = self.0.socket().expect("a socket");
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
    }
}
