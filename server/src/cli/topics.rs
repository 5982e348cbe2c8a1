//! Arguments of `publish` and `subscribe`.

use std::{ffi::OsString, num::NonZeroU64};

use clap::{Args, ValueEnum};

use crate::units::Span;

const PUBLISH_AFTER_HELP: &str = "\
The levels of a topic are separated by `/`. The command ends when the hub has taken the message.

Examples:
  switchboard publish home/lamp on
  switchboard publish --retain home/temperature 21.5
  switchboard publish --retain --expires 10m home/visitor \"Ann is here\"
  switchboard publish --retain home/visitor ''
  date | switchboard publish clock";

/// `switchboard publish`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PUBLISH_AFTER_HELP)]
pub struct PublishArgs {
    /// Topic to publish to
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// Message; `-` reads stdin, and so does none, unless stdin is a terminal
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<OsString>,
    /// Keep it as the topic's last value, for those who subscribe later; an empty one removes what is kept
    #[arg(long)]
    pub retain: bool,
    /// Forget the message after this long, like 10s
    #[arg(long, value_name = "TIME")]
    pub expires: Option<Span>,
}

const SUBSCRIBE_AFTER_HELP: &str = "\
In a filter, `+` stands for one level and `#`, at the end, for all the rest: home/+/lamp, home/#.
Quote filters, or the shell takes `#` for a comment.

Each message is printed on a line of its own: its topic, a tab, its payload. Control characters in them are escaped, as
\\n or \\u{1b}, and what is no UTF-8 is replaced. With --json it is an object that loses nothing: topic, and payload or,
if that is no UTF-8, payload_base64.

Without --count it goes on until it is stopped, also when the hub is restarted: then it subscribes again. What is
published meanwhile is missed, except for retained messages.

Examples:
  switchboard subscribe 'home/#'
  switchboard subscribe --count 1 home/lamp
  switchboard subscribe --json 'home/+/temperature' | jq .
  switchboard subscribe --policy latest camera/door";

/// `switchboard subscribe`
#[derive(Debug, Clone, Args)]
#[command(after_long_help = SUBSCRIBE_AFTER_HELP)]
pub struct SubscribeArgs {
    /// Topics to subscribe to
    #[arg(value_name = "FILTER", required = true)]
    pub filters: Vec<String>,
    /// End after N messages
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Print each message as a JSON object on one line
    #[arg(long)]
    pub json: bool,
    /// What happens when messages come faster than they are read
    #[arg(long, value_name = "POLICY", default_value = "block")]
    pub policy: Policy,
}

/// What happens when messages come faster than a subscriber reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// The publishers wait
    Block,
    /// The oldest messages are dropped
    DropOldest,
    /// Only the last message of each topic is kept
    Latest,
    /// The subscriber is disconnected
    Disconnect,
}

impl Policy {
    /// The word for it in the hub's own operations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::DropOldest => "drop-oldest",
            Self::Latest => "latest",
            Self::Disconnect => "disconnect",
        }
    }
}
