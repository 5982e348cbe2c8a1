//! COPY, within a database and to another one.
//!
//! An edit reaches one bucket, and so one database. A copy to another one is two steps, a look and a write: the session
//! does them. What is done in one step with other things, in `MULTI` and in scripts, cannot do that.

use switchboard_hub::keys::structures::Structure;
use switchboard_hub::keys::{Change, Condition, Entry, Expiry, Key, Kind, Write, Written};

use crate::args::Args;
use crate::call::{Call, Class, Effects};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::conversation::{Conversation, Step};
use crate::long;
use crate::refusal::Refusal;

pub(super) const COPY: Command = Command {
    name: "copy",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Feeds],
    keys: Keys::FIRST_TWO,
    since: "6.2.0",
    summary: "Copies what a key has, with its expiry, to another one.",
    complexity: "O(N), N bytes of the value",
    syntax: "source destination [DB destination-db] [REPLACE]",
    support: Support::Differs(
        "to another database it is two steps: what changes the source between them is not copied, and neither `MULTI` \
         nor scripts can do it",
    ),
    run: Run::Keys(copy),
};

/// What is asked for beside the keys.
struct Options {
    replaces: bool,
    database: Option<i32>,
}

impl Options {
    fn of(args: &Args) -> Result<Self, Refusal> {
        let (mut replaces, mut database) = (false, None);
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "REPLACE") {
                replaces = true;
            } else if args.is(index, "DB") && args.len() > index + 1 {
                index += 1;
                database = Some(args.database(index)?);
            } else {
                return Err(Refusal::SYNTAX);
            }
            index += 1;
        }
        Ok(Self { replaces, database })
    }

    /// Whether it goes from `database` to another one.
    fn leads_elsewhere(&self, database: u32) -> bool {
        self.database
            .is_some_and(|other| u32::try_from(other) != Ok(database))
    }
}

/// Whether a COPY in `database` goes to another one. Not if there is something wrong with it.
pub(crate) fn leads_elsewhere(args: &Args, database: u32) -> bool {
    Options::of(args).is_ok_and(|options| options.leads_elsewhere(database))
}

fn copy(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let options = Options::of(call.args)?;
    if options.leads_elsewhere(call.effects.database()) {
        return Err(Refusal::new(
            "ERR COPY to another database is not possible inside a script",
        ));
    }
    let (from, to) = (call.args.key(1)?, call.args.key(2)?);
    if from == to {
        return Err(Refusal::new("ERR source and destination objects are the same"));
    }
    let copied = if call.cells.cell(&to)?.is_present() && !options.replaces {
        None
    } else {
        let cell = call.cells.cell(&from)?;
        let len = cell.structure().map_or(0, Structure::len);
        long::through(len, || cell.copy())
    };
    call.reply.yes_or_no(copied.is_some());
    if let Some(copied) = copied {
        call.cells.cell(&to)?.place(copied);
        tell(call.effects, &to);
    }
    Ok(())
}

/// Copies to another database.
pub(crate) fn copy_elsewhere(talk: &mut Conversation, args: &Args) -> Result<Step, Refusal> {
    let options = Options::of(args)?;
    let database = match options.database {
        Some(number) => talk.check_database(number)?,
        None => talk.database,
    };
    // It is kept for as long as it takes, and what it was read with should not be.
    let (from, to) = (args.key(1)?, args.key(2)?.unshared());
    let found = talk.session.keys()?.get(talk.bucket(), &from)?;
    let (session, shared) = (talk.session.clone(), talk.shared.clone());
    Ok(Step::then(async move {
        let is_copied = match found.await? {
            None => false,
            Some(entry) => {
                let bytes = entry.value.len();
                let write = write_of(entry, options.replaces);
                let bucket = shared.bucket(database);
                let written =
                    long::through_bytes(bytes, || session.keys()?.write(bucket, to.clone(), write))?;
                matches!(written.await?, Written::Done { .. })
            }
        };
        Ok(move |talk: &mut Conversation| {
            talk.reply.yes_or_no(is_copied);
            if is_copied {
                let mut effects = Effects::in_database(database);
                tell(&mut effects, &to);
                talk.tell(&effects);
            }
        })
    }))
}

/// What puts the same somewhere else, where nothing is in the way.
fn write_of(entry: Entry, replaces: bool) -> Write {
    Write {
        condition: if replaces {
            Condition::Always
        } else {
            Condition::Absent
        },
        change: match entry.kind {
            Kind::Plain => Change::Put(entry.value),
            kind => Change::PutStructure {
                kind,
                encoded: entry.value,
            },
        },
        expiry: entry.expires.map_or(Expiry::Never, Expiry::At),
    }
}

fn tell(effects: &mut Effects, to: &Key) {
    effects.event(Class::Generic, "copy_to", to);
    effects.feed(to);
}
