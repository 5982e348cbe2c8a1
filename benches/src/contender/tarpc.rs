//! tarpc with its serde transport and bincode, served in two ways: each request a task of its own, as its
//! documentation shows, or all requests of a connection in one task, which suits handlers that never wait.

use anyhow::Result;
use bytes::Bytes;
use futures_util::StreamExt;
use tarpc::serde_transport;
use tarpc::server::{BaseChannel, Channel};
use tokio_serde::formats::Bincode;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{Contender, Echo};
use crate::address::{Address, Listener, Stream};

/// One method.
#[tarpc::service]
pub trait EchoService {
    /// Returns `payload`.
    async fn echo(payload: Bytes) -> Bytes;
}

#[derive(Clone)]
struct Responder;

impl EchoService for Responder {
    async fn echo(self, _: tarpc::context::Context, payload: Bytes) -> Bytes {
        payload
    }
}

/// tarpc with a task for each request.
pub struct Tarpc;

/// tarpc with a task for each connection.
pub struct TarpcInline;

fn framed(stream: Stream) -> Framed<Stream, LengthDelimitedCodec> {
    Framed::new(stream, LengthDelimitedCodec::new())
}

impl Contender for Tarpc {
    type Client = EchoServiceClient;

    async fn serve(listener: Listener) -> Result<()> {
        loop {
            let answers = answers(listener.accept().await?);
            tokio::spawn(answers.for_each(|answer| async {
                tokio::spawn(answer);
            }));
        }
    }

    async fn connect(address: &Address) -> Result<EchoServiceClient> {
        connect(address).await
    }
}

impl Contender for TarpcInline {
    type Client = EchoServiceClient;

    async fn serve(listener: Listener) -> Result<()> {
        loop {
            let answers = answers(listener.accept().await?);
            tokio::spawn(answers.for_each_concurrent(None, |answer| answer));
        }
    }

    async fn connect(address: &Address) -> Result<EchoServiceClient> {
        connect(address).await
    }
}

async fn connect(address: &Address) -> Result<EchoServiceClient> {
    let transport = serde_transport::new(framed(address.connect().await?), Bincode::default());
    Ok(EchoServiceClient::new(tarpc::client::Config::default(), transport).spawn())
}

/// The requests of one connection, each as the future that answers it.
fn answers(stream: Stream) -> impl futures_util::Stream<Item = impl Future<Output = ()> + Send> + Send {
    let transport = serde_transport::new(framed(stream), Bincode::default());
    BaseChannel::with_defaults(transport).execute(Responder.serve())
}

impl Echo for EchoServiceClient {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        Ok(EchoServiceClient::echo(self, tarpc::context::current(), payload).await?)
    }
}
