//! The header of a frame, and masks (RFC 6455, 5.2 and 5.3).

use bytes::BufMut;

use super::violation::Violation;

/// The longest header, in bytes.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame, in bytes.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

const LAST_BIT: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;
const MASK_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;

/// In the place of a length: the length follows in 16 bits, or in 64.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn parse(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(Violation::UnknownOpcode(other)),
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// It ends its message.
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<Mask>,
    /// Bytes of payload that follow.
    pub(super) length: u64,
}

impl Header {
    /// Reads a header, and says how long it is. `None` while it is incomplete; what is wrong with its first byte is
    /// said at once.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let mut fields = Fields(bytes);
        let Some([first]) = fields.next() else {
            return Ok(None);
        };
        if first & RESERVED_BITS != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::parse(first & OPCODE_BITS)?;
        let Some((length, mask)) = fields.length_and_mask() else {
            return Ok(None);
        };
        let header = Self {
            last: first & LAST_BIT != 0,
            opcode,
            mask,
            length,
        };
        Ok(Some((header, bytes.len() - fields.0.len())))
    }

    pub(super) fn encode(&self, dst: &mut impl BufMut) {
        dst.put_u8(if self.last { LAST_BIT } else { 0 } | self.opcode as u8);
        let mask_bit = if self.mask.is_some() { MASK_BIT } else { 0 };
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short), _) if short < LENGTH_16 => dst.put_u8(mask_bit | short),
            (_, Ok(length)) => {
                dst.put_u8(mask_bit | LENGTH_16);
                dst.put_u16(length);
            }
            _ => {
                dst.put_u8(mask_bit | LENGTH_64);
                dst.put_u64(self.length);
            }
        }
        if let Some(Mask(key)) = self.mask {
            dst.put_slice(&key);
        }
    }
}

/// What is not read yet of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn length_and_mask(&mut self) -> Option<(u64, Option<Mask>)> {
        let [second] = self.next()?;
        let length = match second & LENGTH_BITS {
            LENGTH_16 => u16::from_be_bytes(self.next()?).into(),
            LENGTH_64 => u64::from_be_bytes(self.next()?),
            short => short.into(),
        };
        let mask = if second & MASK_BIT != 0 {
            Some(Mask(self.next()?))
        } else {
            None
        };
        Some((length, mask))
    }
}

/// The key of a masked frame, turned so that it fits the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(pub(super) [u8; 4]);

impl Mask {
    /// Masks the next bytes of a payload, or unmasks them.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        rest.iter_mut()
            .zip([a, b, c, d].into_iter().cycle())
            .for_each(|(byte, key)| *byte ^= key);
        self.0.rotate_left(rest.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_survive_the_wire(last: bool, key: Option<[u8; 4]>, at in 0_u32..64, below: u64) {
            let length = (1_u64 << at).saturating_add(below & ((1 << at) - 1));
            for opcode in [Opcode::Text, Opcode::Binary, Opcode::Continuation, Opcode::Ping] {
                let header = Header { last, opcode, mask: key.map(Mask), length };
                let mut bytes = BytesMut::new();
                header.encode(&mut bytes);
                prop_assert!(bytes.len() <= HEADER_BYTES_MAX);
                prop_assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
                for end in 0..bytes.len() {
                    prop_assert_eq!(Header::parse(&bytes[..end]), Ok(None));
                }
            }
        }

        #[test]
        fn a_mask_fits_however_the_payload_is_cut(key: [u8; 4], bytes: Vec<u8>, cut: prop::sample::Index) {
            let wanted: Vec<_> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let mut masked = bytes.clone();
            let (one, other) = masked.split_at_mut(cut.index(bytes.len() + 1));
            let mut mask = Mask(key);
            mask.apply(one);
            mask.apply(other);
            prop_assert_eq!(masked, wanted);
        }
    }

    #[test]
    fn what_is_reserved_is_refused() {
        for bit in [0x40, 0x20, 0x10] {
            assert_eq!(Header::parse(&[0x82 | bit]), Err(Violation::ReservedBits));
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(
                Header::parse(&[0x80 | opcode]),
                Err(Violation::UnknownOpcode(opcode))
            );
        }
    }
}
