//! Any key: RANDOMKEY.

use bytes::Bytes;
use switchboard_hub::keys::{Key, SCAN_ENTRIES_MAX};

use crate::args::Args;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;
use crate::reply::Reply;

use super::Database;

/// How far down, at most.
const DEPTH_MAX: usize = 256;

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
        Ok(move |reply: &mut Reply| reply.bulk_or_null(key.as_ref().map(|key| &key.as_bytes()[..])))
    }))
}

/// Goes down the tree of what keys begin with, byte by byte, until no more than a page is left to choose from.
async fn pick(database: &Database) -> Result<Option<Key>, Refusal> {
    let mut prefix = Vec::new();
    loop {
        let begins = Bytes::from(prefix.clone());
        let page = database.page(&begins, None, SCAN_ENTRIES_MAX).await?;
        let next = match page.cursor {
            Some(_) => next_bytes(database, &begins).await?,
            None => Vec::new(),
        };
        match fastrand::choice(&next) {
            Some(byte) if prefix.len() < DEPTH_MAX => prefix.push(*byte),
            _ => return Ok(fastrand::choice(page.entries).map(|(key, _)| key)),
        }
    }
}

/// The bytes that follow a beginning in some key.
async fn next_bytes(database: &Database, prefix: &Bytes) -> Result<Vec<u8>, Refusal> {
    /// After this many, keys that begin alike are taken for the last of them.
    const HIGHEST_BYTES: usize = 32;
    let mut next = Vec::new();
    let mut after = Key::new(prefix.clone()).ok();
    loop {
        let page = database.page(prefix, after.take(), 1).await?;
        let byte = (page.entries.first()).and_then(|(key, _)| key.as_bytes().get(prefix.len()).copied());
        match byte {
            Some(byte) if next.last() != Some(&byte) => {
                next.push(byte);
                let beyond = [prefix, &[byte][..], &[0xff; HIGHEST_BYTES]].concat();
                after = Key::new(beyond).ok();
                if after.is_none() {
                    return Ok(next);
                }
            }
            _ => return Ok(next),
        }
    }
}
