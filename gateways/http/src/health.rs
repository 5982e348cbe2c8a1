//! `/healthz` and `/metrics`: how the door does.

use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, Request, StatusCode};

use crate::answer::{self, Answer, TEXT};
use crate::metrics;
use crate::problem::Problem;
use crate::stats::RETRY_KIND;
use crate::visitor::Visitor;

/// Whether a party that came now would be taken in.
pub(crate) const READY_PATH: &str = "/healthz";

/// What Prometheus reads.
pub(crate) const METRICS_PATH: &str = "/metrics";

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// `ready`, or 503 and why not.
pub(crate) fn ready<B>(visitor: &Visitor, request: &Request<B>) -> Result<Answer, Problem> {
    check_method(request)?;
    let why_not = if visitor.shared.shutdown.is_draining() {
        Some("the daemon is shutting down".to_owned())
    } else {
        visitor
            .open_session()
            .err()
            .map(|fault| fault.message().to_owned())
            .or_else(|| visitor.shared.hub.impaired())
    };
    match why_not {
        None => Ok(not_stored(answer::whole(TEXT, "ready\n"))),
        Some(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, RETRY_KIND, why)),
    }
}

/// All counts, in the text format of Prometheus.
pub(crate) fn metrics<B>(visitor: &Visitor, request: &Request<B>) -> Result<Answer, Problem> {
    check_method(request)?;
    let shared = &visitor.shared;
    let text = metrics::render(&shared.hub, &shared.counters);
    Ok(not_stored(answer::whole(PROMETHEUS, text)))
}

fn not_stored(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}

fn check_method<B>(request: &Request<B>) -> Result<(), Problem> {
    match *request.method() {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Problem::method("GET, HEAD", "this is read by GET")),
    }
}
