//! The effective configuration, written back as a file that could be read again.

use std::fmt::Write;

use super::{Origins, engine, raw::RawConfig, schema};

/// All sections and keys in the order of the schema.
pub(super) fn to_toml(raw: &RawConfig, origins: &Origins) -> String {
    // Every raw type serializes to plain TOML; a test walks them all.
    let table = toml::Table::try_from(raw).unwrap_or_default();
    let mut text = String::new();
    for (section, keys) in schema::sections() {
        let line_break = if text.is_empty() { "" } else { "\n" };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{line_break}[{section}]");
        for key in keys {
            let origin = origins.get(&(section, *key));
            let comment = origin.map(|origin| format!("  # {origin}")).unwrap_or_default();
            let _ = match table.get(section).and_then(|values| values.get(key)) {
                Some(toml::Value::String(url)) if (section, *key) == engine::URL_KEY => {
                    let shown = toml::Value::String(engine::without_secrets(url));
                    writeln!(text, "{key} = {shown}{comment}")
                }
                Some(value) => writeln!(text, "{key} = {value}{comment}"),
                None => writeln!(text, "# {key} is not set"),
            };
        }
    }
    text
}
