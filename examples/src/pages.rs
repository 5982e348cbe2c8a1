//! The files of `pages/`, and the library, as they were when the program was built.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../pages/", $name)))),*]
    };
}

/// By their names.
pub(crate) const FILES: &[(&str, &[u8])] = files![
    "events.html",
    "events.js",
    "hub.js",
    "hub.json",
    "index.html",
    "serve_greet.html",
    "serve_greet.js",
    "style.css",
    "websocket_chat.html",
    "websocket_chat.js",
    "websocket_minimal.html",
    "websocket_minimal.js",
];

/// gotalk for web pages.
pub(crate) const LIBRARY: &[u8] = include_bytes!("../../clients/js/dist/gotalk.js");
