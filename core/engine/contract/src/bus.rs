//! Messages between hubs: [`switchboard_engine::bus`].

mod delivery;
mod requests;

pub use delivery::*;
pub use requests::*;

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::bus::{BusEvent, BusMessage, BusSubscription};
use switchboard_engine::{Bus, Engine};

use crate::TestBed;
use crate::tools::{next, soon};

/// Handles of all hubs there are: one, or two.
async fn hubs(bed: &mut dyn TestBed) -> Vec<Arc<dyn Engine>> {
    let mut hubs = vec![bed.engine()];
    hubs.extend(bed.second_hub().await);
    hubs
}

async fn subscribe(bus: &dyn Bus, filter: &str, group: Option<&str>) -> BusSubscription {
    let answer = bus.subscribe(filter.into(), group.map(ByteString::from));
    soon("a subscription", answer).await.expect("subscribing")
}

fn publish(bus: &dyn Bus, topic: &str, payload: impl Into<Bytes>) {
    bus.publish(topic.into(), payload.into()).expect("publishing");
}

/// The next message, when none was missed.
async fn message(subscription: &mut BusSubscription) -> BusMessage {
    match next("a message", subscription).await {
        BusEvent::Message(message) => message,
        BusEvent::Missed => panic!("a message was missed, though nobody was behind"),
    }
}
