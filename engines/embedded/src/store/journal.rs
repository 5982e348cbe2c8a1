//! Looks at fjall's journals before fjall does.
//!
//! fjall ends the replay of a journal at the first thing that it cannot read and cuts off the rest, takes the sequence
//! number of a batch on trust, and skips batches of numbers that seem old. So a changed byte can drop batches, or let
//! an old value win over a new one, without a word. Here every batch is checked first: its checksum, that its number is
//! one more than that of the batch before, and that its sequence number is what it was when it was written (see
//! [`Commit`]). Only then may fjall see the files.
//!
//! The format is that of fjall 3.1 (its version is pinned; the tests here read what it writes): `<id>.jnl`, the
//! highest id being written to, each a row of batches and then zeros. A batch is
//! `1 count:u32 sequence:u64`, then `count` items `2 type:u8 compression:u8 keyspace:u64 key:u16 value:u32 stored:u32`
//! followed by the bytes of key and value, then `3 xxh3-of-the-items:u64 "FJL" 3`; all integers little-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use super::{StoreError, StoreResult, record};

/// The key of the number of the last batch, in the space of the engine.
pub(crate) const COMMIT_NAME: &[u8] = b"commit";

/// The same, with its space's byte.
pub(super) const COMMIT_KEY: &[u8] = b"\0commit";

/// fjall's background threads take sequence numbers of their own; never near so many between our looking at the counter
/// and taking ours.
const SEQUENCE_SLACK: u64 = 4_096;

/// How much of a journal is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// What every batch says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    /// Its number: one more than that of the batch before it. The first is 1.
    pub(super) number: u64,
    /// fjall's sequence counter when it was written; its own sequence number is that or very little more.
    pub(super) sequence: u64,
}

impl Commit {
    /// As it is stored.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + record::CHECKSUM_BYTES);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&record::checksum(COMMIT_KEY, &bytes));
        bytes
    }

    /// From what is stored.
    pub(super) fn decode(stored: &[u8]) -> StoreResult<Self> {
        let value = record::checked(COMMIT_KEY, stored)?;
        let number = value.first_chunk::<8>();
        let sequence = value.last_chunk::<8>();
        match (number, sequence) {
            (Some(number), Some(sequence)) if value.len() == 16 => Ok(Self {
                number: u64::from_le_bytes(*number),
                sequence: u64::from_le_bytes(*sequence),
            }),
            _ => Err(StoreError::Damaged(
                "the record of the last commit is damaged".to_owned(),
            )),
        }
    }
}

/// What the journals hold.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// The number of the first batch.
    pub(super) first: Option<u64>,
    /// The number of the last one that is whole.
    pub(super) last: Option<u64>,
    /// Where something else than batches begins, if it does.
    pub(super) broken: Option<Broken>,
}

/// Where a journal cannot be read on.
#[derive(Debug)]
pub(super) struct Broken {
    /// Which file.
    pub(super) path: PathBuf,
    /// From which byte on.
    pub(super) offset: u64,
    /// Why.
    pub(super) reason: String,
    /// Whether it is the end of the youngest journal: what a crash in the midst of writing leaves.
    pub(super) is_tail: bool,
    /// The journals after it.
    later: Vec<PathBuf>,
}

impl Broken {
    /// Cuts off what cannot be read, and takes later journals away.
    pub(super) fn cut(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(self.offset)?;
        file.sync_all()?;
        self.later.iter().try_for_each(std::fs::remove_file)
    }
}

/// Reads all journals in a directory.
///
/// # Errors
/// When a file cannot be read at all, or one is missing in between. What can be cut off is no error.
pub(super) fn inspect(directory: &Path) -> StoreResult<Journals> {
    let files = list(directory)?;
    let mut found = Journals::default();
    let mut sequence = None;
    for (place, (id, path)) in files.iter().enumerate() {
        let later = files.get(place + 1..).unwrap_or_default();
        if let Some((next, _)) = later.first()
            && *next != id + 1
        {
            return Err(StoreError::Damaged(format!(
                "{} is missing between {id}.jnl and {next}.jnl",
                directory.join(format!("{}.jnl", id + 1)).display()
            )));
        }
        let mut reader = Reader::open(path)?;
        if let Err(reason) = reader.batches(&mut found, &mut sequence) {
            found.broken = Some(Broken {
                path: path.clone(),
                offset: reader.whole,
                reason,
                is_tail: later.is_empty(),
                later: later.iter().map(|(_, path)| path.clone()).collect(),
            });
            break;
        }
    }
    Ok(found)
}

fn list(directory: &Path) -> StoreResult<Vec<(u64, PathBuf)>> {
    let failed = |error: io::Error| StoreError::Disk(format!("{}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_none_or(|extension| !extension.eq_ignore_ascii_case("jnl"))
        {
            continue;
        }
        let id = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
        match id {
            Some(id) if path.extension().is_some_and(|extension| extension == "jnl") => {
                files.push((id, path))
            }
            _ => {
                return Err(StoreError::Damaged(format!(
                    "{} is no journal of this store: take it away",
                    path.display()
                )));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Why a batch could not be read: a text, as nothing but a person acts on it.
type Reason = String;

struct Reader {
    input: BufReader<File>,
    /// Bytes read so far.
    position: u64,
    /// Where the last whole batch ended.
    whole: u64,
    length: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> StoreResult<Self> {
        let failed = |error: io::Error| StoreError::Disk(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self {
            input: BufReader::with_capacity(READ_BYTES, file),
            position: 0,
            whole: 0,
            length,
            buffer: Vec::new(),
        })
    }

    /// Reads batches up to the zeros at the end. `sequence` is the last batch's sequence number.
    fn batches(&mut self, found: &mut Journals, sequence: &mut Option<u64>) -> Result<(), Reason> {
        while self.position < self.length {
            match self.byte()? {
                1 => {}
                0 => return self.zeros(),
                other => return Err(format!("{other:#04x} where a batch should begin")),
            }
            let (commit, own_sequence) = self.batch()?;
            let expected = found.last.map_or(commit.number, |last| last + 1);
            if commit.number != expected {
                return Err(format!(
                    "commit {} follows where {expected} should",
                    commit.number
                ));
            }
            let late = own_sequence.checked_sub(commit.sequence);
            if late.is_none_or(|late| late > SEQUENCE_SLACK)
                || sequence.is_some_and(|last| own_sequence <= last)
            {
                return Err(format!("commit {} has a wrong sequence number", commit.number));
            }
            *sequence = Some(own_sequence);
            found.first.get_or_insert(commit.number);
            found.last = Some(commit.number);
            self.whole = self.position;
        }
        Ok(())
    }

    /// Reads a batch from behind its first byte.
    fn batch(&mut self) -> Result<(Commit, u64), Reason> {
        let count = u32::from_le_bytes(self.bytes()?);
        let sequence = u64::from_le_bytes(self.bytes()?);
        let mut hasher = Xxh3Default::new();
        let mut commit = None;
        for _ in 0..count {
            self.item(&mut hasher, &mut commit)?;
        }
        let end: [u8; 13] = self.bytes()?;
        let mut expected = [3, 0, 0, 0, 0, 0, 0, 0, 0, b'F', b'J', b'L', 3];
        expected[1..9].copy_from_slice(&hasher.digest().to_le_bytes());
        if end != expected {
            return Err("the checksum of a batch is wrong".to_owned());
        }
        let commit = commit.ok_or("a batch without a commit number")?;
        Ok((commit, sequence))
    }

    fn item(&mut self, hasher: &mut Xxh3Default, commit: &mut Option<Commit>) -> Result<(), Reason> {
        let head: [u8; 21] = self.bytes()?;
        hasher.update(&head);
        let [2, _type, 0, rest @ ..] = head else {
            return Err("a batch of fewer items than it says".to_owned());
        };
        let number = |at: usize, length: usize| {
            let bytes = rest.get(at..at + length).unwrap_or_default();
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let (key, value) = (number(8, 2), number(14, 4));
        if self.position + key + value > self.length {
            return Err("an item that is longer than the file".to_owned());
        }
        let is_commit = key == COMMIT_KEY.len() as u64;
        let read_key = self.take(key, hasher)?;
        let is_commit = is_commit && read_key == COMMIT_KEY;
        let value = self.take(value, hasher)?;
        if is_commit {
            *commit = Some(Commit::decode(value).map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    fn take(&mut self, length: u64, hasher: &mut Xxh3Default) -> Result<&[u8], Reason> {
        self.buffer.clear();
        let read = self
            .input
            .by_ref()
            .take(length)
            .read_to_end(&mut self.buffer)
            .map_err(|error| error.to_string())?;
        self.position += read as u64;
        if read as u64 != length {
            return Err("it ends within a batch".to_owned());
        }
        hasher.update(&self.buffer);
        Ok(&self.buffer)
    }

    fn byte(&mut self) -> Result<u8, Reason> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let mut bytes = [0; N];
        self.input
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => "it ends within a batch".to_owned(),
                _ => error.to_string(),
            })?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// Reads what should be zeros up to the end.
    fn zeros(&mut self) -> Result<(), Reason> {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let read = self.input.read(&mut chunk).map_err(|error| error.to_string())?;
            if read == 0 {
                return Ok(());
            }
            if chunk.iter().take(read).any(|byte| *byte != 0) {
                return Err("something after the last batch".to_owned());
            }
        }
    }
}
