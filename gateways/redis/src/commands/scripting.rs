//! Scripts: EVAL, EVALSHA, EVAL_RO, EVALSHA_RO, SCRIPT.

use std::sync::Arc;

use crate::args::Args;
use crate::call::Call;
use crate::command::{Command, Flag, Group, Keys, Run, Support};
use crate::refusal::Refusal;
use crate::scripts::{self, Script, Stated, Work};
use crate::words::WordSlice;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "scripting",
    title: "Scripts",
    commands: &[EVAL, EVAL_RO, EVALSHA, EVALSHA_RO, SCRIPT],
};

/// Where the keys of a script are said.
const KEYS: Keys = Keys::Numbered {
    count: 2,
    target: None,
};

const DIFFERS: Support = Support::Differs(
    "a script may have 64 MiB of memory and run for 5 s; `redis.setresp(3)` is refused; `PUBLISH` in a script answers 0, \
     as messages leave when it is done; of the commands that are not on keys there are `ECHO`, `PING`, `PUBLISH` and \
     `TIME`. On engines that cannot hold all keys (NATS), scripts reach only the keys that they declare",
);

const EVAL: Command = Command {
    name: "eval",
    arity: -3,
    flags: &[Flag::Write, Flag::NoScript, Flag::AnyKey],
    keys: KEYS,
    since: "2.6.0",
    summary: "Runs a script in Lua.",
    complexity: "Depends on the script",
    syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
    support: DIFFERS,
    run: Run::Keys(|call| {
        let script = scripts::shared().of_source(call.args.at(1))?;
        run(call, &script, false)
    }),
};

const EVAL_RO: Command = Command {
    name: "eval_ro",
    flags: &[Flag::ReadOnly, Flag::NoScript, Flag::AnyKey],
    since: "7.0.0",
    summary: "Runs a script in Lua that only looks at keys.",
    run: Run::Keys(|call| {
        let script = scripts::shared().of_source(call.args.at(1))?;
        run(call, &script, true)
    }),
    ..EVAL
};

const EVALSHA: Command = Command {
    name: "evalsha",
    summary: "Runs a script that is known, by its digest.",
    syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
    run: Run::Keys(|call| {
        let script = scripts::shared().of_digest(call.args.at(1))?;
        run(call, &script, false)
    }),
    ..EVAL
};

const EVALSHA_RO: Command = Command {
    name: "evalsha_ro",
    summary: "Runs a script that is known and only looks at keys, by its digest.",
    syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
    run: Run::Keys(|call| {
        let script = scripts::shared().of_digest(call.args.at(1))?;
        run(call, &script, true)
    }),
    ..EVAL_RO
};

fn run(call: &mut Call<'_, '_>, script: &Arc<Script>, is_read_only: bool) -> Result<(), Refusal> {
    let (keys, args) = keys_and_args(call.args)?;
    if is_read_only && script.stated == Stated::Writes {
        return Err(Refusal::new(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    scripts::shared().run(Work {
        script,
        keys,
        args,
        is_read_only: is_read_only || script.stated == Stated::NoWrites,
        cells: call.cells,
        effects: call.effects,
        reply: call.reply,
    })
}

/// # Errors
/// When the number of keys is none.
fn keys_and_args(args: &Args) -> Result<(WordSlice<'_>, WordSlice<'_>), Refusal> {
    let count = args.integer(2)?;
    let count = usize::try_from(count).map_err(|_| Refusal::new("ERR Number of keys can't be negative"))?;
    args.from(3).split_at_checked(count).ok_or(Refusal::new(
        "ERR Number of keys can't be greater than number of args",
    ))
}

const SCRIPT: Command = Command {
    run: Run::Container(&[EXISTS, FLUSH, HELP, KILL, LOAD]),
    ..BASE
};

/// What its subcommands share.
const BASE: Command = Command {
    name: "script",
    arity: -2,
    flags: &[Flag::NoScript],
    keys: Keys::None,
    since: "2.6.0",
    summary: "Commands that have to do with scripts.",
    complexity: "Depends on the subcommand",
    syntax: "subcommand [arg [arg ...]]",
    support: Support::Full,
    run: Run::Container(&[]),
};

const EXISTS: Command = Command {
    name: "script|exists",
    arity: -3,
    summary: "Tells which scripts are known.",
    complexity: "O(n) with n digests",
    syntax: "sha1 [sha1 ...]",
    run: Run::Keys(|call| {
        let digests = call.args.from(2);
        call.reply.array(digests.len());
        for digest in digests.iter() {
            call.reply.yes_or_no(scripts::shared().is_known(digest));
        }
        Ok(())
    }),
    ..BASE
};

const FLUSH: Command = Command {
    name: "script|flush",
    arity: -2,
    summary: "Forgets all scripts.",
    complexity: "O(n) with n scripts",
    syntax: "[ASYNC | SYNC]",
    run: Run::Keys(|call| {
        let args = call.args;
        let is_plain = args.len() == 2;
        if !is_plain && !(args.len() == 3 && (args.is(2, "async") || args.is(2, "sync"))) {
            return Err(Refusal::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
        }
        scripts::shared().clear();
        call.reply.ok();
        Ok(())
    }),
    ..BASE
};

const HELP: Command = Command {
    name: "script|help",
    arity: 2,
    since: "5.0.0",
    summary: "Tells the subcommands.",
    complexity: "O(1)",
    syntax: "",
    run: Run::Keys(|call| {
        const LINES: [&str; 11] = [
            "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "EXISTS <sha1> [<sha1> ...]",
            "    Tells which scripts are known.",
            "FLUSH [ASYNC|SYNC]",
            "    Forgets all scripts.",
            "KILL",
            "    Ends no script: those that run for too long end by themselves.",
            "LOAD <script>",
            "    Makes a script known, and tells its digest.",
            "HELP",
            "    Prints this help.",
        ];
        call.reply.array(LINES.len());
        for line in LINES {
            call.reply.simple(line);
        }
        Ok(())
    }),
    ..BASE
};

const KILL: Command = Command {
    name: "script|kill",
    arity: 2,
    summary: "Ends the script that runs.",
    complexity: "O(1)",
    syntax: "",
    support: Support::Differs("it ends none: scripts that run for too long end by themselves"),
    run: Run::Keys(|_| Err(Refusal::new("NOTBUSY No scripts in execution right now."))),
    ..BASE
};

const LOAD: Command = Command {
    name: "script|load",
    arity: 3,
    summary: "Makes a script known, and tells its digest.",
    complexity: "O(n) with n bytes",
    syntax: "script",
    run: Run::Keys(|call| {
        let digest = scripts::shared().load(call.args.at(2))?;
        call.reply.bulk(digest.hex().as_bytes());
        Ok(())
    }),
    ..BASE
};
