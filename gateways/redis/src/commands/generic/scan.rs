//! Which keys there are: KEYS, SCAN, RANDOMKEY.

use std::sync::Arc;

use bytes::Bytes;
use switchboard_hub::Session;
use switchboard_hub::keys::{Bucket, Entry, Key, Page, SCAN_ENTRIES_MAX, Scan};

use crate::args::Args;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::glob::Glob;
use crate::long;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::scan::cursor;

use super::presence::kind_name;

mod random;

pub(super) use random::RANDOMKEY;

/// Most bytes of keys that `KEYS` answers.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most keys that one `SCAN` looks at, whatever its `COUNT`.
const LOOKED_AT_MAX: usize = 10_000;

/// How many keys a `SCAN` looks at, if nothing is said.
const COUNT_DEFAULT: usize = 10;

pub(super) const KEYS: Command = Command {
    name: "keys",
    arity: 2,
    flags: &[Flag::ReadOnly],
    keys: Keys::None,
    since: "1.0.0",
    summary: "Tells the keys that fit a pattern, in the order of their bytes.",
    complexity: "O(N), N keys that begin as the pattern does",
    syntax: "pattern",
    support: Support::Differs("what changes meanwhile may be seen or not; at most 64 MiB of keys are told"),
    run: Run::Session(keys),
};

pub(super) const SCAN: Command = Command {
    name: "scan",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::None,
    since: "2.8.0",
    summary: "Tells keys, a part at a time.",
    complexity: "O(N), N keys that are looked at",
    syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
    support: Support::Differs(
        "each key is told once, in the order of bytes; a cursor is forgotten when 10,000 others have come, or by a \
         restart: scanning begins again at 0 then",
    ),
    run: Run::Session(scan),
};

/// The keys of one database, for one party.
struct Database {
    session: Arc<Session>,
    bucket: Bucket,
}

impl Database {
    fn of(conversation: &Conversation) -> Self {
        Self {
            session: Arc::clone(&conversation.session),
            bucket: conversation.bucket().clone(),
        }
    }

    async fn page(&self, prefix: &Bytes, after: Option<Key>, limit: usize) -> Result<Page, Refusal> {
        let scan = Scan {
            prefix: prefix.clone(),
            after,
            limit,
            values: false,
        };
        Ok(self.session.keys()?.scan(&self.bucket, scan)?.await?)
    }
}

/// Tells keys as an array.
fn say(keys: Vec<Key>) -> impl FnOnce(&mut Reply) {
    move |reply| {
        reply.array(keys.len());
        long::through(keys.len(), || {
            for key in &keys {
                reply.bulk(key.as_bytes());
            }
        });
    }
}

fn keys(conversation: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let database = Database::of(conversation);
    let glob = Glob::new(args.at(1));
    Ok(Step::later(
        async move { Ok(say(matching(&database, &glob).await?)) },
    ))
}

/// All keys that fit.
async fn matching(database: &Database, glob: &Glob) -> Result<Vec<Key>, Refusal> {
    let prefix = Bytes::from(glob.literal_prefix());
    // Of those that begin with a whole key, that is the first.
    let limit = if glob.is_literal() { 1 } else { SCAN_ENTRIES_MAX };
    let (mut found, mut bytes, mut after) = (Vec::new(), 0, None);
    loop {
        let page = database.page(&prefix, after, limit).await?;
        for (key, _) in page.entries {
            if glob.matches(key.as_bytes()) {
                bytes += key.as_bytes().len();
                found.push(key);
            }
        }
        if bytes > ANSWER_BYTES_MAX {
            return Err(Refusal::new("ERR too many keys fit this pattern: use SCAN"));
        }
        after = page.cursor;
        if after.is_none() || glob.is_literal() {
            return Ok(found);
        }
    }
}

/// What a `SCAN` asks for.
struct Wanted {
    glob: Option<Glob>,
    count: usize,
    kind: Option<Bytes>,
}

impl Wanted {
    /// Those among the arguments from an index on: `[MATCH pattern] [COUNT count] [TYPE type]`.
    fn read(args: &Args, from: usize) -> Result<Self, Refusal> {
        let mut wanted = Self {
            glob: None,
            count: COUNT_DEFAULT,
            kind: None,
        };
        for index in (from..args.len()).step_by(2) {
            let Some(value) = args.get(index + 1) else {
                return Err(Refusal::SYNTAX);
            };
            if args.is(index, "COUNT") {
                let count = args.integer(index + 1)?;
                wanted.count = usize::try_from(count)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Refusal::SYNTAX)?;
            } else if args.is(index, "MATCH") {
                wanted.glob = Some(Glob::new(value)).filter(|glob| !glob.is_everything());
            } else if args.is(index, "TYPE") {
                wanted.kind = Some(args.share(index + 1));
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        wanted.count = wanted.count.min(LOOKED_AT_MAX);
        Ok(wanted)
    }

    fn has(&self, key: &Key, entry: &Entry) -> bool {
        let is_kind = |kind: &Bytes| kind.eq_ignore_ascii_case(kind_name(entry.kind).as_bytes());
        self.glob.as_ref().is_none_or(|glob| glob.matches(key.as_bytes()))
            && self.kind.as_ref().is_none_or(is_kind)
    }

    /// What is wanted of so many keys after one, and where to go on.
    async fn find(
        &self,
        database: &Database,
        mut after: Option<Key>,
    ) -> Result<(Vec<Key>, Option<Key>), Refusal> {
        let prefix = self.glob.as_ref().map(Glob::literal_prefix).unwrap_or_default();
        let prefix = Bytes::from(prefix);
        let (mut found, mut left) = (Vec::new(), self.count);
        loop {
            let page = database.page(&prefix, after, left.min(SCAN_ENTRIES_MAX)).await?;
            left = left.saturating_sub(page.entries.len().max(1));
            let wanted = page
                .entries
                .into_iter()
                .filter(|(key, entry)| self.has(key, entry));
            found.extend(wanted.map(|(key, _)| key));
            after = page.cursor;
            if after.is_none() || left == 0 {
                return Ok((found, after));
            }
        }
    }
}

fn scan(conversation: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let shared = Arc::clone(&conversation.shared);
    let number = cursor(args, 1)?;
    let wanted = Wanted::read(args, 2)?;
    let after = match number {
        0 => None,
        number => Some(shared.cursors.place(number).ok_or_else(|| {
            Refusal::of(format!(
                "ERR cursor {number} is not known any more: begin the scan again at 0"
            ))
        })?),
    };
    let database = Database::of(conversation);
    Ok(Step::later(async move {
        let (found, after) = wanted.find(&database, after).await?;
        let number = after.map_or(0, |after| shared.cursors.after(after));
        Ok(move |reply: &mut Reply| {
            reply.array(2);
            reply.bulk(number.to_string().as_bytes());
            say(found)(reply);
        })
    }))
}

#[cfg(test)]
mod tests;
