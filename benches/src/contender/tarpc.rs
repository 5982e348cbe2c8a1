//! tarpc as its documentation shows it: serde transport, bincode, each channel and each request a task.

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

/// The tarpc contender.
pub struct Tarpc;

fn framed(stream: Stream) -> Framed<Stream, LengthDelimitedCodec> {
    Framed::new(stream, LengthDelimitedCodec::new())
}

impl Contender for Tarpc {
    type Client = EchoServiceClient;

    async fn serve(listener: Listener) -> Result<()> {
        loop {
            let transport = serde_transport::new(framed(listener.accept().await?), Bincode::default());
            let requests = BaseChannel::with_defaults(transport).execute(Responder.serve());
            tokio::spawn(requests.for_each(|response| async {
                tokio::spawn(response);
            }));
        }
    }

    async fn connect(address: &Address) -> Result<EchoServiceClient> {
        let transport = serde_transport::new(framed(address.connect().await?), Bincode::default());
        Ok(EchoServiceClient::new(tarpc::client::Config::default(), transport).spawn())
    }
}

impl Echo for EchoServiceClient {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        Ok(EchoServiceClient::echo(self, tarpc::context::current(), payload).await?)
    }
}
