//! How each side publishes and subscribes: as its documentation shows, a connection for everybody.

use anyhow::Result;
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_peer::{Handlers, Peer, connect};

use super::Publisher;
use super::flows::Arrivals;
use crate::address::Address;
use crate::broker::connect_nats;

/// A peer that notifies the hub.
#[derive(Clone)]
pub struct HubPublisher {
    peer: Peer,
    topic: String,
}

impl Publisher for HubPublisher {
    async fn connect(address: &Address, topic: usize) -> Result<Self> {
        Ok(Self {
            peer: connect(&address.to_string(), Handlers::new()).await?,
            topic: hub_topic(topic),
        })
    }

    async fn subscribe(address: &Address, topic: usize, arrivals: Arrivals) -> Result<()> {
        let topic = hub_topic(topic);
        let handlers = Handlers::new().on_raw(&topic, move |_, message| {
            arrivals.add(&message);
            std::future::ready(())
        });
        let peer = connect(&address.to_string(), handlers).await?;
        peer.at_hub().subscribe(&[&topic], None).await?;
        // It stays for as long as the process does.
        tokio::spawn(async move { peer.closed().await });
        Ok(())
    }

    async fn publish(&mut self, message: Bytes) -> Result<()> {
        Ok(self.peer.at_hub().notify(&self.topic, message).await?)
    }
}

fn hub_topic(number: usize) -> String {
    format!("bench/{number}")
}

/// A NATS client that publishes without an answer.
#[derive(Clone)]
pub struct NatsPublisher {
    client: Client,
    subject: Subject,
}

impl Publisher for NatsPublisher {
    async fn connect(address: &Address, topic: usize) -> Result<Self> {
        Ok(Self {
            client: connect_nats(address).await?,
            subject: subject(topic),
        })
    }

    async fn subscribe(address: &Address, topic: usize, arrivals: Arrivals) -> Result<()> {
        let client = connect_nats(address).await?;
        let mut messages = client.subscribe(subject(topic)).await?;
        client.flush().await?;
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                arrivals.add(&message.payload);
            }
            drop(client);
        });
        Ok(())
    }

    async fn publish(&mut self, message: Bytes) -> Result<()> {
        Ok(self.client.publish(self.subject.clone(), message).await?)
    }
}

fn subject(number: usize) -> Subject {
    Subject::from(format!("bench.{number}"))
}
