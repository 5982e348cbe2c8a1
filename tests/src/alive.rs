//! Whether anything of a tree of processes is left.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::wait::LIMIT;

/// A named pipe that all processes of a tree hold open for writing; its end is their end.
#[derive(Debug)]
pub struct Alive {
    opened: Receiver<()>,
    ended: Receiver<()>,
}

impl Alive {
    /// A pipe of this name in `folder`; the tree's first process opens it, as by `exec 3> NAME`.
    #[track_caller]
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
        let ((is_open, opened), (is_over, ended)) = (channel(), channel());
        // Opening waits for the first writer, reading for the end of the last. If nobody listens, the test has failed.
        std::thread::spawn(move || {
            let mut file = File::open(path).expect("readable");
            let _ = is_open.send(());
            file.read_to_end(&mut Vec::new()).expect("readable");
            let _ = is_over.send(());
        });
        Self { opened, ended }
    }

    /// Waits until the first process has opened it.
    #[track_caller]
    pub fn began(&self) {
        self.opened.recv_timeout(LIMIT).expect("the tree begins");
    }

    /// Whether all have ended.
    pub fn is_over(&self) -> bool {
        self.ended.try_recv().is_ok()
    }

    /// Waits until the last process that holds it is gone.
    #[track_caller]
    pub fn ended(self) {
        self.ended
            .recv_timeout(LIMIT)
            .expect("every process of the tree ends");
    }
}
