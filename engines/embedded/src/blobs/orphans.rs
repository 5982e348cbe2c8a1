//! Contents that belong to no blob: a process that ends between two steps of writing or removing one leaves such.
//!
//! When the engine is opened, a thread goes through all contents, while others work: what is being written meanwhile is
//! known to the [`Shelf`].

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::content::{FileContents, TEMPORARY};
use super::id::ContentId;
use super::shelf::Shelf;

/// Removes them all. How many they were is told. It ends early when the engine is closed.
pub(crate) fn collect(shelf: &Shelf, files: &FileContents) -> io::Result<u64> {
    let mut removed = 0;
    for first in directories(files.root())? {
        for second in directories(&first.path())? {
            if shelf.is_closed() {
                return Ok(removed);
            }
            removed += collect_in(shelf, &second.path())?;
        }
    }
    Ok(removed)
}

fn directories(path: &Path) -> io::Result<impl Iterator<Item = DirEntry>> {
    // Read to the end before anything in it is changed.
    let entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    Ok(entries.into_iter().filter(|entry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name().to_str() != Some(TEMPORARY)
    }))
}

fn collect_in(shelf: &Shelf, directory: &Path) -> io::Result<u64> {
    let mut removed = 0;
    let entries: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
    for entry in entries {
        let Some(content) = entry.file_name().to_str().and_then(ContentId::from_file_name) else {
            tracing::warn!("{} is no content of a blob: it stays", entry.path().display());
            continue;
        };
        // What cannot be looked up stays.
        if shelf.is_needed(content).is_ok_and(|is_needed| !is_needed) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}
