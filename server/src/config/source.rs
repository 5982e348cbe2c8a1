//! The sources of the configuration, each turned into a list of [`Setting`]s.
//!
//! An environment variable `SWITCHBOARD_SECTION_KEY` sets `key` in `[section]`: `SWITCHBOARD_LOG_LEVEL=debug`,
//! `SWITCHBOARD_GOTALK_READ_TIMEOUT=1m`. Its value is written as in the file, and the quotes around a single text may
//! be left out: `SWITCHBOARD_GOTALK_LISTEN=tcp://127.0.0.1:5000` and `…='["tcp://127.0.0.1:5000", "unix:///run/x"]'`.
//! A variable of a known section with an unknown key is refused; other names are none of ours (container
//! platforms invent some, like `SWITCHBOARD_PORT`) and are left alone.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::IntoDeserializer};
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{Problem, raw::RawConfig, schema};

/// What all our environment variables start with.
const ENVIRONMENT_PREFIX: &str = "SWITCHBOARD_";

/// Largest configuration file in bytes: a thousand times what one needs, little enough to hold if the path is wrong.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is built in.
    Default,
    /// A whole file.
    File(PathBuf),
    /// A place in a file; line and column count from 1, the column in characters.
    Place {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A command-line flag, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Place { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One value for one known key.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The section, without brackets.
    pub section: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// Where it was written.
    pub origin: Origin,
    /// What it may mean, the likeliest first; the last one's fault is the one to tell.
    readings: Vec<Value>,
}

impl Setting {
    /// A setting made by a command-line flag.
    pub fn flag(
        flag: &'static str,
        section: &'static str,
        key: &'static str,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            section,
            key,
            origin: Origin::Flag(flag),
            readings: vec![value.into()],
        }
    }

    /// The first reading that fits its key.
    pub(super) fn fitting_value(&self) -> Result<Value, String> {
        let mut fault = String::new();
        for reading in &self.readings {
            let section = toml::Table::from_iter([(self.key.to_owned(), reading.clone())]);
            let alone = toml::Table::from_iter([(self.section.to_owned(), section.into())]);
            match RawConfig::deserialize_table(alone) {
                Ok(_) => return Ok(reading.clone()),
                Err(message) => fault = message,
            }
        }
        Err(fault)
    }
}

/// The environment of this process; what is not UTF-8 is replaced, and then refused where it is used.
pub(super) fn process_environment() -> Vec<(String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// Settings of our environment variables.
pub(super) fn from_environment(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let path = path.to_ascii_lowercase();
        let Some((section, key, keys)) = split_path(&path) else {
            continue;
        };
        let origin = Origin::Environment(name.clone());
        match keys.iter().find(|known| **known == key) {
            Some(key) => settings.push(Setting {
                section,
                key,
                origin,
                readings: readings_of(text),
            }),
            None => problems.push(unknown_key(origin, section, key, keys)),
        }
    }
    settings
}

/// `log_level` → the section `log`, the key `level`, and the section's keys.
fn split_path(path: &str) -> Option<(&'static str, &str, &'static [&'static str])> {
    schema::sections().into_iter().find_map(|(section, keys)| {
        let key = path.strip_prefix(section)?.strip_prefix('_')?;
        Some((section, key, keys))
    })
}

/// As in the file, or as a plain text.
fn readings_of(text: &str) -> Vec<Value> {
    let as_in_file = DeValue::parse(text).ok().and_then(|value| owned(value).ok());
    as_in_file
        .into_iter()
        .chain([Value::String(text.to_owned())])
        .collect()
}

/// Settings of a TOML file.
pub(super) fn from_file(path: &Path, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read the configuration: {error}");
            problems.push(Problem {
                origin: Origin::File(path.to_owned()),
                key: None,
                message,
            });
            return Vec::new();
        }
    };
    FileReader {
        path,
        text: &text,
        problems,
        settings: Vec::new(),
    }
    .read()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    let size = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if size as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        ));
    }
    Ok(text)
}

/// Walks a parsed file, keeping the place of everything.
struct FileReader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
    settings: Vec<Setting>,
}

impl FileReader<'_> {
    fn read(mut self) -> Vec<Setting> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            // What follows a syntax error is guesswork: tell the errors, judge nothing else.
            for error in errors {
                let origin = self.place(error.span().map_or(0, |span| span.start));
                self.problems.push(Problem {
                    origin,
                    key: None,
                    message: error.message().to_owned(),
                });
            }
            return Vec::new();
        }
        for (name, value) in root.into_inner() {
            let at = self.place(name.span().start);
            let name = name.into_inner();
            let sections = schema::sections();
            match sections.iter().find(|(section, _)| *section == name) {
                Some((section, keys)) => self.read_section(section, keys, at, value),
                None => self
                    .problems
                    .push(unknown_section(at, &name, value.get_ref().is_table())),
            }
        }
        self.settings
    }

    fn read_section(
        &mut self,
        section: &'static str,
        keys: &'static [&'static str],
        at: Origin,
        value: Spanned<DeValue<'_>>,
    ) {
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!("is a section: write [{section}] on a line of its own, once");
            self.problems.push(Problem {
                origin: at,
                key: Some(section.to_owned()),
                message,
            });
            return;
        };
        for (name, value) in table {
            let Some(key) = keys.iter().find(|known| **known == name.get_ref().as_ref()) else {
                let origin = self.place(name.span().start);
                self.problems
                    .push(unknown_key(origin, section, name.get_ref(), keys));
                continue;
            };
            let origin = self.place(value.span().start);
            match owned(value) {
                Ok(value) => self.settings.push(Setting {
                    section,
                    key,
                    origin,
                    readings: vec![value],
                }),
                Err(message) => {
                    self.problems.push(Problem {
                        origin,
                        key: Some(format!("{section}.{key}")),
                        message,
                    });
                }
            }
        }
    }

    fn place(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).map_or(0, |text| text.chars().count()) + 1;
        Origin::Place {
            path: self.path.to_owned(),
            line,
            column,
        }
    }
}

/// The value without its places.
fn owned(value: Spanned<DeValue<'_>>) -> Result<Value, String> {
    Value::deserialize(value.into_deserializer()).map_err(|error| error.message().to_owned())
}

fn unknown_section(origin: Origin, name: &str, is_table: bool) -> Problem {
    let sections = schema::sections();
    let message = if is_table {
        let hint = schema::suggestion(name, sections.iter().map(|(section, _)| *section));
        format!("unknown section{hint}")
    } else {
        match sections.iter().find(|(_, keys)| keys.contains(&name)) {
            Some((section, _)) => format!("stands outside of a section; it belongs into [{section}]"),
            None => "unknown key, outside of every section".to_owned(),
        }
    };
    Problem {
        origin,
        key: Some(name.to_owned()),
        message,
    }
}

fn unknown_key(origin: Origin, section: &str, name: &str, keys: &[&'static str]) -> Problem {
    let elsewhere = schema::sections()
        .into_iter()
        .find(|(_, others)| others.contains(&name));
    let hint = match elsewhere {
        Some((other, _)) => format!("; it belongs into [{other}]"),
        None => schema::suggestion(name, keys.iter().copied()),
    };
    Problem {
        origin,
        key: Some(format!("{section}.{name}")),
        message: format!("unknown key{hint}"),
    }
}
