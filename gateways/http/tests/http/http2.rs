//! HTTP/2: by prior knowledge, and over TLS by ALPN.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use switchboard_gateway_http::HttpOptions;
use switchboard_hub::Fault;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Door, Raw, patient};

async fn client<B>(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> SendRequest<B>
where
    B: hyper::body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (client, connection) = patient(handshake(TokioExecutor::new(), TokioIo::new(io)))
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

async fn plain<B>(door: &Door) -> SendRequest<B>
where
    B: hyper::body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    client(patient(TcpStream::connect(door.ip())).await.unwrap()).await
}

fn request<B>(method: &str, target: &str, body: B) -> Request<B> {
    let uri = format!("http://localhost{target}");
    Request::builder().method(method).uri(uri).body(body).unwrap()
}

fn full(text: &str) -> Full<Bytes> {
    Full::new(Bytes::from(text.to_owned()))
}

async fn text(response: Response<Incoming>) -> String {
    let body = patient(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A connection with TLS that speaks this protocol.
async fn secured(door: &Door, certificate: &std::path::Path, alpn: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let io = patient(TcpStream::connect(door.ip())).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = patient(TlsConnector::from(Arc::new(config)).connect(name, io))
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    stream
}

#[tokio::test]
async fn by_prior_knowledge_many_calls_share_one_connection() {
    let door = Door::open().await;
    door.serve_usual();
    let mut client = plain(&door).await;
    let mut calls = Vec::new();
    for number in 0..100 {
        patient(client.ready()).await.unwrap();
        let request = request("POST", "/call/upper", full(&format!("a{number}")));
        calls.push(tokio::spawn(client.send_request(request)));
    }
    for (number, call) in calls.into_iter().enumerate() {
        let response = patient(call).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("connection"));
        assert_eq!(text(response).await, format!("A{number}"));
    }
    assert_eq!(door.hub.stats().sessions, 2, "one connection is one party");
    let busy = patient(client.send_request(request("POST", "/call/busy", full(""))))
        .await
        .unwrap();
    assert_eq!(
        (busy.status(), busy.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "2")
    );
    let upgrade = patient(client.send_request(request("GET", "/gotalk/", full(""))))
        .await
        .unwrap();
    assert_eq!(
        upgrade.status(),
        StatusCode::BAD_REQUEST,
        "a WebSocket begins with HTTP/1.1"
    );
}

#[tokio::test]
async fn over_tls_both_protocols_are_spoken() {
    let directory = tempfile::tempdir().unwrap();
    let door = Door::with_tls(directory.path()).await;
    door.serve_usual();
    let certificate = directory.path().join("self-signed.crt");
    let mut http2 = client(secured(&door, &certificate, b"h2").await).await;
    let response = patient(http2.send_request(request("POST", "/call/upper", full("h2"))))
        .await
        .unwrap();
    assert_eq!(text(response).await, "H2");
    let mut http1 = Raw::new(secured(&door, &certificate, b"http/1.1").await);
    http1.request("POST", "/call/upper", "", "http/1.1").await;
    assert_eq!(http1.response("POST").await.text(), "HTTP/1.1");
    // Over TLS only a page that came over TLS is one of the door's own.
    for (origin, status) in [("https://localhost", 200), ("http://localhost", 403)] {
        http1
            .request("POST", "/call/upper", &format!("Origin: {origin}\r\n"), "x")
            .await;
        assert_eq!(http1.response("POST").await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn streams_go_both_ways() {
    let door = Door::open().await;
    door.serve_usual();
    let mut client = plain(&door).await;
    let (mut sender, body) = Channel::<Bytes>::new(1);
    patient(sender.send_data(Bytes::from("one"))).await.unwrap();
    let response = patient(client.send_request(request("POST", "/call/shout", body)))
        .await
        .unwrap();
    let mut results = response.into_body();
    for part in ["one", "two", "three"] {
        if part != "one" {
            patient(sender.send_data(Bytes::from(part))).await.unwrap();
        }
        let frame = patient(results.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part.to_uppercase());
    }
    drop(sender);
    assert!(
        patient(results.frame())
            .await
            .is_none_or(|frame| frame.unwrap().into_data().unwrap().is_empty())
    );
}

#[tokio::test]
async fn a_result_that_fails_half_way_resets_its_stream_and_no_other() {
    let door = Door::open().await;
    door.serve_usual();
    door.serve("half", |_, reply| {
        tokio::spawn(async move {
            let mut results = reply.stream();
            results.send("half").await.unwrap();
            results.fail(Fault::failed("no more"));
        });
    });
    let mut client = plain(&door).await;
    // The reset may overtake even the head.
    if let Ok(response) = patient(client.send_request(request("POST", "/call/half", full("")))).await {
        assert!(patient(response.into_body().collect()).await.is_err());
    }
    let response = patient(client.send_request(request("POST", "/call/upper", full("on"))))
        .await
        .unwrap();
    assert_eq!(text(response).await, "ON");
}

#[tokio::test]
async fn a_stream_that_is_reset_gives_its_call_up() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("never", move |_, reply| {
        let tell = tell.clone();
        tell.send("begun").unwrap();
        tokio::spawn(async move {
            reply.cancellation().cancelled().await;
            tell.send("given up").unwrap();
        });
    });
    let mut client = plain(&door).await;
    let call = tokio::spawn(client.send_request(request("POST", "/call/never", full(""))));
    assert_eq!(patient(told.recv()).await, Some("begun"));
    call.abort();
    assert_eq!(patient(told.recv()).await, Some("given up"));
    let response = patient(client.send_request(request("GET", "/healthz", full(""))))
        .await
        .unwrap();
    assert_eq!(text(response).await, "ready\n", "the connection lives");
}

#[tokio::test]
async fn events_of_one_connection_do_not_replace_each_other() {
    let door = Door::open().await;
    let mut client = plain(&door).await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let request = request("GET", "/subscribe?topic=a", full(""));
        let response = patient(client.send_request(request)).await.unwrap();
        let mut body = response.into_body();
        patient(body.frame()).await.unwrap().unwrap();
        watchers.push(body);
    }
    assert_eq!(door.hub.stats().subscriptions, 3);
    door.publish("a", "x").await;
    for body in &mut watchers {
        let frame = patient(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.starts_with(b"id: "), "{frame:?}");
    }
    drop(watchers);
    door.until(|stats| stats.subscriptions == 0).await;
}

#[tokio::test]
async fn streams_and_heads_are_bounded() {
    let mut options = HttpOptions::default();
    options.connection.streams_max = 2;
    let door = Door::with(options).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("hold", move |_, reply| tell.send(reply).unwrap());
    let mut client = plain(&door).await;
    // Now the client knows the bound. Before, a stream too many would be refused.
    patient(client.send_request(request("GET", "/healthz", full(""))))
        .await
        .unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        let call = client.send_request(request("POST", "/call/hold", full("")));
        calls.push(tokio::spawn(async { text(call.await.unwrap()).await }));
    }
    let held = [
        patient(told.recv()).await.unwrap(),
        patient(told.recv()).await.unwrap(),
    ];
    // The third waits at the client until one of the others is answered.
    assert!(told.try_recv().is_err());
    held.into_iter().for_each(|reply| reply.result("done"));
    patient(told.recv()).await.unwrap().result("done");
    for call in calls {
        assert_eq!(patient(call).await.unwrap(), "done");
    }
    let mut large = request("GET", "/healthz", full(""));
    large
        .headers_mut()
        .insert("x", "y".repeat(40 << 10).parse().unwrap());
    let refused = patient(client.send_request(large)).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn an_idle_connection_says_good_bye() {
    let mut options = HttpOptions::default();
    options.connection.idle_timeout = Duration::from_millis(50);
    let door = Door::with(options).await;
    let io = patient(TcpStream::connect(door.ip())).await.unwrap();
    let (mut client, connection) = patient(handshake(TokioExecutor::new(), TokioIo::new(io)))
        .await
        .unwrap();
    let ended = tokio::spawn(connection);
    let response = patient(client.send_request(request("GET", "/healthz", full(""))))
        .await
        .unwrap();
    assert_eq!(text(response).await, "ready\n");
    patient(ended).await.unwrap().expect("a good end");
}

/// Runs curl, which has an HTTP/2 of its own (nghttp2), and tells what it prints.
async fn curl(arguments: Vec<String>) -> String {
    let run = move || std::process::Command::new("curl").args(arguments).output();
    let ran = tokio::task::spawn_blocking(run).await.unwrap().expect("curl");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn curl_talks_http_2_to_the_door() {
    let door = Door::open().await;
    door.serve_usual();
    let common = "--silent --show-error --max-time 20 --http2-prior-knowledge --write-out %{http_version}/%{http_code}";
    // One request a run: by prior knowledge, curl 7.88 cannot use a connection twice.
    let ask = |more: &[&str], target: &str| {
        let mut arguments: Vec<String> = common.split(' ').map(str::to_owned).collect();
        arguments.extend(more.iter().map(|more| (*more).to_owned()));
        arguments.push(format!("http://{}{target}", door.ip()));
        curl(arguments)
    };
    assert_eq!(ask(&["--data", "hello"], "/call/upper").await, "HELLO2/200");
    assert_eq!(ask(&[], "/healthz").await, "ready\n2/200");
    let long = "x".repeat(300_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, &long).unwrap();
    let body = format!("@{}", file.display());
    let answer = ask(&["--data-binary", &body], "/call/shout").await;
    assert_eq!(answer.strip_suffix("2/200"), Some(&*long.to_uppercase()));
    assert_eq!(ask(&["--data", "x"], "/call/busy").await, "come back\n2/503");
}
