//! Bytes ⇄ types for the protocols of Switchboard's own kind.
//!
//! - [`gotalk`]: gotalk v1, the text-headed request, stream and notification protocol of every peer;
//! - [`bformat`]: length-prefixed messages;
//! - [`tagged`]: bformat messages which start with a 64-bit tag.
//!
//! Nothing here reads a socket, a clock or the environment. A decoder takes the buffer which the reader
//! fills, and removes one message from its front or leaves it untouched and asks for more bytes; an encoder
//! appends to a buffer. Payloads are never copied while decoding: they are slices which share the read
//! buffer. No decoder reserves memory by a size which the other side merely declares.

pub mod bformat;
pub mod gotalk;
mod hex;
pub mod tagged;
