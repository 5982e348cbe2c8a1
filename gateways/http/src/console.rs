//! The web console: the files of the folder `console`, as they are. They are modules that browsers load one by one, so
//! there is nothing to build.

use crate::assets::Assets;

/// The page at `/`.
const PAGE: &[u8] = include_bytes!("../../../console/index.html");

/// A file's path at the door, and its bytes.
type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($name:literal)*) => {
        &[$((concat!("/console/", $name), include_bytes!(concat!("../../../console/", $name)))),*]
    };
}

/// What the page loads.
const FILES: &[File] = files![
    "components/answer.js"
    "components/chat_log.js"
    "components/connection.js"
    "components/copy_button.js"
    "components/field.js"
    "components/message_log.js"
    "components/panel.js"
    "components/payload_view.js"
    "components/people.js"
    "components/publish_form.js"
    "components/theme_switch.js"
    "components/ways_in.js"
    "icon.svg"
    "lib/calling.js"
    "lib/chat_room.js"
    "lib/directory.js"
    "lib/element.js"
    "lib/filter.js"
    "lib/format.js"
    "lib/hub.js"
    "lib/payload.js"
    "lib/route.js"
    "lib/rows.js"
    "lib/storage.js"
    "lib/value.js"
    "main.js"
    "styles/base.css"
    "styles/frame.css"
    "styles/parts.css"
    "styles/tokens.css"
    "styles/views.css"
    "theme_early.js"
    "views/call.js"
    "views/chat.js"
    "views/overview.js"
    "views/topics.js"
];

impl Assets {
    /// The same, with the web console at `/`. It needs the [library](Self::library).
    #[must_use]
    pub fn console(self) -> Self {
        let page = self.page("/index.html", PAGE);
        FILES
            .iter()
            .fold(page, |assets, (path, bytes)| assets.page(path, *bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// What is no part of the page.
    const APART: [&str; 3] = ["README.md", "index.html", "tsconfig.json"];

    fn names(folder: &Path, within: &str, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{within}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                self::names(&path, &format!("{name}/"), names);
            } else if !APART.contains(&name.as_str()) {
                names.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let mut there = BTreeSet::new();
        names(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console"),
            "",
            &mut there,
        );
        let served: Vec<_> = FILES
            .iter()
            .map(|(path, _)| path.strip_prefix("/console/").unwrap())
            .collect();
        assert_eq!(served, there.iter().map(String::as_str).collect::<Vec<_>>());
        // Every path that ends so is the library's.
        assert!(served.iter().all(|name| !name.ends_with("/gotalk.js")));
    }
}
