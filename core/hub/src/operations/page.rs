//! Long lists come in pages.

use serde::Deserialize;

/// Most entries of one page.
pub const PAGE_MAX: usize = 1000;

/// Which page: of `hub.ops` and `hub.sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageRequest {
    /// Only what comes after this: the `next` of the page before.
    pub after: Option<String>,
    /// Most entries, 1 to [`PAGE_MAX`], which is also the default.
    pub limit: usize,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: None,
            limit: PAGE_MAX,
        }
    }
}

/// Cuts a list, of which one entry more than wanted was asked for, to the page; tells whether there is more.
pub(super) fn cut<T>(entries: &mut Vec<T>, limit: usize) -> bool {
    let more = entries.len() > limit;
    entries.truncate(limit);
    more
}
