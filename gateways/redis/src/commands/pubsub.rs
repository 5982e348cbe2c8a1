//! Messages: channels are the topics of the hub.

use bytestring::ByteString;
use switchboard_hub::Publish;

use crate::args::Args;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::glob::Glob;
use crate::refusal::Refusal;
use crate::subscriptions::{Kind, Subscriptions};

const TOPICS: Support = Support::Differs(
    "channels are the topics of the hub: UTF-8, 1 to 4095 bytes, no + # or NUL; those that begin with $ are the hub's own",
);
const PATTERNS: Support =
    Support::Differs("patterns find no topics that begin with $, unless they begin with that level");
const SHARDS: Support = Support::Differs("there are no shards: the same topics as those of SUBSCRIBE");

const fn subscribing(
    name: &'static str,
    since: &'static str,
    summary: &'static str,
    syntax: &'static str,
    support: Support,
    run: Run,
) -> Command {
    Command {
        name,
        arity: if syntax.as_bytes()[0] == b'[' { -1 } else { -2 },
        flags: &[Flag::PubSub, Flag::NoScript, Flag::NoMulti],
        keys: Keys::None,
        since,
        summary,
        complexity: "O(N) for N names",
        syntax,
        support,
        run,
    }
}

const fn asking(
    name: &'static str,
    arity: i32,
    since: &'static str,
    summary: &'static str,
    syntax: &'static str,
    run: Run,
) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::PubSub],
        keys: Keys::None,
        since,
        summary,
        complexity: "O(N) for N subscriptions",
        syntax,
        support: Support::Differs("only those that came by this door, of this daemon, are told of"),
        run,
    }
}

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "pubsub",
    title: "Publish and subscribe",
    commands: &[
        subscribing(
            "psubscribe",
            "2.0.0",
            "Subscribes to all channels that fit.",
            "pattern [pattern ...]",
            PATTERNS,
            Run::Session(psubscribe),
        ),
        Command {
            name: "publish",
            arity: 3,
            flags: &[Flag::PubSub, Flag::Fast],
            keys: Keys::None,
            since: "2.0.0",
            summary: "Publishes a message, and tells how many get it.",
            complexity: "O(N) for N subscriptions",
            syntax: "channel message",
            support: TOPICS,
            run: Run::Session(publish),
        },
        Command {
            name: "pubsub",
            arity: -2,
            flags: &[],
            keys: Keys::None,
            since: "2.8.0",
            summary: "Tells who is subscribed.",
            complexity: "depends on the subcommand",
            syntax: "",
            support: Support::Full,
            run: Run::Container(&[
                asking(
                    "pubsub|channels",
                    -2,
                    "2.8.0",
                    "Lists the channels that somebody is subscribed to.",
                    "[pattern]",
                    Run::Session(channels),
                ),
                asking(
                    "pubsub|help",
                    2,
                    "6.2.0",
                    "Lists the subcommands.",
                    "",
                    Run::Session(super::help),
                ),
                asking(
                    "pubsub|numpat",
                    2,
                    "2.8.0",
                    "Counts the patterns that somebody is subscribed to.",
                    "",
                    Run::Session(numpat),
                ),
                asking(
                    "pubsub|numsub",
                    -2,
                    "2.8.0",
                    "Counts the subscribers of channels.",
                    "[channel [channel ...]]",
                    Run::Session(numsub),
                ),
                asking(
                    "pubsub|shardchannels",
                    -2,
                    "7.0.0",
                    "Lists the channels that somebody is subscribed to by SSUBSCRIBE.",
                    "[pattern]",
                    Run::Session(shardchannels),
                ),
                asking(
                    "pubsub|shardnumsub",
                    -2,
                    "7.0.0",
                    "Counts those who are subscribed to channels by SSUBSCRIBE.",
                    "[shardchannel [shardchannel ...]]",
                    Run::Session(shardnumsub),
                ),
            ]),
        },
        subscribing(
            "punsubscribe",
            "2.0.0",
            "Ends subscriptions to patterns, or all of them.",
            "[pattern [pattern ...]]",
            PATTERNS,
            Run::Session(punsubscribe),
        ),
        Command {
            name: "spublish",
            arity: 3,
            flags: &[Flag::PubSub, Flag::Fast],
            keys: Keys::None,
            since: "7.0.0",
            summary: "Publishes a message, and tells how many get it.",
            complexity: "O(N) for N subscriptions",
            syntax: "shardchannel message",
            support: SHARDS,
            run: Run::Session(publish),
        },
        subscribing(
            "ssubscribe",
            "7.0.0",
            "Subscribes to channels.",
            "shardchannel [shardchannel ...]",
            SHARDS,
            Run::Session(ssubscribe),
        ),
        subscribing(
            "subscribe",
            "2.0.0",
            "Subscribes to channels.",
            "channel [channel ...]",
            TOPICS,
            Run::Session(subscribe),
        ),
        subscribing(
            "sunsubscribe",
            "7.0.0",
            "Ends subscriptions to channels, or all of them.",
            "[shardchannel [shardchannel ...]]",
            SHARDS,
            Run::Session(sunsubscribe),
        ),
        subscribing(
            "unsubscribe",
            "2.0.0",
            "Ends subscriptions to channels, or all of them.",
            "[channel [channel ...]]",
            TOPICS,
            Run::Session(unsubscribe),
        ),
    ],
};

fn publish(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let topic = ByteString::from(args.text(1)?);
    let published = talk.session.publish_now(Publish::new(topic, args.share(2)))?;
    if published.is_settled() {
        talk.reply.count(published.subscriptions());
        return Ok(Step::Done);
    }
    Ok(Step::then(async move {
        let count = published.settled().await?;
        Ok(move |talk: &mut Conversation| talk.reply.count(count))
    }))
}

fn subscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    begin(talk, args, Kind::Channel)
}

fn ssubscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    begin(talk, args, Kind::Shard)
}

fn psubscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    begin(talk, args, Kind::Pattern)
}

fn unsubscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    end(talk, args, Kind::Channel)
}

fn sunsubscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    end(talk, args, Kind::Shard)
}

fn punsubscribe(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    end(talk, args, Kind::Pattern)
}

/// Subscribes to all that are named, up to the first that is refused.
fn begin(talk: &mut Conversation, args: &Args, kind: Kind) -> Result<Step, Refusal> {
    let word: &[u8] = match kind {
        Kind::Channel => b"subscribe",
        Kind::Shard => b"ssubscribe",
        Kind::Pattern => b"psubscribe",
    };
    let outcome = (1..args.len()).try_for_each(|index| {
        let name = ByteString::from(args.text(index)?);
        let limits = talk.shared.options.queue;
        let session = &talk.session;
        let subscriptions = talk
            .subscriptions
            .get_or_insert_with(|| Box::new(Subscriptions::new(session, limits)));
        if subscriptions.add(kind, &name)? {
            talk.shared.channels.enter(kind, &name);
        }
        talk.reply.push(3);
        talk.reply.bulk(word);
        talk.reply.bulk(name.as_bytes());
        talk.reply.count(subscriptions.count(kind));
        Ok(())
    });
    talk.tidy_subscriptions();
    outcome.map(|()| Step::Done)
}

fn end(talk: &mut Conversation, args: &Args, kind: Kind) -> Result<Step, Refusal> {
    let word: &[u8] = match kind {
        Kind::Channel => b"unsubscribe",
        Kind::Shard => b"sunsubscribe",
        Kind::Pattern => b"punsubscribe",
    };
    let names: Vec<ByteString> = if args.len() > 1 {
        let texts = (1..args.len()).map(|index| args.text(index).map(ByteString::from));
        texts.collect::<Result<_, _>>()?
    } else {
        talk.subscriptions
            .as_ref()
            .map(|subscriptions| subscriptions.names(kind))
            .unwrap_or_default()
    };
    let count = |talk: &Conversation| {
        talk.subscriptions
            .as_ref()
            .map_or(0, |subscriptions| subscriptions.count(kind))
    };
    if names.is_empty() {
        talk.reply.push(3);
        talk.reply.bulk(word);
        talk.reply.null();
        let count = count(talk);
        talk.reply.count(count);
    }
    for name in &names {
        if let Some(subscriptions) = &mut talk.subscriptions
            && subscriptions.remove(kind, name)
        {
            talk.shared.channels.leave(kind, name);
        }
        talk.reply.push(3);
        talk.reply.bulk(word);
        talk.reply.bulk(name.as_bytes());
        let count = count(talk);
        talk.reply.count(count);
    }
    talk.tidy_subscriptions();
    Ok(Step::Done)
}

fn channels(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    list(talk, args, Kind::Channel)
}

fn shardchannels(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    list(talk, args, Kind::Shard)
}

fn list(talk: &mut Conversation, args: &Args, kind: Kind) -> Result<Step, Refusal> {
    if args.len() > 3 {
        return Err(Refusal::of(format!(
            "ERR wrong number of arguments for '{}' command",
            talk.last
        )));
    }
    let pattern = args.get(2).map(Glob::new);
    let mut names = talk.shared.channels.names(kind);
    names.retain(|name| {
        pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(name.as_bytes()))
    });
    talk.reply.array(names.len());
    for name in names {
        talk.reply.bulk(name.as_bytes());
    }
    Ok(Step::Done)
}

fn numpat(talk: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let count = talk.shared.channels.names(Kind::Pattern).len();
    talk.reply.count(count);
    Ok(Step::Done)
}

fn numsub(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    counts(talk, args, Kind::Channel)
}

fn shardnumsub(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    counts(talk, args, Kind::Shard)
}

fn counts(talk: &mut Conversation, args: &Args, kind: Kind) -> Result<Step, Refusal> {
    let names = args.from(2);
    talk.reply.array(names.len() * 2);
    for name in names.iter() {
        let count = std::str::from_utf8(name).map_or(0, |name| talk.shared.channels.count(kind, name));
        talk.reply.bulk(name);
        talk.reply.count(count);
    }
    Ok(Step::Done)
}
