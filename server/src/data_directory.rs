//! The folder of the daemon's own files.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, chown},
    path::Path,
};

use anyhow::{Context, anyhow};
use nix::unistd::{Uid, User};
use switchboard_net::privilege::Privileges;

/// Nobody else has any business in there: it holds the key of a self-signed certificate, and the Unix socket.
const MODE: u32 = 0o700;

/// Makes the folder if it is not there. One made for a daemon that will become somebody else is given to that user,
/// or it could not remove its socket from there in the end; one that is there already is left as it is.
///
/// # Errors
/// If it cannot be made.
pub fn make(folder: &Path, becoming: Option<&Privileges>) -> anyhow::Result<()> {
    let failed = || format!("cannot make the data folder {}", folder.display());
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).with_context(failed)?;
    }
    match std::fs::DirBuilder::new().mode(MODE).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
        Err(error) => return Err(error).with_context(failed),
    }
    if let Some(owner) = owner(becoming)? {
        chown(folder, Some(owner), None).with_context(failed)?;
    }
    Ok(())
}

/// Who the daemon will be after binding, if it is root and is to become somebody: what it makes before is theirs.
///
/// # Errors
/// If there is no such user.
pub fn owner(becoming: Option<&Privileges>) -> anyhow::Result<Option<u32>> {
    let becoming = becoming.filter(|_| Uid::effective().is_root());
    becoming
        .map(|privileges| Ok(user(&privileges.user)?.as_raw()))
        .transpose()
}

/// A user by name or number.
fn user(text: &str) -> anyhow::Result<Uid> {
    if let Ok(number) = text.parse() {
        return Ok(Uid::from_raw(number));
    }
    let entry = User::from_name(text).context("cannot read the user database")?;
    entry
        .map(|entry| entry.uid)
        .ok_or_else(|| anyhow!("server.user: there is no user `{text}`"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(folder: &Path) -> u32 {
        let found = std::fs::metadata(folder).expect("it is there");
        found.permissions().mode() & 0o777
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_left_alone_if_there() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = outside.path().join("a/b");
        make(&folder, None).expect("made");
        assert_eq!(mode(&folder), 0o700);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).expect("mine");
        make(&folder, None).expect("there");
        assert_eq!(mode(&folder), 0o750);
    }

    #[test]
    fn a_file_in_its_place_is_told() {
        let outside = tempfile::tempdir().expect("a folder");
        let file = outside.path().join("data");
        std::fs::write(&file, "").expect("a file");
        let told = format!("{:#}", make(&file, None).expect_err("no folder"));
        assert!(told.starts_with("cannot make the data folder "), "{told}");
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(user("root").expect("everywhere"), Uid::from_raw(0));
        assert_eq!(user("1234").expect("a number"), Uid::from_raw(1234));
        assert!(user("no such user").is_err());
    }
}
