//! `[http]`

use std::path::Path;

use switchboard_net::ProxyProtocol;

use super::{load_text, only_problem, problems};
use crate::config::{
    address::{HTTP, ListenError, listen},
    raw::AccessLog,
};

fn problem(keys: &str) -> String {
    only_problem(&format!("[http]\n{keys}"))
}

#[test]
fn it_is_open_by_default() {
    let http = load_text("").expect("good").config.http;
    let listen: Vec<_> = http.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["tcp://127.0.0.1:4780"]);
    assert_eq!(http.access_log, AccessLog::Off);
    assert_eq!(http.body_max, 1 << 30);
    let closed = load_text("[http]\nlisten = []").expect("good").config;
    assert!(closed.http.listen.is_empty() && !closed.gotalk.listen.is_empty());
}

#[test]
fn its_addresses_are_urls() {
    let read = |text: &str| listen(text, Some(Path::new("/d")), &HTTP).map(|address| address.to_string());
    for (text, address) in [
        ("http://127.0.0.1:4780", "tcp://127.0.0.1:4780"),
        ("http://localhost:4780/", "tcp://localhost:4780"),
        ("https://[::1]:0", "tls://[::1]:0"),
        ("127.0.0.1:4780", "tcp://127.0.0.1:4780"),
        ("unix://{data}/http.sock", "unix:///d/http.sock"),
        ("fd://web", "fd://web"),
    ] {
        assert_eq!(read(text), Ok(address.to_owned()), "{text}");
    }
    for foreign in ["tcp://127.0.0.1:1", "tls://127.0.0.1:1", "ws://127.0.0.1:1"] {
        let refused = read(foreign).expect_err(foreign);
        assert!(matches!(refused, ListenError::Scheme { .. }), "{refused}");
    }
    for bad in [
        "http://127.0.0.1",
        "http://127.0.0.1:1/x",
        "http://",
        "http://::1:1",
    ] {
        let refused = read(bad).expect_err(bad);
        assert!(matches!(refused, ListenError::Address(_)), "{bad}: {refused}");
    }
    assert!(problem("listen = ['tcp://127.0.0.1:1']").contains("http:// and https:// to the HTTP door"));
    assert!(problem("listen = ['http://127.0.0.1:1', 'http://127.0.0.1:1']").contains("twice"));
}

#[test]
fn open_addresses_are_refused() {
    let told = problem("listen = 'http://0.0.0.0:80'");
    assert!(
        told.starts_with("FILE:2:10: http.listen: `http://0.0.0.0:80` can be reached"),
        "{told}"
    );
    assert!(told.contains("ssh -L 4780:"), "{told}");
}

#[test]
fn https_needs_a_certificate_and_is_reason_enough_for_one() {
    let https = "[http]\nlisten = 'https://127.0.0.1:0'\n";
    let told = only_problem(https);
    assert!(told.contains("http.listen: a https:// address needs"), "{told}");
    assert!(load_text(&format!("{https}[tls]\nself_signed = true")).is_ok());
    let both = problems(&format!("{https}[gotalk]\nlisten = 'tls://127.0.0.1:0'"));
    assert_eq!(both.len(), 2, "{both:#?}");
}

#[test]
fn origins_are_what_browsers_send() {
    let good = "origins = ['https://example.org', 'http://localhost:8080/', 'https://[::1]:1', 'chrome-extension://x']";
    assert!(load_text(&format!("[http]\n{good}")).is_ok());
    for (bad, words) in [
        ("null", "cannot be allowed"),
        ("*", "is no origin"),
        ("example.org", "is no origin"),
        ("https://", "is no origin"),
        ("https://example.org/app", "is no origin"),
        ("https://*.example.org", "is no origin"),
        ("https://a@example.org", "is no origin"),
        ("https://example.org:443", "leave it out"),
        ("http://localhost:80", "leave it out"),
    ] {
        let told = problem(&format!("origins = '{bad}'"));
        assert!(told.contains("http.origins: ") && told.contains(words), "{told}");
    }
}

#[test]
fn hosts_are_names() {
    assert!(load_text("[http]\nhosts = ['hub.example.org', 'hub']").is_ok());
    for bad in [
        "",
        "https://example.org",
        "example.org:80",
        "*.example.org",
        "[::1]",
    ] {
        let told = problem(&format!("hosts = '{bad}'"));
        assert!(
            told.contains("http.hosts: ") && told.contains("is no host name"),
            "{told}"
        );
    }
}

#[test]
fn the_access_log_goes_where_it_is_told() {
    let log = |text: &str| {
        let loaded = load_text(&format!("[server]\ndata = '/d'\n[http]\naccess_log = '{text}'"));
        loaded.map(|loaded| loaded.config.http.access_log)
    };
    assert_eq!(log("off"), Ok(AccessLog::Off));
    assert_eq!(log("log"), Ok(AccessLog::Log));
    assert_eq!(log("./x.log"), Ok(AccessLog::File("./x.log".into())));
    assert_eq!(log("{data}/x.log"), Ok(AccessLog::File("/d/x.log".into())));
    for (bad, words) in [
        ("on", "is neither"),
        ("stderr", "is neither"),
        ("{data}/", "is no path"),
        ("/var/{x}", "is no path"),
        ("/", "is no path"),
    ] {
        let told = log(bad).expect_err(bad);
        assert!(told.iter().any(|line| line.contains(words)), "{told:?}");
    }
}

#[test]
fn settings_must_go_together() {
    assert!(problem("head_max = '4KiB'").contains("at least 8KiB"));
    assert!(problem("payload_max = '257MiB'").contains("at least one payload"));
    assert!(problem("body_max = '0B'").contains("unlimited"));
    assert!(problem("call_timeout = '25h'").contains("at most a day"));
    assert!(problem("wait_max = '0s'").contains("longer than zero"));
    assert!(problem("proxy_protocol = true").contains("http.proxy_trusted: is empty"));
    let config = load_text("[http]\nbody_max = 'unlimited'\nproxy_protocol = true\nproxy_trusted = '::1'");
    let http = config.expect("good").config.http;
    assert_eq!(http.body_max, u64::MAX);
    assert!(matches!(http.proxy, ProxyProtocol::Required { .. }));
}
