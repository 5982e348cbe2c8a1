//! Which buckets and queues there are: a message for each, written before the first thing in it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use switchboard_engine::Result;

use crate::link::Link;
use crate::names::{Stream, last_name_of};

/// Names that this hub remembers to have registered; over it, it forgets them all, and looks again.
const REMEMBERED_MAX: usize = 100_000;

/// Remembers what was registered.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// The connection over which the rest is known: a cluster may come back empty.
    known: Mutex<((String, u64), HashSet<String>)>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    total: usize,
    state: Subjects,
}

#[derive(Deserialize)]
struct Subjects {
    #[serde(default)]
    subjects: Option<std::collections::BTreeMap<String, u64>>,
}

impl Register {
    /// Sees to it that the name is listed: before something is written, and, as the cluster may come back empty while it
    /// is being written, after that.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn add(&self, link: &Link, stream: Stream, subject: &str) -> Result<()> {
        let connection = link.connection();
        {
            let mut known = self.known.lock();
            if known.0 != connection || known.1.len() > REMEMBERED_MAX {
                *known = (connection.clone(), HashSet::new());
            }
            if known.1.contains(subject) {
                return Ok(());
            }
        }
        link.register(stream, subject.to_owned()).await?;
        let mut known = self.known.lock();
        if known.0 == connection {
            known.1.insert(subject.to_owned());
        }
        Ok(())
    }

    /// All names that match, in order; also those of what has become empty.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn all(
        &self,
        link: &Arc<Link>,
        stream: Stream,
        filter: &str,
    ) -> Result<BTreeSet<String>> {
        let name = link.names.stream(stream);
        let mut all = BTreeSet::new();
        let mut offset = 0;
        loop {
            let body = json!({ "subjects_filter": filter, "offset": offset });
            let info: Info = link.api_patiently(&format!("STREAM.INFO.{name}"), &body).await?;
            let page = info.state.subjects.unwrap_or_default();
            offset += page.len();
            let is_last = page.is_empty() || offset >= info.total;
            all.extend(page.into_keys().map(|subject| last_name_of(&subject)));
            if is_last {
                return Ok(all);
            }
        }
    }
}
