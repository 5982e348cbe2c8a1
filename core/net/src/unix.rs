//! Unix sockets in the file system: who may connect, and what to do with a file that is there already.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, Uid};
use socket2::{Domain, SockAddr, Type};

use crate::config::UnixSettings;
use crate::socket::{BACKLOG, BindError, Socket};

/// Longest path in bytes: `sun_path` less its NUL.
const PATH_BYTES_MAX: usize = 107;

/// How long to wait for another process that is just binding in the same folder. It takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Time between attempts to get the folder's lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// A socket file of ours; dropping it removes the file, unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the socket file stays behind");
        }
    }
}

/// Listens at `path`, replacing a socket file that nobody listens at.
///
/// The file has its mode and owner before anybody can connect: connecting is refused until `listen`, which comes last.
pub(crate) async fn bind(path: &Path, settings: &UnixSettings) -> Result<(Socket, SocketFile), BindError> {
    if path.as_os_str().as_bytes().len() > PATH_BYTES_MAX {
        return Err(BindError::PathTooLong {
            path: path.into(),
            max: PATH_BYTES_MAX,
        });
    }
    let failed = |error: io::Error| BindError::from_system(&format_args!("unix://{}", path.display()), error);
    // Between the test for a stale file and its replacement nobody else may do the same.
    let _lock = lock_folder(path).await.map_err(failed)?;
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket
        .bind(&SockAddr::unix(path).map_err(failed)?)
        .map_err(failed)?;
    let file = fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile {
        path: path.into(),
        identity: (file.dev(), file.ino()),
    };
    restrict(path, settings).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok((Socket::from_unix(socket.into()).map_err(failed)?, file))
}

fn restrict(path: &Path, settings: &UnixSettings) -> io::Result<()> {
    if settings.owner.is_some() || settings.group.is_some() {
        let owner = settings.owner.map(Uid::from_raw);
        let group = settings.group.map(Gid::from_raw);
        rustix::fs::chownat(CWD, path, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(settings.mode))?;
    Ok(())
}

/// Locks the folder of `path` against others that bind in it; the lock ends with the file.
///
/// `None` where the folder cannot be opened or locked: then nothing guards against a second start at the same moment,
/// and binding tells what else is wrong with the folder.
async fn lock_folder(path: &Path) -> io::Result<Option<fs::File>> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Ok(folder) = fs::File::open(folder) else {
        return Ok(None);
    };
    let locked = async {
        loop {
            match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOCK_INTERVAL).await,
                result => return result.is_ok(),
            }
        }
    };
    match tokio::time::timeout(LOCK_WAIT, locked).await {
        Ok(locked) => Ok(locked.then_some(folder)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            "another program keeps the folder locked",
        )),
    }
}

/// Removes a socket file that nobody listens at.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |error: io::Error| BindError::from_system(&format_args!("unix://{}", path.display()), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(BindError::NotASocket { path: path.into() }),
        Ok(_) => {}
    }
    // Without blocking: a listener whose backlog is full is alive as well.
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    probe.set_nonblocking(true).map_err(failed)?;
    match probe.connect(&SockAddr::unix(path).map_err(failed)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "removing a socket file that nobody listens at");
            fs::remove_file(path).map_err(failed)
        }
        // Somebody else's, and we may not even ask.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        _ => Err(failed(io::Error::from(io::ErrorKind::AddrInUse))),
    }
}
