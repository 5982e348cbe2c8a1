//! The examples with web pages, as a browser sees them. What is in the pages is run in a browser by `tests/browser`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use switchboard_gateway_http::HttpOptions;
use switchboard_peer::{Bytes, Handlers, Peer, connect};
use tokio::sync::mpsc;

use crate::hub::RunningHub;
use crate::support::{Running, documented, folder, program};

/// No single step takes longer, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// An example that serves pages.
struct Site {
    running: Running,
    address: String,
}

impl Site {
    /// Starts it at a free port, and checks that it says what it should.
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = program(name);
        command.args(arguments).arg("127.0.0.1:0");
        let mut running = Running::start(command);
        let line = running.line();
        let address = line
            .strip_prefix("open http://")
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_else(|| panic!("no address: {line}"))
            .to_owned();
        let said = line.replace(&address, "127.0.0.1:8080");
        assert_eq!(said, documented(name, &[]));
        Self { running, address }
    }

    fn get(&self, path: &str) -> Answer {
        get(&self.address, path, "")
    }

    /// Whether a page of this origin gets a WebSocket here.
    fn upgrade(&self, origin: &str) -> u16 {
        upgrade(&self.address, origin)
    }

    fn end(self) {
        assert_eq!(self.running.interrupted(), "");
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn get(address: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Answer {
        status: status(head),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn status(head: &str) -> u16 {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {head}"))
}

fn upgrade(address: &str, origin: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "GET /gotalk/ HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut first = [0; "HTTP/1.1 101 ".len()];
    stream.read_exact(&mut first).expect("an answer");
    status(&String::from_utf8_lossy(&first))
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join("pages").join(name)).expect("a page")
}

/// What a page needs that comes from its own server, without a hub.
fn check_own_files(site: &Site, page: &str) {
    for (path, name) in [
        ("/", format!("{page}.html")),
        (&*format!("/{page}.js"), format!("{page}.js")),
        ("/hub.js", "hub.js".to_owned()),
        ("/style.css", "style.css".to_owned()),
    ] {
        let answer = site.get(path);
        assert_eq!((answer.status, answer.body), (200, file(&name)), "{path}");
    }
    assert_eq!(site.get("/hub.json").body, r#"{"hub":"/"}"#);
    let library = site.get("/gotalk/gotalk.js");
    let is_script = library.head.contains("content-type: text/javascript");
    assert!(
        is_script && library.body.contains("hub.subscribe"),
        "{}",
        library.head
    );
    assert_eq!(site.get("/../Cargo.toml").status, 404);
    // Not a WebSocket; and one for a page of another site.
    assert_eq!(site.get("/gotalk/").status, 426);
    assert_eq!(site.upgrade(&format!("http://{}", site.address)), 101);
    assert_eq!(site.upgrade("http://evil.example"), 403);
}

async fn patient<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("this should not take so long")
}

async fn web_socket(site: &Site, handlers: Handlers) -> Peer {
    let url = format!("ws://{}/gotalk/", site.address);
    patient(connect(&url, handlers)).await.expect("it upgrades")
}

#[tokio::test]
async fn the_minimal_page_gets_its_echo() {
    let site = Site::start("websocket-minimal", &[]);
    check_own_files(&site, "websocket_minimal");
    let page = web_socket(&site, Handlers::new()).await;
    let answer: String = patient(page.request("echo", "hi")).await.expect("an answer");
    assert_eq!(answer, "hi");
    site.end();
}

/// A tab in the chat, and what it hears: rooms with what is said there.
struct Tab {
    peer: Peer,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Tab {
    async fn open(site: &Site) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let handlers = Handlers::new().on_any(move |context, message: Bytes| {
            let message = String::from_utf8_lossy(&message);
            tell.send(format!("{}: {message}", context.operation())).ok();
            async {}
        });
        let peer = web_socket(site, handlers).await;
        Self { peer, heard }
    }

    async fn enter(&self, room: &str) -> Result<(), switchboard_peer::Fault> {
        patient(self.peer.at_hub().subscribe(&[room], None)).await
    }

    async fn say(&self, room: &str, message: &str) {
        let said = self.peer.notify_raw(room, message.to_owned());
        patient(said).await.expect("it is open");
    }

    async fn hears(&mut self, expected: &str) {
        assert_eq!(patient(self.heard.recv()).await.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn in_the_chat_those_hear_each_other_who_are_in_one_room() {
    let site = Site::start("websocket-chat", &[]);
    check_own_files(&site, "websocket_chat");
    let (mut ann, mut bob, outsider) = (
        Tab::open(&site).await,
        Tab::open(&site).await,
        Tab::open(&site).await,
    );
    for tab in [&ann, &bob] {
        tab.enter("chat/lobby").await.expect("a room");
    }
    // Twice is once.
    ann.enter("chat/lobby").await.expect("a room");
    ann.enter("chat/den").await.expect("a room");
    // Said before it is told that it is in the other room.
    outsider.say("chat/lobby", "let me in").await;
    outsider.enter("chat/yard").await.expect("a room");
    ann.say("chat/lobby", "hi").await;
    for tab in [&mut ann, &mut bob] {
        tab.hears("chat/lobby: hi").await;
    }
    ann.say("chat/den", "alone").await;
    ann.hears("chat/den: alone").await;
    bob.say("chat/lobby", "hello").await;
    for tab in [&mut ann, &mut bob] {
        tab.hears("chat/lobby: hello").await;
    }
    let chat = ann.peer.at_hub();
    patient(chat.unsubscribe(&["chat/lobby"])).await.expect("she may");
    bob.say("chat/lobby", "anybody?").await;
    bob.hears("chat/lobby: anybody?").await;
    // Whatever was for her came before this.
    ann.say("chat/den", "quiet here").await;
    ann.hears("chat/den: quiet here").await;
    site.end();
}

#[tokio::test]
async fn the_chat_has_bounds() {
    let site = Site::start("websocket-chat", &[]);
    let tab = Tab::open(&site).await;
    for (room, is_one) in [
        ("lobby", false),
        ("chat/a", true),
        (&*format!("chat/{}", "x".repeat(100)), false),
    ] {
        assert_eq!(tab.enter(room).await.is_ok(), is_one, "{room}");
    }
    for number in 2..=16 {
        tab.enter(&format!("chat/{number}")).await.expect("a room");
    }
    assert!(tab.enter("chat/17").await.is_err());
    tab.enter("chat/16").await.expect("it is in there");
    site.end();
}

#[test]
fn the_pages_may_talk_to_a_hub_elsewhere() {
    let site = Site::start("pages", &["http://127.0.0.1:4780"]);
    let all = site.get("/").body;
    for page in ["events", "serve_greet", "websocket_chat", "websocket_minimal"] {
        assert!(
            all.contains(&format!("href=\"{page}.html\"")),
            "{page} is not listed"
        );
        for end in ["html", "js"] {
            let name = format!("{page}.{end}");
            assert_eq!(site.get(&format!("/{name}")).body, file(&name));
        }
    }
    assert_eq!(site.get("/hub.json").body, r#"{"hub":"http://127.0.0.1:4780"}"#);
    // The library is the hub's, and so is gotalk.
    assert_eq!(site.get("/gotalk/gotalk.js").status, 404);
    assert_eq!(site.get("/gotalk/").status, 404);

    let own = format!("http://{}", site.address);
    let hub = RunningHub::with_http(HttpOptions {
        origins: vec![own.clone()],
        ..HttpOptions::default()
    });
    let door = hub.http.to_string();
    assert_eq!(get(&door, "/gotalk/gotalk.js", "").status, 200);
    assert_eq!(upgrade(&door, &own), 101);
    assert_eq!(upgrade(&door, "http://127.0.0.1:1"), 403);
    let events = "/subscribe?topic=home/%23&wait=1ms";
    let answer = get(&door, events, &format!("Origin: {own}\r\n"));
    let allowed = format!("access-control-allow-origin: {own}");
    assert!(
        answer.status == 204 && answer.head.contains(&allowed),
        "{}",
        answer.head
    );
    hub.end();
    site.end();
}
