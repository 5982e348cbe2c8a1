//! Looks at fjall's manifests before fjall does.
//!
//! A tree's file `current` names its manifest `v<id>` and has a checksum of it, which fjall writes and does not look at:
//! a manifest with a changed byte makes it panic in a way that ends the process. The format is that of lsm-tree 3.1, the
//! part of fjall that keeps trees: `id:u64 checksum:u128 kind:u8`, little-endian; kind 0 is XXH3 with 128 bits.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::{StoreError, StoreResult};

/// The trees of a store: fjall's own, and the one that holds all records.
const TREES: [&str; 2] = ["keyspaces/0", "keyspaces/1"];

/// Checks the manifests of all trees in a store's directory.
///
/// # Errors
/// Damaged, naming the file that is missing or changed.
pub(super) fn check(store: &Path) -> StoreResult<()> {
    TREES.iter().try_for_each(|tree| check_tree(&store.join(tree)))
}

fn check_tree(tree: &Path) -> StoreResult<()> {
    let path = tree.join("current");
    let current = read(&path)?;
    let senseless = || StoreError::Damaged(format!("{} makes no sense", path.display()));
    let (id, rest) = current.split_first_chunk::<8>().ok_or_else(senseless)?;
    let (checksum, kind) = rest.split_first_chunk::<16>().ok_or_else(senseless)?;
    if kind != [0] {
        return Err(senseless());
    }
    let manifest = tree.join(format!("v{}", u64::from_le_bytes(*id)));
    if xxh3_128(&read(&manifest)?) != u128::from_le_bytes(*checksum) {
        return Err(StoreError::Damaged(format!(
            "{} is not what {} says",
            manifest.display(),
            path.display()
        )));
    }
    Ok(())
}

fn read(path: &Path) -> StoreResult<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::Damaged(format!("{} is missing", path.display())),
        _ => StoreError::Disk(format!("{}: {error}", path.display())),
    })
}
