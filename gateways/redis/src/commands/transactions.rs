//! Several commands as one.

use futures_util::future::try_join_all;
use switchboard_hub::keys::Key;

use crate::args::Args;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::conversation::{Conversation, Step, returned};
use crate::refusal::Refusal;
use crate::transaction::{LookAtRevision, Transaction, Watched};

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "transactions",
    title: "Transactions",
    commands: &[
        Command {
            name: "discard",
            arity: 1,
            flags: &[Flag::NoScript, Flag::Fast],
            keys: Keys::None,
            since: "2.0.0",
            summary: "Forgets what was queued.",
            complexity: "O(N) for N queued commands",
            syntax: "",
            support: Support::Full,
            run: Run::Session(discard),
        },
        Command {
            name: "exec",
            arity: 1,
            flags: &[Flag::NoScript],
            keys: Keys::None,
            since: "1.2.0",
            summary: "Does what was queued, in one step.",
            complexity: "that of the commands",
            syntax: "",
            support: Support::Differs(
                "commands that are not on keys (PUBLISH, PING) are done right after those on keys; on a cluster whose \
                 servers have no atomic batches, only one key can be used",
            ),
            run: Run::Session(exec),
        },
        Command {
            name: "multi",
            arity: 1,
            flags: &[Flag::NoScript, Flag::Fast],
            keys: Keys::None,
            since: "1.2.0",
            summary: "Begins to queue commands.",
            complexity: "O(1)",
            syntax: "",
            support: Support::Differs("SELECT of another database and COPY to one cannot be queued"),
            run: Run::Session(multi),
        },
        Command {
            name: "unwatch",
            arity: 1,
            flags: &[Flag::NoScript, Flag::Fast],
            keys: Keys::None,
            since: "2.2.0",
            summary: "Forgets which keys must not change.",
            complexity: "O(1)",
            syntax: "",
            support: Support::Full,
            run: Run::Session(unwatch),
        },
        Command {
            name: "watch",
            arity: -2,
            flags: &[Flag::NoScript, Flag::Fast],
            keys: Keys::ALL,
            since: "2.2.0",
            summary: "Has the next EXEC do nothing if one of these keys changes before.",
            complexity: "O(1) for each key",
            syntax: "key [key ...]",
            support: Support::Differs("all keys must be in the database of the transaction"),
            run: Run::Session(watch),
        },
    ],
};

fn multi(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    if talk.transaction.is_some() {
        return Err(Refusal::new("ERR MULTI calls can not be nested"));
    }
    talk.transaction = Some(Box::<Transaction>::default());
    talk.reply.ok();
    Ok(Step::Done)
}

fn exec(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.execute_queued()
}

fn discard(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    if talk.transaction.take().is_none() {
        return Err(Refusal::new("ERR DISCARD without MULTI"));
    }
    talk.watched.clear();
    talk.reply.ok();
    Ok(Step::Done)
}

fn unwatch(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    talk.watched.clear();
    talk.reply.ok();
    Ok(Step::Done)
}

fn watch(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    if talk.transaction.is_some() {
        return Err(Refusal::new("ERR WATCH inside MULTI is not allowed"));
    }
    let options = &talk.shared.options;
    if talk.watched.len() + args.len() > options.queued_commands_max {
        return Err(Refusal::of(format!(
            "ERR too many keys are watched: at most {} are possible",
            options.queued_commands_max
        )));
    }
    let database = talk.database;
    let mut looks = Vec::new();
    for arg in args.from(1).iter() {
        let key = Key::new_with(arg, bytes::Bytes::copy_from_slice)?;
        let is_known = |watched: &Watched| watched.database == database && watched.key == key;
        if talk.watched.iter().any(is_known) {
            continue;
        }
        let look = LookAtRevision {
            key: [key],
            revision: None,
        };
        looks.push(talk.session.keys()?.edit(talk.bucket(), Box::new(look))?);
    }
    Ok(Step::then(async move {
        let looked = try_join_all(looks).await?;
        let looked: Vec<Box<LookAtRevision>> = looked.into_iter().map(returned).collect::<Result<_, _>>()?;
        Ok(move |talk: &mut Conversation| {
            talk.watched.extend(looked.into_iter().map(|look| {
                let LookAtRevision { key: [key], revision } = *look;
                Watched {
                    database,
                    key,
                    revision,
                }
            }));
            talk.reply.ok();
        })
    }))
}
