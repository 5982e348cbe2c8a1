//! UTF-8 that comes in pieces.

/// Checks text piece by piece; a character may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The bytes of a character that is not whole yet.
    cut: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes the next piece. False if it cannot be part of UTF-8.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> bool {
        while self.length > 0 {
            let Some((byte, rest)) = piece.split_first() else {
                return true;
            };
            piece = rest;
            let Some(next) = self.cut.get_mut(self.length) else {
                return false;
            };
            *next = *byte;
            self.length += 1;
            match std::str::from_utf8(self.cut.get(..self.length).unwrap_or_default()) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let cut = piece.get(error.valid_up_to()..).unwrap_or_default();
                self.length = cut.len();
                self.cut.iter_mut().zip(cut).for_each(|(to, from)| *to = *from);
                true
            }
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn judge(bytes: &[u8], size: usize) -> bool {
        let mut utf8 = Utf8::default();
        bytes.chunks(size).all(|piece| utf8.take(piece)) && utf8.is_whole()
    }

    proptest! {
        #[test]
        fn text_passes_however_it_is_cut(text: String, size in 1_usize..6) {
            prop_assert!(judge(text.as_bytes(), size));
        }

        #[test]
        fn all_else_does_not(
            text: String,
            bytes in vec(any::<u8>(), 1..6),
            tail: String,
            size in 1_usize..6,
        ) {
            let whole = [text.as_bytes(), &bytes, tail.as_bytes()].concat();
            prop_assert_eq!(judge(&whole, size), std::str::from_utf8(&whole).is_ok());
        }
    }
}
