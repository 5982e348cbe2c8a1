//! The scripts that were loaded, by their digests.

use std::sync::Arc;

use foldhash::HashMap;

use super::{Digest, Script};

/// Scripts; the one that was not used for the longest time makes room for others.
#[derive(Debug, Default)]
pub(super) struct Cache {
    scripts: HashMap<Digest, Known>,
    bytes: usize,
    /// How often one was asked for.
    uses: u64,
}

#[derive(Debug)]
struct Known {
    script: Arc<Script>,
    used: u64,
}

impl Cache {
    /// A script that is there.
    pub(super) fn find(&mut self, digest: &Digest) -> Option<Arc<Script>> {
        self.uses += 1;
        let known = self.scripts.get_mut(digest)?;
        known.used = self.uses;
        Some(Arc::clone(&known.script))
    }

    /// Whether a script is there.
    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.scripts.contains_key(digest)
    }

    /// Adds one; others go, until there are no more than these.
    pub(super) fn add(&mut self, script: Arc<Script>, count_max: usize, bytes_max: usize) {
        if script.code.len() > bytes_max {
            return;
        }
        self.uses += 1;
        self.bytes += script.code.len();
        let known = Known {
            used: self.uses,
            script: Arc::clone(&script),
        };
        if let Some(before) = self.scripts.insert(script.digest, known) {
            self.bytes -= before.script.code.len();
        }
        while self.scripts.len() > count_max || self.bytes > bytes_max {
            let oldest = self.scripts.iter().min_by_key(|(_, known)| known.used);
            let Some(digest) = oldest.map(|(digest, _)| *digest) else {
                break;
            };
            if let Some(gone) = self.scripts.remove(&digest) {
                self.bytes -= gone.script.code.len();
            }
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.scripts = HashMap::default();
        self.bytes = 0;
    }
}
