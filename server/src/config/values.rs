//! Small value types of the configuration: known words, file modes, lists.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: one line an event, in colour on a terminal.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Whether a TLS door asks its clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Not asked for.
    Off,
    /// Checked if shown.
    Optional,
    /// No connection without one.
    Required,
}

/// Permission bits of a file, written in octal as `chmod` takes them: `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// All bits that `chmod` would set on a socket: `rwx` for three classes.
const FILE_MODE_MAX: u32 = 0o777;

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // `from_str_radix` would take a sign.
        let octal = text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| octal && *mode <= FILE_MODE_MAX);
        mode.map(Self)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is no octal file mode like \"0660\"")))
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

/// Where the access log of a door goes: `off`, `log`, or the path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To the daemon's own log.
    Log,
    /// To this file.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "off" => Ok(Self::Off),
            "log" => Ok(Self::Log),
            // So that a word which is wrong makes no file.
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => Err(de::Error::custom(format!(
                "`{text}` is neither \"off\" nor \"log\" nor a path with a slash, like \"./access.log\""
            ))),
        }
    }
}

impl Serialize for AccessLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Log => serializer.serialize_str("log"),
            Self::File(path) => path.serialize(serializer),
        }
    }
}

/// How [`Durability`](switchboard_engine::Durability) is written.
pub(super) mod durability {
    use super::{Deserialize, Deserializer, Serializer, de};
    use switchboard_engine::Durability;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Durability, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }

    pub fn serialize<S: Serializer>(durability: &Durability, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(durability)
    }
}

/// A list of texts; a list of one may be written without its brackets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List(pub Vec<String>);

impl List {
    /// The list of these items.
    pub fn of<const N: usize>(items: [&str; N]) -> Self {
        Self(items.map(str::to_owned).into())
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<List, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(items)).map(List)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
