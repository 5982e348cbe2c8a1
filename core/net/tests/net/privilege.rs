//! Giving up root, seen from outside the process that does it.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use switchboard_net::privilege::{PrivilegeError, Privileges};

use crate::children::Daemon;
use crate::support::example;

/// An id that no entry has on usual systems.
const ID: u32 = 54_321;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn start(arguments: &[&str]) -> Daemon {
    Daemon::start(
        Command::new(example("drop_privileges"))
            .args(arguments)
            .stdin(Stdio::piped()),
    )
}

/// The fields of `name` in the status of every thread of a process.
fn statuses(id: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).expect("it runs");
    let statuses =
        tasks.map(|task| fs::read_to_string(task.expect("a task").path().join("status")).expect("it runs"));
    let field = |status: String| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a field");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    statuses.map(field).collect()
}

#[test]
fn root_is_given_up_in_every_thread_and_for_good() {
    if !is_root() {
        return refused_without_root();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let id = ID.to_string();
    let mut daemon = start(&[&id, &id, &folder.path().display().to_string()]);
    assert_eq!(daemon.line("dropped"), format!("{ID} {ID}"));
    daemon.line("only root can change to user");
    let address = daemon.line("listening");

    let same = format!("{ID} {ID} {ID} {ID}");
    let threads = statuses(daemon.id(), "Uid:");
    assert!(threads.len() > 1, "a runtime has threads");
    assert!(threads.iter().all(|uids| *uids == same), "{threads:?}");
    assert!(statuses(daemon.id(), "Gid:").iter().all(|gids| *gids == same));
    assert!(
        statuses(daemon.id(), "Groups:")
            .iter()
            .all(|groups| *groups == ID.to_string())
    );
    assert!(
        statuses(daemon.id(), "CapEff:")
            .iter()
            .all(|set| set.chars().all(|digit| digit == '0'))
    );
    assert!(
        statuses(daemon.id(), "CapPrm:")
            .iter()
            .all(|set| set.chars().all(|digit| digit == '0'))
    );
    let root = fs::read_link(format!("/proc/{}/root", daemon.id())).expect("a root");
    assert_eq!(root, folder.path().canonicalize().expect("a folder"));
    let working = fs::read_link(format!("/proc/{}/cwd", daemon.id())).expect("a working folder");
    assert_eq!(working, root, "nothing is left outside");
    TcpStream::connect(address).expect("what was bound before is open still");
}

#[test]
fn a_named_user_comes_with_its_groups() {
    if !is_root() {
        return refused_without_root();
    }
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("a database")
        .expect("every system has nobody");
    let mut daemon = start(&["nobody"]);
    assert_eq!(daemon.line("dropped"), format!("{} {}", nobody.uid, nobody.gid));
    let groups = statuses(daemon.id(), "Groups:");
    assert!(
        groups
            .iter()
            .all(|groups| groups.split(' ').any(|group| group == nobody.gid.to_string())),
        "{groups:?}"
    );
    assert!(
        groups
            .iter()
            .all(|groups| groups.split(' ').all(|group| group != "0")),
        "{groups:?}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_changes() {
    if !is_root() {
        return refused_without_root();
    }
    let attempt = |user: &str, group: Option<&str>| {
        Privileges {
            user: user.into(),
            group: group.map(Into::into),
            chroot: None,
        }
        .drop_to()
    };
    assert_eq!(
        attempt("no-such-user", None),
        Err(PrivilegeError::NoUser("no-such-user".into()))
    );
    assert_eq!(
        attempt("nobody", Some("no-such-group")),
        Err(PrivilegeError::NoGroup("no-such-group".into()))
    );
    assert_eq!(
        attempt(&ID.to_string(), None),
        Err(PrivilegeError::GroupNeeded(ID))
    );
    assert_eq!(attempt("root", None), Err(PrivilegeError::Root("root".into())));
    assert_eq!(attempt("0", Some("54321")), Err(PrivilegeError::Root("0".into())));
    assert_eq!(
        attempt("nobody", Some("root")),
        Err(PrivilegeError::Root("root".into()))
    );
    assert_eq!(
        attempt("4294967295", None),
        Err(PrivilegeError::NoUser("4294967295".into()))
    );
    assert!(is_root(), "nothing changed");
}

#[test]
fn a_folder_that_is_not_there_ends_the_process() {
    if !is_root() {
        return refused_without_root();
    }
    let mut daemon = start(&[&ID.to_string(), &ID.to_string(), "/no/such/folder"]);
    daemon.logs("chroot");
}

/// What is left to test for who is not root.
fn refused_without_root() {
    let result = Privileges {
        user: "nobody".into(),
        group: None,
        chroot: None,
    }
    .drop_to();
    assert_eq!(
        result,
        Err(PrivilegeError::NotRoot {
            user: "nobody".into()
        })
    );
}
