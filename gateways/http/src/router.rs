//! From a request to who answers it.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONNECTION,
    HeaderName, HeaderValue, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::answer::{Answer, AnswerBody};
use crate::exchange::{Exchange, REQUEST_ID};
use crate::origin::{self, Page};
use crate::problem::{self, Problem};
use crate::visitor::Visitor;
use crate::{assets, call, health, keys, publish, query, subscribe, web_socket};

/// How long a browser may remember what it may ask: an hour.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("3600");

/// Asked by browsers before a public page may talk to a private address, and how that is allowed
/// (<https://wicg.github.io/private-network-access/>).
const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Answers one request.
pub(crate) async fn answer(visitor: &Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let mut exchange = Exchange::begin(visitor, &request);
    let id = visitor.shared.request_ids.of(&request);
    let page = visitor.shared.trusted.page(&request, visitor.is_tls());
    let version = request.version();
    let wanted_upgrade = version == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
    let wants_json = problem::wants_json(request.headers());
    let answer = match origin::check_host(visitor, &request) {
        Ok(()) => route(visitor, &mut exchange, request, &page).await,
        Err(problem) => Err(problem),
    };
    let mut answer = answer.unwrap_or_else(|problem| problem.into_answer(wants_json));
    let status = answer.status();
    let headers = answer.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    origin::allow_page(&page, &visitor.shared.trusted, headers);
    if version > Version::HTTP_11 {
        // It has no place there: each stream ends by itself.
        headers.remove(CONNECTION);
        headers.remove(UPGRADE);
    } else if wanted_upgrade && status != StatusCode::SWITCHING_PROTOCOLS {
        // What follows was not judged, since it might have been something else than HTTP.
        headers.append(CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.answered(status);
    answer.body_mut().ends(exchange);
    answer
}

async fn route(
    visitor: &Arc<Visitor>,
    exchange: &mut Exchange,
    mut request: Request<Incoming>,
    page: &Page,
) -> Result<Answer, Problem> {
    let uri = request.uri().clone();
    let path = uri.path();
    if request.method() == Method::OPTIONS {
        return preflight(visitor, &request, page);
    }
    if path == web_socket::PATH {
        return web_socket::answer(visitor, &mut request, page);
    }
    if let Some(name) = path.strip_prefix(call::PREFIX) {
        origin::check_page(visitor, page, "a call")?;
        return call::answer(visitor, exchange, request, name).await;
    }
    if let Some(name) = path.strip_prefix(publish::PREFIX) {
        origin::check_page(visitor, page, "a publish")?;
        return publish::answer(visitor, request, name).await;
    }
    if let Some(name) = path.strip_prefix(keys::PREFIX) {
        origin::check_page(visitor, page, "a key")?;
        return keys::one(visitor, request, name).await;
    }
    match path {
        keys::PATH => {
            origin::check_page(visitor, page, "keys")?;
            keys::all(visitor, &request).await
        }
        subscribe::PATH => {
            origin::check_page(visitor, page, "a subscription")?;
            subscribe::answer(visitor, &request).await
        }
        health::READY_PATH => health::ready(visitor, &request),
        health::METRICS_PATH => health::metrics(visitor, &request),
        _ => assets::answer(&visitor.shared.assets, &request),
    }
}

/// What may be asked for; and for pages of other origins, that they may.
fn preflight<B>(visitor: &Visitor, request: &Request<B>, page: &Page) -> Result<Answer, Problem> {
    origin::check_page(visitor, page, "a preflight")?;
    let path = request.uri().path();
    let methods = if let Some(name) = path.strip_prefix(call::PREFIX) {
        call::methods(visitor, query::percent_decoded(name)?)
    } else if path.starts_with(publish::PREFIX) {
        "POST"
    } else if path.starts_with(keys::PREFIX) {
        keys::METHODS
    } else {
        "GET, HEAD"
    };
    let mut answer = Response::new(AnswerBody::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(methods));
    if matches!(page, Page::Trusted(_)) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "Accept, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Request-Id",
            ),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        if request.headers().contains_key(ASKS_PRIVATE) {
            headers.insert(ALLOWS_PRIVATE, HeaderValue::from_static("true"));
        }
    }
    Ok(answer)
}
