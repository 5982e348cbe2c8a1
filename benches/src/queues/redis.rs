//! Redis streams: `XADD`, `XREADGROUP`, `XACK`, with the append-only file, by a client that pipelines whatever its
//! workers ask for at the same time and does nothing else.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use switchboard_engine::Durability;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::address::Address;
use crate::contender::Echo;
use crate::process::{Process, free_port};

/// Names the server's binary; the one in `PATH` is used where it is not set.
const BINARY_VARIABLE: &str = "REDIS_SERVER";

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Most commands in one write.
const WRITE_COMMANDS_MAX: usize = 1024;

/// The server's binary.
pub fn binary() -> String {
    std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "redis-server".to_owned())
}

/// Starts the server with its append-only file in `directory`, and otherwise with its defaults, but for snapshots.
pub async fn start(directory: &Path, durability: Durability) -> Result<Process> {
    let address = free_port()?;
    let sync = match durability {
        Durability::Always => "always",
        Durability::Second => "everysec",
        Durability::Never => "no",
    };
    // It must not outlive the run that started it, however that ended, and does not look at its standard input.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM"])
        .arg(binary())
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", sync])
        .args(["--loglevel", "warning", "--dir"])
        .arg(directory)
        .stdout(std::process::Stdio::null());
    Process::start_at(command, Address::Tcp(address))
        .await
        .context("benches/README.md says how to install redis-server")
}

/// An answer, without its structure: the texts and numbers in it, one after the other.
type Answer = Vec<Bytes>;

/// One connection, shared by its clones.
#[derive(Clone)]
pub struct Worker {
    commands: mpsc::UnboundedSender<(Bytes, oneshot::Sender<Result<Answer>>)>,
}

impl Worker {
    /// Connects, and has a group of workers read the stream.
    pub async fn connect(address: &Address) -> Result<Self> {
        let (reader, mut writer) = tokio::io::split(address.connect().await?);
        let (commands, mut asked) = mpsc::unbounded_channel::<(Bytes, oneshot::Sender<Result<Answer>>)>();
        let (written, mut waiting) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut batch, mut bytes) = (Vec::new(), BytesMut::new());
            while asked.recv_many(&mut batch, WRITE_COMMANDS_MAX).await > 0 {
                for (command, answer) in batch.drain(..) {
                    bytes.extend_from_slice(&command);
                    // Whoever reads has ended only if the connection has.
                    let _ = written.send(answer);
                }
                if writer.write_all_buf(&mut bytes).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            let mut reader = BufReader::with_capacity(READ_BYTES, reader);
            let mut line = Vec::new();
            while let Some(answer) = waiting.recv().await {
                // Whoever asked may have given up. After an error of the connection all fail.
                let _ = answer.send(read_answer(&mut reader, &mut line).await);
            }
        });
        let worker = Self { commands };
        worker
            .ask(&[b"XGROUP", b"CREATE", b"jobs", b"workers", b"$", b"MKSTREAM"])
            .await?;
        Ok(worker)
    }

    async fn ask(&self, words: &[&[u8]]) -> Result<Answer> {
        let (sender, answer) = oneshot::channel();
        self.commands
            .send((command(words), sender))
            .ok()
            .context("the server is gone")?;
        answer.await.context("the server is gone")?
    }
}

impl Echo for Worker {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        self.ask(&[b"XADD", b"jobs", b"*", b"job", &payload]).await?;
        let read = self
            .ask(&[
                b"XREADGROUP",
                b"GROUP",
                b"workers",
                b"one",
                b"COUNT",
                b"1",
                b"STREAMS",
                b"jobs",
                b">",
            ])
            .await?;
        // The stream, the id, the field, the value.
        let [_, id, _, job] = &read[..] else {
            bail!("there is no job");
        };
        let acked = self.ask(&[b"XACK", b"jobs", b"workers", id]).await?;
        ensure!(acked == ["1"], "an ack was answered by {acked:?}");
        Ok(job.clone())
    }
}

/// A command as the protocol has it: an array of strings.
fn command(words: &[&[u8]]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(words.iter().map(|word| word.len() + 16).sum());
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.freeze()
}

/// Reads one answer; arrays within arrays are read one element after the other.
async fn read_answer<R: AsyncRead + Unpin>(reader: &mut BufReader<R>, line: &mut Vec<u8>) -> Result<Answer> {
    let (mut answer, mut awaited) = (Vec::new(), 1_usize);
    while awaited > 0 {
        awaited -= 1;
        line.clear();
        reader.read_until(b'\n', line).await?;
        let (kind, text) = line
            .strip_suffix(b"\r\n")
            .and_then(<[u8]>::split_first)
            .context("the server closed the connection")?;
        match kind {
            b'+' | b':' => answer.push(Bytes::copy_from_slice(text)),
            b'-' => bail!("Redis says {}", text.escape_ascii()),
            b'*' => awaited += count(text)?,
            b'$' => {
                let mut bytes = vec![0; count(text)? + 2];
                reader.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                answer.push(bytes.into());
            }
            _ => bail!("Redis says {}", line.escape_ascii()),
        }
    }
    Ok(answer)
}

/// A length; that of nothing, -1, is an answer without anything in it.
fn count(text: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(text)?;
    if text == "-1" {
        bail!("Redis has nothing");
    }
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_are_read_flat() {
        let wire = b"*1\r\n*2\r\n$4\r\njobs\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$3\r\njob\r\n$1\r\nx\r\n:1\r\n-ERR no\r\n*-1\r\n";
        let mut reader = BufReader::new(&wire[..]);
        let mut line = Vec::new();
        let read = read_answer(&mut reader, &mut line).await.unwrap();
        assert_eq!(read, ["jobs", "1-0", "job", "x"]);
        assert_eq!(read_answer(&mut reader, &mut line).await.unwrap(), ["1"]);
        for _ in 0..3 {
            assert!(read_answer(&mut reader, &mut line).await.is_err());
        }
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(command(&[b"GET", b"a"]), "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    }
}
