//! The names of contents.

use std::fmt;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use switchboard_engine::{EngineError, Result};

/// Names one content: 128 random bits, so that no two are ever the same, whatever was lost between them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ContentId([u8; 16]);

impl ContentId {
    /// One that nobody has.
    ///
    /// # Errors
    /// Failed when the system has no random bytes.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| EngineError::Failed("the system gives no random bytes".to_owned()))?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the name of its file; `None` for a file of another kind.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        let mut id = [0; 16];
        if bytes.len() != 2 * id.len() {
            return None;
        }
        for (byte, digits) in id.iter_mut().zip(bytes.chunks_exact(2)) {
            for digit in digits {
                let digit = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                *byte = *byte << 4 | digit;
            }
        }
        Some(Self(id))
    }

    /// Where its file is below a directory: two levels of 16 directories each, so that none grows large (ten million
    /// contents are 40,000 in each), and few have to be created.
    pub(crate) fn path(&self, root: &Path) -> PathBuf {
        let [first, ..] = self.0;
        let directory = root
            .join(format!("{:x}", first >> 4))
            .join(format!("{:x}", first & 0xf));
        directory.join(self.to_string())
    }

    /// What the checksums of its chunks begin with, so that a chunk of another content, or from another place, is found
    /// out.
    pub(crate) fn seed(&self, chunk: u64) -> u64 {
        let [low @ .., _, _, _, _, _, _, _, _] = self.0;
        u64::from_le_bytes(low).wrapping_add(chunk)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_read_back_and_others_are_not_taken_for_them() {
        let id = ContentId::random().unwrap();
        assert_eq!(ContentId::from_file_name(&id.to_string()), Some(id));
        assert_ne!(ContentId::random().unwrap(), id);
        for other in [
            "",
            "00",
            "README",
            &"G".repeat(32),
            &"A".repeat(32),
            &"0".repeat(33),
            &"ä".repeat(16),
        ] {
            assert_eq!(ContentId::from_file_name(other), None, "{other}");
        }
        let path = ContentId([0xab; 16]).path(Path::new("x"));
        assert_eq!(path, Path::new("x/a/b").join("ab".repeat(16)));
    }
}
