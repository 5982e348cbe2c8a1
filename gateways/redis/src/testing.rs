//! A test bed: commands on keys in memory, without an engine and without a connection.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use switchboard_hub::keys::{Cell, Cells, Edit, Entry, Key, Kind, Reach, Revision, Timestamp};

use switchboard_engine::keys::edit::{Find, Outcome};

use crate::args::Args;
use crate::call::Effects;
use crate::command::{Command, Run};
use crate::edit::KeyCommands;
use crate::reply::{Protocol, Reply};
use crate::table;

/// When a bed begins: in 2023, in milliseconds since 1970.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

/// Keys, and a clock that the test moves.
///
/// ```text
/// let mut bed = Bed::new();
/// assert_eq!(bed.run("SET a 'x y'"), "OK");
/// assert_eq!(bed.run("GET a"), "\"x y\"");
/// ```
#[derive(Debug)]
pub(crate) struct Bed {
    entries: BTreeMap<Key, Entry>,
    now: Timestamp,
    revision: u64,
    protocol: Protocol,
    effects: Effects,
}

impl Bed {
    /// No keys.
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            now: Timestamp::from_millis(BEGIN_MS),
            revision: 0,
            protocol: Protocol::Resp2,
            effects: Effects::default(),
        }
    }

    /// From now on, answers are in RESP3.
    pub(crate) fn resp3(mut self) -> Self {
        self.protocol = Protocol::Resp3;
        self
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Runs a command line, as `redis-cli` would take it (quotes, `\x00`), and tells its answer: `OK`, `1`, `"text"`,
    /// `nil`, `[1, "a"]`, `{"field": "value"}`, `~{1}`, `,1.5`, `-ERR no`; nothing if a command waits.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.run_args(words(line).into_iter().map(Bytes::from).collect())
    }

    /// Runs a command that is in its parts already.
    pub(crate) fn run_args(&mut self, args: Args) -> String {
        let bytes = self.raw(args);
        let mut rest = &bytes[..];
        let text = if rest.is_empty() {
            String::new()
        } else {
            shown(&mut rest)
        };
        assert!(rest.is_empty(), "more than one answer: {}", bytes.escape_ascii());
        text
    }

    /// As [`Self::run`], with the answer as it is on the wire.
    pub(crate) fn run_raw(&mut self, line: &str) -> String {
        let answer = self.raw(words(line).into_iter().map(Bytes::from).collect());
        answer.escape_ascii().to_string().replace("\\r\\n", "\r\n")
    }

    /// Runs lines, each of which must be answered as it says: `GET a -> nil`.
    #[track_caller]
    pub(crate) fn check(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (command, expected) = line.split_once(" -> ").expect("a line is `command -> answer`");
            assert_eq!(self.run(command.trim()), expected.trim(), "{command}");
        }
    }

    /// What was told of the last command: `set a`, `del a`.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.effects.events().iter();
        events
            .map(|event| format!("{} {}", event.name, event.key.as_bytes().escape_ascii()))
            .collect()
    }

    /// Which keys the last command fed.
    pub(crate) fn fed(&self) -> Vec<String> {
        let fed = self.effects.fed().iter();
        fed.map(|key| key.as_bytes().escape_ascii().to_string()).collect()
    }

    /// What the last command published: `channel message`.
    pub(crate) fn published(&self) -> Vec<String> {
        let published = self.effects.published().iter();
        published
            .map(|(channel, payload)| format!("{} {}", channel, payload.escape_ascii()))
            .collect()
    }

    /// What a key has.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let entry = self.entries.get(key.as_bytes())?;
        entry
            .expires
            .is_none_or(|moment| moment > self.now)
            .then_some(entry)
    }

    fn raw(&mut self, args: Args) -> Bytes {
        let mut reply = Reply::new(self.protocol);
        self.effects.clear();
        match command_of(&args) {
            Ok((command, function)) => match command.keys.of(&args) {
                Ok(keys) => {
                    let mut args = args;
                    let mut edit = KeyCommands::new(usize::MAX);
                    edit.keys = keys;
                    edit.reply = reply;
                    edit.add(command, function, &mut args);
                    self.edit(&mut edit);
                    self.effects = edit.effects;
                    reply = edit.reply;
                }
                Err(refusal) => reply.refusal(&refusal),
            },
            Err(words) => reply.refusal(&crate::refusal::Refusal::of(words)),
        }
        reply.bytes().split().freeze()
    }

    /// Runs it on copies of the entries, twice, as an engine may; and does what came of it.
    fn edit(&mut self, edit: &mut KeyCommands) {
        let now = self.now;
        self.entries
            .retain(|_, entry| entry.expires.is_none_or(|moment| moment > now));
        let before = self.entries.clone();
        for round in 0..2 {
            let find = |key: &Key| Cell::of_entry(before.get(key));
            let find = matches!(edit.reach(), Reach::Any).then(|| Box::new(find) as Find<'_>);
            let mut cells = Cells::new(now, find);
            for key in &edit.keys {
                cells.add(key.clone(), Cell::of_entry(before.get(key)).unwrap());
            }
            edit.run(&mut cells);
            if round == 0 {
                continue;
            }
            let changes = edit.changes();
            for (key, cell) in cells.into_cells() {
                let outcome = cell.into_outcome(now);
                assert!(
                    changes || matches!(outcome, Outcome::Same),
                    "a command that is no write has written"
                );
                self.apply(key, outcome);
            }
        }
    }

    fn apply(&mut self, key: Key, outcome: Outcome<'_>) {
        let (value, expires) = match outcome {
            Outcome::Same => return,
            Outcome::Removed => {
                self.entries.remove(&key);
                return;
            }
            Outcome::Plain { value, expires } => (value.map(|value| (Kind::Plain, value)), expires),
            Outcome::Structure { content, expires, .. } => {
                let structure = content.structure().unwrap();
                (Some((structure.kind(), structure.encode().into())), expires)
            }
        };
        self.revision += 1;
        let known = self.entries.get(&key);
        let created = known.map_or(self.now, |entry| entry.created);
        let (kind, value) = value.unwrap_or_else(|| {
            let known = known.expect("only what is there has its bytes left");
            (known.kind, known.value.clone())
        });
        self.entries.insert(
            key,
            Entry {
                value,
                kind,
                revision: Revision(self.revision),
                created,
                expires,
            },
        );
    }
}

/// What does a command.
fn command_of(args: &Args) -> Result<(&'static Command, crate::command::KeyFunction), String> {
    let name = args.at(0).escape_ascii().to_string();
    let mut command = table::find(args.at(0)).ok_or(format!("ERR unknown command '{name}'"))?;
    if let Run::Container(subcommands) = command.run {
        let sub = args.at(1).escape_ascii().to_string();
        let full = format!("{}|{}", command.name, sub.to_lowercase());
        command = (subcommands.iter())
            .find(|subcommand| subcommand.name == full)
            .ok_or(format!(
                "ERR unknown subcommand '{sub}'. Try {} HELP.",
                name.to_uppercase()
            ))?;
    }
    let len = i32::try_from(args.len()).unwrap();
    if (command.arity >= 0 && len != command.arity) || len < -command.arity {
        return Err(format!(
            "ERR wrong number of arguments for '{}' command",
            command.name
        ));
    }
    match command.run {
        Run::Keys(function) | Run::Blocking(function, _) => Ok((command, function)),
        _ => panic!("{name} is not a function on keys"),
    }
}

/// The words of a line: between spaces, or in quotes, of which `"` knows `\xNN`, `\n`, `\r`, `\t` and `\"`.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start().as_bytes();
    while let Some(first) = rest.first() {
        let mut word = Vec::new();
        let quote = Some(*first).filter(|first| b"\"'".contains(first));
        rest = &rest[usize::from(quote.is_some())..];
        loop {
            let Some((byte, more)) = rest.split_first() else {
                assert!(quote.is_none(), "a quote is open: {line}");
                break;
            };
            rest = more;
            match (byte, quote) {
                (b' ', None) => break,
                (byte, Some(quote)) if *byte == quote => break,
                (b'\\', Some(b'"')) => {
                    let used = match rest[0] {
                        b'x' => {
                            let digits = std::str::from_utf8(&rest[1..3]).unwrap();
                            word.push(u8::from_str_radix(digits, 16).unwrap());
                            3
                        }
                        b'n' => push(&mut word, b'\n'),
                        b'r' => push(&mut word, b'\r'),
                        b't' => push(&mut word, b'\t'),
                        other => push(&mut word, other),
                    };
                    rest = &rest[used..];
                }
                (byte, _) => word.push(*byte),
            }
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    words
}

fn push(word: &mut Vec<u8>, byte: u8) -> usize {
    word.push(byte);
    1
}

/// An answer, as a test reads it; and goes on after it.
pub(crate) fn shown(rest: &mut &[u8]) -> String {
    let end = rest
        .windows(2)
        .position(|two| two == b"\r\n")
        .expect("a whole line");
    let (mark, line) = rest[..end].split_first().expect("a mark");
    let line = std::str::from_utf8(line).unwrap().to_owned();
    *rest = &rest[end + 2..];
    let several = |rest: &mut &[u8]| {
        let count: usize = line.parse().unwrap();
        (0..count).map(|_| shown(rest)).collect::<Vec<_>>().join(", ")
    };
    match mark {
        b'$' | b'*' if line == "-1" => "nil".to_owned(),
        b'_' => "nil".to_owned(),
        b'+' | b':' => line,
        b'-' | b',' | b'#' | b'(' => format!("{}{line}", *mark as char),
        b'$' | b'=' => {
            let length: usize = line.parse().unwrap();
            let text = rest[..length].escape_ascii().to_string();
            assert_eq!(&rest[length..length + 2], b"\r\n");
            *rest = &rest[length + 2..];
            format!("\"{text}\"")
        }
        b'*' => format!("[{}]", several(rest)),
        b'~' => format!("~{{{}}}", several(rest)),
        b'>' => format!(">[{}]", several(rest)),
        b'%' => {
            let count: usize = line.parse().unwrap();
            let pairs = (0..count).map(|_| format!("{}: {}", shown(rest), shown(rest)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => panic!("no answer begins with {}", *other as char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_words() {
        assert_eq!(
            words(r#"a  'b c' "\x00\n\"" ''"#),
            [&b"a"[..], b"b c", b"\x00\n\"", b""]
        );
    }

    #[test]
    fn answers_are_shown() {
        let mut answer = &b"*4\r\n:1\r\n$1\r\na\r\n$-1\r\n%1\r\n+k\r\n,1.5\r\n"[..];
        assert_eq!(shown(&mut answer), r#"[1, "a", nil, {k: ,1.5}]"#);
        assert!(answer.is_empty());
    }

    #[test]
    fn commands_run() {
        let mut bed = Bed::new();
        bed.check(
            "
            GET a -> nil
            GET -> -ERR wrong number of arguments for 'get' command
            NONE -> -ERR unknown command 'NONE'
            GETDEL a -> nil
            ",
        );
        assert!(bed.events().is_empty());
    }
}
