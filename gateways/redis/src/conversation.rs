//! What one client says, and what it is answered.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use switchboard_hub::keys::{Bucket, Edit, Entry, Key, Kind, WatchFrom};
use switchboard_hub::{Changes, Closed, Fault, Session};
use tokio::time::Instant;

use crate::args::Args;
use crate::call::Effects;
use crate::clients::Client;
use crate::command::{Command, KeyFunction, Patience, Run};
use crate::commands::generic::copy;
use crate::edit::KeyCommands;
use crate::gateway::Shared;
use crate::long;
use crate::refusal::Refusal;
use crate::reply::{Protocol, Reply};
use crate::subscriptions::{Kind as Heard, Subscriptions};
use crate::table;
use crate::transaction::{Transaction, Watched};

mod resolve;
mod step;

pub(crate) use resolve::resolve;
use resolve::unknown;
pub(crate) use step::{Later, Started, Step};

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
    /// What waits for `EXEC`, after `MULTI`.
    pub(crate) transaction: Option<Box<Transaction>>,
    /// What must not change until then.
    pub(crate) watched: Vec<Watched>,
    /// What the client subscribed to.
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    /// The name of the last command.
    pub(crate) last: &'static str,
    /// The last one that was looked up: many ask for the same again and again.
    found: Option<&'static Command>,
    /// Commands on one key that are to be done together, at the latest when no more has come.
    gathered: Option<Box<KeyCommands>>,
    /// Used again for each command on keys.
    spare: Option<Box<KeyCommands>>,
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

/// What is done at once, also after `MULTI`.
const NEVER_QUEUED: [&str; 6] = ["exec", "discard", "multi", "watch", "quit", "reset"];

/// What one can do who subscribed, in RESP2.
const WHILE_SUBSCRIBED: [&str; 9] = [
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "ping",
    "quit",
    "reset",
];

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
            transaction: None,
            watched: Vec::new(),
            subscriptions: None,
            last: "NULL",
            found: None,
            gathered: None,
            spare: None,
        }
    }

    /// Where the keys are.
    pub(crate) fn bucket(&self) -> &Bucket {
        self.shared.bucket(self.database)
    }

    /// The database of that number.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn check_database(&self, number: i32) -> Result<u32, Refusal> {
        u32::try_from(number)
            .ok()
            .filter(|number| *number < self.shared.options.databases)
            .ok_or(Refusal::new("ERR DB index is out of range"))
    }

    /// Does a command, as far as that can be done at once.
    pub(crate) fn execute(&mut self, args: &mut Args) -> Step {
        let command = match self.find(args.at(0)) {
            Some(command) => resolve(command, args),
            None if HTTP_WORDS.iter().any(|word| args.is(0, word)) => {
                let address = &self.client.address;
                tracing::warn!(
                    address,
                    "possible attack: HTTP comes to the Redis door; connection closed"
                );
                return Step::Close;
            }
            None => Err(unknown(args)),
        };
        let outcome = match command {
            Ok(command) => {
                self.last = command.name;
                self.check_subscribed(command)
                    .and_then(|()| self.run_or_queue(command, args))
            }
            Err(refusal) => {
                self.doom();
                Err(refusal)
            }
        };
        outcome.unwrap_or_else(|refusal| {
            self.reply.refusal(&refusal);
            Step::Done
        })
    }

    fn find(&mut self, name: &[u8]) -> Option<&'static Command> {
        let is_meant = |command: &&Command| command.name.as_bytes().eq_ignore_ascii_case(name);
        self.found = self.found.filter(is_meant).or_else(|| table::find(name));
        self.found
    }

    fn doom(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.doom();
        }
    }

    fn run_or_queue(&mut self, command: &'static Command, args: &mut Args) -> Result<Step, Refusal> {
        if self.transaction.is_none() || NEVER_QUEUED.contains(&command.name) {
            return self.run(command, args);
        }
        let queued = self.queue(command, args);
        if queued.is_err() {
            self.doom();
        }
        queued
    }

    /// In RESP2, who subscribed can do little else.
    fn check_subscribed(&self, command: &Command) -> Result<(), Refusal> {
        let is_bound = self.reply.protocol == Protocol::Resp2 && self.subscriptions.is_some();
        if !is_bound || WHILE_SUBSCRIBED.contains(&command.name) {
            return Ok(());
        }
        Err(Refusal::of(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
             context",
            command.name
        )))
    }

    fn run(&mut self, command: &'static Command, args: &mut Args) -> Result<Step, Refusal> {
        match command.run {
            Run::Keys(_) if command.name == "get" => self.get(args),
            Run::Keys(_) if command.name == "copy" && copy::leads_elsewhere(args, self.database) => {
                copy::copy_elsewhere(self, args)
            }
            Run::Keys(function) => self.edit(command, function, args),
            Run::Blocking(function, patience) => self.try_blocking(command, function, patience, args),
            Run::Session(function) => function(self, args),
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

    /// Does a command on keys; or gathers it, if more for the same key may follow.
    fn edit(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        args: &mut Args,
    ) -> Result<Step, Refusal> {
        self.gathered = Some(self.key_command(command, function, args)?);
        if command.is_gathered() && self.silence == Silence::Off {
            return Ok(Step::Done);
        }
        Ok(self.settle())
    }

    /// Adds a command to those that were gathered. Tells whether that is possible; if not, they are to be settled first.
    pub(crate) fn gather(&mut self, args: &mut Args) -> bool {
        if self.gathered.is_none() {
            return false;
        }
        let command = self.find(args.at(0)).map(|command| resolve(command, args));
        let (Some(gathered), Some(Ok(command))) = (&mut self.gathered, command) else {
            return false;
        };
        match command.run {
            Run::Keys(function) if command.is_gathered() && gathered.fits(command, args.at(1)) => {
                gathered.add(command, function, args);
                self.last = command.name;
                true
            }
            _ => false,
        }
    }

    /// Whether commands were gathered that are not answered.
    pub(crate) fn has_gathered(&self) -> bool {
        self.gathered.is_some()
    }

    /// Does what was gathered. Very long answers leave a part of it for the next time.
    pub(crate) fn settle(&mut self) -> Step {
        let Some(edit) = self.gathered.take() else {
            return Step::Done;
        };
        let count = edit.unanswered();
        match self.start(edit) {
            Ok(Ok(edit)) => self.finish(edit),
            Ok(Err(stored)) => return Step::Edit(stored, count),
            Err(refusal) => self.refuse(&refusal, count),
        }
        Step::Done
    }

    /// Answers so many commands that the engine refuses.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, count: usize) {
        for _ in 0..count {
            self.reply.refusal(refusal);
        }
    }

    fn try_blocking(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        patience: Patience,
        args: &mut Args,
    ) -> Result<Step, Refusal> {
        patience.timeout(args)?;
        let edit = self.key_command(command, function, args)?;
        Ok(Step::Wait(edit, patience))
    }

    fn key_command(
        &mut self,
        command: &'static Command,
        function: KeyFunction,
        args: &mut Args,
    ) -> Result<Box<KeyCommands>, Refusal> {
        let bytes_max = self.shared.options.replies_bytes_max;
        let mut edit = (self.spare.take()).unwrap_or_else(|| Box::new(KeyCommands::new(bytes_max)));
        edit.reply.protocol = self.reply.protocol;
        edit.effects.enter(self.database);
        edit.effects.hear(self.shared.keyspace.is_on());
        if let Err(refusal) = command.keys.add(args, &mut edit.keys) {
            edit.clear();
            self.spare = Some(edit);
            return Err(refusal);
        }
        edit.add(command, function, args);
        Ok(edit)
    }

    /// Hands an edit to the engine; what comes of it is there at once, or later.
    pub(crate) fn start(&self, edit: Box<KeyCommands>) -> Result<Started, Refusal> {
        let keys = self.session.keys()?;
        let bucket = self.shared.bucket(self.database);
        let stored = long::through_bytes(edit.bytes(), || keys.edit(bucket, edit))?;
        match stored.now() {
            Ok(edit) => Ok(Ok(returned(edit?)?)),
            Err(stored) => Ok(Err(stored)),
        }
    }

    /// Answers what an edit answered, and tells others what it did.
    pub(crate) fn finish(&mut self, mut edit: Box<KeyCommands>) {
        self.reply.take_from(&mut edit.reply);
        self.tell(&edit.effects);
        edit.took_answers();
        if edit.unanswered() > 0 {
            self.gathered = Some(edit);
            return;
        }
        edit.clear();
        self.spare = Some(edit);
    }

    /// Tells others what was done.
    pub(crate) fn tell(&self, effects: &Effects) {
        for key in effects.fed() {
            self.shared.waiting.feed(effects.database(), key);
        }
        if !effects.events().is_empty() {
            let events = effects.events();
            self.shared
                .keyspace
                .tell(&self.session, effects.database(), events);
        }
        for (channel, payload) in effects.published() {
            crate::keyspace::publish(&self.session, channel.clone(), payload.clone());
        }
    }

    /// Notes that the client is alive, after some commands.
    pub(crate) fn note(&mut self) {
        let mut state = self.client.state.lock();
        state.active = Instant::now();
        state.command = self.last;
        state.database = self.database;
        state.queued = self.transaction.as_ref().map(|transaction| transaction.len());
        (state.channels, state.patterns) = self
            .subscriptions
            .as_ref()
            .map_or((0, 0), |subscriptions| subscriptions.counts());
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
        let is_idle = self.subscriptions.is_none();
        self.shared.options.idle_timeout.filter(|_| is_idle)
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

    /// Says what has come of subscriptions by now.
    pub(crate) fn hear_now(&mut self) -> Result<(), Closed> {
        match &mut self.subscriptions {
            Some(subscriptions) => subscriptions.hear(&mut self.reply),
            None => Ok(()),
        }
    }

    /// Drops the queue of messages when there are no subscriptions any more.
    pub(crate) fn tidy_subscriptions(&mut self) {
        if self
            .subscriptions
            .as_ref()
            .is_some_and(|subscriptions| subscriptions.is_empty())
        {
            self.subscriptions = None;
        }
    }

    /// Ends all subscriptions.
    pub(crate) fn unsubscribe_all(&mut self) {
        if let Some(subscriptions) = self.subscriptions.take() {
            for kind in [Heard::Channel, Heard::Shard, Heard::Pattern] {
                for name in subscriptions.names(kind) {
                    self.shared.channels.leave(kind, &name);
                }
            }
            subscriptions.end();
        }
    }

    /// Is again as it was at first.
    pub(crate) fn reset(&mut self) {
        self.speak(Protocol::Resp2);
        self.database = 0;
        self.transaction = None;
        self.watched.clear();
        self.unsubscribe_all();
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

impl Drop for Conversation {
    fn drop(&mut self) {
        self.unsubscribe_all();
    }
}
