//! The frames of an export: where each begins and ends, and whether it is what was written.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use xxhash_rust::xxh3::Xxh3;

use super::{TransferError, VERSION};
use crate::names::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// What an export begins with.
const MAGIC: &[u8] = b"switchboard state\n";

/// Most bytes in the payload of a frame: the largest key with the largest value, and what is said about them.
const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + 1024;

/// Bytes of kind and length.
const HEAD_BYTES: usize = 5;

/// Bytes of the checksum.
const SUM_BYTES: usize = 8;

/// Writes frames.
pub(super) struct FrameWriter<W> {
    to: W,
    sum: u64,
    bytes: u64,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Begins an export.
    pub(super) async fn begin(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC).await?;
        to.write_all(&VERSION.to_le_bytes()).await?;
        Ok(Self {
            to,
            sum: 0,
            bytes: (MAGIC.len() + size_of_val(&VERSION)) as u64,
        })
    }

    /// How much has been written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a frame, whose payload is these slices.
    pub(super) async fn write(&mut self, kind: u8, payload: &[&[u8]]) -> io::Result<()> {
        let length: usize = payload.iter().map(|slice| slice.len()).sum();
        if length > PAYLOAD_BYTES_MAX {
            let message = format!("a record has {length} bytes: at most {PAYLOAD_BYTES_MAX} are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let head = head(kind, length);
        let mut sum = Xxh3::with_seed(self.sum);
        sum.update(&head);
        self.to.write_all(&head).await?;
        for slice in payload {
            sum.update(slice);
            self.to.write_all(slice).await?;
        }
        self.sum = sum.digest();
        self.to.write_all(&self.sum.to_le_bytes()).await?;
        self.bytes += (HEAD_BYTES + length + SUM_BYTES) as u64;
        Ok(())
    }

    /// Has all of it on its way.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.to.flush().await
    }
}

fn head(kind: u8, length: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind, a, b, c, d]
}

/// Reads frames.
pub(super) struct FrameReader<R> {
    from: R,
    sum: u64,
    at: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Begins to read.
    pub(super) async fn begin(mut from: R) -> Result<Self, TransferError> {
        let mut magic = [0; MAGIC.len()];
        let mut version = [0; size_of_val(&VERSION)];
        let begun = async {
            from.read_exact(&mut magic).await?;
            from.read_exact(&mut version).await
        };
        let is_cut = match begun.await {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err(error.into()),
        };
        if is_cut || magic != MAGIC {
            return Err(TransferError::Foreign);
        }
        match u32::from_le_bytes(version) {
            1..=VERSION => Ok(Self {
                from,
                sum: 0,
                at: (MAGIC.len() + version.len()) as u64,
            }),
            0 => Err(TransferError::Foreign),
            newer => Err(TransferError::Newer(newer)),
        }
    }

    /// How much has been read: where the next frame begins.
    pub(super) fn bytes(&self) -> u64 {
        self.at
    }

    /// The next frame. It is what was written, and comes after what was written before it.
    pub(super) async fn next(&mut self) -> Result<(u8, Bytes), TransferError> {
        let mut head = [0; HEAD_BYTES];
        self.read(&mut head).await?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > PAYLOAD_BYTES_MAX {
            return Err(self.damaged("a record says that it is larger than any can be"));
        }
        let mut payload = vec![0; length];
        self.read(&mut payload).await?;
        let mut sum = [0; SUM_BYTES];
        self.read(&mut sum).await?;
        let mut expected = Xxh3::with_seed(self.sum);
        expected.update(&head);
        expected.update(&payload);
        self.sum = expected.digest();
        if self.sum != u64::from_le_bytes(sum) {
            return Err(self.damaged("a record is not what was written"));
        }
        self.at += (HEAD_BYTES + length + SUM_BYTES) as u64;
        Ok((kind, payload.into()))
    }

    /// That nothing comes after the last frame.
    pub(super) async fn end(&mut self) -> Result<(), TransferError> {
        match self.from.read(&mut [0]).await? {
            0 => Ok(()),
            _ => Err(self.damaged("something follows what was written")),
        }
    }

    /// What is wrong with the frame that was to be read.
    pub(super) fn damaged(&self, what: impl Into<String>) -> TransferError {
        TransferError::Damaged {
            at: self.at,
            what: what.into(),
        }
    }

    async fn read(&mut self, bytes: &mut [u8]) -> Result<(), TransferError> {
        match self.from.read_exact(bytes).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it is cut off")),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn written(frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let writing = async {
            let mut writer = FrameWriter::begin(&mut bytes).await?;
            for (kind, payload) in frames {
                let (one, other) = payload.split_at(payload.len() / 2);
                writer.write(*kind, &[one, other]).await?;
            }
            writer.end().await
        };
        writing
            .now_or_never()
            .expect("memory does not wait")
            .expect("written");
        bytes
    }

    fn read(mut bytes: &[u8], count: usize) -> Result<Vec<(u8, Bytes)>, TransferError> {
        let reading = async {
            let mut reader = FrameReader::begin(&mut bytes).await?;
            let mut frames = Vec::new();
            for _ in 0..count {
                frames.push(reader.next().await?);
            }
            reader.end().await.map(|()| frames)
        };
        reading.now_or_never().expect("memory does not wait")
    }

    const FRAMES: [(u8, &[u8]); 3] = [(1, b"one"), (2, b""), (1, b"three")];

    #[test]
    fn what_was_written_is_read() {
        let frames = read(&written(&FRAMES), 3).unwrap();
        let expected = FRAMES.map(|(kind, payload)| (kind, Bytes::from_static(payload)));
        assert_eq!(frames, expected);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let whole = written(&FRAMES);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert!(read(&flipped, 3).is_err(), "byte {at}");
            assert!(read(&whole[..at], 3).is_err(), "cut at {at}");
        }
        assert!(matches!(
            read(&[&whole[..], b"x"].concat(), 3),
            Err(TransferError::Damaged { at, .. }) if at == whole.len() as u64
        ));
    }

    #[test]
    fn frames_that_were_swapped_or_left_out_are_found() {
        let (first, second) = (written(&[(1, b"a"), (1, b"b")]), written(&[(1, b"b"), (1, b"a")]));
        let begin = MAGIC.len() + 4;
        let frame = HEAD_BYTES + 1 + SUM_BYTES;
        let left_out = [&first[..begin], &first[begin + frame..]].concat();
        assert!(read(&left_out, 1).is_err());
        let mixed = [&first[..begin + frame], &second[begin + frame..]].concat();
        assert!(read(&mixed, 2).is_err());
    }

    #[test]
    fn what_is_foreign_or_newer_is_told() {
        assert!(matches!(read(b"PK\x03\x04", 0), Err(TransferError::Foreign)));
        assert!(matches!(read(b"", 0), Err(TransferError::Foreign)));
        let mut newer = written(&[]);
        newer[MAGIC.len()] = 9;
        assert!(matches!(read(&newer, 0), Err(TransferError::Newer(9))));
    }

    #[test]
    fn a_length_that_cannot_be_takes_no_memory() {
        let mut huge = written(&[]);
        huge.extend([1, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(read(&huge, 1), Err(TransferError::Damaged { .. })));
    }
}
