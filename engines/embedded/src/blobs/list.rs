//! Which blobs there are.

use std::ops::Bound;

use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::{Bucket, Result};

use super::record::{BLOBS, BlobRecord, blob_key, parse_blob_key};
use super::shelf::{Shelf, damaged, store_error};
use crate::store::{Space, after_prefix};

/// Blobs in the order of their names. Waits for the disk.
pub(crate) fn list(
    shelf: &Shelf,
    bucket: &Bucket,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<BlobInfo>> {
    shelf.check_open()?;
    let first = blob_key(bucket, prefix);
    let end = after_prefix(&first);
    let after = after
        .map(|after| blob_key(bucket, after))
        .filter(|after| *after >= first);
    let from = match &after {
        Some(after) => Bound::Excluded(after.as_slice()),
        None => Bound::Included(first.as_slice()),
    };
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let store = shelf.committer.store();
    let view = store.view();
    let mut infos = Vec::new();
    for record in view.range(Space::Blobs, from, to).take(limit) {
        let (key, value) = record.map_err(store_error)?;
        let Some((_, name)) = parse_blob_key(&key) else {
            return Err(damaged(bucket, prefix, "a name in the list makes no sense"));
        };
        match BlobRecord::decode(name.clone(), &value) {
            Some(record) => infos.push(record.info),
            None => return Err(damaged(bucket, &name, "what is known of it makes no sense")),
        }
    }
    Ok(infos)
}

/// The buckets that hold a blob, in order. Waits for the disk, as often as there are buckets.
pub(crate) fn buckets(shelf: &Shelf) -> Result<Vec<Bucket>> {
    shelf.check_open()?;
    let end = after_prefix(&BLOBS);
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let store = shelf.committer.store();
    let mut from = BLOBS.to_vec();
    let mut buckets = Vec::new();
    loop {
        let view = store.view();
        let first = view.range(Space::Blobs, Bound::Included(&from), end).next();
        let Some(record) = first else { return Ok(buckets) };
        let (key, _) = record.map_err(store_error)?;
        let Some((bucket, _)) = parse_blob_key(&key) else {
            return Err(switchboard_engine::EngineError::Damaged(
                "a name in the index of blobs makes no sense".to_owned(),
            ));
        };
        // After all its names: they follow a zero, and so does no other bucket's.
        let Some(after) = after_prefix(&blob_key(&bucket, "")) else {
            return Ok(buckets);
        };
        from = after;
        buckets.push(bucket);
    }
}
