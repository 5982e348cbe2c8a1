//! Calls of this hub's parties that are answered at another hub.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchboard_peer::{Body, ErrorKind, Fault, PartReceiver, Replier};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::letter::{CallId, HubId, Opening, Said};
use super::line::{Inflow, Line, Side, Speaker, WINDOW_BYTES, gather};
use super::{Cluster, DOWN, GONE, lost};
use crate::call::{Call, Responder};
use crate::hub::HubInner;

/// How much longer than its deadline is waited for what the other hub says of a call: it watches over it too.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// What an opening may take in a letter beside its payload, at most: names and addresses.
const OPENING_BYTES_MAX: usize = 32 * 1024;

/// All who serve an operation at another hub, as one responder.
#[derive(Debug)]
pub(crate) struct ElsewhereResponder {
    pub(crate) cluster: Weak<Cluster>,
    /// This hub.
    pub(crate) here: Weak<HubInner>,
    pub(crate) hub: HubId,
}

impl Responder for ElsewhereResponder {
    fn respond(&self, call: Call, reply: Replier) {
        let (Some(cluster), Ok(runtime)) = (self.cluster.upgrade(), Handle::try_current()) else {
            return reply.fault(lost(DOWN));
        };
        let line = line(&cluster, self.hub);
        runtime.spawn(find_and_make(line, Weak::clone(&self.here), call, reply));
    }
}

fn line(cluster: &Arc<Cluster>, hub: HubId) -> Line {
    let id = CallId {
        caller: cluster.id,
        number: cluster.next_call(),
    };
    let lost = cluster.others.lock().lost_token(hub);
    Line::new(cluster, hub, id, Side::Caller, lost)
}

/// Makes a call at one hub after the other, until one has begun it: what is known here of others may be of a moment
/// ago.
async fn find_and_make(mut line: Line, here: Weak<HubInner>, mut call: Call, mut reply: Replier) {
    let mut tried = Vec::new();
    loop {
        let cluster = Arc::clone(&line.speaker.cluster);
        tried.push(line.speaker.to);
        let again = again(&call);
        let Some(unanswered) = make(line, call, reply, again.is_some()).await else {
            return;
        };
        let chosen = again.and_then(|call| {
            let chosen = here
                .upgrade()?
                .responders
                .choose_besides(&call.operation, &tried)?;
            Some((call, chosen))
        });
        let Some((next, chosen)) = chosen else {
            return unanswered.fault(lost(GONE));
        };
        // The call keeps the place that it was given first.
        drop(chosen.place);
        match chosen.elsewhere {
            Some(hub) => (line, call, reply) = (self::line(&cluster, hub), next, unanswered),
            None => return chosen.responder.respond(next, unanswered),
        }
    }
}

/// The same call, if it can be made once more.
fn again(call: &Call) -> Option<Call> {
    let Body::Single(payload) = &call.body else {
        return None;
    };
    Some(Call {
        operation: call.operation.clone(),
        body: Body::Single(payload.clone()),
        content_type: call.content_type.clone(),
        caller: call.caller.clone(),
        deadline: call.deadline,
    })
}

/// Where the answer goes.
enum Answer {
    /// Nothing was said yet.
    Due(Replier),
    /// It is one payload that comes in pieces.
    Gathering(Replier, BytesMut),
    Streaming(Inflow),
}

/// Makes a call at one hub. The reply comes back if nobody serves it there any more.
async fn make(mut line: Line, call: Call, reply: Replier, again: bool) -> Option<Replier> {
    let given_up = reply.cancellation();
    let deadline = call.deadline;
    let credit = Arc::new(Semaphore::new(WINDOW_BYTES));
    let _sending = match open(&line.speaker, call, again, &credit) {
        Ok(Opened::Begun(sending)) => sending,
        Ok(Opened::NotTaken) => return Some(reply),
        Err(fault) => {
            reply.fault(fault);
            return None;
        }
    };
    let mut answer = Answer::Due(reply);
    loop {
        let heard = tokio::select! {
            biased;
            () = given_up.cancelled() => {
                let _ = line.speaker.say(Said::Cancel);
                return None;
            }
            heard = line.hear() => heard,
            () = passed(deadline) => Err(Fault::retry(Duration::ZERO, "the deadline of the call has passed")),
        };
        let step = match heard {
            Ok(Said::Credit(bytes)) => {
                credit.add_permits(bytes as usize);
                continue;
            }
            Ok(said) => answer.take(said, &line.speaker),
            Err(fault) => Step::Ended(Some((answer, fault))),
        };
        match step {
            Step::On(next) => answer = next,
            Step::NotServed(reply) => return Some(reply),
            Step::Ended(None) => return None,
            Step::Ended(Some((answer, fault))) => {
                let _ = line.speaker.say(Said::Cancel);
                answer.fail(fault);
                return None;
            }
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline + DEADLINE_GRACE).await,
        None => std::future::pending().await,
    }
}

enum Opened {
    /// What sends the body, if that does not fit into the first letter.
    Begun(Option<AbortOnDropHandle<()>>),
    /// That hub takes no more calls.
    NotTaken,
}

/// Begins the call.
fn open(speaker: &Arc<Speaker>, call: Call, again: bool, credit: &Arc<Semaphore>) -> Result<Opened, Fault> {
    let (payload, rest, stream) = in_letter(speaker, call.body);
    let opening = Opening {
        op: call.operation.to_string(),
        account: call.caller.info.account.as_str().to_owned(),
        door: call.caller.info.door.to_string(),
        address: call.caller.info.address.clone(),
        deadline_ms: call.deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        }),
        content_type: call.content_type.map(|known| known.to_string()),
        stream,
        again,
    };
    if !speaker.open(opening, payload)? {
        return Ok(Opened::NotTaken);
    }
    let sending = |parts| tokio::spawn(Arc::clone(speaker).say_parts(parts, Arc::clone(credit)));
    Ok(Opened::Begun(
        rest.map(|parts| AbortOnDropHandle::new(sending(parts))),
    ))
}

/// What goes with the first letter, what follows it, and whether that is a stream for who answers, too.
fn in_letter(speaker: &Speaker, body: Body) -> (Option<Bytes>, Option<PartReceiver>, bool) {
    match body {
        Body::Single(payload) if speaker.fits(payload.len(), OPENING_BYTES_MAX) => {
            (Some(payload), None, false)
        }
        single @ Body::Single(_) => (None, Some(single.into_parts()), false),
        Body::Stream(parts) => (None, Some(parts), true),
    }
}

enum Step {
    On(Answer),
    NotServed(Replier),
    /// With what is still to be told the caller.
    Ended(Option<(Answer, Fault)>),
}

impl Answer {
    fn take(self, said: Said, speaker: &Arc<Speaker>) -> Step {
        match (self, said) {
            (Self::Due(reply), Said::Result(payload)) => {
                reply.result(payload);
                Step::Ended(None)
            }
            (Self::Due(reply), Said::Fault(fault)) | (Self::Gathering(reply, _), Said::Fault(fault)) => {
                reply.fault(fault);
                Step::Ended(None)
            }
            (Self::Due(reply), Said::NotServed) => Step::NotServed(reply),
            (Self::Due(reply), Said::Stream { whole: true }) => {
                Step::On(Self::Gathering(reply, BytesMut::new()))
            }
            (Self::Due(reply), Said::Stream { whole: false }) => {
                let says = Arc::clone(speaker);
                let give_up = move || drop(says.say(Said::Cancel));
                Step::On(Self::Streaming(Inflow::new(speaker, reply.stream(), give_up)))
            }
            (Self::Gathering(reply, mut whole), Said::Piece { bytes, .. }) => {
                let taken =
                    gather(&mut whole, &bytes).and_then(|()| speaker.say(Said::Credit(bytes.len() as u32)));
                let answer = Self::Gathering(reply, whole);
                match taken {
                    Ok(()) => Step::On(answer),
                    Err(fault) => Step::Ended(Some((answer, fault))),
                }
            }
            (Self::Gathering(reply, whole), Said::End) => {
                reply.result(whole.freeze());
                Step::Ended(None)
            }
            (Self::Streaming(mut inflow), Said::Piece { bytes, last }) => match inflow.piece(bytes, last) {
                Ok(()) => Step::On(Self::Streaming(inflow)),
                Err(fault) => Step::Ended(Some((Self::Streaming(inflow), fault))),
            },
            (Self::Streaming(inflow), Said::End) => {
                inflow.finish();
                Step::Ended(None)
            }
            (Self::Streaming(inflow), Said::Fault(fault)) => {
                inflow.fail(fault);
                Step::Ended(None)
            }
            (answer, _) => Step::Ended(Some((
                answer,
                Fault::error(
                    ErrorKind::Failed,
                    "another hub said what makes no sense: is it of another version?",
                ),
            ))),
        }
    }

    fn fail(self, fault: Fault) {
        match self {
            Self::Due(reply) | Self::Gathering(reply, _) => reply.fault(fault),
            Self::Streaming(inflow) => inflow.fail(fault),
        }
    }
}
