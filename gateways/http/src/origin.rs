//! Whom a browser may speak for.
//!
//! A browser sends requests for whatever page it shows, also to this machine's own addresses. So a request that says
//! which page it is of (`Origin`) is taken only if that is a page of this door, or of an origin that was configured;
//! and every request must be for a host that is this door, or a page of any name that was made to lead here would be
//! one of ours.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Request, StatusCode, Version};
use parking_lot::Mutex;
use switchboard_hub::ErrorKind;

use crate::problem::Problem;
use crate::query::quoted;
use crate::stats::Counters;
use crate::visitor::Visitor;

/// Refusals are logged at most so often: a page can cause as many as it likes.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Origins and hosts that were configured.
#[derive(Debug)]
pub(crate) struct Trusted {
    origins: HashSet<String>,
    hosts: HashSet<String>,
    logged: Mutex<Option<Instant>>,
}

/// The page that a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// It does not say: no browser, or a simple request of the door's own page.
    Unsaid,
    /// One of this door.
    Own,
    /// One that was configured.
    Trusted(HeaderValue),
    /// Any other.
    Foreign(String),
}

impl Trusted {
    pub(crate) fn new(origins: &[String], hosts: &[String]) -> Self {
        let lower = |words: &[String]| {
            let words = words
                .iter()
                .map(|word| word.trim_end_matches('/').to_ascii_lowercase());
            words.collect()
        };
        Self {
            origins: lower(origins),
            hosts: lower(hosts),
            logged: Mutex::default(),
        }
    }

    /// Whether any page of another origin may use the door.
    pub(crate) fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Which page the request is of.
    pub(crate) fn page<B>(&self, request: &Request<B>, is_tls: bool) -> Page {
        let mut values = request.headers().get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            return Page::Unsaid;
        };
        let origin = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let own = match origin.split_once("://") {
            // A page loaded without TLS is not one of a door with it, whoever sent it.
            Some(("http", authority)) if !is_tls => Some((authority, ":80")),
            // With a proxy in front that does TLS, the door itself need not.
            Some(("https", authority)) => Some((authority, ":443")),
            _ => None,
        };
        let is_own = own.zip(authority(request)).is_some_and(|((own, port), host)| {
            own.strip_suffix(port).unwrap_or(own) == host.strip_suffix(port).unwrap_or(&host)
        });
        if values.next().is_some() {
            Page::Foreign(origin)
        } else if is_own {
            Page::Own
        } else if self.origins.contains(&origin) && origin != "null" {
            Page::Trusted(value.clone())
        } else {
            Page::Foreign(origin)
        }
    }

    /// Whether the door goes by the host that the request is for.
    fn is_ours(&self, authority: &str) -> bool {
        let host = host_of(authority);
        host == "localhost"
            || host.ends_with(".localhost")
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || self.hosts.contains(host)
    }

    /// Whether a refusal may be logged now.
    fn may_log(&self) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock();
        let may = logged.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        if may {
            *logged = Some(now);
        }
        may
    }
}

/// Checks that the request says once, and rightly, which host it is for.
pub(crate) fn check_host<B>(visitor: &Visitor, request: &Request<B>) -> Result<(), Problem> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let needed = usize::from(request.version() == Version::HTTP_11);
    if hosts > 1 || hosts < needed {
        let message = "the request needs one header `Host`";
        return Err(Problem::bad_request(message).closing());
    }
    let Some(authority) = authority(request).filter(|_| visitor.may_be_browser()) else {
        return Ok(());
    };
    let trusted = &visitor.shared.trusted;
    if trusted.is_ours(&authority) {
        return Ok(());
    }
    Counters::add_one(&visitor.shared.counters.origins_refused);
    let host = quoted(host_of(&authority));
    if trusted.may_log() {
        tracing::warn!(
            address = visitor.address,
            host,
            "refused a request for a host that this door does not go by: if it should, add the name to `hosts` of \
             the HTTP door"
        );
    }
    Err(Problem::new(
        StatusCode::MISDIRECTED_REQUEST,
        ErrorKind::Denied.as_str(),
        format!("this door does not go by the name {host}: add it to `hosts` of the HTTP door if it should"),
    ))
}

/// Refuses a request of a page that may not use the door.
pub(crate) fn check_page(visitor: &Visitor, page: &Page, what: &str) -> Result<(), Problem> {
    let Page::Foreign(origin) = page else {
        return Ok(());
    };
    Counters::add_one(&visitor.shared.counters.origins_refused);
    let origin = quoted(origin);
    if visitor.shared.trusted.may_log() {
        tracing::warn!(
            address = visitor.address,
            origin,
            "refused {what} of a page of another origin: if its pages should use this door, add it to `origins` of \
             the HTTP door (`null`, of files and sandboxes, cannot be added)"
        );
    }
    Err(Problem::forbidden(format!(
        "pages of {origin} may not use this door: add it to `origins` of the HTTP door if they should"
    )))
}

/// Says to the browser that a page of another origin may read the answer.
pub(crate) fn allow_page(page: &Page, trusted: &Trusted, headers: &mut HeaderMap) {
    use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, VARY};
    if trusted.has_origins() {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if let Page::Trusted(origin) = page {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("ETag, Last-Event-ID, Retry-After, Retry-After-Ms, X-Request-Id"),
        );
    }
}

/// Host and port that the request is for, in lower case.
fn authority<B>(request: &Request<B>) -> Option<String> {
    // What stands in the target wins over the header (RFC 9112, section 3.2.2).
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str().to_ascii_lowercase()),
        None => {
            let host = request.headers().get(HOST)?;
            Some(String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase())
        }
    }
}

/// The host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Trusted {
        Trusted::new(
            &["https://App.example.org/".into(), "null".into()],
            &["Door.example.org".into()],
        )
    }

    fn page(origin: &str, host: &str, is_tls: bool) -> Page {
        let request = Request::get("/")
            .header(HOST, host)
            .header(ORIGIN, origin)
            .body(())
            .unwrap();
        trusted().page(&request, is_tls)
    }

    #[test]
    fn a_page_is_own_if_it_came_from_here() {
        for (origin, host, is_tls) in [
            ("http://127.0.0.1:4780", "127.0.0.1:4780", false),
            ("http://localhost", "localhost", false),
            ("http://localhost", "localhost:80", false),
            ("HTTP://LocalHost:4780", "localhost:4780", false),
            ("https://localhost:4780", "localhost:4780", true),
            ("https://localhost", "localhost:443", true),
            ("https://door.example.org", "door.example.org", false),
            ("http://[::1]:4780", "[::1]:4780", false),
        ] {
            assert_eq!(page(origin, host, is_tls), Page::Own, "{origin} {host}");
        }
    }

    #[test]
    fn every_other_page_is_foreign_unless_configured() {
        for (origin, host, is_tls) in [
            ("null", "localhost:4780", false),
            ("", "localhost", false),
            ("http://evil.example", "localhost", false),
            ("http://localhost:1", "localhost:4780", false),
            ("http://localhost", "localhost:4780", false),
            ("http://localhost:4780", "localhost:4780", true),
            ("ftp://localhost", "localhost", false),
            ("http://localhost.evil.example", "localhost", false),
            ("http://app.example.org", "localhost", false),
            ("https://app.example.org:8443", "localhost", false),
        ] {
            assert!(
                matches!(page(origin, host, is_tls), Page::Foreign(_)),
                "{origin} {host}"
            );
        }
        let configured = page("https://app.example.org", "localhost", false);
        assert_eq!(
            configured,
            Page::Trusted(HeaderValue::from_static("https://app.example.org"))
        );
        let nothing = Request::get("/").header(HOST, "localhost").body(()).unwrap();
        assert_eq!(trusted().page(&nothing, false), Page::Unsaid);
        let twice = Request::get("/")
            .header(HOST, "localhost")
            .header(ORIGIN, "http://localhost")
            .header(ORIGIN, "http://localhost");
        assert!(matches!(
            trusted().page(&twice.body(()).unwrap(), false),
            Page::Foreign(_)
        ));
    }

    #[test]
    fn the_door_goes_by_addresses_localhost_and_what_was_configured() {
        for ours in [
            "localhost",
            "localhost:1",
            "app.localhost",
            "127.0.0.1:80",
            "[::1]:4780",
            "door.example.org:9",
        ] {
            assert!(trusted().is_ours(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "door.example.org.",
            "127.0.0.1.nip.example:80",
        ] {
            assert!(!trusted().is_ours(other), "{other}");
        }
    }
}
