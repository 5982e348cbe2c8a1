//! The little of an HTTP client that several suites need.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;

use crate::address::Address;

/// `HOST:PORT` of a web server.
pub fn target(address: &Address) -> Result<SocketAddr> {
    match address {
        Address::Tcp(socket) => Ok(*socket),
        Address::Unix(_) => bail!("web servers are called by TCP here"),
    }
}

/// One kept connection that posts.
pub struct Post {
    requests: SendRequest<Full<Bytes>>,
    host: String,
}

impl Post {
    /// Opens it.
    pub async fn connect(address: &Address) -> Result<Self> {
        let host = target(address)?.to_string();
        let (requests, connection) = handshake(TokioIo::new(address.connect().await?)).await?;
        tokio::spawn(connection);
        Ok(Self { requests, host })
    }

    /// Posts `body` to `path`, and returns the answer's body.
    pub async fn send(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let request = Request::post(path)
            .header(HOST, &self.host)
            .body(Full::new(body))?;
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("reading an answer")?
            .to_bytes();
        ensure!(status.is_success(), "{path} answered {status}: {body:?}");
        Ok(body)
    }
}
