//! Where the hub is: `--hub URL`, `SWITCHBOARD_HUB`, or the place a local daemon listens at by default.

use std::path::{Path, PathBuf};

use switchboard_peer::{DEFAULT_PORT, Url, UrlError};

use crate::config;

/// Where a local daemon listens if nothing says otherwise; its port is the protocol's own.
const HOST_DEFAULT: &str = "127.0.0.1";

/// The daemon's Unix socket in its data directory.
const SOCKET_NAME: &str = "switchboard.sock";

/// The hub to talk to: the one given, else the Unix socket in the data directory if it is there, else
/// `tcp://127.0.0.1:4700`.
///
/// # Errors
/// If the one given is no address. An empty one counts as none.
pub fn choose(given: Option<&str>, data: &Path) -> Result<Url, UrlError> {
    if let Some(text) = given.filter(|text| !text.is_empty()) {
        return parse(text);
    }
    let socket = data.join(SOCKET_NAME);
    if socket.exists() {
        return Ok(Url::Unix(socket));
    }
    Ok(Url::Tcp {
        host: HOST_DEFAULT.to_owned(),
        port: DEFAULT_PORT,
    })
}

/// A hub is a whole door, so a WebSocket's address that ends with the bare slash, as browsers show it, names no path.
fn parse(text: &str) -> Result<Url, UrlError> {
    match text.parse()? {
        Url::WebSocket { path, .. } if path == "/" => text.trim_end_matches('/').parse(),
        url => Ok(url),
    }
}

/// The data directory that a local daemon would use: of the configuration if there is a good one, else the default.
/// A caller must not fail because a daemon's file is none of its business. Blocking: it reads that file.
pub fn local_data_directory() -> PathBuf {
    let named = std::env::var_os("SWITCHBOARD_CONFIG").map(PathBuf::from);
    data_directory(&config::Sources::of_process(named))
}

fn data_directory(sources: &config::Sources) -> PathBuf {
    let loaded = config::load(sources);
    loaded.map_or_else(
        |_| config::raw::RawServer::default().data,
        |loaded| {
            let own = loaded.config.server.data;
            own.unwrap_or_else(|| config::raw::RawServer::default().data)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_wins_over_tcp_and_what_is_given_over_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let chosen = |given| choose(given, folder.path()).map(|url| url.to_string());
        assert_eq!(chosen(None), Ok("tcp://127.0.0.1:4700".into()));
        assert_eq!(chosen(Some("")), Ok("tcp://127.0.0.1:4700".into()));
        let socket = folder.path().join("switchboard.sock");
        std::fs::write(&socket, "").expect("a file");
        assert_eq!(chosen(None), Ok(format!("unix://{}", socket.display())));
        assert_eq!(chosen(Some("tcp://x:1")), Ok("tcp://x:1".into()));
        assert_eq!(
            chosen(Some("ws://127.0.0.1:4780/")),
            chosen(Some("ws://127.0.0.1:4780"))
        );
        assert_eq!(chosen(Some("wss://x/y/")), Ok("wss://x:443/y/".into()));
        assert!(chosen(Some("x")).is_err());
    }

    #[test]
    fn the_data_directory_is_the_daemons_or_the_default() {
        let with = |text: &str| {
            let environment = vec![("SWITCHBOARD_SERVER_DATA".to_owned(), text.to_owned())];
            data_directory(&config::Sources {
                environment,
                ..config::Sources::default()
            })
        };
        assert_eq!(with("/var/lib/switchboard"), Path::new("/var/lib/switchboard"));
        assert_eq!(
            with(""),
            Path::new("./data"),
            "what is wrong there is not a caller's business"
        );
    }
}
