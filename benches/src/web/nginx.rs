//! nginx, with one of the files of `nginx/` as its configuration.

use std::path::Path;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::file;
use crate::address::Address;
use crate::process::{Process, free_port};

/// Names nginx's binary; the one in `PATH` is used where it is not set.
const BINARY_VARIABLE: &str = "NGINX";

/// Names the folder of nginx's modules.
const MODULES_VARIABLE: &str = "NGINX_MODULES";

/// Where Debian has them.
const MODULES: &str = "/usr/lib/nginx/modules";

/// nginx's binary.
pub fn binary() -> String {
    std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "nginx".to_owned())
}

/// Starts nginx in front of the server at `upstream`, a Unix socket.
pub async fn start_proxy(upstream: &Address) -> Result<Process> {
    let Address::Unix(path) = upstream else {
        bail!("nginx is to reach its upstream by a Unix socket")
    };
    start("nginx/proxy.conf", &[("{upstream}", &path.display().to_string())]).await
}

/// Starts nginx with the Nchan module, with so many worker processes.
pub async fn start_push(workers: usize) -> Result<Process> {
    let modules = std::env::var(MODULES_VARIABLE).unwrap_or_else(|_| MODULES.to_owned());
    start(
        "nginx/push.conf",
        &[("{modules}", &modules), ("{workers}", &workers.to_string())],
    )
    .await
}

async fn start(template: &str, values: &[(&str, &str)]) -> Result<Process> {
    let listen = free_port()?;
    let mut configuration = std::fs::read_to_string(file(template))?.replace("{listen}", &listen.to_string());
    for (name, value) in values {
        configuration = configuration.replace(name, value);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, configuration)?;
    let process = Process::start_at(command(folder.path(), &path), Address::Tcp(listen))
        .await
        .context("benches/README.md says how to install nginx")?;
    Ok(process.keeping(folder))
}

fn command(folder: &Path, configuration: &Path) -> Command {
    // It must not outlive the run that started it, however that ended, and does not look at its standard input.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(binary());
    // Of its own accord it first tries to open the log that Debian compiled in.
    command
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(configuration);
    command
}
