//! axum as its documentation shows it: an echo of request bodies, and one of WebSocket messages.

use anyhow::Result;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, post};
use axum::serve::ListenerExt;
use bytes::Bytes;

use super::OPERATION;
use crate::address::Listener;

/// Answers on `listener` until the process ends.
pub async fn serve(listener: Listener) -> Result<()> {
    let router = Router::new()
        .route(&format!("/call/{OPERATION}"), post(|body: Bytes| async { body }))
        .route("/echo", any(upgrade));
    match listener {
        Listener::Tcp(listener) => {
            // axum leaves Nagle's algorithm on.
            let listener = listener.tap_io(|stream| {
                if let Err(error) = stream.set_nodelay(true) {
                    eprintln!("axum: no TCP_NODELAY: {error}");
                }
            });
            axum::serve(listener, router).await?;
        }
        Listener::Unix(listener, _) => axum::serve(listener, router).await?,
    }
    Ok(())
}

async fn upgrade(request: WebSocketUpgrade) -> Response {
    request.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
