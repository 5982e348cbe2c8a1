//! What one client says, and what it is answered.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use switchboard_hub::keys::{Bucket, Edit, Entry, Key, Kind, WatchFrom};
use switchboard_hub::{Changes, Fault, Session, Stored};
use tokio::time::Instant;

use crate::args::Args;
use crate::clients::Client;
use crate::command::{Command, KeyFunction, Patience, Run};
use crate::edit::KeyCommand;
use crate::gateway::Shared;
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::table;

/// One client's part at the hub.
pub(crate) struct Conversation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) session: Arc<Session>,
    pub(crate) client: Arc<Client>,
    /// What is on its way to the client.
    pub(crate) reply: Reply,
    /// Which database is used.
    pub(crate) database: u32,
    /// Whether answers are kept back.
    pub(crate) silence: Silence,
    /// The name of the last command.
    pub(crate) last: &'static str,
    /// Used again for each command on keys.
    spare: Option<Box<KeyCommand>>,
}

/// Changes of keys, whoever makes them.
pub(crate) struct Elsewhere {
    changes: SelectAll<Changes>,
}

impl Elsewhere {
    /// Waits until something may have changed. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            std::future::pending().await
        }
    }
}

/// What `CLIENT REPLY` asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Silence {
    /// Everything is answered.
    #[default]
    Off,
    /// The next command is not answered, as soon as this one is done.
    AfterThis,
    /// This command is not answered.
    This,
    /// Nothing is answered.
    On,
}

/// What is left to do for a command.
pub(crate) enum Step {
    /// Nothing: it was answered.
    Done,
    /// The engine needs time.
    Edit(Stored<Box<dyn Edit>>),
    /// The answer comes later.
    Later(Later),
    /// There is nothing yet: it waits, and is tried again.
    Wait(Box<KeyCommand>, Patience),
    /// It was answered, and nothing follows.
    Close,
}

/// A command on keys that is done, or that the engine needs time for.
pub(crate) type Started = Result<Box<KeyCommand>, Stored<Box<dyn Edit>>>;

/// An answer that comes later.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Say, Refusal>> + Send>>;

/// Says an answer.
pub(crate) type Say = Box<dyn FnOnce(&mut Reply) + Send>;

impl Step {
    /// An answer that comes later.
    pub(crate) fn later<S: FnOnce(&mut Reply) + Send + 'static>(
        answer: impl Future<Output = Result<S, Refusal>> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(async { answer.await.map(|say| Box::new(say) as Say) }))
    }
}

/// What browsers begin with when a page has them talk to this port.
const HTTP_WORDS: [&str; 2] = ["post", "host:"];

impl Conversation {
    pub(crate) fn new(shared: Arc<Shared>, session: Arc<Session>, client: Arc<Client>) -> Self {
        Self {
            shared,
            session,
            client,
            reply: Reply::default(),
            database: 0,
            silence: Silence::default(),
            last: "NULL",
            spare: None,
        }
    }

    /// Where the keys are.
    pub(crate) fn bucket(&self) -> &Bucket {
        self.shared.bucket(self.database)
    }

    /// Does a command, as far as that can be done at once.
    pub(crate) fn execute(&mut self, args: Args) -> Step {
        match self.dispatch(args) {
            Ok(step) => step,
            Err(refusal) => {
                self.reply.refusal(&refusal);
                Step::Done
            }
        }
    }

    fn dispatch(&mut self, args: Args) -> Result<Step, Refusal> {
        let Some(command) = table::find(args.at(0)) else {
            if HTTP_WORDS.iter().any(|word| args.is(0, word)) {
                let address = &self.client.address;
                tracing::warn!(
                    address,
                    "possible attack: HTTP comes to the Redis door; connection closed"
                );
                return Ok(Step::Close);
            }
            return Err(unknown(&args));
        };
        let command = resolve(command, &args)?;
        self.last = command.name;
        self.run(command, args)
    }

    fn run(&mut self, command: &'static Command, args: Args) -> Result<Step, Refusal> {
        match command.run {
            Run::Keys(_) if command.name == "get" => self.get(&args),
            Run::Keys(function) => self.edit(command, function, args),
            Run::Blocking(function, patience) => self.try_blocking(command, function, patience, args),
            Run::Session(function) => function(self, &args),
            // What has subcommands is never run itself.
            Run::Container(_) => Err(Refusal::SYNTAX),
        }
    }

    /// The quick way to a value.
    fn get(&mut self, args: &Args) -> Result<Step, Refusal> {
        let key = args.key(1)?;
        let stored = self
            .session
            .keys()?
            .get(self.shared.bucket(self.database), &key)?;
        let say = |reply: &mut Reply, entry: Option<Entry>| match entry {
            None => reply.null(),
            Some(entry) if entry.kind == Kind::Plain => reply.bulk(&entry.value),
            Some(_) => reply.refusal(&Refusal::WRONG_TYPE),
        };
        match stored.now() {
            Ok(entry) => {
                say(&mut self.reply, entry?);
                Ok(Step::Done)
            }
            Err(stored) => Ok(Step::later(async move {
                let entry = stored.await?;
                Ok(move |reply: &mut Reply| say(reply, entry))
            })),
        }
    }

    fn edit(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        args: Args,
    ) -> Result<Step, Refusal> {
        let edit = self.key_command(command, function, args)?;
        match self.start(edit)? {
            Ok(edit) => {
                self.finish(edit);
                Ok(Step::Done)
            }
            Err(stored) => Ok(Step::Edit(stored)),
        }
    }

    fn try_blocking(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        patience: Patience,
        args: Args,
    ) -> Result<Step, Refusal> {
        patience.timeout(&args)?;
        let edit = self.key_command(command, function, args)?;
        Ok(Step::Wait(edit, patience))
    }

    fn key_command(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        args: Args,
    ) -> Result<Box<KeyCommand>, Refusal> {
        let protocol = self.reply.protocol;
        let mut edit = self
            .spare
            .take()
            .unwrap_or_else(|| Box::new(KeyCommand::new(command, function, protocol)));
        edit.command = command;
        edit.function = function;
        edit.reply.protocol = protocol;
        if let Err(refusal) = command.keys.add(&args, &mut edit.keys) {
            edit.clear();
            self.spare = Some(edit);
            return Err(refusal);
        }
        edit.args = args;
        Ok(edit)
    }

    /// Hands an edit to the engine; what comes of it is there at once, or later.
    pub(crate) fn start(&self, edit: Box<KeyCommand>) -> Result<Started, Refusal> {
        let stored = self
            .session
            .keys()?
            .edit(self.shared.bucket(self.database), edit)?;
        match stored.now() {
            Ok(edit) => Ok(Ok(returned(edit?)?)),
            Err(stored) => Ok(Err(stored)),
        }
    }

    /// Answers what an edit answered, and tells others what it did.
    pub(crate) fn finish(&mut self, mut edit: Box<KeyCommand>) {
        self.reply.take_from(&mut edit.reply);
        for key in edit.effects.fed() {
            self.shared.waiting.feed(self.database, key);
        }
        if !edit.effects.events().is_empty() {
            let events = edit.effects.events();
            self.shared.keyspace.tell(&self.session, self.database, events);
        }
        edit.clear();
        self.spare = Some(edit);
    }

    /// Notes that the client is alive, after some commands.
    pub(crate) fn note(&mut self) {
        let mut state = self.client.state.lock();
        state.active = Instant::now();
        state.command = self.last;
        state.database = self.database;
    }

    /// Keeps the answer of the last command back, from there on, if the client wants none.
    pub(crate) fn hush(&mut self, from: usize) {
        match self.silence {
            Silence::Off => {}
            Silence::AfterThis => self.silence = Silence::This,
            Silence::This => {
                self.reply.truncate(from);
                self.silence = Silence::Off;
            }
            Silence::On => self.reply.truncate(from),
        }
    }

    /// How long the client may say nothing.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.shared.options.idle_timeout
    }

    /// Tells when keys change at other hubs, if there are any.
    pub(crate) async fn watch(&self, keys: &[Key]) -> Elsewhere {
        let mut changes = Vec::new();
        if self.shared.hub.is_shared() {
            for key in keys {
                changes.extend(self.changes(key).await);
            }
        }
        Elsewhere {
            changes: futures_util::stream::select_all(changes),
        }
    }

    async fn changes(&self, key: &Key) -> Option<Changes> {
        let keys = self.session.keys().ok()?;
        let prefix = Bytes::copy_from_slice(key.as_ref());
        keys.watch(self.bucket(), prefix, WatchFrom::Now).ok()?.await.ok()
    }

    /// Is again as it was at first.
    pub(crate) fn reset(&mut self) {
        self.speak(Protocol::Resp2);
        self.database = 0;
        self.silence = Silence::Off;
        self.client.state.lock().name = Bytes::new();
    }

    /// Changes to another protocol.
    pub(crate) fn speak(&mut self, protocol: Protocol) {
        self.reply.protocol = protocol;
        self.client.state.lock().protocol = protocol;
    }
}

/// The edit that the engine gives back.
///
/// # Errors
/// Never, as long as engines give back what they were given.
pub(crate) fn returned<E: Edit>(edit: Box<dyn Edit>) -> Result<Box<E>, Refusal> {
    let edit: Box<dyn Any> = edit;
    edit.downcast()
        .map_err(|_| Fault::failed("the engine gave back another edit").into())
}

/// Which command is meant, when its subcommands are looked at too, with the right number of arguments.
pub(crate) fn resolve(command: &'static Command, args: &Args) -> Result<&'static Command, Refusal> {
    let command = match command.run {
        Run::Container(subcommands) if args.len() > 1 => {
            let is_meant = |sub: &&Command| {
                let name = sub.name.split_once('|').map_or(sub.name, |(_, name)| name);
                args.is(1, name)
            };
            subcommands.iter().find(is_meant).ok_or_else(|| {
                Refusal::of(format!(
                    "ERR unknown subcommand '{}'. Try {} HELP.",
                    shown(args.at(1)),
                    command.name.to_uppercase()
                ))
            })?
        }
        Run::Container(_) => return Err(wrong_arity(command)),
        _ => command,
    };
    let count = i32::try_from(args.len()).unwrap_or(i32::MAX);
    if (command.arity >= 0 && count != command.arity) || count < -command.arity {
        return Err(wrong_arity(command));
    }
    Ok(command)
}

fn wrong_arity(command: &Command) -> Refusal {
    Refusal::of(format!(
        "ERR wrong number of arguments for '{}' command",
        command.name
    ))
}

/// The beginning of what was sent, as errors show it.
fn shown(arg: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 128;
    String::from_utf8_lossy(arg.get(..SHOWN_BYTES_MAX).unwrap_or(arg)).into_owned()
}

fn unknown(args: &Args) -> Refusal {
    const SHOWN_BYTES_MAX: usize = 128;
    let mut beginning = String::new();
    for arg in args.from(1) {
        let Some(room) = SHOWN_BYTES_MAX
            .checked_sub(beginning.len())
            .filter(|room| *room > 0)
        else {
            break;
        };
        let text = String::from_utf8_lossy(arg.get(..room).unwrap_or(arg));
        beginning.push_str(&format!("'{text}' "));
    }
    Refusal::of(format!(
        "ERR unknown command '{}', with args beginning with: {beginning}",
        shown(args.at(0))
    ))
}
