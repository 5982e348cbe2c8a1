//! Any key: RANDOMKEY.

use bytes::Bytes;
use switchboard_hub::keys::{KEY_BYTES_MAX, Key, SCAN_ENTRIES_MAX};

use crate::args::Args;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;
use crate::reply::Reply;

use super::Database;

/// How far down, at most.
const FORKS_MAX: usize = 64;

pub(in super::super) const RANDOMKEY: Command = Command {
    name: "randomkey",
    arity: 1,
    flags: &[Flag::ReadOnly],
    keys: Keys::None,
    since: "1.0.0",
    summary: "Tells some key.",
    complexity: "O(log(N)), N keys",
    syntax: "",
    support: Support::Differs(
        "of more than 1,000 keys, those that few others resemble are told more often than the rest",
    ),
    run: Run::Session(randomkey),
};

fn randomkey(conversation: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let database = Database::of(conversation);
    Ok(Step::later(async move {
        let key = pick(&database).await?;
        Ok(move |reply: &mut Reply| reply.bulk_or_null(key.as_ref().map(Key::as_bytes)))
    }))
}

/// Goes down the tree of what keys begin with, fork by fork, until no more than a page is left to choose from.
pub(super) async fn pick(database: &Database) -> Result<Option<Key>, Refusal> {
    let mut prefix = Bytes::new();
    for _ in 0..FORKS_MAX {
        let page = database.page(&prefix, None, SCAN_ENTRIES_MAX).await?;
        let first = page.entries.first().map(|(key, _)| key.to_bytes());
        let Some(first) = first.filter(|_| page.cursor.is_some()) else {
            return Ok(fastrand::choice(page.entries).map(|(key, _)| key));
        };
        let fork = common(database, &prefix, &first).await?;
        match fastrand::choice(&next_bytes(database, &fork).await?) {
            Some(byte) => prefix = [&fork, &[*byte][..]].concat().into(),
            None => return Ok(fastrand::choice(page.entries).map(|(key, _)| key)),
        }
    }
    let page = database.page(&prefix, None, SCAN_ENTRIES_MAX).await?;
    Ok(fastrand::choice(page.entries).map(|(key, _)| key))
}

/// What all keys that begin alike have in common with the first of them.
async fn common(database: &Database, prefix: &Bytes, first: &Bytes) -> Result<Bytes, Refusal> {
    let (mut shared, mut too_long) = (prefix.len(), first.len() + 1);
    while too_long - shared > 1 {
        let length = shared + (too_long - shared) / 2;
        let beyond = after_all(first.get(..length).unwrap_or_default());
        if database.page(prefix, beyond, 1).await?.entries.is_empty() {
            shared = length;
        } else {
            too_long = length;
        }
    }
    Ok(first.slice(..shared))
}

/// Greater than the keys that begin so, unless one of them goes on with very many of the highest byte.
fn after_all(prefix: &[u8]) -> Option<Key> {
    const HIGHEST_BYTES: usize = 32;
    let room = KEY_BYTES_MAX.saturating_sub(prefix.len()).min(HIGHEST_BYTES);
    Key::new([prefix, &[0xff; HIGHEST_BYTES][..room]].concat()).ok()
}

/// The bytes that follow a beginning in some key.
async fn next_bytes(database: &Database, prefix: &Bytes) -> Result<Vec<u8>, Refusal> {
    let mut next = Vec::new();
    // A key that is no longer than that is followed by none.
    let mut after = Key::new(prefix.clone()).ok();
    loop {
        let page = database.page(prefix, after.take(), 1).await?;
        let byte = (page.entries.first()).and_then(|(key, _)| key.as_bytes().get(prefix.len()).copied());
        match byte {
            Some(byte) if next.last() != Some(&byte) => {
                next.push(byte);
                after = after_all(&[prefix, &[byte][..]].concat());
            }
            _ => return Ok(next),
        }
    }
}
