//! Messages from publishers to subscribers through a daemon: how many reach them in a second, and how soon.

mod flows;
mod sides;

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::address::Address;
use crate::broker;
use crate::callers::Callers;
use crate::load::Round;
use crate::process::raise_open_files;
use crate::suite::{Rounds, Running, Side, compare};
use crate::table::Report;
use flows::{Arrivals, Audience};
use sides::{HubPublisher, NatsPublisher};

/// One end of a daemon.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Opens a connection that publishes to a topic.
    fn connect(address: &Address, topic: usize) -> impl Future<Output = Result<Self>>;

    /// Opens a connection that tells `arrivals` of all messages to a topic, from when this returns.
    fn subscribe(address: &Address, topic: usize, arrivals: Arrivals) -> impl Future<Output = Result<()>>;

    /// Publishes.
    fn publish(&mut self, message: Bytes) -> impl Future<Output = Result<()>> + Send;
}

/// Who publishes to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// How many publish.
    pub publishers: usize,
    /// How many subscribe.
    pub subscribers: usize,
    /// Each publisher has one subscriber and a topic of its own; otherwise there is one topic.
    pub in_pairs: bool,
}

impl Pattern {
    /// How many get each message of a publisher.
    pub fn subscribers_of_each(self) -> u64 {
        if self.in_pairs { 1 } else { self.subscribers as u64 }
    }

    /// The topic of the publisher, or subscriber, of that number.
    pub fn topic_of(self, number: usize) -> usize {
        if self.in_pairs { number } else { 0 }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_pairs {
            write!(f, "{}pairs", self.publishers)
        } else {
            write!(f, "{}to{}", self.publishers, self.subscribers)
        }
    }
}

impl FromStr for Pattern {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let pattern = if let Some(pairs) = text.strip_suffix("pairs") {
            let pairs = pairs.parse()?;
            Self {
                publishers: pairs,
                subscribers: pairs,
                in_pairs: true,
            }
        } else {
            let (publishers, subscribers) = text
                .split_once("to")
                .context("expected PUBLISHERStoSUBSCRIBERS or PAIRSpairs, as in 1to100 and 100pairs")?;
            Self {
                publishers: publishers.parse()?,
                subscribers: subscribers.parse()?,
                in_pairs: false,
            }
        };
        ensure!(
            pattern.publishers > 0 && pattern.subscribers > 0,
            "a pattern needs a publisher and a subscriber"
        );
        Ok(pattern)
    }
}

/// What one process of publishers and subscribers does.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Where publishers connect.
    pub publish_at: Address,
    /// Where subscribers connect.
    pub subscribe_at: Address,
    /// Who publishes to whom.
    pub pattern: Pattern,
    /// Messages of each publisher that may be on their way at once.
    pub under_way: usize,
    /// Bytes in a message.
    pub payload: usize,
}

impl Place {
    /// The arguments that a child reads this from.
    pub fn arguments(&self) -> [String; 5] {
        [
            self.publish_at.to_string(),
            self.subscribe_at.to_string(),
            self.pattern.to_string(),
            self.under_way.to_string(),
            self.payload.to_string(),
        ]
    }

    /// Connects publishers and subscribers, ready to be measured.
    pub async fn open(&self, name: broker::Name) -> Result<Box<dyn Round>> {
        raise_open_files()?;
        Ok(match name {
            broker::Name::Switchboard => Box::new(Audience::<HubPublisher>::gather(self).await?),
            broker::Name::Nats => Box::new(Audience::<NatsPublisher>::gather(self).await?),
        })
    }
}

/// What the suite runs.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Daemons to compare; the first is compared with the others.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [broker::Name::Switchboard, broker::Name::Nats])]
    brokers: Vec<broker::Name>,
    /// Who publishes to whom: PUBLISHERStoSUBSCRIBERS on one topic, PAIRSpairs on a topic each.
    #[arg(long, value_delimiter = ',', default_value = "1to1,1to100,100to1,100pairs")]
    patterns: Vec<Pattern>,
    /// Messages that may be on their way at once, of all publishers together; at least one of each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 512])]
    under_way: Vec<usize>,
    /// Bytes in a message, at least 12.
    #[arg(long, value_delimiter = ',', default_values_t = [16, 1024])]
    payloads: Vec<usize>,
    #[command(flatten)]
    rounds: Rounds,
}

/// Runs the suite and returns its tables.
pub async fn run(options: &Options) -> Result<String> {
    let mut report = Report::new(
        "Messages delivered a second",
        &["pattern", "payload", "under way"],
    );
    for pattern in &options.patterns {
        for payload in &options.payloads {
            for under_way in &options.under_way {
                let each = (under_way / pattern.publishers).max(1);
                eprintln!("pubsub: {pattern}, {payload} B, {each} under way of each publisher");
                let side = |name: &broker::Name| {
                    let (name, pattern, payload) = (*name, *pattern, *payload);
                    Side::new(name, move || start(name, pattern, each, payload))
                };
                let sides: Vec<Side<'_>> = options.brokers.iter().map(side).collect();
                let label = [
                    pattern.to_string(),
                    format!("{payload} B"),
                    (each * pattern.publishers).to_string(),
                ];
                report.add(label.into(), compare(&sides, options.rounds).await?);
            }
        }
    }
    Ok(report.render())
}

async fn start(name: broker::Name, pattern: Pattern, under_way: usize, payload: usize) -> Result<Running> {
    let daemon = name.start().await?;
    let place = Place {
        publish_at: daemon.address().clone(),
        subscribe_at: daemon.address().clone(),
        pattern,
        under_way,
        payload,
    };
    Ok(Running {
        callers: Callers::start_with("pubsub", name, &place.arguments()).await?,
        servers: vec![daemon],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_back_as_written() {
        for text in ["1to1", "100to1", "1to100", "100pairs"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        let pairs: Pattern = "3pairs".parse().unwrap();
        assert_eq!((pairs.subscribers_of_each(), pairs.topic_of(2)), (1, 2));
        let fan: Pattern = "1to5".parse().unwrap();
        assert_eq!((fan.subscribers_of_each(), fan.topic_of(2)), (5, 0));
        for text in ["", "1", "0to1", "1to0", "0pairs", "topairs"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
