//! The log: text for people, JSON for programs, always to stderr, so that stdout stays for results.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{resolve::Log, values::LogFormat};

#[cfg(test)]
mod tests;

/// The words that name a level.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Libraries that say at `info` what is of use only to who works on them.
const TALKATIVE: [&str; 3] = ["fjall", "lsm_tree", "async_nats"];

/// Why a log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A part of the level is neither a level nor `target=level`.
    #[error(
        "`{0}` is no level: write off, error, warn, info, debug or trace, or a list like \"info,switchboard_hub=debug\""
    )]
    Level(String),
    /// The filter refused it.
    #[error(transparent)]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// There is a log already.
    #[error(transparent)]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Checks a level without using it: a level, or a comma-separated list of levels and `target=level`.
///
/// # Errors
/// [`LogError::Level`]. A bare word that is no level is refused, although the filter would take it for a module's
/// name and then silently log nothing else.
pub fn check_level(level: &str) -> Result<(), LogError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let directives: Vec<&str> = level.split(',').map(str::trim).collect();
    for directive in &directives {
        let word = directive.rsplit_once('=').map_or(*directive, |(_, word)| word);
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return Err(LogError::Level((*directive).to_owned()));
        }
    }
    let is_info = directives
        .iter()
        .any(|directive| directive.eq_ignore_ascii_case("info"));
    let quiet = TALKATIVE
        .iter()
        .filter(|_| is_info)
        .map(|library| format!("{library}=warn"));
    // What is written comes last, and wins.
    let all: Vec<_> = quiet
        .chain(directives.iter().map(|&directive| directive.to_owned()))
        .collect();
    Ok(EnvFilter::builder().parse(all.join(","))?)
}

/// Starts the log of this process, on stderr; in colour if that is a terminal and `NO_COLOR` is not set.
///
/// # Errors
/// If the level is wrong, or if a log has been started before.
pub fn start(log: &Log) -> Result<(), LogError> {
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(log, colour, io::stderr)?;
    Ok(tracing_subscriber::util::SubscriberInitExt::try_init(subscriber)?)
}

/// The log as an object, for any writer.
fn subscriber<W>(
    log: &Log,
    colour: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_target(log.target)
        .with_ansi(colour)
        .with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().with_ansi(false).flatten_event(true).finish()),
    })
}
