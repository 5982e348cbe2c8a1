//! `hub.ops`: what can be called.

use bytes::Bytes;
use serde::Serialize;
use switchboard_peer::Fault;

use super::json;
use super::page::{self, PageRequest};
use crate::call::Caller;
use crate::hub::HubInner;
use crate::requests;
use crate::responders::OperationUsage;

/// The reply of `hub.ops`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationPage {
    /// Operations by name. Those that concern a connection are known to the gateways only, and not listed.
    pub ops: Vec<OperationSummary>,
    /// Where the next page begins, if there is one: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationSummary {
    /// Its name.
    pub op: String,
    /// Whether calls change nothing, as all who serve it say.
    pub safe: bool,
    /// What the results are, if all who serve it say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_type: Option<String>,
    /// How many share its calls.
    pub responders: usize,
    /// Calls since the first of them came.
    pub calls: u64,
    /// Calls that are being answered.
    pub in_flight: usize,
}

impl OperationPage {
    pub(crate) fn of(hub: &HubInner, page: &PageRequest) -> Self {
        let after = page.after.as_deref().unwrap_or_default();
        let mut all = hub.responders.usage(|name| name > after);
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let more = page::cut(&mut all, page.limit);
        let next = all.last().filter(|_| more).map(|last| last.name.to_string());
        Self {
            ops: all.into_iter().map(OperationSummary::from).collect(),
            next,
        }
    }
}

impl From<OperationUsage> for OperationSummary {
    fn from(usage: OperationUsage) -> Self {
        let OperationUsage {
            name,
            declaration,
            responders,
            calls,
            in_flight,
        } = usage;
        Self {
            op: name.into(),
            safe: declaration.safe,
            result_type: declaration.result_type.map(|known| known.to_string()),
            responders,
            calls,
            in_flight,
        }
    }
}

pub(super) fn answer(hub: &HubInner, _: &Caller, body: &[u8]) -> Result<Bytes, Fault> {
    json(&OperationPage::of(hub, &requests::parse(requests::OPS, body)?))
}
