//! The other processes of a run: servers, responders and daemons, and what the system says of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::address::Address;

/// What a child of this binary prints in front of its address once it can be used.
const READY: &str = "ready ";

/// How often a process that does not say when it is ready is tried.
const KNOCK_INTERVAL: Duration = Duration::from_millis(10);

/// Tries, at most, before such a process is given up: ten seconds.
const KNOCKS_MAX: u32 = 1000;

/// A running process, killed when this is dropped.
pub struct Process {
    child: Child,
    address: Address,
    files: Option<TempDir>,
    /// It has children that it must end itself.
    has_children: bool,
}

/// Where a process says that it is ready.
#[derive(Clone, Copy)]
pub enum Announces {
    /// On its standard output.
    Stdout,
    /// On its standard error, as a log line.
    Stderr,
}

impl Process {
    /// Starts this same binary with `arguments` and waits until it says that it is ready.
    pub async fn of_this_binary(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::start(command, Announces::Stdout, ready_address).await
    }

    /// Starts `command`, which has children of its own and ends them on SIGTERM, and waits until it accepts connections
    /// at `address`.
    pub async fn start_at(mut command: Command, address: Address) -> Result<Self> {
        command.stdin(Stdio::null());
        let mut child = spawn(&mut command)?;
        for _ in 0..KNOCKS_MAX {
            if address.connect().await.is_ok() {
                return Ok(Self {
                    child,
                    address,
                    files: None,
                    has_children: true,
                });
            }
            if let Some(status) = child.try_wait()? {
                bail!("{:?} ended before it was ready: {status}", command.as_std());
            }
            tokio::time::sleep(KNOCK_INTERVAL).await;
        }
        bail!("{:?} does not listen at {address}", command.as_std())
    }

    /// Starts `command` and reads its lines until `address_in` finds its address in one.
    pub async fn start(
        mut command: Command,
        announces: Announces,
        address_in: impl Fn(&str) -> Option<Address>,
    ) -> Result<Self> {
        command.stdin(Stdio::piped()).kill_on_drop(true);
        let address;
        let mut child;
        match announces {
            Announces::Stdout => {
                child = spawn(command.stdout(Stdio::piped()))?;
                address = announced(child.stdout.take(), address_in).await;
            }
            Announces::Stderr => {
                child = spawn(command.stderr(Stdio::piped()))?;
                address = announced(child.stderr.take(), address_in).await;
            }
        }
        let address = address.with_context(|| format!("starting {:?}", command.as_std()))?;
        Ok(Self {
            child,
            address,
            files: None,
            has_children: false,
        })
    }

    /// Keeps `files` until it has ended.
    pub fn keeping(mut self, files: TempDir) -> Self {
        self.files = Some(files);
        self
    }

    /// Ends it, and waits until it is gone.
    pub async fn end(mut self) -> Result<()> {
        if self.has_children {
            self.terminate();
            self.child.wait().await?;
        } else {
            self.child.kill().await?;
        }
        Ok(())
    }

    fn terminate(&self) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Seconds of processor time it and its children have used so far, in user and kernel mode.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.id()?)
    }

    /// Its resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        Ok(kilobytes
            .context("no VmRSS in the status of the process")?
            .trim()
            .parse::<u64>()?
            * 1024)
    }

    fn id(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_children {
            self.terminate();
        }
        if let Address::Unix(path) = &self.address {
            // Nobody else removes the socket's file: its owner is killed. A file that is gone is as well.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The address in the line by which [`announce`] tells it.
pub fn ready_address(line: &str) -> Option<Address> {
    line.strip_prefix(READY)?.parse().ok()
}

/// Tells the parent that this process, started by [`Process::of_this_binary`], can be used at `address`.
pub fn announce(address: &Address) {
    println!("{READY}{address}");
}

/// A port that nobody listened at a moment ago, for servers that cannot say which one the system chose.
pub fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Ends this process when its standard input does: a server must not outlive the run that started it,
/// however that ended.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        // An error means as much as the end: nobody holds the other side.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(0);
    });
}

/// Raises the limit of open files, for this process and those it starts, as far as it may go.
/// Returns the limit.
pub fn raise_open_files() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("starting {:?}", command.as_std().get_program()))
}

async fn announced<R: AsyncRead + Unpin + Send + 'static>(
    output: Option<R>,
    address_in: impl Fn(&str) -> Option<Address>,
) -> Result<Address> {
    let mut lines = BufReader::new(output.context("the output is not piped")?).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = address_in(&line) {
            // Read on, or the process stops once the pipe is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(address);
        }
        said.push(line);
    }
    bail!("it ended before it was ready, and said:\n{}", said.join("\n"))
}

/// Seconds of processor time that the process `id` and its children, living and dead, have used so far.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("the system names no clock tick")?;
    Ok(cpu_ticks(id)? as f64 / ticks_per_second as f64)
}

/// `utime`, `stime`, `cutime` and `cstime` of proc_pid_stat(5), which are the 14th to 17th field, and the same of the
/// children that live: nginx works in those.
fn cpu_ticks(id: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field is the command in parentheses, which may itself hold spaces.
    let (_, fields) = stat
        .rsplit_once(')')
        .context("no command in the stat of the process")?;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .flat_map(str::parse)
        .collect();
    ensure!(ticks.len() == 4, "no processor times in the stat of the process");
    let mut sum = ticks.iter().sum();
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread that has ended meanwhile has no children.
        let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            sum += cpu_ticks(child.parse()?)?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_only_grows() {
        let before = cpu_seconds(std::process::id()).unwrap();
        assert!(before >= 0.0);
        assert!(cpu_seconds(std::process::id()).unwrap() >= before);
    }

    #[tokio::test]
    async fn a_process_that_ends_early_is_an_error_with_its_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck"]);
        let outcome = Process::start(command, Announces::Stdout, |_| None).await;
        assert!(format!("{:#}", outcome.err().unwrap()).contains("no such luck"));
    }

    #[tokio::test]
    async fn a_ready_process_can_be_looked_at() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo at tcp://127.0.0.1:7 >&2; read wait"]);
        let address_in = |line: &str| line.strip_prefix("at ")?.parse().ok();
        let process = Process::start(command, Announces::Stderr, address_in)
            .await
            .unwrap();
        assert_eq!(process.address().to_string(), "tcp://127.0.0.1:7");
        assert!(process.resident_bytes().unwrap() > 0);
        assert!(process.cpu_seconds().unwrap() >= 0.0);
    }
}
