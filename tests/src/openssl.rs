//! `openssl s_client` as a foreign TLS client: what goes in and out of it are the bytes within TLS.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
};

use crate::{
    peer::{Carrier, Peer},
    wait::LIMIT,
};

/// Chunks read ahead of a test.
const CHUNKS_AHEAD: usize = 16;

/// Largest chunk, in bytes: a TLS record.
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// A peer within TLS, with nothing said yet. The server must show a certificate for its address that `ca` vouches for;
/// `options` go to `s_client`, as `["-cert", "client.pem"]`.
///
/// # Panics
/// If there is no `openssl`: the tests need it.
#[track_caller]
pub fn connect(address: SocketAddr, ca: &Path, options: &[&str]) -> Peer {
    let ip = address.ip().to_string();
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-no_ign_eof", "-nocommands"])
        .args([
            "-verify_return_error",
            "-verify_ip",
            &ip,
            "-connect",
            &address.to_string(),
            "-CAfile",
        ])
        .arg(ca)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("the tests need `openssl`: {error}"));
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    Peer::over(Client {
        stdin,
        stdout: read_ahead(stdout.expect("a pipe")),
        unread: Vec::new(),
        child,
    })
}

/// A running `s_client`.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    unread: Vec<u8>,
}

/// Reads by a thread of its own, so that a wait for more can end.
fn read_ahead(mut stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES_MAX];
            let size = stdout.read(&mut chunk).unwrap_or(0);
            chunk.truncate(size);
            if size == 0 || sender.send(chunk).is_err() {
                return;
            }
        }
    });
    chunks
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        if self.unread.is_empty() {
            self.unread = match self.stdout.recv_timeout(LIMIT) {
                Ok(chunk) => chunk,
                Err(Disconnected) => return Ok(0),
                Err(Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            };
        }
        let size = self.unread.as_slice().read(buffer)?;
        self.unread.drain(..size);
        Ok(size)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Carrier for Client {
    fn end_writing(&mut self) -> io::Result<()> {
        drop(self.stdin.take());
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
