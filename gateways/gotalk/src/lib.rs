//! The gotalk door: any gotalk v1 peer is a party at the hub.
//!
//! ```text
//! net: Connection ─► GotalkGateway ─► Peer (its driver reads and writes) ─► Party ─┬─ request       ─► Session::call
//!                                                                                  ├─ hub.serve …   ─► Session::serve …
//!                                                                                  └─ notification  ─► Session::publish
//! hub: Call     ─► Served ─► Peer::forward     (request to this peer)
//!      Delivery ─► a task for each policy ─► Peer::notify_now
//! ```
//!
//! | on the wire, from the peer | at the hub |
//! | --- | --- |
//! | request `op`, single or stream | a call of `op`; the answer is the responder's |
//! | request `hub.login`, `hub.serve`, `hub.unserve`, `hub.subscribe`, `hub.unsubscribe` | answered here, see below |
//! | notification `name` | a publish to the topic `name`; what is wrong with it cannot be answered, and is counted |
//! | notification `hub.cancel` with a request's id as 8 hexadecimal digits | that call is given up |
//!
//! | at the hub | on the wire, to the peer |
//! | --- | --- |
//! | a call of an operation that the peer serves | a request: single if its body is, else a stream |
//! | the same, served with `caller: true` | a stream whose first part is the JSON of a [`Description`](switchboard_peer::Description) |
//! | such a call is given up | the notification `hub.cancel`, with the request's id |
//! | a message that the peer subscribed to | a notification, named as its topic |
//!
//! # What is answered here
//!
//! JSON in, a JSON object out; a fault is answered as such, and changes nothing.
//!
//! | operation | takes | answers |
//! | --- | --- | --- |
//! | `hub.login` | `{account, password?, token?}` | who the peer is now, as `hub.whoami` |
//! | `hub.serve` | `{ops: […], caller?: false}` | `{}`: all of them are served |
//! | `hub.unserve` | `{ops: […]}` | `{removed: N}`: how many of them were served |
//! | `hub.subscribe` | `{topics: […], policy?}` | `{}`: before the first message that it brings |
//! | `hub.unsubscribe` | `{topics: […]}` | `{removed: N}`: how many of them were subscribed to |
//!
//! Names that begin with `hub.` are the hub's own among notifications too: they are neither published nor delivered,
//! so that nobody can forge a `hub.cancel`.
//!
//! # Back pressure
//!
//! Who subscribes without a policy gets `block`: notifications are lossless as long as the subscriber keeps up within
//! the bound of the policy. A publisher whose notification has to wait for a full `block` queue is held up in its own
//! further notifications, which so keep their order; its calls go on.

mod delivery;
mod gateway;
mod guest;
mod options;
mod party;
mod serving;
mod stats;
mod subscribing;

pub use gateway::GotalkGateway;
pub use guest::{OpenGuest, check_address, check_guest};
pub use options::GatewayOptions;
pub use stats::GatewayStats;
