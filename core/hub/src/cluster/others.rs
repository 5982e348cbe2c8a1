//! The other hubs: which there are, and what they serve.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytestring::ByteString;
use foldhash::{HashMap, HashSet};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::letter::{Content, HubId, LETTER_OVERHEAD_BYTES, Letter, Presence, Served, ServedPage};
use super::outgoing::ElsewhereResponder;
use super::{Cluster, DRAINING, SILENCE_MAX};
use crate::declaration::Declaration;
use crate::hub::HubInner;
use crate::media_type::MediaType;
use crate::names;
use crate::responders::Offer;
use crate::session::SessionId;

/// Most operations in one page of what is served.
const PAGE_OPERATIONS_MAX: usize = 128;

/// What a page takes in a letter beside its names, at most.
const PAGE_OVERHEAD_BYTES: usize = LETTER_OVERHEAD_BYTES + 256;

/// Most operations that a hub which goes down tells others to miss.
const MISSED_MAX: usize = 4096;

/// Most other hubs that are known: far more than anybody runs, and a bound on what presences can claim.
const HUBS_MAX: usize = 1024;

/// The other hubs that are known.
#[derive(Debug, Default)]
pub(crate) struct Others {
    known: HashMap<HubId, Other>,
    /// Once they were told that this hub is gone.
    are_left: bool,
}

/// One other hub.
#[derive(Debug)]
struct Other {
    /// As whom it serves in the table of this hub.
    session: SessionId,
    /// What it serves, as far as is known, and in which version.
    serves: BTreeMap<ByteString, Declaration>,
    version: Option<u64>,
    /// What it serves in a newer version, as far as it was told.
    learning: Option<Learning>,
    heard: Instant,
    /// How often it has lost letters; not known before its first presence.
    losses: Option<u64>,
    /// Whether it makes no more calls to this hub, which goes down.
    has_released: bool,
    /// Fires when it is lost, or letters were: then there is a new one for later calls.
    lost: CancellationToken,
}

#[derive(Debug)]
struct Learning {
    version: u64,
    /// Where the next page begins. Others are of an older question, and left out.
    next: String,
    serves: BTreeMap<ByteString, Declaration>,
    missed: HashSet<String>,
}

impl Others {
    /// Fires when that hub is lost; at once if it is not known.
    pub(super) fn lost_token(&self, hub: HubId) -> CancellationToken {
        match self.known.get(&hub) {
            Some(other) => other.lost.clone(),
            None => {
                let lost = CancellationToken::new();
                lost.cancel();
                lost
            }
        }
    }

    /// The same of a hub that calls this one: its letters may be brought before its first presence.
    pub(super) fn meet_caller(&mut self, hub: &HubInner, caller: HubId) -> CancellationToken {
        self.meet(hub, caller);
        self.lost_token(caller)
    }

    /// Letters of any of them may have been lost on their way to this hub.
    pub(super) fn end_calls(&mut self) {
        self.known.values_mut().for_each(Other::end_calls);
    }

    /// Whether that hub is here, and takes calls.
    pub(super) fn take_calls(&self, hub: HubId) -> bool {
        let version = self.known.get(&hub).map(|other| other.version);
        version.is_some_and(|version| version != Some(DRAINING))
    }

    /// Whether none of them makes calls to this hub any more.
    pub(super) fn have_released(&self) -> bool {
        self.known.values().all(|other| other.has_released)
    }

    /// Those who are to be told that this hub is gone.
    pub(super) fn leave(&mut self) -> impl Iterator<Item = HubId> {
        self.are_left = true;
        self.known.keys().copied()
    }

    pub(super) fn are_left(&self) -> bool {
        self.are_left
    }

    /// A hub, and whether it is new. `None` if there are too many.
    fn meet(&mut self, hub: &HubInner, id: HubId) -> Option<(&mut Other, bool)> {
        let is_full = self.known.len() >= HUBS_MAX;
        match self.known.entry(id) {
            Entry::Occupied(known) => Some((known.into_mut(), false)),
            Entry::Vacant(_) if is_full => {
                tracing::warn!("there are more than {HUBS_MAX} other hubs: one is left out");
                None
            }
            Entry::Vacant(place) => {
                tracing::info!(hub = %id.topic(), "another hub is here");
                Some((place.insert(Other::new(hub.next_session())), true))
            }
        }
    }
}

/// What is served at this hub, after that name: as much as fits into a letter of so many bytes.
pub(super) fn page(hub: &HubInner, version: u64, after: &str, letter_bytes_max: usize) -> ServedPage {
    let room = letter_bytes_max.saturating_sub(PAGE_OVERHEAD_BYTES);
    let mut page = ServedPage {
        version,
        after: after.to_owned(),
        ops: Vec::new(),
        missed: Vec::new(),
        more: false,
    };
    let mut size = size_of_json(after);
    if !hub.draining.is_cancelled() {
        for (name, declaration) in hub.responders.served_here(after, PAGE_OPERATIONS_MAX + 1) {
            let served = Served {
                op: name.to_string(),
                safe: declaration.safe,
                result_type: declaration.result_type.map(|known| known.to_string()),
            };
            size += size_of_json(&served);
            if page.ops.len() == PAGE_OPERATIONS_MAX || size > room && !page.ops.is_empty() {
                page.more = true;
                return page;
            }
            page.ops.push(served);
        }
    }
    // For what does not fit, callers elsewhere get "unknown operation" a little too early.
    page.missed = missed(hub).map(|name| name.to_string()).collect();
    page.missed.retain(|name| {
        size += size_of_json(name);
        size <= room
    });
    page
}

/// What is not served here any more, and is worth waiting for. A hub that goes down takes no more calls, for its
/// parties are about to go elsewhere.
fn missed(hub: &HubInner) -> impl Iterator<Item = ByteString> {
    let leaving = match hub.draining.is_cancelled() {
        true => hub.responders.served_here("", MISSED_MAX),
        false => Vec::new(),
    };
    let leaving = leaving.into_iter().map(|(name, _)| name);
    leaving.chain(hub.absences.all(Instant::now()))
}

fn size_of_json(value: &(impl Serialize + ?Sized)) -> usize {
    /// The comma.
    const BETWEEN: usize = 1;
    serde_json::to_vec(value).map_or(0, |json| json.len() + BETWEEN)
}

impl Cluster {
    /// A hub says that it is here, or goes.
    pub(super) fn present(&self, hub: &HubInner, presence: &Presence, version_here: u64) {
        if presence.hub == self.id {
            return;
        }
        let mut others = self.others.lock();
        let Some((other, is_new)) = others.meet(hub, presence.hub) else {
            return;
        };
        other.heard = Instant::now();
        let losses = other.losses.replace(presence.losses);
        if losses.is_some_and(|losses| losses != presence.losses) {
            other.end_calls();
        }
        let is_known = other.version == Some(presence.version);
        drop(others);
        if is_new {
            // So that it hears of this one at once.
            self.say_presence(version_here);
        }
        if !is_known {
            self.ask(presence.hub, String::new());
        }
    }

    fn ask(&self, hub: HubId, after: String) {
        let letter = Letter {
            from: self.id,
            content: Content::Ask { after },
        };
        if let Err(fault) = self.send(hub, &letter) {
            tracing::debug!(%fault, "what is served at another hub is not known for now");
        }
    }

    /// A hub says what it serves.
    pub(super) fn served(self: &Arc<Self>, hub: &Arc<HubInner>, from: HubId, page: ServedPage) {
        let mut others = self.others.lock();
        let Some(other) = others.known.get_mut(&from) else {
            return;
        };
        other.heard = Instant::now();
        if page.after.is_empty() {
            other.learning = Some(Learning {
                version: page.version,
                next: String::new(),
                serves: BTreeMap::new(),
                missed: HashSet::default(),
            });
        }
        let follows =
            |learning: &&mut Learning| learning.version == page.version && learning.next == page.after;
        let Some(learning) = other.learning.as_mut().filter(follows) else {
            return;
        };
        let next = page.ops.last().filter(|_| page.more).map(|last| last.op.clone());
        for served in page.ops {
            if names::check_operation(&served.op).is_ok() && !names::is_reserved_operation(&served.op) {
                learning.serves.insert(
                    ByteString::from(served.op),
                    declaration(served.safe, served.result_type),
                );
            }
        }
        learning.missed.extend(page.missed);
        if let Some(next) = next {
            learning.next.clone_from(&next);
            drop(others);
            return self.ask(from, next);
        }
        if let Some(learned) = other.learning.take() {
            other.enter(self, hub, from, learned);
        }
    }

    /// Takes hubs out that were silent for too long.
    pub(super) fn forget_silent(&self, hub: &HubInner) {
        let others = self.others.lock();
        let silent = others
            .known
            .iter()
            .filter(|(_, other)| other.heard.elapsed() > SILENCE_MAX);
        let silent: Vec<_> = silent.map(|(id, _)| *id).collect();
        drop(others);
        for id in silent {
            tracing::warn!(hub = %id.topic(), "another hub was silent for too long: it is taken for lost");
            self.lose(hub, id);
        }
    }

    /// A hub is gone, or as good as gone.
    pub(super) fn lose(&self, hub: &HubInner, id: HubId) {
        let Some(other) = self.others.lock().known.remove(&id) else {
            return;
        };
        hub.lose(other.session, other.serves.into_keys());
        other.lost.cancel();
        self.released.notify_waiters();
    }

    /// A hub knows that this one goes down.
    pub(super) fn release(&self, from: HubId) {
        if let Some(other) = self.others.lock().known.get_mut(&from) {
            other.has_released = true;
        }
        self.released.notify_waiters();
    }
}

impl Other {
    fn new(session: SessionId) -> Self {
        Self {
            session,
            serves: BTreeMap::new(),
            version: None,
            learning: None,
            heard: Instant::now(),
            losses: None,
            has_released: false,
            lost: CancellationToken::new(),
        }
    }

    /// Ends the calls between that hub and this one.
    fn end_calls(&mut self) {
        std::mem::take(&mut self.lost).cancel();
    }

    /// Makes what it serves here what it serves there.
    fn enter(&mut self, cluster: &Arc<Cluster>, hub: &Arc<HubInner>, id: HubId, learned: Learning) {
        for (operation, declaration) in &learned.serves {
            if self.serves.get(operation) == Some(declaration) {
                continue;
            }
            let offer = Offer {
                responder: Arc::new(ElsewhereResponder {
                    cluster: Arc::downgrade(cluster),
                    here: Arc::downgrade(hub),
                    hub: id,
                }),
                declaration: declaration.clone(),
                elsewhere: Some(id),
            };
            let max = hub.config.responders_per_operation_max;
            if hub
                .responders
                .insert(operation.clone(), self.session, offer, max)
                .is_err()
            {
                tracing::warn!(
                    operation = &**operation,
                    "too many serve this operation: another hub's are left out"
                );
            }
        }
        for operation in self.serves.keys() {
            if learned.serves.contains_key(operation) {
                continue;
            }
            if learned.missed.contains(&**operation) {
                hub.lose(self.session, [operation.clone()]);
            } else {
                hub.responders.remove(operation, self.session);
            }
        }
        self.serves = learned.serves;
        self.version = Some(learned.version);
        if learned.version == DRAINING {
            // The others are locked, here and where a call begins: none follows this.
            let released = Letter {
                from: cluster.id,
                content: Content::Released,
            };
            if let Err(fault) = cluster.send(id, &released) {
                tracing::debug!(%fault, "a hub that goes down does not hear that this is known");
            }
        }
    }
}

fn declaration(safe: bool, result_type: Option<String>) -> Declaration {
    Declaration {
        safe,
        result_type: result_type.and_then(|text| MediaType::parse(&text).ok()),
    }
}
