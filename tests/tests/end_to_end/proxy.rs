//! Doors behind a proxy.

use std::time::Duration;

use switchboard_tests::{Daemon, Launch, Peer, python, run};

/// Longest wait for a refusal.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(10);

const CONFIG: &str = "[gotalk]\nlisten = ['unix://s', '{DOOR}://127.0.0.1:0']\nproxy_protocol = true\n\
                      proxy_trusted = ['127.0.0.1', '10.0.0.0/8']\n";

/// Behind a proxy at 127.0.0.1, and with a Unix door for the commands, which has no header.
fn behind(door: &str, more: &str) -> Daemon {
    Launch::new()
        .config(&(CONFIG.replace("{DOOR}", door) + more))
        .start()
}

/// The addresses that `sessions` shows, without that of the command itself.
fn addresses(daemon: &Daemon) -> Vec<String> {
    let sessions = daemon.sessions();
    let addresses = sessions
        .iter()
        .map(|session| session["address"].as_str().expect("text").to_owned());
    addresses
        .filter(|address| !address.starts_with("unix:"))
        .collect()
}

#[test]
fn sessions_shows_the_client_and_not_the_proxy() {
    let daemon = behind("tcp", "");
    let address = switchboard_tests::tcp_address(&daemon.doors[1]);
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\xc6\x33\x64\x07\xdc\x04\x01\xbb";
    for (header, shown) in [
        (
            &b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"[..],
            "192.0.2.1:56324",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
            "[2001:db8::1]:56324",
        ),
        (version_2, "192.0.2.2:56324"),
    ] {
        let mut peer = Peer::tcp_silent(address);
        peer.send([header, b"01"].concat());
        assert_eq!(peer.read(2), b"01");
        assert_eq!(peer.ask("hub.whoami", "{}")["address"], shown);
        assert_eq!(addresses(&daemon), [shown]);
        let table = daemon.run(&["sessions"]);
        assert!(table.text().contains(shown), "{table:?}");
        drop(peer);
        daemon.until_sessions(0);
    }
}

#[test]
fn within_tls_too() {
    let daemon = behind("tls", "[tls]\nself_signed = true\n");
    let header = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443";
    let call = |more: &[&str]| {
        let arguments = [
            "call",
            &daemon.doors[1],
            "hub.whoami",
            "{}",
            "--ca",
            "data/self-signed.crt",
        ];
        run(
            &mut python::command(daemon.folder(), &[&arguments[..], more].concat()),
            b"",
        )
    };
    let ran = call(&["--proxy", header]);
    assert!(ran.text().contains("\"192.0.2.1:56324\""), "{ran:?}");
    assert_ne!(call(&[]).status, 0, "without a header nobody comes in");
}

#[test]
fn strangers_and_clients_without_a_header_are_refused() {
    let daemon = behind(
        "tcp",
        "[limits]\nconnections_per_address = 2\nhandshake_timeout = '1s'\n",
    );
    let address = switchboard_tests::tcp_address(&daemon.doors[1]);
    let header = b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n01";
    let says = |source: &str, bytes: &[u8]| {
        let mut peer = Peer::tcp_from(source, address);
        // It may be refused already.
        let _ = peer.try_send(bytes);
        peer
    };
    assert!(
        says("127.0.0.2", header).is_refused(REFUSAL_TIME_MAX),
        "not trusted"
    );
    assert!(
        says("127.0.0.1", b"01").is_refused(REFUSAL_TIME_MAX),
        "no header, and no more"
    );
    assert!(
        says("127.0.0.1", b"GET / HTTP/1.1\r\n\r\n").is_refused(REFUSAL_TIME_MAX),
        "no header"
    );
    // The limit of an address is that of the client's, not of the proxy's.
    let mut two = [says("127.0.0.1", header), says("127.0.0.1", header)];
    for peer in &mut two {
        assert_eq!(peer.read(2), b"01");
    }
    assert!(
        says("127.0.0.1", header).is_refused(REFUSAL_TIME_MAX),
        "a third of the same client"
    );
    let mut other = says("127.0.0.1", b"PROXY TCP4 192.0.2.9 198.51.100.7 1 2\r\n01");
    assert_eq!(other.read(2), b"01");
    for peer in &mut two {
        assert_eq!(peer.call("nope", "").kind, 'E');
    }
}
