//! Reservations: for jobs that are there, whose bodies may have to be read, and for jobs to come.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use switchboard_engine::queues::{JobId, Lease, Reserved};
use switchboard_engine::{Answer, EngineError, QueueName, Result};
use tokio::sync::oneshot;

use super::core::Taken;
use super::moment::Moment;
use super::queue::{Granted, Queue, Served, Wish};
use super::record::{Kind, decode_body};
use super::shared::{Shared, closed};

/// Somebody who wants jobs.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: QueueName,
    pub(crate) max: usize,
    pub(crate) lease: Duration,
    pub(crate) wait: Duration,
}

/// What can be said at once.
enum Glance {
    /// These, under leases.
    Taken(Arc<Queue>, Served),
    /// There are none, and nobody wants to wait.
    None,
    /// It takes time to find out.
    Later,
}

impl Reservation {
    /// Takes jobs, at once if they are there.
    pub(crate) fn begin(self) -> Answer<Vec<Reserved>> {
        let is_taken = |glance: &Result<Glance>| matches!(glance, Ok(Glance::Taken(..)));
        match self.shared.committer.awaited(|| self.glance(), is_taken) {
            Err(error) => Answer::err(error),
            Ok(Glance::None) => Answer::ok(Vec::new()),
            Ok(Glance::Taken(queue, taken)) => self.hand_out(queue, taken),
            Ok(Glance::Later) => Answer::later(self.wait()),
        }
    }

    fn glance(&self) -> Result<Glance> {
        if !self.shared.admit()? {
            return Ok(Glance::Later);
        }
        let Some(queue) = self.shared.find(&self.name) else {
            return Ok(self.nothing());
        };
        let Some(token) = self.shared.ids.take() else {
            return Ok(Glance::Later);
        };
        match queue.grant(&self.shared, self.wish(token), None) {
            Ok(Granted::Now(taken)) if !taken.is_empty() => Ok(Glance::Taken(queue, taken)),
            _ => Ok(self.nothing()),
        }
    }

    fn nothing(&self) -> Glance {
        match self.wait.is_zero() {
            true => Glance::None,
            false => Glance::Later,
        }
    }

    fn wish(&self, token: u64) -> Wish {
        Wish {
            max: self.max,
            lease: self.lease,
            token,
        }
    }

    async fn wait(self) -> Result<Vec<Reserved>> {
        let until = Moment::of(&*self.shared.clock).after(self.wait);
        loop {
            let token = loop {
                self.shared.ready().await?;
                if let Some(token) = self.shared.ids.take() {
                    break token;
                }
            };
            let wish = self.wish(token);
            let (queue, granted) = self.shared.with(&self.name, |queue| {
                let granted = queue.grant(&self.shared, wish, Some(until))?;
                Ok((Arc::clone(queue), granted))
            });
            let taken = match granted {
                Granted::Now(taken) => taken,
                Granted::Refused(error) => return Err(error),
                Granted::Waits { place, served } => {
                    let waiting = Waiting {
                        shared: Arc::clone(&self.shared),
                        queue: Arc::clone(&queue),
                        place: Some(place),
                        served,
                    };
                    waiting.served().await?
                }
            };
            if taken.is_empty() {
                return Ok(Vec::new());
            }
            let reserved = self.clone().hand_out(queue, taken).await?;
            // None, if what was taken turned out to be damaged.
            if !reserved.is_empty() {
                return Ok(reserved);
            }
        }
    }

    /// Gives jobs to the worker: their bodies are read if need be, and their leases are as safe as the durability says.
    fn hand_out(self, queue: Arc<Queue>, mut taken: Served) -> Answer<Vec<Reserved>> {
        let committed = self.shared.committer.acknowledge(());
        let is_here = taken.iter().all(|taken| taken.body.is_some());
        if is_here && let Answer::Now(_) = committed {
            return Answer::now(self.decode(&queue, taken));
        }
        Answer::later(async move {
            if !is_here {
                taken = self.read(&queue, taken).await?;
            }
            if let Err(error) = committed.await {
                // Nobody heard of it, so it was no attempt.
                queue.give_back(&self.shared, &taken);
                return Err(error);
            }
            self.decode(&queue, taken)
        })
    }

    /// Reads the bodies that are not in memory. Jobs whose bodies are damaged are buried, and left out.
    async fn read(&self, queue: &Arc<Queue>, taken: Served) -> Result<Served> {
        let (shared, queue) = (Arc::clone(&self.shared), Arc::clone(queue));
        let read = tokio::task::spawn_blocking(move || {
            let mut whole = Served::with_capacity(taken.len());
            for job in &taken {
                let body = match &job.body {
                    Some(body) => Ok(Some(body.clone())),
                    None => shared.read(Kind::Body, queue.name(), job.id),
                };
                match body {
                    Ok(Some(body)) => whole.push(Taken {
                        body: Some(body),
                        ..*job
                    }),
                    Ok(None) => bury(&shared, &queue, job, "its body is missing".into()),
                    Err(EngineError::Damaged(place)) => bury(&shared, &queue, job, place.into()),
                    Err(error) => {
                        queue.give_back(&shared, &taken);
                        return Err(error);
                    }
                }
            }
            Ok(whole)
        });
        read.await
            .unwrap_or_else(|error| Err(EngineError::Failed(format!("reading jobs: {error}"))))
    }

    fn decode(&self, queue: &Arc<Queue>, taken: Served) -> Result<Vec<Reserved>> {
        // One text for all: they share the token.
        let token = taken.first().map(|taken| token_text(taken.token));
        let token = token.unwrap_or_default();
        let mut reserved = Vec::with_capacity(taken.len());
        for job in taken {
            match decode_body(job.id, job.body.clone().unwrap_or_default()) {
                Ok(body) => reserved.push(Reserved {
                    lease: Lease {
                        job: JobId(job.id),
                        token: token.clone(),
                    },
                    attempt: job.attempt,
                    job: body,
                }),
                Err(error) => bury(&self.shared, queue, &job, error.to_string().into()),
            }
        }
        Ok(reserved)
    }
}

/// How a token is handed out.
fn token_text(token: u64) -> ByteString {
    token.to_string().into()
}

/// What [`token_text`] made; `None` for everything else.
pub(crate) fn parse_token(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

/// A job that cannot be read is dead, and says why.
fn bury(shared: &Shared, queue: &Arc<Queue>, job: &Taken, why: ByteString) {
    tracing::error!(queue = %queue.name(), job = job.id, "a job cannot be read: {why}");
    // One that holds a job was not thrown away.
    let _ = queue.operate(shared, |core, _| core.bury(job.id, job.token, why));
}

/// One who waits in the line. Dropped, he leaves it, and gives back what he was given in that moment.
struct Waiting {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// `None` once it was served.
    place: Option<u64>,
    served: oneshot::Receiver<Served>,
}

impl Waiting {
    async fn served(mut self) -> Result<Served> {
        let served = (&mut self.served).await;
        self.place = None;
        served.map_err(|_| closed())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        // Closed first: what is sent from now on goes back to who sent it.
        self.served.close();
        match self.served.try_recv() {
            Ok(taken) => self.queue.give_back(&self.shared, &taken),
            Err(_) => self.queue.leave(&self.shared, place),
        }
    }
}
