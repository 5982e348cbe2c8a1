//! tonic with prost: what `tonic-build` would generate for one unary method, written out.

use std::convert::Infallible;
use std::task::Poll;

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use hyper_util::rt::TokioIo;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{self, Uri};
use tonic::codegen::{BoxFuture, Context, Service};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{Contender, Echo, Greeting};
use crate::address::{Address, Listener, Stream};

/// HTTP/2's connection preface and an empty SETTINGS frame (RFC 9113, section 3.4).
pub const GREETING: Greeting = Greeting {
    bytes: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    answered: true,
};

/// `message EchoMessage { bytes payload = 1; }`
#[derive(Clone, PartialEq, prost::Message)]
struct EchoMessage {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

type Codec = ProstCodec<EchoMessage, EchoMessage>;

/// The method itself.
struct EchoMethod;

impl Service<Request<EchoMessage>> for EchoMethod {
    type Response = Response<EchoMessage>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<EchoMessage>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_inner())))
    }
}

/// The server's HTTP face; there is one method, so nothing is routed.
#[derive(Clone)]
struct EchoServer;

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let mut grpc = tonic::server::Grpc::new(Codec::default());
            Ok(grpc.unary(EchoMethod, request).await)
        })
    }
}

/// Connects to one fixed address, whatever URI it is asked for.
struct Connector(Address);

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = std::io::Error;
    type Future = BoxFuture<Self::Response, std::io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(address.connect().await?)) })
    }
}

/// The tonic contender.
pub struct Tonic;

impl Contender for Tonic {
    type Client = EchoClient;

    async fn serve(listener: Listener) -> Result<()> {
        let server = Server::builder();
        match listener {
            Listener::Tcp(listener) => {
                let incoming = stream::unfold(listener, |listener| async {
                    let accepted = listener.accept().await.and_then(|(stream, _)| {
                        stream.set_nodelay(true)?;
                        Ok(stream)
                    });
                    Some((accepted, listener))
                });
                server.serve_with_incoming(EchoServer, incoming).await?;
            }
            Listener::Unix(listener, _) => {
                let incoming = stream::unfold(listener, |listener| async {
                    Some((listener.accept().await.map(|(stream, _)| stream), listener))
                });
                server.serve_with_incoming(EchoServer, incoming).await?;
            }
        }
        Ok(())
    }

    async fn connect(address: &Address) -> Result<EchoClient> {
        let endpoint = Endpoint::from_static("http://echo.invalid");
        let channel = endpoint
            .connect_with_connector(Connector(address.clone()))
            .await?;
        Ok(EchoClient {
            grpc: tonic::client::Grpc::new(channel),
        })
    }
}

/// The asking end: a clone shares its HTTP/2 connection.
#[derive(Clone)]
pub struct EchoClient {
    grpc: tonic::client::Grpc<Channel>,
}

impl Echo for EchoClient {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        let request = Request::new(EchoMessage { payload });
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static("/bench.Echo/Echo");
        let response = self.grpc.unary(request, path, Codec::default()).await?;
        Ok(response.into_inner().payload)
    }
}
