//! What must be there: the number of the last commit that is known to be on the disk, beside the store.
//!
//! A store that lost its youngest commits (a changed byte in its journal, a journal cut short) looks like one that
//! was younger. The mark tells the difference: 64 bytes in each of two slots, written in turn, so that one of them is
//! whole at any time. It is written after the commits that it speaks of and is itself not synced: it may be behind,
//! never ahead.
//!
//! It holds two numbers: up to which commit the disk has it all, and up to which the operating system has. The second
//! one counts only while that system runs, which its boot id tells: a process that is killed loses nothing that it
//! has written, a machine that loses power does.
//!
//! A slot: `sequence:u64 durable:u64 written:u64 boot:16 zeros:16 xxh3:u64`, integers little-endian.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

const SLOT_BYTES: usize = 64;
const SUMMED_BYTES: usize = SLOT_BYTES - 8;

/// Names one run of the operating system.
pub(crate) type Boot = [u8; 16];

/// The file `mark`, being kept up to date.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    boot: Boot,
    sequence: u64,
    durable: u64,
    written: u64,
}

impl Mark {
    /// Creates it, for a store without commits.
    pub(crate) fn create(path: &Path, boot: Boot) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .read(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut mark = Self {
            file,
            boot,
            sequence: 0,
            durable: 0,
            written: 0,
        };
        mark.save()?;
        mark.save()?;
        mark.file.sync_all()?;
        Ok(mark)
    }

    /// Reads it. `None` if neither slot is whole.
    pub(crate) fn open(path: &Path, boot: Boot) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let slots = [0, 1].map(|slot| read(&file, slot));
        let Some(slot) = slots.into_iter().flatten().max_by_key(|slot| slot.sequence) else {
            return Ok(None);
        };
        Ok(Some(Self {
            file,
            boot,
            sequence: slot.sequence,
            durable: slot.durable,
            written: if slot.boot == boot {
                slot.written
            } else {
                slot.durable
            },
        }))
    }

    /// The number of the last commit that must be there.
    pub(crate) fn required(&self) -> u64 {
        self.written.max(self.durable)
    }

    /// Notes that the operating system has all commits up to that one.
    pub(crate) fn written(&mut self, number: u64) -> io::Result<()> {
        self.written = number;
        self.save()
    }

    /// Notes that the disk has all commits up to that one.
    pub(crate) fn durable(&mut self, number: u64) -> io::Result<()> {
        self.durable = number;
        self.written = number;
        self.save()
    }

    /// Makes it as safe as what it speaks of.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn save(&mut self) -> io::Result<()> {
        self.sequence += 1;
        let mut slot = Vec::with_capacity(SLOT_BYTES);
        for number in [self.sequence, self.durable, self.written] {
            slot.extend_from_slice(&number.to_le_bytes());
        }
        slot.extend_from_slice(&self.boot);
        slot.resize(SUMMED_BYTES, 0);
        slot.extend_from_slice(&xxh3_64(&slot).to_le_bytes());
        self.file
            .write_all_at(&slot, self.sequence % 2 * SLOT_BYTES as u64)
    }
}

struct Slot {
    sequence: u64,
    durable: u64,
    written: u64,
    boot: Boot,
}

fn read(file: &File, slot: u64) -> Option<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_exact_at(&mut bytes, slot * SLOT_BYTES as u64).ok()?;
    let (summed, sum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(summed).to_le_bytes() != *sum {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(*summed.get(at..)?.first_chunk()?));
    Some(Slot {
        sequence: number(0)?,
        durable: number(8)?,
        written: number(16)?,
        boot: *summed.get(24..)?.first_chunk()?,
    })
}

/// The operating system's name for this run of itself; zeros where it tells none, which is taken for the same run.
pub(crate) fn this_boot() -> Boot {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut boot = Boot::default();
    let digits = text.bytes().filter_map(|byte| char::from(byte).to_digit(16));
    for (place, digit) in digits.enumerate() {
        if let Some(byte) = boot.get_mut(place / 2) {
            *byte = *byte << 4 | u8::try_from(digit).unwrap_or_default();
        }
    }
    boot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_and_survives_the_loss_of_its_youngest_slot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark");
        let mut mark = Mark::create(&path, [7; 16]).unwrap();
        mark.durable(5).unwrap();
        mark.written(9).unwrap();
        assert_eq!(Mark::open(&path, [7; 16]).unwrap().unwrap().required(), 9);
        assert_eq!(
            Mark::open(&path, [8; 16]).unwrap().unwrap().required(),
            5,
            "after a reboot"
        );

        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            let required = Mark::open(&path, [7; 16]).unwrap().unwrap().required();
            assert!([5, 9].contains(&required), "byte {place}: {required}");
        }
        std::fs::write(&path, vec![0; 128]).unwrap();
        assert!(Mark::open(&path, [7; 16]).unwrap().is_none());
    }

    #[test]
    fn this_run_of_the_system_has_one_name() {
        assert_eq!(this_boot(), this_boot());
    }
}
