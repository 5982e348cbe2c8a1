//! The HTTP door from outside: raw sockets, and the client of hyper where HTTP/2 is spoken.

mod calls;
mod conformance;
mod ending;
mod events;
mod floods;
mod frames;
mod framing;
mod http2;
mod keys;
mod limits;
mod operating;
mod origins;
mod publishing;
mod streams;
mod support;
mod web_socket;
