//! Commands made up after a template.
//!
//! | in a template | becomes |
//! | --- | --- |
//! | `{key}` | a word of that kind, see [`word`] |
//! | `[NX]` | that, or nothing |
//! | `(NX\|XX)` | one of these |
//! | `<{key} {value}>` | that, none to three times more |

use std::fmt;

use fastrand::Rng;

/// The keys of all commands: few, so that they meet.
pub const KEYS: &[&str] = &["k1", "k2", "k3", "k4", "k5", "k6", "f1", "f2", "h1", "l1", "l2"];

/// How answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Byte by byte.
    Exact,
    /// Arrays have the same elements, in whatever order.
    Unordered,
    /// Numbers differ by at most so much: times.
    Near(i64),
    /// Of the same type, and as long: random choices.
    Shape,
}

/// A template, and how its answers are compared.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    pub text: &'static str,
    pub compare: Compare,
    /// Whether something may be wrong with its commands.
    pub is_flawed: bool,
}

/// Answers that are the same byte by byte.
pub const fn exact(text: &'static str) -> Template {
    Template {
        text,
        compare: Compare::Exact,
        is_flawed: true,
    }
}

/// The same, with nothing wrong.
pub const fn flawless(text: &'static str) -> Template {
    Template {
        text,
        compare: Compare::Exact,
        is_flawed: false,
    }
}

/// See [`Compare::Unordered`].
pub const fn unordered(text: &'static str) -> Template {
    Template {
        text,
        compare: Compare::Unordered,
        is_flawed: true,
    }
}

/// See [`Compare::Near`].
pub const fn near(text: &'static str, most: i64) -> Template {
    Template {
        text,
        compare: Compare::Near(most),
        is_flawed: true,
    }
}

/// See [`Compare::Shape`].
pub const fn shape(text: &'static str) -> Template {
    Template {
        text,
        compare: Compare::Shape,
        is_flawed: true,
    }
}

/// A command.
#[derive(Debug, Clone)]
pub struct Asked {
    pub words: Vec<Vec<u8>>,
    pub compare: Compare,
}

impl Asked {
    /// The name of the command, in upper case.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.words[0]).to_uppercase()
    }

    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(format!("*{}\r\n", self.words.len()).as_bytes());
        for word in &self.words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words.iter().map(|word| match word.len() {
            0..=60 => format!("\"{}\"", word.escape_ascii()),
            length => format!("({length} bytes)"),
        });
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

impl Template {
    /// A command after it. Now and then something is wrong with it.
    pub fn command(&self, random: &mut Rng) -> Asked {
        let mut words: Vec<Vec<u8>> = Vec::new();
        expand(self.text, random, &mut words);
        // No empty word becomes a key: ours has none.
        let may_be_wrong = self.is_flawed && words.len() > 1 && words.iter().all(|word| !word.is_empty());
        if may_be_wrong && random.u8(..) < 6 {
            let place = random.usize(1..words.len());
            match random.u8(..3) {
                0 => drop(words.remove(place)),
                1 => words.insert(place, word("odd", random)),
                _ => words[place] = word("odd", random),
            }
        }
        Asked {
            words,
            compare: self.compare,
        }
    }
}

/// Where the part that begins here ends: at a separator that is not inside of another part.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (place, letter) in text.char_indices() {
        match letter {
            '[' | '(' | '<' | '{' => depth += 1,
            ']' | ')' | '>' | '}' => depth -= 1,
            _ if letter == separator && depth == 0 => {
                parts.push(&text[start..place]);
                start = place + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn expand(text: &str, random: &mut Rng, words: &mut Vec<Vec<u8>>) {
    for part in split(text, ' ').into_iter().filter(|part| !part.is_empty()) {
        let inner = || &part[1..part.len() - 1];
        match part.as_bytes()[0] {
            b'[' if random.bool() => expand(inner(), random, words),
            b'[' => {}
            b'(' => {
                let choices = split(inner(), '|');
                let choice = choices[random.usize(..choices.len())];
                expand(choice, random, words);
            }
            b'<' => (0..random.usize(..4)).for_each(|_| expand(inner(), random, words)),
            b'{' => words.push(word(inner(), random)),
            _ => words.push(part.as_bytes().to_vec()),
        }
    }
}

/// A word of a kind.
fn word(kind: &str, random: &mut Rng) -> Vec<u8> {
    let one_of = |random: &mut Rng, words: &[&str]| random.choice(words).expect("words").as_bytes().to_vec();
    match kind {
        "key" => one_of(random, &KEYS[..6]),
        // Of numbers with a fraction only.
        "number" => one_of(random, &["f1", "f2"]),
        "numbers" => b"h1".to_vec(),
        // Of lists only.
        "list" => one_of(random, &["l1", "l2"]),
        "value" => value(random),
        "text" => (0..random.usize(..30))
            .map(|_| b"abc"[random.usize(..3)])
            .collect(),
        "member" => one_of(
            random,
            &["a", "b", "c", "d", "e", "f", "g", "1", "2", "3", "10", "", "a b"],
        ),
        "int" => one_of(
            random,
            &["0", "1", "-1", "2", "-2", "3", "7", "10", "-100", "123456789"],
        ),
        "index" => random.i64(-8..8).to_string().into_bytes(),
        "count" => random.i64(0..6).to_string().into_bytes(),
        "bit" => random.i64(0..70).to_string().into_bytes(),
        "float" => (random.i64(-4096..4096) as f64 / 64.0).to_string().into_bytes(),
        "decimal" => decimal(random),
        "score" => one_of(
            random,
            &["0", "1", "-1", "1.5", "2", "3", "1e3", "-0.25", "inf", "-inf"],
        ),
        "cut" => one_of(
            random,
            &["-inf", "+inf", "(1", "(-1", "(2", "3", "(3", "(inf", "2x", "nan"],
        ),
        "end" => one_of(
            random,
            &["-", "+", "[a", "(a", "[c", "(c", "[e", "(f", "[1", "(2", "[", "x"],
        ),
        // Far away, and never the same twice: which is earlier does not depend on the milliseconds of the test.
        "seconds" => random.i64(1_000..1_000_000_000).to_string().into_bytes(),
        "milliseconds" => random.i64(1_000_000..1_000_000_000_000).to_string().into_bytes(),
        "second" => random.i64(4_000_000_000..4_000_000_010).to_string().into_bytes(),
        "millisecond" => random
            .i64(4_000_000_000_000..4_000_000_010_000)
            .to_string()
            .into_bytes(),
        "past" => one_of(
            random,
            &["0", "-1", "-1000", "9223372036854775807", "-9223372036854775808"],
        ),
        "pattern" => one_of(
            random,
            &[
                "*", "k?", "k[1-3]", "k[^1]", "*1", "k\\1", "none", "k1", "[", "k[1-",
            ],
        ),
        "odd" => one_of(
            random,
            &[
                "x",
                "0",
                "-1",
                "1.5",
                "99999999999999999999",
                "9223372036854775807",
                "nan",
                "(1",
                "NX",
                "GET",
                "*",
            ],
        ),
        other => panic!("no word is a {other}"),
    }
}

/// A number with a fraction, of any length that `INCRBYFLOAT` adds as Redis does.
fn decimal(random: &mut Rng) -> Vec<u8> {
    let whole = random.i64(..) >> random.u8(..64);
    let digits = random.usize(..18);
    let fraction: String = (0..digits).map(|_| random.digit(10)).collect();
    match random.u8(..6) {
        0 => whole.to_string(),
        1 => format!("{whole}e{}", random.u8(..15)),
        2 => format!("0.{fraction}1"),
        3 => format!("{}.{}", random.i8(..), random.u8(..100)),
        _ => format!("{whole}.{fraction}0"),
    }
    .into_bytes()
}

fn value(random: &mut Rng) -> Vec<u8> {
    match random.u8(..8) {
        0 | 1 => word("int", random),
        2 => word("float", random),
        3 => Vec::new(),
        4 => (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
        5 => word("odd", random),
        6 => random.i64(..).to_string().into_bytes(),
        _ => word("text", random),
    }
}
