//! gotalk over WebSocket: against hand-made frames, a foreign implementation, and every recording.

#[path = "websocket/bounds.rs"]
mod bounds;
#[path = "websocket/closing.rs"]
mod closing;
mod common;
#[path = "websocket/connecting.rs"]
mod connecting;
#[path = "websocket/foreign.rs"]
mod foreign;
#[path = "websocket/frames.rs"]
mod frames;
#[path = "websocket/framing.rs"]
mod framing;
#[path = "websocket/liveness.rs"]
mod liveness;
#[path = "websocket/recordings.rs"]
mod recordings;
#[path = "../../wire/tests/support/vector_file.rs"]
mod vector_file;
