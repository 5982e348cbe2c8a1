//! Pages of other origins, and names that lead here.

use switchboard_gateway_http::HttpOptions;

use crate::support::Door;

const TARGETS: [(&str, &str); 4] = [
    ("POST", "/call/upper"),
    ("POST", "/publish/a"),
    ("GET", "/subscribe?topic=a&wait=0"),
    ("GET", "/call/hub.ops"),
];

async fn door() -> Door {
    let door = Door::with(HttpOptions {
        origins: vec!["https://app.example.org".to_owned()],
        hosts: vec!["door.example.org".to_owned()],
        ..HttpOptions::default()
    })
    .await;
    door.serve_usual();
    door
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_and_nothing_happens() {
    let door = door().await;
    for origin in [
        "null",
        "http://evil.example",
        "http://localhost:1",
        "https://app.example.org.evil.example",
    ] {
        for (method, target) in TARGETS {
            let response = door
                .ask(method, target, &format!("Origin: {origin}\r\n"), "")
                .await;
            assert_eq!(response.status, 403, "{origin} {target}");
            assert!(
                response.text().contains("`origins`"),
                "it says what to configure: {}",
                response.text()
            );
            assert_eq!(response.header("access-control-allow-origin"), None);
        }
    }
    let stats = door.hub.stats();
    assert_eq!((stats.calls, stats.published), (0, 0));
    assert_eq!(door.gateway.stats().origins_refused, 16);
}

#[tokio::test]
async fn own_pages_and_those_that_were_configured_are_taken() {
    let door = door().await;
    for (method, target) in TARGETS {
        let own = door.ask(method, target, "Origin: http://localhost\r\n", "").await;
        assert!(own.status < 300, "{target}: {}", own.status);
        assert_eq!(own.header("access-control-allow-origin"), None);
        let configured = door
            .ask(method, target, "Origin: https://app.example.org\r\n", "")
            .await;
        assert!(configured.status < 300, "{target}: {}", configured.status);
        assert_eq!(
            configured.header("access-control-allow-origin"),
            Some("https://app.example.org")
        );
        assert_eq!(configured.header("vary"), Some("Origin"));
    }
    // The library is for everybody.
    assert_eq!(
        door.ask("GET", "/gotalk.js", "Origin: http://evil.example\r\n", "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_preflight_tells_what_may_be_asked() {
    let door = door().await;
    let headers = "Origin: https://app.example.org\r\nAccess-Control-Request-Method: POST\r\n\
                   Access-Control-Request-Private-Network: true\r\n";
    let response = door.ask("OPTIONS", "/call/upper", headers, "").await;
    assert_eq!((response.status, response.body.len()), (204, 0));
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.org"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-private-network", "true"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let foreign = "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let response = door.ask("OPTIONS", "/call/upper", foreign, "").await;
    assert_eq!(
        (response.status, response.header("access-control-allow-methods")),
        (403, None)
    );
}

#[tokio::test]
async fn only_requests_for_this_door_are_taken() {
    let door = door().await;
    for (host, status) in [
        ("localhost", 200),
        ("localhost:4780", 200),
        ("127.0.0.1:4780", 200),
        ("[::1]:4780", 200),
        ("door.example.org", 200),
        ("Door.Example.Org:443", 200),
        ("evil.example", 421),
        ("evil.example:4780", 421),
        ("localhost.evil.example", 421),
    ] {
        let mut raw = door.raw().await;
        raw.send(format!("GET /call/hub.ops HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        let response = raw.response("GET").await;
        assert_eq!(response.status, status, "{host}");
        if status == 421 {
            assert!(
                response.text().contains("`hosts`"),
                "it says what to configure: {}",
                response.text()
            );
        }
    }
    // A target that names its host wins over the header.
    let mut raw = door.raw().await;
    raw.send("GET http://evil.example/call/hub.ops HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(raw.response("GET").await.status, 421);
    // Before HTTP/1.1 nobody had to say it.
    raw.send("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(raw.response("GET").await.status, 200);
}
