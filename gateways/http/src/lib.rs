//! The HTTP door: browsers, curl, and whatever else speaks HTTP are parties at the hub.
//!
//! ```text
//! net: Connection ─► HttpGateway ─► Guard (framing, times) ─► hyper ─► router ─┬─ call      ─► Session::call
//!                                                                              ├─ publish   ─► Session::publish
//!                                                                              ├─ subscribe ◄─ Deliveries
//!                                                                              ├─ web_socket ─► GotalkGateway
//!                                                                              └─ assets, health
//! ```
//!
//! | request | what it is |
//! | --- | --- |
//! | `POST /call/OP?timeout=10s` | a call: the body is what it carries, the answer its result, both streamed if need be |
//! | `GET /call/OP?arg=…` | the same, for operations that are served as `safe`: they change nothing |
//! | `POST /publish/TOPIC?retain&expires=10s` | a publish of the body; answers `{"subscriptions": N}` |
//! | `GET /subscribe?topic=…&topic=…&policy=…` | an event stream of what is published |
//! | the same with `&wait=30` | the first messages within that time as an array, or 204 |
//! | `GET`, `HEAD`, `PUT`, `DELETE /keys/KEY`, `POST …?incr=N`, `POST …?append` | a key of the hub; its value is the body |
//! | `GET /keys?prefix=…`, `GET /keys?watch&prefix=…` | keys, page by page; an event stream of what changes |
//! | `GET /gotalk/`, upgraded to WebSocket | gotalk, as the gotalk gateway serves it |
//! | `GET …/gotalk.js`, `GET /…` | the library for browsers; pages: see [`Assets`] |
//! | `GET /healthz`, `GET /metrics` | whether a party would be taken in; counts for Prometheus |
//!
//! OP and TOPIC are percent-decoded, and may hold slashes: `/publish/home/lamp`. HTTP/1.1 with keep-alive and
//! pipelining, HTTP/2 over TLS by ALPN and without TLS by prior knowledge.
//!
//! # Bodies
//!
//! A body whose length is known and small is one payload; any other is a stream, part by part as it comes, and so is a
//! streamed result. Each is held back by its reader. A result that fails half-way breaks the connection off (in HTTP/2
//! the stream), so that it is not taken for whole; one that fails before its first byte is answered as a fault. A
//! client that goes away gives its call up.
//!
//! # Faults
//!
//! An Error is 400, 403, 404, 409, 413 or 501, by its kind; a Retry is 503 with `Retry-After` and `Retry-After-Ms`.
//! The body is the message, or `{"error": …, "kind": …}` for who accepts `application/json`.
//!
//! # Events
//!
//! ```js
//! const events = new EventSource("/subscribe?topic=home/%23");
//! events.onmessage = event => {
//!     const { topic, payload, retained } = JSON.parse(event.data);
//! };
//! ```
//!
//! `payload_base64` stands there instead of `payload` if the message is no text. Last values come first. A browser
//! that reconnects gets those that are news to it; what was published meanwhile and not retained is lost. Who is too
//! slow loses the oldest messages, unless `policy` says otherwise.
//!
//! # Browsers
//!
//! So far everybody is the account `guest`, and may do everything: a web site that could make its visitor's browser
//! speak to this door could, too. So pages of other origins are refused unless configured (`Origin`), and so are
//! requests for hosts that the door does not go by (`Host`); see [`HttpOptions::origins`] and [`HttpOptions::hosts`].
//!
//! # Why hyper alone
//!
//! There are few routes, and the two that matter take the rest of the path as a name that may hold anything; a
//! framework's router, extractors and layers would have nothing to do here.

mod access_log;
mod answer;
mod assets;
mod attentive;
mod call;
mod console;
mod events;
mod exchange;
mod gateway;
mod guard;
mod health;
mod keys;
mod metrics;
mod negotiation;
mod options;
mod origin;
mod problem;
mod prompt;
mod publish;
mod query;
mod router;
mod stats;
mod strict;
mod subscribe;
mod upload;
mod visitor;
mod web_socket;

pub use assets::Assets;
pub use gateway::HttpGateway;
pub use options::{AccessLog, AccessLogWriter, BodyOptions, ConnectionOptions, EventOptions, HttpOptions};
pub use stats::HttpStats;
