//! What a command is: a row of the table.

use std::time::Duration;

use switchboard_hub::keys::Key;

use crate::args::{Args, parse_float};
use crate::call::Call;
use crate::conversation::{Conversation, Step};
use crate::refusal::Refusal;

/// A command, with all that is said about it.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name, in lower case.
    pub(crate) name: &'static str,
    /// How many arguments it takes, its name included; at least so many if negative.
    pub(crate) arity: i32,
    /// What holds for it.
    pub(crate) flags: &'static [Flag],
    /// Which of its arguments are keys.
    pub(crate) keys: Keys,
    /// The version of Redis that brought it; empty for those that Redis has not.
    pub(crate) since: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What it costs, like `O(1)`.
    pub(crate) complexity: &'static str,
    /// Its arguments, as the manual writes them: `key value [NX | XX] [EX seconds]`.
    pub(crate) syntax: &'static str,
    /// How it stands to that of Redis.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test makes docs/redis.md of it"))]
    pub(crate) support: Support,
    /// What does it.
    pub(crate) run: Run,
}

impl Command {
    /// Whether it is short and has to do with one key, so that several for that key are done together. What GET looks at
    /// needs no lock.
    pub(crate) fn is_gathered(&self) -> bool {
        let has_one_key = matches!(
            self.keys,
            Keys::Range {
                first: 1,
                last: 1,
                ..
            }
        );
        has_one_key
            && matches!(self.run, Run::Keys(_))
            && (self.flags.contains(&Flag::Fast) || self.complexity == "O(1)")
            && !self.flags.contains(&Flag::AnyKey)
            && self.name != "get"
    }

    /// Whether it may reach keys that it does not name.
    pub(crate) fn reaches_any(&self, args: &Args) -> bool {
        let has_pattern = || args.from(2).iter().any(|arg| arg.contains(&b'*'));
        self.flags.contains(&Flag::AnyKey) || self.flags.contains(&Flag::KeysByPattern) && has_pattern()
    }
}

/// What holds for a command. The names are those that `COMMAND INFO` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// It may change keys.
    Write,
    /// It only looks at keys.
    ReadOnly,
    /// It may make them larger.
    DenyOom,
    /// It is for those who run the server.
    Admin,
    /// It has to do with messages.
    PubSub,
    /// It cannot stand in a script.
    NoScript,
    /// It may wait.
    Blocking,
    /// It takes about the same time, whatever there is.
    Fast,
    /// It can be used before logging in.
    NoAuth,
    /// It cannot stand in `MULTI`.
    NoMulti,
    /// It may fill a list or a sorted set that somebody waits for.
    Feeds,
    /// It may reach keys that it does not name, where the engine lets it.
    AnyKey,
    /// The same, if one of its arguments has a `*`, which stands for what it finds.
    KeysByPattern,
}

/// How a command stands to that of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// It is the same.
    Full,
    /// It differs: so.
    Differs(&'static str),
    /// It is ours, or of Memento and Orestes.
    Own,
}

/// Which arguments are keys.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys {
    /// None.
    None,
    /// From one argument to another (counted from the end if negative: -1 is the last), every so many.
    Range {
        /// The first.
        first: usize,
        /// The last.
        last: i32,
        /// From one to the next.
        step: usize,
    },
    /// As many as an argument says, right after it; and one before, if there is one.
    Numbered {
        /// The argument that says how many.
        count: usize,
        /// One that stands alone: where the result goes.
        target: Option<usize>,
    },
    /// The first argument, and the one after `STORE`: `SORT`.
    FirstAndStore,
}

impl Keys {
    /// One key, the first argument.
    pub(crate) const FIRST: Self = Self::Range {
        first: 1,
        last: 1,
        step: 1,
    };
    /// Two keys, the first arguments.
    pub(crate) const FIRST_TWO: Self = Self::Range {
        first: 1,
        last: 2,
        step: 1,
    };
    /// All arguments.
    pub(crate) const ALL: Self = Self::Range {
        first: 1,
        last: -1,
        step: 1,
    };

    /// Which arguments are keys.
    ///
    /// # Errors
    /// When the number of keys is none, or greater than what follows.
    pub(crate) fn indices(self, args: &Args) -> Result<Vec<usize>, Refusal> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Range { first, last, step } => {
                let len = i64::try_from(args.len()).unwrap_or(i64::MAX);
                let last = if last < 0 {
                    len + i64::from(last)
                } else {
                    i64::from(last)
                };
                let last = usize::try_from(last)
                    .unwrap_or(0)
                    .min(args.len().saturating_sub(1));
                Ok((first..=last).step_by(step.max(1)).collect())
            }
            Self::Numbered { count, target } => {
                let number = args.integer(count)?;
                let number = usize::try_from(number)
                    .ok()
                    .filter(|number| *number > 0)
                    .ok_or(Refusal::new("ERR numkeys should be greater than 0"))?;
                if number > args.len().saturating_sub(count + 1) {
                    return Err(Refusal::SYNTAX);
                }
                let counted = count + 1..count + 1 + number;
                Ok(target.into_iter().chain(counted).collect())
            }
            Self::FirstAndStore => Ok(std::iter::once(1).chain(stored_at(args)).collect()),
        }
    }

    /// The keys among the arguments. None, if it is said wrongly how many they are: that is for the command to refuse,
    /// as each has words of its own for it.
    ///
    /// # Errors
    /// When one is no legal key.
    pub(crate) fn of(self, args: &Args) -> Result<Vec<Key>, Refusal> {
        let mut keys = Vec::new();
        self.add(args, &mut keys)?;
        Ok(keys)
    }

    /// Adds the keys among the arguments.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(crate) fn add(self, args: &Args, keys: &mut Vec<Key>) -> Result<(), Refusal> {
        if let Self::Range {
            first: 1, last: 1, ..
        } = self
        {
            keys.push(args.key(1)?);
            return Ok(());
        }
        for index in self.indices(args).unwrap_or_default() {
            keys.push(args.key(index)?);
        }
        Ok(())
    }
}

/// The argument after the last `STORE` that is a word of its own, and not what follows another one.
fn stored_at(args: &Args) -> Option<usize> {
    let (mut index, mut stored_at) = (2, None);
    while index < args.len() {
        if args.is(index, "LIMIT") {
            index += 2;
        } else if args.is(index, "BY") || args.is(index, "GET") {
            index += 1;
        } else if args.is(index, "STORE") && args.len() > index + 1 {
            index += 1;
            stored_at = Some(index);
        }
        index += 1;
    }
    stored_at
}

/// Does a command on keys: looks at them, changes them, answers. It may be run several times for one answer.
pub(crate) type KeyFunction = fn(&mut Call<'_, '_>) -> Result<(), Refusal>;

/// Does a command that has to do with the connection or with the hub.
pub(crate) type SessionFunction = fn(&mut Conversation, &Args) -> Result<Step, Refusal>;

/// How a command waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// The argument that says for how many seconds: counted from the end if negative, -1 is the last.
    pub(crate) timeout: i32,
    /// Whether it answers a null array in `MULTI`, if there is nothing, rather than a null. Who has waited is always
    /// answered a null array, as by Redis.
    pub(crate) is_array: bool,
}

impl Patience {
    /// The last argument says how long: `BLPOP`, `BZPOPMIN`.
    pub(crate) const LAST: Self = Self {
        timeout: -1,
        is_array: true,
    };
    /// The first argument says how long: `BLMPOP`, `BZMPOP`.
    pub(crate) const FIRST: Self = Self {
        timeout: 1,
        is_array: true,
    };
    /// The last argument says how long, and it answers one thing rather than an array: `BLMOVE`.
    pub(crate) const LAST_OF_ONE: Self = Self {
        timeout: -1,
        is_array: false,
    };
}

/// How long a client may wait at most.
const TIMEOUT_MAX: f64 = 1e9;

impl Patience {
    /// For how long the command waits; `None` for ever.
    ///
    /// # Errors
    /// When its argument is no time.
    pub(crate) fn timeout(self, args: &Args) -> Result<Option<Duration>, Refusal> {
        let index = match usize::try_from(self.timeout) {
            Ok(index) => index,
            Err(_) => args
                .len()
                .saturating_sub(usize::try_from(self.timeout.unsigned_abs()).unwrap_or(usize::MAX)),
        };
        let seconds = parse_float(args.at(index))
            .filter(|seconds| seconds.is_finite())
            .ok_or(Refusal::new("ERR timeout is not a float or out of range"))?;
        match seconds {
            seconds if seconds < 0.0 => Err(Refusal::new("ERR timeout is negative")),
            0.0 => Ok(None),
            seconds if seconds > TIMEOUT_MAX => Err(Refusal::new("ERR timeout is out of range")),
            // The shortest time that Redis knows, so that it does not become for ever.
            seconds => Ok(Some(Duration::from_secs_f64(seconds.max(0.001)))),
        }
    }
}

/// What does a command.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// A function on the keys that it names; it can stand in `MULTI` and in scripts.
    Keys(KeyFunction),
    /// A function on keys that waits until it has something: it answers nothing as long as there is nothing (and
    /// outside of `MULTI` and scripts is tried again then).
    Blocking(KeyFunction, Patience),
    /// A function on the connection or on the hub.
    Session(SessionFunction),
    /// One of several, by the next argument; their names are `command|subcommand`.
    Container(&'static [Command]),
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::Blocking(..) => "Blocking",
            Self::Session(_) => "Session",
            Self::Container(_) => "Container",
        })
    }
}

/// Commands that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    /// As `COMMAND DOCS` names it.
    pub(crate) name: &'static str,
    /// As a heading.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test makes docs/redis.md of it"))]
    pub(crate) title: &'static str,
    /// Its commands.
    pub(crate) commands: &'static [Command],
}
