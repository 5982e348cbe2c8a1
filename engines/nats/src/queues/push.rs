//! Pushes, and those that turn out to be earlier ones.

use std::time::Duration;

use bytes::Bytes;
use switchboard_engine::queues::{DEDUPE_WINDOW, JobId, Push, Pushed, check_push};
use switchboard_engine::{QueueName, Result, Timestamp};

use super::NatsQueues;
use super::queue::now;
use super::record::{Head, body};
use super::work::CONFLICTS_MAX;
use crate::keys::contended;
use crate::link::{Committed, Outgoing, Read};
use crate::names::Stream;

/// How much longer than it counts a dedupe id is kept, for clocks that differ.
const DEDUPE_KEPT: Duration = Duration::from_secs(10);

impl NatsQueues {
    pub(super) async fn push_job(&self, name: &QueueName, push: Push) -> Result<Pushed> {
        check_push(&push)?;
        self.link.check_open()?;
        let register = self.link.names.queue(name);
        self.register.add(&self.link, Stream::Queues, &register).await?;
        let mut expected = 0;
        for _ in 0..CONFLICTS_MAX {
            let now = self.link.clock.now();
            let head = Head::new(format!("{:016x}", fastrand::u64(..)), &push, now);
            let mut messages = vec![Outgoing {
                subject: self.link.names.job(name, &head.name),
                expected: Some(0),
                about: None,
                again: false,
                record: head.record(),
                ttl: None,
                body: body(&push),
            }];
            if let Some(dedupe) = &push.dedupe {
                messages.push(Outgoing {
                    subject: self.link.names.dedupe(name, dedupe),
                    expected: Some(expected),
                    about: None,
                    again: false,
                    record: format!("u {}", now.after(DEDUPE_WINDOW).as_millis()),
                    ttl: Some(DEDUPE_WINDOW + DEDUPE_KEPT),
                    body: Bytes::new(),
                });
            }
            match (self.link.commit(Stream::Queues, &messages).await?, &push.dedupe) {
                (Committed::Stored(last), dedupe) => {
                    let id = last - u64::from(dedupe.is_some());
                    self.learn_pushed(name, id, head);
                    self.register.add(&self.link, Stream::Queues, &register).await?;
                    return Ok(Pushed {
                        id: JobId(id),
                        duplicate: false,
                    });
                }
                (Committed::Conflict, Some(dedupe)) => match self.earlier(name, dedupe, now).await? {
                    Ok(id) => return Ok(Pushed { id, duplicate: true }),
                    Err(sequence) => expected = sequence,
                },
                // Two jobs got one name by chance.
                (Committed::Conflict, None) => {}
            }
        }
        Err(contended(&self.link))
    }

    /// The job of the push that had this dedupe id before, or the sequence that its message has.
    async fn earlier(&self, name: &QueueName, dedupe: &str, now: Timestamp) -> Result<Result<JobId, u64>> {
        if self.link.has_copies() {
            self.link.catch_up(Stream::Queues).await?;
        }
        let subject = self.link.names.dedupe(name, dedupe);
        let Read::All(found) = self.link.latest(Stream::Queues, &[subject]).await? else {
            return Ok(Err(0));
        };
        let Some(found) = found.first() else {
            return Ok(Err(0));
        };
        let until = found
            .record
            .strip_prefix("u ")
            .and_then(|until| until.parse().ok());
        match until {
            // The job is the message before.
            Some(until) if Timestamp::from_millis(until) > now => Ok(Ok(JobId(found.sequence - 1))),
            _ => Ok(Err(found.sequence)),
        }
    }

    fn learn_pushed(&self, name: &QueueName, id: u64, head: Head) {
        if let Some(queue) = self.known(name) {
            queue.view.lock().learn_job(id, head, now(&self.link));
            queue.changed.notify_one();
        }
    }
}
