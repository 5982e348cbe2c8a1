//! Paths of a daemon that locks itself into a folder (chroot) after it has started.
//!
//! The same path must mean the same file before and after. So the daemon works from within that folder from its start:
//! relative paths are below it, absolute ones that lead into it are made relative, and others are refused.

use std::path::{Path, PathBuf};

use anyhow::Context;
use switchboard_net::{Address, Certificate, ClientCertificates};

use crate::{
    config::{Config, engine::Engine, values::AccessLog},
    exit::Failure,
};

/// Enters the folder that the configuration names, if it does, and rewrites all paths to hold there.
///
/// # Errors
/// If it cannot be entered, or a path leads out of it.
pub fn enter(config: &mut Config) -> anyhow::Result<()> {
    let privileges = config.server.privileges.as_mut();
    let Some(folder) = privileges.and_then(|privileges| privileges.chroot.as_mut()) else {
        return Ok(());
    };
    let failed = |folder: &Path| format!("cannot enter `server.chroot`, {}", folder.display());
    let real = folder.canonicalize().with_context(|| failed(folder))?;
    std::env::set_current_dir(&real).with_context(|| failed(&real))?;
    let written = std::mem::replace(folder, real.clone());
    confine(config, &[written, real])?;
    Ok(())
}

fn confine(config: &mut Config, roots: &[PathBuf]) -> Result<(), Failure> {
    let rewrite = |key: &str, path: &mut PathBuf| -> Result<(), Failure> {
        *path = relative(path, roots).ok_or_else(|| {
            let folder = roots.last().map(PathBuf::as_path).unwrap_or(Path::new("/"));
            Failure::Usage(format!(
                "{key}: {} is outside of `server.chroot`, {}, where the daemon cannot reach it any more",
                path.display(),
                folder.display()
            ))
        })?;
        Ok(())
    };
    if let Some(data) = &mut config.server.data {
        rewrite("server.data", data)?;
    }
    match &mut config.engine {
        Engine::Memory => {}
        Engine::Embedded(embedded) => rewrite("server.data", &mut embedded.folder)?,
        Engine::Nats(nats) => {
            for (key, file) in [
                ("nats.credentials", &mut nats.credentials),
                ("nats.ca", &mut nats.ca),
                ("nats.certificate", &mut nats.certificate),
                ("nats.key", &mut nats.key),
            ] {
                if let Some(file) = file {
                    rewrite(key, file)?;
                }
            }
        }
    }
    for (key, listen) in [
        ("gotalk.listen", &mut config.gotalk.listen),
        ("http.listen", &mut config.http.listen),
        ("redis.listen", &mut config.redis.listen),
    ] {
        for address in listen {
            if let Address::Unix(path) = address {
                rewrite(key, path)?;
            }
        }
    }
    if let AccessLog::File(path) = &mut config.http.access_log {
        rewrite("http.access_log", path)?;
    }
    let Some(tls) = &mut config.tls else {
        return Ok(());
    };
    match &mut tls.certificate {
        Certificate::Files { chain, key } => {
            rewrite("tls.certificate", chain)?;
            rewrite("tls.key", key)?;
        }
        Certificate::SelfSigned { directory, .. } => {
            if let Some(directory) = directory {
                rewrite("server.data", directory)?;
            }
        }
    }
    match &mut tls.clients {
        ClientCertificates::Off => Ok(()),
        ClientCertificates::Optional { authorities } | ClientCertificates::Required { authorities } => {
            rewrite("tls.client_ca", authorities)
        }
    }
}

/// The path from within the first of the roots that it is in; one that is relative stays.
fn relative(path: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    if path.is_relative() {
        return Some(path.to_owned());
    }
    let below = roots.iter().find_map(|root| path.strip_prefix(root).ok())?;
    // The folder itself is `.`: an empty path names nothing.
    Some(Path::new(".").join(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Setting, Sources};

    fn configured(data: &str, certificate: &str) -> Config {
        let flags = vec![
            Setting::flag("-", "server", "data", data),
            Setting::flag("-", "tls", "certificate", certificate),
            Setting::flag("-", "tls", "key", "key.pem"),
            Setting::flag(
                "-",
                "gotalk",
                "listen",
                vec!["tls://127.0.0.1:1".to_owned(), "unix://{data}/s".to_owned()],
            ),
            Setting::flag("-", "http", "listen", "unix://{data}/h"),
            Setting::flag("-", "http", "access_log", "{data}/access.log"),
        ];
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        config::load(&sources).expect("good").config
    }

    #[test]
    fn paths_hold_before_and_after() {
        let mut config = configured("/jail/data", "/jail/tls/cert.pem");
        confine(&mut config, &["/jail".into()]).expect("all inside");
        assert_eq!(config.server.data.as_deref(), Some(Path::new("./data")));
        let Engine::Embedded(embedded) = &config.engine else {
            panic!("the default engine")
        };
        assert_eq!(embedded.folder, Path::new("./data/engine"));
        assert_eq!(
            config.gotalk.listen.get(1),
            Some(&Address::Unix("./data/s".into()))
        );
        assert_eq!(config.http.listen, [Address::Unix("./data/h".into())]);
        assert_eq!(
            config.http.access_log,
            AccessLog::File("./data/access.log".into())
        );
        let tls = config.tls.expect("configured");
        assert_eq!(
            tls.certificate,
            Certificate::Files {
                chain: "./tls/cert.pem".into(),
                key: "key.pem".into()
            }
        );
    }

    #[test]
    fn what_is_outside_is_refused_by_name() {
        let mut config = configured("data", "/etc/cert.pem");
        let refused = confine(&mut config, &["/jail".into()]).expect_err("outside");
        assert!(
            refused
                .to_string()
                .starts_with("tls.certificate: /etc/cert.pem is outside of"),
            "{refused}"
        );
    }

    #[test]
    fn without_a_chroot_nothing_changes() {
        let mut config = configured("/jail/data", "/etc/cert.pem");
        let before = config.clone();
        enter(&mut config).expect("nothing to do");
        assert_eq!(config, before);
    }
}
