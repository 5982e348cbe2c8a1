//! The HTTP door, asked by curl as a person would.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use serde_json::Value;
use tokio::process::Command;

use super::support::*;

const LISTEN: [&str; 4] = ["--listen", "tcp://127.0.0.1:0", "--listen", "http://127.0.0.1:0"];

const LIBRARY: &str = include_str!("../../../clients/js/dist/gotalk.js");

/// A daemon with a door for gotalk and one for HTTP, and where the latter is.
async fn start(arguments: &[&str]) -> (Daemon, String) {
    let daemon = Daemon::start_in(folder(), &[&LISTEN, arguments].concat(), &[]).await;
    let door = daemon.doors.get(1).expect("a second door").clone();
    (daemon, door)
}

fn curl(folder: &Path, arguments: &[&str]) -> Command {
    let limit = LIMIT.as_secs().to_string();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", &limit])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn fetch(daemon: &Daemon, arguments: &[&str]) -> Ran {
    run_with(curl(daemon.folder(), arguments), b"").await
}

/// A header of an answer printed with `--include` or `--head`.
fn header<'a>(ran: &'a Ran, name: &str) -> Option<&'a str> {
    let head = ran.stdout.split(|byte| *byte == b'\n').map(|line| {
        let line = std::str::from_utf8(line).unwrap_or_default();
        line.trim_end()
    });
    head.take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn its_line_stands_below_that_of_gotalk() {
    let folder = folder();
    let arguments = [&["serve"], &LISTEN[..]].concat();
    let mut daemon = Process::start(switchboard(folder.path(), arguments));
    assert!(daemon.line().await.starts_with("gotalk  tcp://127.0.0.1:"));
    assert!(daemon.line().await.starts_with("http    http://127.0.0.1:"));
    assert_eq!(daemon.line().await, "ready");
}

#[tokio::test]
async fn curl_calls_what_a_program_serves() {
    let (daemon, door) = start(&[]).await;
    let _upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]).await;
    let call = format!("{door}/call/upper");
    fetch(&daemon, &["-d", "hello", &call]).await.is(0, "HELLO");

    let unknown = format!("{door}/call/nobody");
    let ran = fetch(&daemon, &["-d", "x", "-w", " %{http_code}", &unknown]).await;
    assert!(ran.text().ends_with(" 404"), "{ran:?}");
    let whoami = fetch(&daemon, &[&format!("{door}/call/hub.whoami")]).await;
    let whoami: Value = serde_json::from_str(whoami.text()).expect("JSON");
    assert_eq!(whoami["door"], "http");
}

#[tokio::test]
async fn a_browser_is_told_what_a_programs_results_are() {
    let (daemon, door) = start(&[]).await;
    let arguments = ["page", "--safe", "--result-type", "text/html; charset=utf-8"];
    let _page = daemon.handle(&[&arguments[..], &["--", "cat"]].concat()).await;
    let url = format!("{door}/call/page?arg=hello");
    let answer = fetch(&daemon, &["-i", &url]).await;
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
    assert!(answer.text().ends_with("hello"), "{answer:?}");

    let wrong = ["handle", "wrong", "--result-type", "no type", "--", "cat"];
    daemon.run(&wrong).await.fails(1, &["media type", "no type"]);
}

#[tokio::test]
async fn a_program_is_told_what_its_payload_is() {
    let (daemon, door) = start(&[]).await;
    let script = "cat; printf ' is %s' ${SWITCHBOARD_CONTENT_TYPE-unsaid}";
    let _what = daemon.handle(&["what", "--", "sh", "-c", script]).await;
    let url = format!("{door}/call/what");
    for (header, answer) in [
        ("Content-Type: image/png", "x is image/png"),
        ("Content-Type:", "x is unsaid"),
        ("Content-Type: no media type", "x is unsaid"),
    ] {
        fetch(&daemon, &["-H", header, "-d", "x", &url])
            .await
            .is(0, answer);
    }
}

#[tokio::test]
async fn what_is_published_at_one_door_is_seen_at_the_other() {
    let (daemon, door) = start(&[]).await;
    daemon
        .run(&["publish", "--retain", "home/lamp", "off"])
        .await
        .is(0, "");
    let events = format!("{door}/subscribe?topic=home/%23");
    let mut events = Process::start(curl(daemon.folder(), &["-N", &events]));
    // The last value shows that it is subscribed.
    let mut next = async || loop {
        if let Some(data) = events.line().await.strip_prefix("data: ") {
            let message: Value = serde_json::from_str(data).expect("JSON");
            return format!("{} {}", message["topic"], message["payload"]);
        }
    };
    assert_eq!(next().await, r#""home/lamp" "off""#);
    daemon.run(&["publish", "home/lamp", "on"]).await.is(0, "");
    assert_eq!(next().await, r#""home/lamp" "on""#);

    let mut subscriber = daemon.subscribe(&["home/door", "--count", "1"]).await;
    let publish = format!("{door}/publish/home/door");
    let told = fetch(&daemon, &["-d", "open", &publish]).await;
    assert_eq!(told.text().trim_end(), r#"{"subscriptions":2}"#);
    assert_eq!(subscriber.line().await, "home/door\topen");
    assert_eq!(next().await, r#""home/door" "open""#);
}

#[tokio::test]
async fn pages_get_the_library_compressed_and_once() {
    let (daemon, door) = start(&[]).await;
    let library = format!("{door}/gotalk/gotalk.js");
    fetch(&daemon, &[&library]).await.is(0, LIBRARY);
    let gzip = "Accept-Encoding: gzip";
    let head = fetch(&daemon, &["--head", "-H", gzip, &library]).await;
    assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{head:?}");
    assert_eq!(header(&head, "vary"), Some("Accept-Encoding"));
    let tag = header(&head, "etag").expect("a tag").to_owned();
    let unpacked = fetch(&daemon, &["--compressed", "-H", gzip, &library]).await;
    unpacked.is(0, LIBRARY);
    let known = format!("If-None-Match: {tag}");
    let again = fetch(
        &daemon,
        &["-H", gzip, "-H", &known, "-w", "%{http_code}", &library],
    )
    .await;
    again.is(0, "304");
}

#[tokio::test]
async fn the_page_runs_nothing_that_it_does_not_bring() {
    let (daemon, door) = start(&[]).await;
    let page = fetch(&daemon, &["--include", &door]).await;
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    let policy = header(&page, "content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    for path in [
        "/call/",
        "/subscribe",
        "/gotalk/gotalk.js",
        "/healthz",
        "/metrics",
    ] {
        assert!(page.text().contains(path), "{path}");
    }
    for bare in ["<style", "style=", "onclick", "<script>"] {
        assert!(!page.text().contains(bare), "the policy forbids {bare}");
    }
}

#[tokio::test]
async fn it_says_how_it_does() {
    let (daemon, door) = start(&[]).await;
    fetch(&daemon, &[&format!("{door}/healthz")])
        .await
        .is(0, "ready\n");
    let metrics = fetch(&daemon, &[&format!("{door}/metrics")]).await;
    for line in ["# TYPE switchboard_", "switchboard_sessions"] {
        assert!(
            metrics.text().contains(line),
            "{line} is missing: {}",
            metrics.text()
        );
    }
}

#[tokio::test]
async fn commands_talk_over_websocket() {
    let (daemon, door) = start(&[]).await;
    let hub = door.replace("http://", "ws://");
    let _upper = daemon
        .handle(&["--hub", &hub, "upper", "--", "tr", "a-z", "A-Z"])
        .await;
    let slash = format!("{hub}/");
    for hub in [&*hub, &slash, daemon.url()] {
        daemon
            .run(&["--hub", hub, "call", "upper", "hello"])
            .await
            .is(0, "HELLO");
    }
    let whoami = daemon.run(&["--hub", &hub, "call", "hub.whoami"]).await;
    assert!(whoami.text().contains("\"door\":\"websocket\""), "{whoami:?}");
    let wrong = format!("{hub}/nowhere");
    daemon.run(&["--hub", &wrong, "ops"]).await.fails(69, &["404"]);
}

#[tokio::test]
async fn other_sites_are_refused_unless_they_are_configured() {
    let environment = [("SWITCHBOARD_HTTP_ORIGINS", "https://app.example.org")];
    let daemon = Daemon::start_in(folder(), &LISTEN, &environment).await;
    let ops = format!("{}/call/hub.ops", daemon.doors.get(1).expect("a second door"));
    let status = async |origin: &str| {
        let origin = format!("Origin: {origin}");
        let arguments = ["-o", "answer", "-w", "%{http_code}", "-H", &origin, &ops];
        fetch(&daemon, &arguments).await.text().to_owned()
    };
    assert_eq!(status("https://app.example.org").await, "200");
    assert_eq!(status("https://evil.example.org").await, "403");
}

#[tokio::test]
async fn what_other_machines_could_reach_is_refused() {
    let folder = folder();
    for address in ["http://0.0.0.0:0", "https://[::]:0"] {
        let arguments = ["serve", "--listen", address, "--tls-self-signed"];
        let ran = run_with(switchboard(folder.path(), arguments), b"").await;
        ran.fails(
            64,
            &["--listen: http.listen: ", "can be reached from other machines"],
        );
        assert_eq!(ran.text(), "");
    }
}

#[tokio::test]
async fn one_certificate_is_for_all_doors() {
    let listen = ["--listen", "tls://127.0.0.1:0", "--listen", "https://127.0.0.1:0"];
    let arguments = [&listen[..], &["--tls-self-signed"]].concat();
    let daemon = Daemon::start_in(folder(), &arguments, &[]).await;
    let [gotalk, https] = &daemon.doors[..] else {
        panic!("{:?}", daemon.doors)
    };
    assert!(https.starts_with("https://127.0.0.1:"), "{https}");
    let ca = ["--cacert", "data/self-signed.crt"];
    let health = format!("{https}/healthz");
    for (version, shown) in [("--http2", "ready\n2"), ("--http1.1", "ready\n1.1")] {
        let arguments = [&ca[..], &[version, "-w", "%{http_version}", &health]].concat();
        fetch(&daemon, &arguments).await.is(0, shown);
    }
    let wss = https.replace("https://", "wss://");
    for hub in [gotalk, &wss] {
        let arguments = ["--hub", hub, "--ca", "data/self-signed.crt", "ops"];
        let ran = daemon.run(&arguments).await;
        assert_eq!(ran.status, 0, "{hub}: {ran:?}");
    }
    assert_ne!(
        fetch(&daemon, &[&health]).await.status,
        0,
        "nobody trusts it unasked"
    );
}

#[tokio::test]
async fn it_listens_at_a_socket_too() {
    let environment = [
        ("SWITCHBOARD_GOTALK_LISTEN", "[]"),
        ("SWITCHBOARD_HTTP_LISTEN", "unix://{data}/http.sock"),
    ];
    let daemon = Daemon::start_in(folder(), &[], &environment).await;
    assert_eq!(daemon.doors, ["unix://./data/http.sock"]);
    let arguments = ["--unix-socket", "data/http.sock", "http://any.name/healthz"];
    fetch(&daemon, &arguments).await.is(0, "ready\n");
}

#[tokio::test]
async fn a_stop_lets_a_streamed_answer_end() {
    let (daemon, door) = start(&[]).await;
    let gate = Fifo::new(daemon.folder(), "gate");
    let script = "echo first; read line < gate; echo last";
    let _work = daemon
        .handle(&["work", "--stream", "--", "sh", "-c", script])
        .await;
    let call = format!("{door}/call/work");
    let mut call = Process::start(curl(daemon.folder(), &["-N", "-d", "x", &call]));
    assert_eq!(call.line().await, "first");
    let events = format!("{door}/subscribe?topic=%23");
    let mut events = Process::start(curl(daemon.folder(), &["-N", "--include", &events]));
    assert_eq!(events.line().await.trim_end(), "HTTP/1.1 200 OK");

    let Daemon {
        mut process,
        doors: _,
        folder,
    } = daemon;
    process.send(Signal::SIGTERM);
    process.says("draining").await;
    assert_eq!(
        events.end().await.status,
        0,
        "an event stream ends as a whole one"
    );
    // Nobody new is taken in; 7 says that it could not connect.
    let late = run_with(curl(folder.path(), &[&format!("{door}/healthz")]), b"").await;
    assert_eq!(late.status, 7, "{late:?}");
    let _open = gate.open_gate(1);
    call.end().await.is(0, "last\n");
    let ran = process.end().await;
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("everything had ended"), "{ran:?}");
}

#[tokio::test]
async fn its_access_log_is_kept_and_can_be_rotated() {
    let environment = [("SWITCHBOARD_HTTP_ACCESS_LOG", "{data}/access.log")];
    let mut daemon = Daemon::start_in(folder(), &LISTEN, &environment).await;
    let health = format!("{}/healthz", daemon.doors.get(1).expect("a second door"));
    fetch(&daemon, &["-A", "first", &health]).await.is(0, "ready\n");
    let data = daemon.folder().join("data");
    std::fs::rename(data.join("access.log"), data.join("access.log.1")).expect("it is there");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("access log opened anew").await;
    fetch(&daemon, &["-A", "second", &health]).await.is(0, "ready\n");
    let (folder, _) = daemon.stop().await;

    for (name, agent) in [("access.log.1", "first"), ("access.log", "second")] {
        let text = std::fs::read_to_string(folder.path().join("data").join(name)).expect("it is there");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
        let end = format!("\"GET /healthz HTTP/1.1\" 200 6 \"-\" \"{agent}\"\n");
        assert!(text.ends_with(&end), "{text}");
    }
}

#[tokio::test]
async fn who_root_becomes_owns_the_socket_and_the_access_log() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let folder = folder();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("mine");
    let path = folder.path().to_str().expect("UTF-8").to_owned();
    let data = format!("{path}/data");
    let environment = [
        ("SWITCHBOARD_SERVER_USER", "65534"),
        ("SWITCHBOARD_SERVER_GROUP", "65534"),
        ("SWITCHBOARD_SERVER_CHROOT", &*path),
        ("SWITCHBOARD_SERVER_DATA", &*data),
        ("SWITCHBOARD_GOTALK_LISTEN", "[]"),
        ("SWITCHBOARD_HTTP_LISTEN", "unix://{data}/http.sock"),
        ("SWITCHBOARD_HTTP_ACCESS_LOG", "{data}/access.log"),
    ];
    let mut daemon = Daemon::start_in(folder, &[], &environment).await;
    let data = daemon.folder().join("data");
    let owner = |name: &str| std::fs::metadata(data.join(name)).expect("it is there").uid();
    assert_eq!((owner("http.sock"), owner("access.log")), (65534, 65534));
    let mode = std::fs::metadata(data.join("access.log")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o137, 0, "no others, nothing to run");

    std::fs::rename(data.join("access.log"), data.join("access.log.1")).expect("it is there");
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("access log opened anew").await;
    let arguments = ["--unix-socket", "data/http.sock", "http://localhost/healthz"];
    fetch(&daemon, &arguments).await.is(0, "ready\n");
    let (folder, _) = daemon.stop().await;
    let text = std::fs::read_to_string(folder.path().join("data/access.log")).expect("it is there");
    assert!(text.contains("GET /healthz"), "{text}");
}

#[tokio::test]
async fn requests_may_be_told_among_the_log() {
    let environment = [("SWITCHBOARD_HTTP_ACCESS_LOG", "log")];
    let mut daemon = Daemon::start_in(folder(), &LISTEN, &environment).await;
    let health = format!("{}/healthz", daemon.doors.get(1).expect("a second door"));
    fetch(&daemon, &[&health]).await.is(0, "ready\n");
    daemon.process.says("\"GET /healthz HTTP/1.1\" 200 6").await;
}
