//! The callers of one side in one round: a process of their own, so that they too are put on the cores anew.
//!
//! This binary starts itself with the hidden `drive` command. The child opens its connections, warms up, and says that
//! it is ready; each line on its standard input is then a number of milliseconds to call for, answered by a line with
//! the [`Sample`]. It ends when its standard input does. Callers in Node (`node/drive.mjs`) do the same.

use std::fmt::Display;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::load::{Cell, Round, Sample};
use crate::process::cpu_seconds;

/// What the child says once its connections are open and warm.
const READY: &str = "ready";

/// How long the callers call unmeasured before they are ready.
const WARM_UP: Duration = Duration::from_millis(200);

/// The parent's end of a calling process, which is killed when this is dropped.
pub struct Callers {
    child: Child,
    id: u32,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    files: Option<TempDir>,
}

impl Callers {
    /// Starts the callers of the side `name` in `suite`, and waits until they are warm.
    pub async fn start(suite: &str, name: impl Display, cell: &Cell) -> Result<Self> {
        Self::start_with(suite, name, &cell.arguments()).await
    }

    /// The same, for a suite whose cells are told by other arguments.
    pub async fn start_with(suite: &str, name: impl Display, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["drive", suite, &name.to_string()]).args(arguments);
        Self::of(command).await
    }

    /// Starts callers that are not this binary, and waits until they are warm.
    pub async fn of(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the callers")?;
        let mut callers = Self {
            id: child.id().context("the callers have ended")?,
            orders: child.stdin.take().context("the input is not piped")?,
            answers: BufReader::new(child.stdout.take().context("the output is not piped")?).lines(),
            child,
            files: None,
        };
        let said = callers.next_line().await?;
        ensure!(said == READY, "the callers said {said:?}");
        Ok(callers)
    }

    /// Keeps `files` until they have ended.
    pub fn keeping(mut self, files: TempDir) -> Self {
        self.files = Some(files);
        self
    }

    /// Has them call for `duration`.
    pub async fn run(&mut self, duration: Duration) -> Result<Sample> {
        let order = format!("{}\n", duration.as_millis());
        self.orders.write_all(order.as_bytes()).await?;
        self.next_line().await?.parse()
    }

    /// Seconds of processor time they have used so far.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(self.id)
    }

    /// Ends them, and waits until they are gone.
    pub async fn end(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(self.files.map_or(Ok(()), TempDir::close)?)
    }

    async fn next_line(&mut self) -> Result<String> {
        self.answers
            .next_line()
            .await?
            .context("the callers have ended; see above for what they said")
    }
}

/// The child's end: warms `round` up, then runs it as often as the standard input asks.
pub async fn obey(round: Box<dyn Round>) -> Result<()> {
    round.run(WARM_UP).await.context("warming up")?;
    println!("{READY}");
    // Nothing else runs on this thread, so the blocking lines disturb nobody.
    for order in std::io::stdin().lines() {
        let sample = round.run(Duration::from_millis(order?.parse()?)).await?;
        println!("{sample}");
    }
    Ok(())
}
