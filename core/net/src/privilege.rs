//! Giving up root after the sockets are bound: chroot, then groups, then user, then proof that there is no way back.
//!
//! Names are looked up before the chroot, where the user database still is. All calls act on every thread of the
//! process, so it may be done at any time; before the first connection is the time to do it.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{self, Gid, Group, Uid, User};

/// Whom to become, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// User by name or number.
    pub user: String,
    /// Group by name or number; the user's own if `None`.
    pub group: Option<String>,
    /// The folder that becomes the root of the file system.
    pub chroot: Option<PathBuf>,
}

/// Who the process is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Numeric user id.
    pub user: u32,
    /// Numeric group id.
    pub group: u32,
}

/// Why privileges were not dropped. The process must not go on: it may be in between.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrivilegeError {
    /// Only root can become somebody else.
    #[error("only root can change to user `{user}`: start as root, or remove the setting")]
    NotRoot {
        /// The user asked for.
        user: String,
    },
    /// There is no such user.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// There is no such group.
    #[error("there is no group `{0}`")]
    NoGroup(String),
    /// A numeric user without an entry has no group of its own.
    #[error("user {0} is not in the user database: say which group to use")]
    GroupNeeded(u32),
    /// Becoming root is no drop.
    #[error("`{0}` is root: choose a user or group without privileges")]
    Root(String),
    /// A step failed.
    #[error("cannot {step}: {errno}")]
    System {
        /// What was tried.
        step: String,
        /// What the system said.
        errno: Errno,
    },
    /// All steps went well, and yet privileges are left.
    #[error("privileges are not dropped: {0}")]
    StillPrivileged(&'static str),
}

/// Whom to become, looked up.
#[derive(Debug)]
struct Target {
    user: Uid,
    group: Gid,
    /// All groups of the user, `group` among them.
    groups: Vec<Gid>,
}

impl Privileges {
    /// Becomes that user, within that folder, for good.
    ///
    /// # Errors
    /// A [`PrivilegeError`]. Those up to the look-ups change nothing; after any other the process must end.
    pub fn drop_to(&self) -> Result<Dropped, PrivilegeError> {
        if !unistd::geteuid().is_root() {
            return Err(PrivilegeError::NotRoot {
                user: self.user.clone(),
            });
        }
        let target = self.look_up()?;
        if let Some(folder) = &self.chroot {
            chroot(folder)?;
        }
        let become_user = |step: &str, result: nix::Result<()>| {
            result.map_err(|errno| PrivilegeError::System {
                step: step.into(),
                errno,
            })
        };
        become_user("set the supplementary groups", unistd::setgroups(&target.groups))?;
        become_user(
            "set the group",
            unistd::setresgid(target.group, target.group, target.group),
        )?;
        become_user(
            "set the user",
            unistd::setresuid(target.user, target.user, target.user),
        )?;
        verify(&target)?;
        Ok(Dropped {
            user: target.user.as_raw(),
            group: target.group.as_raw(),
        })
    }

    fn look_up(&self) -> Result<Target, PrivilegeError> {
        let failed = |errno| PrivilegeError::System {
            step: "read the user database".into(),
            errno,
        };
        let number = number(&self.user);
        let entry = match number {
            Some(id) => User::from_uid(Uid::from_raw(id)).map_err(failed)?,
            None => User::from_name(&self.user).map_err(failed)?,
        };
        let user = match (&entry, number) {
            (Some(entry), _) => entry.uid,
            (None, Some(id)) => Uid::from_raw(id),
            (None, None) => return Err(PrivilegeError::NoUser(self.user.clone())),
        };
        let group = match (&self.group, &entry) {
            (Some(group), _) => look_up_group(group)?,
            (None, Some(entry)) => entry.gid,
            (None, None) => return Err(PrivilegeError::GroupNeeded(user.as_raw())),
        };
        if user.is_root() {
            return Err(PrivilegeError::Root(self.user.clone()));
        }
        if group.as_raw() == 0 {
            return Err(PrivilegeError::Root(
                self.group.clone().unwrap_or_else(|| self.user.clone()),
            ));
        }
        let name = entry.and_then(|entry| CString::new(entry.name).ok());
        let groups = match name {
            Some(name) => unistd::getgrouplist(&name, group).map_err(failed)?,
            None => vec![group],
        };
        Ok(Target { user, group, groups })
    }
}

/// `text` as an id. The highest number is no id: system calls take it for "leave as is".
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

fn look_up_group(text: &str) -> Result<Gid, PrivilegeError> {
    if let Some(id) = number(text) {
        return Ok(Gid::from_raw(id));
    }
    let failed = |errno| PrivilegeError::System {
        step: "read the group database".into(),
        errno,
    };
    let entry = Group::from_name(text).map_err(failed)?;
    entry
        .map(|entry| entry.gid)
        .ok_or_else(|| PrivilegeError::NoGroup(text.into()))
}

fn chroot(folder: &Path) -> Result<(), PrivilegeError> {
    let failed = |errno| PrivilegeError::System {
        step: format!("chroot to {}", folder.display()),
        errno,
    };
    unistd::chroot(folder).map_err(failed)?;
    // The working folder is still outside, and would be a way out.
    unistd::chdir("/").map_err(failed)
}

/// Believes nothing that was not looked at.
fn verify(target: &Target) -> Result<(), PrivilegeError> {
    let failed = |errno| PrivilegeError::System {
        step: "read the user back".into(),
        errno,
    };
    let users = unistd::getresuid().map_err(failed)?;
    let groups = unistd::getresgid().map_err(failed)?;
    if [users.real, users.effective, users.saved] != [target.user; 3] {
        return Err(PrivilegeError::StillPrivileged("the user did not change"));
    }
    if [groups.real, groups.effective, groups.saved] != [target.group; 3] {
        return Err(PrivilegeError::StillPrivileged("the group did not change"));
    }
    if unistd::setuid(Uid::from_raw(0)).is_ok() || unistd::seteuid(Uid::from_raw(0)).is_ok() {
        return Err(PrivilegeError::StillPrivileged(
            "the process could become root again",
        ));
    }
    if unistd::setgid(Gid::from_raw(0)).is_ok() {
        return Err(PrivilegeError::StillPrivileged(
            "the process could take root's group again",
        ));
    }
    Ok(())
}
