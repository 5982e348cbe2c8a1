//! Calls with one payload.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use switchboard_gateway_http::HttpOptions;
use switchboard_hub::{
    Call, Declaration, ErrorKind, Fault, HubConfig, MEDIA_TYPE_BYTES_MAX, MediaType, Replier, Session,
};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::support::{Door, Raw, config, patient, session, single};

#[tokio::test]
async fn a_body_goes_in_and_the_result_comes_out() {
    let door = Door::open().await;
    door.serve_usual();
    let response = door.post("/call/upper", "hello").await;
    assert_eq!((response.status, response.text()), (200, "HELLO"));
    assert_eq!(response.header("content-type"), Some("application/octet-stream"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("server"), None);
    assert!(response.header("date").is_some());
    assert_eq!(door.post("/call/upper", "").await.text(), "");
}

#[tokio::test]
async fn an_operation_may_have_any_name() {
    let door = Door::open().await;
    for (target, name) in [
        ("/call/a/b", "a/b"),
        ("/call/a%2Fb%3F", "a/b?"),
        ("/call//", "/"),
        ("/call/%E2%82%AC+1", "€+1"),
        ("/call/100%25", "100%"),
        ("/call/a.b-c_d~e!$&'()*,;=:@", "a.b-c_d~e!$&'()*,;=:@"),
    ] {
        door.serve(name, move |call, reply| {
            reply.result(format!("{} {:?}", call.operation, single(call.body)))
        });
        let response = door.post(target, "x").await;
        assert_eq!(
            (response.status, response.text()),
            (200, &*format!("{name} b\"x\"")),
            "{target}"
        );
    }
    for (target, status) in [
        ("/call/%", 400),
        ("/call/%ff", 400),
        ("/call/", 400),
        ("/call/nobody", 404),
        ("/call", 404),
    ] {
        assert_eq!(door.post(target, "").await.status, status, "{target}");
    }
}

#[tokio::test]
async fn faults_follow_the_table() {
    let door = Door::open().await;
    door.serve("kind", |call, reply| {
        let kind = match &*single(call.body) {
            b"denied" => ErrorKind::Denied,
            b"invalid" => ErrorKind::Invalid,
            b"conflict" => ErrorKind::Conflict,
            b"too large" => ErrorKind::TooLarge,
            b"unsupported" => ErrorKind::Unsupported,
            b"unknown" => ErrorKind::Unknown,
            _ => ErrorKind::Failed,
        };
        reply.fault(Fault::error(kind, "why"));
    });
    for (kind, status) in [
        ("invalid", 400),
        ("failed", 400),
        ("denied", 403),
        ("unknown", 404),
        ("conflict", 409),
        ("too large", 413),
        ("unsupported", 501),
    ] {
        let response = door.post("/call/kind", kind).await;
        assert_eq!((response.status, response.text()), (status, "why\n"));
        let response = door
            .ask("POST", "/call/kind", "Accept: application/json\r\n", kind)
            .await;
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(
            (response.status, response.json()),
            (status, json!({ "error": "why", "kind": kind }))
        );
    }
    let unknown = door.post("/call/nobody", "").await;
    assert_eq!(
        (unknown.status, unknown.text()),
        (404, "unknown operation \"nobody\"\n")
    );
}

#[tokio::test]
async fn a_retry_says_when_to_come_back() {
    let door = Door::open().await;
    door.serve_usual();
    let response = door.post("/call/busy", "").await;
    assert_eq!((response.status, response.text()), (503, "come back\n"));
    assert_eq!(response.header("retry-after"), Some("2"));
    assert_eq!(response.header("retry-after-ms"), Some("1500"));
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_is_given_up() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("never", move |call, reply| {
        let tell = tell.clone();
        tell.send(call.deadline.is_some()).unwrap();
        tokio::spawn(async move {
            reply.cancellation().cancelled().await;
            tell.send(true).unwrap();
        });
    });
    let response = door.post("/call/never?timeout=20ms", "").await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(
        patient(told.recv()).await,
        Some(true),
        "the responder knows the deadline"
    );
    assert_eq!(
        patient(told.recv()).await,
        Some(true),
        "and that the call is given up"
    );
    for bad in ["timeout=x", "timeout=2d", "timeout", "timeuot=1s", "timeout=%zz"] {
        assert_eq!(
            door.post(&format!("/call/never?{bad}"), "").await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_call_up() {
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
    let mut raw = door.raw().await;
    raw.request("POST", "/call/never", "", "x").await;
    assert_eq!(patient(told.recv()).await, Some("begun"));
    drop(raw);
    assert_eq!(patient(told.recv()).await, Some("given up"));
}

#[tokio::test]
async fn the_hubs_own_read_only_operations_can_be_called_by_get() {
    let door = Door::open().await;
    for operation in ["hub.whoami", "hub.ops", "hub.sessions", "hub.stats"] {
        let response = door.get(&format!("/call/{operation}")).await;
        assert_eq!(response.status, 200, "{operation}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(response.json().is_object());
        let head = door.ask("HEAD", &format!("/call/{operation}"), "", "").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    let one = door.get("/call/hub.ops?arg=%7B%22limit%22:1%7D").await;
    assert_eq!(one.json()["ops"].as_array().unwrap().len(), 1);
    assert_eq!(door.get("/call/hub.whoami").await.json()["door"], "http");
    assert_eq!(
        door.get("/call/hub.ops?arg=%7B%22limit%22:0%7D").await.status,
        400
    );
}

#[tokio::test]
async fn what_may_change_something_cannot_be_called_by_get() {
    let door = Door::open().await;
    door.serve_usual();
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let response = door.ask(method, "/call/upper", "", "").await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
    let response = door.ask("PUT", "/call/hub.ops", "", "").await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD, POST"))
    );
    let options = door.ask("OPTIONS", "/call/upper", "", "").await;
    assert_eq!((options.status, options.header("allow")), (204, Some("POST")));
}

/// Serves an operation that answers with what it got, declared as given.
fn serve_declared(session: &Session, operation: &str, safe: bool, result_type: Option<&str>) {
    let declaration = Declaration {
        safe,
        result_type: result_type.map(|known| MediaType::parse(known).unwrap()),
    };
    let echo = |call: Call, reply: Replier| reply.result(single(call.body));
    session
        .serve_declared(operation, Arc::new(echo), declaration)
        .unwrap();
}

#[tokio::test]
async fn what_is_declared_safe_can_be_called_by_get() {
    let door = Door::open().await;
    serve_declared(&door.session, "read", true, None);
    let response = door.get("/call/read?arg=a%26b").await;
    assert_eq!((response.status, response.text()), (200, "a&b"));
    assert_eq!(door.get("/call/read").await.text(), "");
    assert_eq!(door.post("/call/read", "x").await.text(), "x");
    assert_eq!(door.ask("HEAD", "/call/read", "", "").await.status, 200);
    let options = door.ask("OPTIONS", "/call/read", "", "").await;
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(door.get("/call/read?other=x").await.status, 400);
    assert_eq!(door.get("/call/nobody").await.status, 404);

    let doubtful = session(&door.hub);
    serve_declared(&doubtful, "read", false, None);
    for _ in 0..4 {
        let response = door.get("/call/read").await;
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("POST")),
            "safe only if all say so"
        );
    }
    drop(doubtful);
    assert_eq!(door.get("/call/read").await.status, 200);
}

#[tokio::test]
async fn results_are_of_the_type_that_their_responder_declares() {
    let door = Door::open().await;
    serve_declared(&door.session, "page", true, Some("text/html; charset=utf-8"));
    for response in [
        door.get("/call/page?arg=x").await,
        door.post("/call/page", "x").await,
    ] {
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(
            response.header("content-security-policy"),
            Some("sandbox"),
            "it is no page of this door's own"
        );
    }
    let stream = |_, reply: Replier| {
        tokio::spawn(async move {
            let mut parts = reply.stream();
            parts.send("a,b").await.unwrap();
            parts.finish();
        });
    };
    let declaration = Declaration {
        result_type: Some(MediaType::parse("text/csv").unwrap()),
        ..Declaration::default()
    };
    door.session
        .serve_declared("table", Arc::new(stream), declaration)
        .unwrap();
    let response = door.post("/call/table", "").await;
    assert_eq!(response.header("content-type"), Some("text/csv"));
    let fault = |_, reply: Replier| reply.fault(Fault::failed("no"));
    let declaration = Declaration {
        result_type: Some(MediaType::parse("image/png").unwrap()),
        ..Declaration::default()
    };
    door.session
        .serve_declared("fails", Arc::new(fault), declaration)
        .unwrap();
    let response = door.post("/call/fails", "").await;
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8"),
        "a fault is no result"
    );
}

#[tokio::test]
async fn a_responder_learns_what_the_body_is() {
    let door = Door::open().await;
    door.serve("what", |call, reply| {
        reply.result(format!("{:?}", call.content_type.map(|known| known.to_string())))
    });
    let long = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX));
    for (header, known) in [
        (
            "Content-Type: text/plain; charset=utf-8\r\n",
            Some("text/plain; charset=utf-8"),
        ),
        (
            "Content-Type: application/x-www-form-urlencoded\r\n",
            Some("application/x-www-form-urlencoded"),
        ),
        ("", None),
        ("Content-Type: nonsense\r\n", None),
        ("Content-Type: \r\n", None),
        (&*format!("Content-Type: {long}\r\n"), None),
    ] {
        let response = door.ask("POST", "/call/what", header, "x").await;
        assert_eq!(response.text(), format!("{known:?}"), "{header}");
    }
}

#[tokio::test]
async fn the_hubs_own_operations_take_their_payload_however_it_comes() {
    let door = Door::open().await;
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/hub.publish").await;
    raw.chunk(r#"{"topic":"a","#).await;
    raw.chunk(r#""payload":"b"}"#).await;
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.response("POST").await.text(), r#"{"subscriptions":0}"#);
    for operation in [
        "hub.login",
        "hub.serve",
        "hub.unserve",
        "hub.subscribe",
        "hub.unsubscribe",
    ] {
        let response = door.post(&format!("/call/{operation}"), "{}").await;
        assert_eq!(response.status, 501, "{operation}");
        assert!(response.text().contains("WebSocket"), "{}", response.text());
    }
}

#[tokio::test]
async fn who_asks_first_whether_to_send_its_body_is_told() {
    let door = Door::open().await;
    door.serve_usual();
    let head = |length: u64| {
        format!(
            "POST /call/upper HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut raw = door.raw().await;
    raw.send(head(5)).await;
    assert_eq!(raw.head().await, "HTTP/1.1 100 Continue");
    raw.send("hello").await;
    assert_eq!(raw.response("POST").await.text(), "HELLO");
    raw.send(head(1 << 40)).await;
    assert_eq!(raw.response("POST").await.status, 413);
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_in_their_order() {
    let door = Door::open().await;
    door.serve_usual();
    let mut raw = door.raw().await;
    let request = |body: &str| {
        format!(
            "POST /call/upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // All at once: pipelined.
    let all: String = (0..50).map(|number| request(&format!("a{number}"))).collect();
    raw.send(all).await;
    for number in 0..50 {
        assert_eq!(raw.response("POST").await.text(), format!("A{number}"));
    }
    raw.request("POST", "/call/upper", "", "again").await;
    assert_eq!(raw.response("POST").await.text(), "AGAIN");
    assert_eq!(door.hub.stats().sessions, 2, "one connection is one party");
}

#[tokio::test]
async fn a_unix_socket_is_a_door_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let config = config(&format!("unix://{}", path.display()));
    let door = Door::at(config, HubConfig::default(), HttpOptions::default()).await;
    door.serve_usual();
    let mut raw = Raw::new(UnixStream::connect(&path).await.unwrap());
    raw.request("POST", "/call/upper", "", "hello").await;
    assert_eq!(raw.response("POST").await.text(), "HELLO");
    raw.request("GET", "/call/hub.whoami", "", "").await;
    let whoami = raw.response("GET").await.json();
    assert!(
        whoami["address"].as_str().unwrap().starts_with("unix:uid="),
        "{whoami}"
    );
    // No browser comes this way, so any name will do.
    raw.send("GET /healthz HTTP/1.1\r\nHost: whatever.example\r\n\r\n")
        .await;
    assert_eq!(raw.response("GET").await.status, 200);
}

#[tokio::test]
async fn a_hub_that_is_full_says_when_to_come_back() {
    let hub = HubConfig {
        sessions_max: 1,
        ..HubConfig::default()
    };
    let door = Door::at(config("tcp://127.0.0.1:0"), hub, HttpOptions::default()).await;
    for target in ["/call/upper", "/publish/x"] {
        let response = door.post(target, "").await;
        assert_eq!(
            (response.status, response.header("retry-after")),
            (503, Some("5")),
            "{target}"
        );
    }
    for target in ["/subscribe?topic=x", "/healthz"] {
        assert_eq!(door.get(target).await.status, 503, "{target}");
    }
    door.session.close();
    assert_eq!(door.get("/healthz").await.text(), "ready\n");
    tokio::time::timeout(Duration::from_secs(5), door.get("/call/hub.ops"))
        .await
        .unwrap();
}
