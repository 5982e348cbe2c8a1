//! Memento and Orestes: two small stores whose users came here. Their commands work over RESP as over telnet, in
//! whatever case.

use bytes::Bytes;

use crate::args::Args;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::commands::expiry::{From, Unit, When, millis_of};
use crate::commands::strings::{check_length, numbers, ranges};
use crate::conversation::{Conversation, Step};
use crate::long_double::LongDouble;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "memento",
    title: "Memento and Orestes",
    commands: &[PUT, INC, DEC, INCF, DECF, GETP, PREPEND, FLUSH, EXIT],
};

const PUT: Command = Command {
    name: "put",
    arity: -3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "",
    summary: "Sets the value of a key, for some seconds if that is said; answers OK.",
    complexity: "O(1)",
    syntax: "key value [seconds]",
    support: Support::Own,
    run: Run::Keys(put),
};

const INC: Command = Command {
    name: "inc",
    arity: -2,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "",
    summary: "Adds an integer to another one, 1 if nothing is said; answers the sum.",
    complexity: "O(1)",
    syntax: "key [increment]",
    support: Support::Own,
    run: Run::Keys(|call| {
        let by = by(call)?;
        numbers::add(call, by)
    }),
};

const DEC: Command = Command {
    name: "dec",
    summary: "Takes an integer from another one, 1 if nothing is said; answers what is left.",
    syntax: "key [decrement]",
    run: Run::Keys(|call| {
        let by = by(call)?;
        numbers::subtract(call, by)
    }),
    ..INC
};

const INCF: Command = Command {
    name: "incf",
    summary: "Adds to a number with a fraction, 1 if nothing is said; answers the sum.",
    run: Run::Keys(|call| {
        let by = by_float(call)?;
        numbers::add_float(call, by)
    }),
    ..INC
};

const DECF: Command = Command {
    name: "decf",
    summary: "Takes from a number with a fraction, 1 if nothing is said; answers what is left.",
    syntax: "key [decrement]",
    run: Run::Keys(|call| {
        let by = by_float(call)?;
        numbers::add_float(call, by.negated())
    }),
    ..INC
};

const GETP: Command = Command {
    name: "getp",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "",
    summary: "Answers the value of a key, when the key came to be, and when it expires if it does (both in milliseconds \
              since 1970).",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Own,
    run: Run::Keys(getp),
};

const PREPEND: Command = Command {
    name: "prepend",
    arity: 3,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "",
    summary: "Adds to the beginning of a value; answers how many bytes it has then.",
    complexity: "O(N), N bytes of the value",
    syntax: "key value",
    support: Support::Own,
    run: Run::Keys(prepend),
};

const FLUSH: Command = Command {
    name: "flush",
    arity: 1,
    flags: &[Flag::Write],
    keys: Keys::None,
    since: "",
    summary: "Deletes every key of the database.",
    complexity: "O(N), N keys",
    syntax: "",
    support: Support::Own,
    run: Run::Session(flush),
};

const EXIT: Command = Command {
    name: "exit",
    arity: 1,
    flags: &[Flag::NoScript, Flag::Fast, Flag::NoAuth],
    keys: Keys::None,
    since: "",
    summary: "Closes the connection, as QUIT does.",
    complexity: "O(1)",
    syntax: "",
    support: Support::Own,
    run: Run::Session(exit),
};

/// # Errors
/// When there are more arguments than that.
fn check_arity(call: &Call<'_, '_>, command: &str, arguments_max: usize) -> Result<(), Refusal> {
    if call.args.len() > arguments_max {
        return Err(Refusal::of(format!(
            "ERR wrong number of arguments for '{command}' command"
        )));
    }
    Ok(())
}

fn put(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    check_arity(call, "put", 4)?;
    let expires = match call.args.get(3) {
        Some(_) => {
            let when = When {
                number: call.args.integer(3)?,
                unit: Unit::Seconds,
                from: From::Now,
            };
            Some(when.moment("put", call.now())?)
        }
        None => None,
    };
    let (key, value) = (call.args.key(1)?, call.args.share(2));
    check_length(value.len())?;
    let cell = call.cells.cell(&key)?;
    cell.put(value);
    cell.set_expires(expires);
    call.effects.event(Class::String, "set", &key);
    if expires.is_some() {
        call.effects.event(Class::Generic, "expire", &key);
    }
    call.reply.ok();
    Ok(())
}

fn by(call: &Call<'_, '_>) -> Result<i64, Refusal> {
    check_arity(call, &name_of(call), 3)?;
    match call.args.get(2) {
        Some(_) => call.args.integer(2),
        None => Ok(1),
    }
}

fn by_float(call: &Call<'_, '_>) -> Result<LongDouble, Refusal> {
    check_arity(call, &name_of(call), 3)?;
    match call.args.get(2) {
        Some(text) => LongDouble::parse(text).ok_or(Refusal::NOT_A_FLOAT),
        None => Ok(LongDouble::ONE),
    }
}

fn name_of(call: &Call<'_, '_>) -> String {
    String::from_utf8_lossy(call.args.at(0)).to_lowercase()
}

fn getp(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let now = call.now();
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let Some(value) = cell.plain()? else {
        call.reply.null_array();
        return Ok(());
    };
    call.reply.array(3);
    call.reply.bulk(value);
    // One that came to be in this very step is of now.
    call.reply.integer(millis_of(cell.created().unwrap_or(now)));
    match cell.expires() {
        Some(moment) => call.reply.integer(millis_of(moment)),
        None => call.reply.null(),
    }
    Ok(())
}

fn prepend(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (key, more) = (call.args.key(1)?, call.args.at(2));
    let cell = call.cells.cell(&key)?;
    let old = cell.plain()?.unwrap_or_default();
    check_length(old.len().saturating_add(more.len()))?;
    let value: Bytes = ranges::join(more, old).freeze();
    call.reply.count(value.len());
    cell.put(value);
    call.effects.event(Class::String, "prepend", &key);
    Ok(())
}

fn flush(conversation: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    let cleared = conversation.session.keys()?.clear(conversation.bucket())?;
    Ok(Step::later(async move {
        cleared.await?;
        Ok(|reply: &mut Reply| reply.ok())
    }))
}

fn exit(conversation: &mut Conversation, _: &Args) -> Result<Step, Refusal> {
    conversation.reply.ok();
    Ok(Step::Close)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::testing::Bed;

    #[test]
    fn commands_of_old() {
        let mut bed = Bed::new();
        bed.check(
            "
            PUT a 1 -> OK
            inc a -> 2
            Inc a 10 -> 12
            DEC a -> 11
            dec a 5 -> 6
            INCF a 0.5 -> \"6.5\"
            DECF a -> \"5.5\"
            DECF a x -> -ERR value is not a valid float
            INC a -> -ERR value is not an integer or out of range
            INC b 1 2 -> -ERR wrong number of arguments for 'inc' command
            DEC b -9223372036854775808 -> -ERR decrement would overflow
            PREPEND a - -> 4
            PREPEND c x -> 1
            GET a -> \"-5.5\"
            PUT a 1 0 -> -ERR invalid expire time in 'put' command
            PUT a 1 2 3 -> -ERR wrong number of arguments for 'put' command
            GETP none -> nil
            PUT d x 10 -> OK
            ",
        );
        assert_eq!(bed.events(), ["set d", "expire d"]);
        bed.advance(Duration::from_secs(1));
        bed.check(
            "
            GETP d -> [\"x\", 1700000000000, 1700000010000]
            PUT d y -> OK
            GETP d -> [\"y\", 1700000000000, nil]
            ",
        );
    }
}
