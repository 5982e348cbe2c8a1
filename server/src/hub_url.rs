//! Where the hub is: `--hub URL`, `SWITCHBOARD_HUB`, or the place a local daemon listens at by default.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::config;

/// Where a local daemon listens if nothing says otherwise.
const TCP_DEFAULT: &str = "127.0.0.1:4700";

/// The daemon's Unix socket in its data directory.
const SOCKET_NAME: &str = "switchboard.sock";

/// The address of a hub, from a caller's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubUrl {
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `tls://HOST:PORT`
    Tls(String),
    /// `unix://PATH`
    Unix(PathBuf),
}

/// A text that is no hub's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a hub: write tcp://HOST:PORT, tls://HOST:PORT or unix://PATH")]
pub struct HubUrlError(String);

impl std::str::FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let wrong = || HubUrlError(text.to_owned());
        match text.split_once("://").ok_or_else(wrong)? {
            ("tcp", host) if is_host_and_port(host) => Ok(Self::Tcp(host.to_owned())),
            ("tls", host) if is_host_and_port(host) => Ok(Self::Tls(host.to_owned())),
            ("unix", path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Tls(host) => write!(f, "tls://{host}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let port_ok = port
        .parse::<u16>()
        .is_ok_and(|number| number != 0 && !port.starts_with('+'));
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_ok = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']),
    };
    host_ok && port_ok
}

/// The hub to talk to: the one given, else the Unix socket in the data directory if it is there, else
/// `tcp://127.0.0.1:4700`.
///
/// # Errors
/// If the one given is no address. An empty one counts as none.
pub fn choose(given: Option<&str>, data: &Path) -> Result<HubUrl, HubUrlError> {
    if let Some(text) = given.filter(|text| !text.is_empty()) {
        return text.parse();
    }
    let socket = data.join(SOCKET_NAME);
    if socket.exists() {
        return Ok(HubUrl::Unix(socket));
    }
    Ok(HubUrl::Tcp(TCP_DEFAULT.to_owned()))
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
        |loaded| loaded.config.server.data,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_read_as_they_are_written() {
        for text in [
            "tcp://127.0.0.1:4700",
            "tcp://hub.example.org:1",
            "tls://[::1]:4743",
            "unix:///run/x",
            "unix://x",
        ] {
            assert_eq!(
                text.parse::<HubUrl>().map(|url| url.to_string()),
                Ok(text.to_owned())
            );
        }
        for bad in [
            "",
            "x",
            "127.0.0.1:4700",
            "http://x:1",
            "tcp://",
            "tcp://x",
            "tcp://x:0",
            "tcp://x:70000",
            "tcp://:1",
            "tcp://::1:1",
            "tcp://x:+1",
            "tcp://x/y:1",
            "unix://",
        ] {
            assert_eq!(bad.parse::<HubUrl>(), Err(HubUrlError(bad.to_owned())), "{bad}");
        }
    }

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
