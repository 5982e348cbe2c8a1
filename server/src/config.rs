//! The configuration: from what people write to what the program runs on.
//!
//! Four sources, each winning over the ones after it:
//!
//! 1. flags of `switchboard serve`,
//! 2. environment variables `SWITCHBOARD_SECTION_KEY` ([`source`]),
//! 3. one TOML file: `--config FILE`, else `SWITCHBOARD_CONFIG`, else `./switchboard.toml`, else
//!    `/etc/switchboard/switchboard.toml`, else none ([`locate`]),
//! 4. the built-in defaults ([`raw`]).
//!
//! Two stages: the sources are merged, key by key, into a [`raw::RawConfig`] (strict serde: unknown keys are refused),
//! which is then [resolved](resolve) into the [`Config`] that the rest of the program sees: validated run-time types.
//! Every fault is collected, with its place, before anything is refused: one `config check` shows them all.
//!
//! Keys and certificates are named by their files, never held. Secret can only be a password in the address of a cluster;
//! it is not shown.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use raw::RawConfig;
pub use resolve::Config;
pub use source::{Origin, Setting};

pub mod address;
pub mod engine;
pub mod raw;
pub mod resolve;
pub mod schema;
mod show;
pub mod source;
#[cfg(test)]
mod tests;
pub mod values;

/// The commented default file, as `switchboard config default` prints it.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");

/// The file looked for in the current directory.
const FILE_HERE: &str = "switchboard.toml";

/// The file of an installed daemon.
const FILE_SYSTEM: &str = "/etc/switchboard/switchboard.toml";

/// One thing wrong with the configuration, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What it is about: `section.key`, or nothing if it is about the source as a whole.
    pub key: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything wrong with the configuration, in the order it was found; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

/// What to read, from the weakest source to the strongest.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, if there is one: see [`locate`].
    pub file: Option<PathBuf>,
    /// Names and values of environment variables; those that are not ours are skipped.
    pub environment: Vec<(String, String)>,
    /// Settings made by command-line flags.
    pub flags: Vec<Setting>,
}

impl Sources {
    /// The given or [located](locate) file and this process's environment, without flags.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file: locate(file, Path::new(".")),
            environment: source::process_environment(),
            flags: Vec::new(),
        }
    }
}

/// A configuration that holds together.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the program runs on.
    pub config: Config,
    /// The same as it would be written.
    pub raw: RawConfig,
    origins: Origins,
}

/// Where each key that is not at its default came from.
type Origins = BTreeMap<(&'static str, &'static str), Origin>;

impl Loaded {
    /// The effective configuration as TOML, each line naming the source it came from unless it is the default.
    pub fn to_toml(&self) -> String {
        show::to_toml(&self.raw, &self.origins)
    }
}

/// The file to read: the one given, else the first of the two well-known ones that is there. `here` stands for the
/// current directory.
pub fn locate(given: Option<PathBuf>, here: &Path) -> Option<PathBuf> {
    let known = || {
        [here.join(FILE_HERE), PathBuf::from(FILE_SYSTEM)]
            .into_iter()
            .find(|path| path.exists())
    };
    // An empty SWITCHBOARD_CONFIG is one that is not set.
    given.filter(|path| !path.as_os_str().is_empty()).or_else(known)
}

/// Reads, merges and checks all sources. Blocking: it reads the file.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut settings = Vec::new();
    if let Some(path) = &sources.file {
        settings.extend(source::from_file(path, &mut problems));
    }
    settings.extend(source::from_environment(&sources.environment, &mut problems));
    settings.extend(sources.flags.iter().cloned());

    let (raw, origins) = merge(settings, &mut problems);
    let (config, faults) = resolve::resolve(&raw);
    for fault in faults {
        let origin = origins
            .get(&(fault.section, fault.key))
            .cloned()
            .unwrap_or(Origin::Default);
        let key = Some(format!("{}.{}", fault.section, fault.key));
        problems.push(Problem {
            origin,
            key,
            message: fault.message,
        });
    }
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, raw, origins }),
        _ => Err(Problems(problems)),
    }
}

/// Lays the settings over the defaults, the later over the earlier; what does not fit becomes a problem and is left out.
fn merge(settings: Vec<Setting>, problems: &mut Vec<Problem>) -> (RawConfig, Origins) {
    let mut origins = Origins::new();
    let mut merged = toml::Table::new();
    for setting in settings {
        match setting.fitting_value() {
            Ok(value) => {
                let section = merged
                    .entry(setting.section)
                    .or_insert_with(|| toml::Table::new().into());
                if let Some(section) = section.as_table_mut() {
                    section.insert(setting.key.to_owned(), value);
                }
                origins.insert((setting.section, setting.key), setting.origin);
            }
            Err(message) => {
                let key = Some(format!("{}.{}", setting.section, setting.key));
                problems.push(Problem {
                    origin: setting.origin,
                    key,
                    message,
                });
            }
        }
    }
    // Each value fits by itself and sections are independent, so together they fit too.
    let raw = RawConfig::deserialize_table(merged).unwrap_or_else(|message| {
        problems.push(Problem {
            origin: Origin::Default,
            key: None,
            message,
        });
        RawConfig::default()
    });
    (raw, origins)
}
