//! Calls of other hubs' parties that are answered at this hub.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use switchboard_peer::{Body, Fault, PartReceiver, Replier, Reply, ReplyFuture, parts};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::letter::{Opening, Said};
use super::line::{Inflow, Line, WINDOW_BYTES, gather};
use super::{DOWN, GONE, lost};
use crate::call::{Call, Caller};
use crate::hub::HubInner;
use crate::media_type::MediaType;
use crate::names::Account;
use crate::responders::Chosen;
use crate::session::{SessionId, SessionInfo};

/// Answers one call.
pub(crate) async fn answer(
    hub: std::sync::Weak<HubInner>,
    mut line: Line,
    opening: Opening,
    payload: Option<Bytes>,
) {
    let outcome = match body(&mut line, &opening, payload).await {
        Ok(Some((body, inflow))) => begin(&hub, opening, body).map(|answer| (answer, inflow)),
        // Given up before it began.
        Ok(None) => return,
        Err(fault) => Err(WhyNot::Fault(fault)),
    };
    match outcome {
        Ok((answer, inflow)) => go_on(line, answer, inflow).await,
        Err(WhyNot::NotServed) => drop(line.speaker.say(Said::NotServed)),
        Err(WhyNot::Fault(fault)) => drop(line.speaker.say(Said::Fault(fault))),
    }
}

/// The body for the responder, and what feeds it, if it is a stream. `None` if the caller gave up meanwhile.
async fn body(
    line: &mut Line,
    opening: &Opening,
    payload: Option<Bytes>,
) -> Result<Option<(Body, Option<Inflow>)>, Fault> {
    if let Some(payload) = payload {
        return Ok(Some((Body::Single(payload), None)));
    }
    if opening.stream {
        let (sender, receiver) = parts(WINDOW_BYTES);
        let inflow = Inflow::new(&line.speaker, sender, || ());
        return Ok(Some((Body::Stream(receiver), Some(inflow))));
    }
    let mut whole = BytesMut::new();
    loop {
        match line.hear().await? {
            Said::Piece { bytes, .. } => {
                gather(&mut whole, &bytes)?;
                line.speaker.say(Said::Credit(bytes.len() as u32))?;
            }
            Said::End => return Ok(Some((Body::Single(whole.freeze()), None))),
            Said::Fault(_) | Said::Cancel => return Ok(None),
            _ => {}
        }
    }
}

/// Why a call does not begin.
enum WhyNot {
    NotServed,
    Fault(Fault),
}

impl From<Fault> for WhyNot {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Hands the call to whoever serves it here, or says why not.
fn begin(hub: &std::sync::Weak<HubInner>, opening: Opening, body: Body) -> Result<ReplyFuture, WhyNot> {
    let not_served = |why| match opening.again {
        true => WhyNot::NotServed,
        false => WhyNot::Fault(lost(why)),
    };
    let hub = hub.upgrade().ok_or_else(|| not_served(DOWN))?;
    if opening.again && hub.draining.is_cancelled() {
        // Whoever serves it here is about to go.
        return Err(not_served(DOWN));
    }
    let Some(Chosen { responder, place, .. }) = hub.responders.choose_here(&opening.op) else {
        return Err(not_served(GONE));
    };
    let info = SessionInfo {
        door: opening.door.into(),
        address: opening.address,
        account: Account::parse(&opening.account).map_err(Fault::from)?,
        client: None,
    };
    let (mut reply, answer) = Replier::pair(WINDOW_BYTES);
    let now = Instant::now();
    if let Some(watched) = place.begin(hub.meters.doors.enter(&info.door), now) {
        reply.hold(watched);
    }
    let call = Call {
        operation: ByteString::from(opening.op),
        body,
        content_type: opening.content_type.and_then(|text| MediaType::parse(&text).ok()),
        caller: Caller {
            session: SessionId::HUB,
            info: Arc::new(info),
        },
        deadline: opening
            .deadline_ms
            .and_then(|millis| now.checked_add(Duration::from_millis(millis))),
    };
    let name = call.operation.clone();
    if catch_unwind(AssertUnwindSafe(|| responder.respond(call, reply))).is_err() {
        tracing::error!(operation = &*name, "the responder panicked");
    }
    Ok(answer)
}

/// Hears what the caller says, and says what the responder answers, to the end of both.
async fn go_on(mut line: Line, answer: ReplyFuture, mut inflow: Option<Inflow>) {
    let credit = Arc::new(Semaphore::new(WINDOW_BYTES));
    let mut answer = Some(answer);
    let mut sending: Option<AbortOnDropHandle<()>> = None;
    loop {
        tokio::select! {
            heard = line.hear() => match heard {
                Ok(Said::Credit(bytes)) => credit.add_permits(bytes as usize),
                Ok(Said::Piece { bytes, last }) => {
                    // A responder that does not read its body may still answer.
                    if inflow.as_mut().is_some_and(|inflow| inflow.piece(bytes, last).is_err()) {
                        inflow = None;
                    }
                }
                Ok(Said::End) => {
                    if let Some(inflow) = inflow.take() {
                        inflow.finish();
                    }
                }
                Ok(Said::Fault(fault)) => {
                    if let Some(inflow) = inflow.take() {
                        inflow.fail(fault);
                    }
                }
                // Dropping the answer gives the call up at whoever answers it.
                Ok(Said::Cancel) => return,
                Err(fault) => {
                    drop(sending);
                    let _ = line.speaker.say(Said::Fault(fault));
                    return;
                }
                Ok(_) => {}
            },
            answered = ready(&mut answer) => {
                answer = None;
                match say_answer(&line, answered, &credit) {
                    Some(parts) => sending = Some(parts),
                    None => return,
                }
            }
            () = done(&mut sending) => return,
        }
    }
}

async fn ready(answer: &mut Option<ReplyFuture>) -> Result<Reply, Fault> {
    match answer {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

async fn done(sending: &mut Option<AbortOnDropHandle<()>>) {
    match sending {
        Some(sending) => drop(sending.await),
        None => std::future::pending().await,
    }
}

/// Says an answer. What sends it, if it does not fit into one letter.
fn say_answer(
    line: &Line,
    answer: Result<Reply, Fault>,
    credit: &Arc<Semaphore>,
) -> Option<AbortOnDropHandle<()>> {
    let speaker = &line.speaker;
    let (whole, parts): (bool, PartReceiver) = match answer {
        Err(fault) => {
            let _ = speaker.say(Said::Fault(fault));
            return None;
        }
        Ok(Reply::Single(payload)) if speaker.fits(payload.len(), 0) => {
            let _ = speaker.say(Said::Result(payload));
            return None;
        }
        Ok(single @ Reply::Single(_)) => (true, single.into_parts()),
        Ok(Reply::Stream(parts)) => (false, parts),
    };
    speaker.say(Said::Stream { whole }).ok()?;
    let sending = tokio::spawn(Arc::clone(speaker).say_parts(parts, Arc::clone(credit)));
    Some(AbortOnDropHandle::new(sending))
}
