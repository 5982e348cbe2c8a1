//! Which sections and keys there are, asked of the raw structs themselves, so that no second list can go stale.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
    forward_to_deserialize_any,
};

use super::raw::{
    RawEngine, RawGotalk, RawHttp, RawHub, RawLimits, RawLog, RawNats, RawRedis, RawServer, RawTls,
};

/// Every section with its keys, in the order of the file.
pub fn sections() -> [(&'static str, &'static [&'static str]); 10] {
    [
        ("server", fields_of::<RawServer>()),
        ("log", fields_of::<RawLog>()),
        ("limits", fields_of::<RawLimits>()),
        ("tls", fields_of::<RawTls>()),
        ("gotalk", fields_of::<RawGotalk>()),
        ("http", fields_of::<RawHttp>()),
        ("redis", fields_of::<RawRedis>()),
        ("hub", fields_of::<RawHub>()),
        ("engine", fields_of::<RawEngine>()),
        ("nats", fields_of::<RawNats>()),
    ]
}

/// The keys of a section, or nothing if there is no such section.
pub fn keys_of(section: &str) -> Option<&'static [&'static str]> {
    sections()
        .into_iter()
        .find(|(name, _)| *name == section)
        .map(|(_, keys)| keys)
}

/// A name that looks like the one that was written: the text to append to "unknown key".
pub fn suggestion<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    /// Below this Jaro-Winkler likeness (0 to 1) a suggestion is more likely to puzzle than to help.
    const LIKENESS_MIN: f64 = 0.8;
    let likeness = |name: &str| strsim::jaro_winkler(written, name);
    let best = names
        .into_iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best {
        Some(name) if likeness(name) >= LIKENESS_MIN => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

/// The names that a struct's derived `Deserialize` knows.
pub(super) fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The probe always stops with an error once it has seen the names.
    let _stopped = T::deserialize(Probe { names: &mut names });
    names
}

/// A deserializer without data, which only notes the fields it is asked for.
struct Probe<'a> {
    names: &'a mut &'static [&'static str],
}

#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe holds no data")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        *self.names = fields;
        Err(Stop)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
