//! Where messages begin and end in a stream of gotalk whose pieces come as they like.

use std::borrow::Cow;

use switchboard_wire::gotalk::{DecodeError, HEADER_BYTES_MAX, Layout, VERSION, layout};

/// Follows one direction of a conversation.
#[derive(Debug)]
pub(super) struct Tracker {
    at: At,
    /// The version or the header that was cut. Never longer than a header.
    begun: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Version,
    Header,
    /// So many bytes of payload are to come.
    Payload(usize),
    /// This is no gotalk.
    Lost,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A version or a header that is not whole yet.
    Begun,
    /// The version or a header, whole, and how many bytes of payload follow.
    Head(Cow<'a, [u8]>, usize),
    /// A payload, or part of one.
    Payload,
    /// No gotalk, with what was begun before.
    Unknown(Cow<'a, [u8]>),
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            at: At::Version,
            begun: Vec::new(),
        }
    }

    /// Whether a message, or the version, has ended and nothing has begun.
    pub(super) fn is_between_messages(&self) -> bool {
        self.at == At::Header && self.begun.is_empty()
    }

    /// Whether a payload is not whole yet.
    pub(super) fn is_in_payload(&self) -> bool {
        matches!(self.at, At::Payload(_))
    }

    /// Takes some of the bytes, says how many, and what they are.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> (usize, Step<'a>) {
        match self.at {
            At::Version | At::Header => self.head(bytes),
            At::Payload(left) if left > bytes.len() => {
                self.at = At::Payload(left - bytes.len());
                (bytes.len(), Step::Payload)
            }
            At::Payload(left) => {
                self.at = At::Header;
                (left, Step::Payload)
            }
            At::Lost => (bytes.len(), Step::Unknown(bytes.into())),
        }
    }

    /// Takes all of the bytes, and shows each header that ends in them.
    pub(super) fn observe(&mut self, mut bytes: &[u8], mut seen: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let (taken, step) = self.step(bytes);
            if let Step::Head(head, _) = step {
                seen(&head);
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> (usize, Step<'a>) {
        let before = self.begun.len();
        let whole: Cow<'a, [u8]> = if before == 0 {
            bytes.into()
        } else {
            let mut begun = std::mem::take(&mut self.begun);
            begun.extend(bytes.iter().take(HEADER_BYTES_MAX.saturating_sub(before)));
            begun.into()
        };
        match self.measure(&whole) {
            Ok(Some(Layout { header, payload })) => {
                self.at = if payload == 0 {
                    At::Header
                } else {
                    At::Payload(payload)
                };
                // What had begun was not whole: at least one of the bytes belongs to it.
                (
                    header.saturating_sub(before),
                    Step::Head(cut(whole, header), payload),
                )
            }
            Ok(None) => {
                self.begun = whole.into_owned();
                (bytes.len(), Step::Begun)
            }
            Err(_) => {
                self.at = At::Lost;
                (whole.len().saturating_sub(before), Step::Unknown(whole))
            }
        }
    }

    fn measure(&self, bytes: &[u8]) -> Result<Option<Layout>, DecodeError> {
        if self.at == At::Header {
            return layout(bytes);
        }
        let version = Layout {
            header: VERSION.len(),
            payload: 0,
        };
        Ok((bytes.len() >= VERSION.len()).then_some(version))
    }
}

/// The first `length` bytes.
fn cut(bytes: Cow<'_, [u8]>, length: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes.get(..length).unwrap_or(bytes).into(),
        Cow::Owned(mut bytes) => {
            bytes.truncate(length);
            bytes.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The pieces that a stream of these bytes, cut to these sizes, is made of.
    fn pieces(stream: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut tracker = Tracker::new();
        let mut pieces = vec![];
        let mut payload: Option<Vec<u8>> = None;
        let mut rest = stream;
        for size in sizes.iter().cycle() {
            let (mut now, later) = rest.split_at(rest.len().min(*size));
            while !now.is_empty() {
                let (taken, step) = tracker.step(now);
                match step {
                    Step::Begun => {}
                    Step::Head(head, follows) => {
                        pieces.push(head.into_owned());
                        payload = (follows > 0).then(Vec::new);
                    }
                    Step::Payload => payload.as_mut().unwrap().extend(&now[..taken]),
                    Step::Unknown(bytes) => pieces.push(bytes.into_owned()),
                }
                if !tracker.is_in_payload() {
                    pieces.extend(payload.take());
                }
                now = &now[taken..];
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        pieces
    }

    proptest! {
        #[test]
        fn pieces_are_the_same_however_they_come(sizes in vec(1_usize..30, 1..5)) {
            let wanted: [&[u8]; 9] = [
                b"01",
                b"r0001004echo00000005", b"hello",
                b"h000254d7de9a",
                b"n00000000000",
                b"e0001000013880000000a", b"0123456789",
                b"s\0\0\0\x00003abc00000000",
                b"f00000002",
            ];
            prop_assert_eq!(pieces(&wanted.concat(), &sizes), wanted);
        }
    }

    #[test]
    fn between_messages_is_where_nothing_has_begun() {
        let mut tracker = Tracker::new();
        let mut seen = vec![];
        for (bytes, between) in [
            ("0", false),
            ("1", true),
            ("h0000", false),
            ("00000000", true),
            ("R00010000000", false),
            ("2", false),
            ("o", false),
            ("k", true),
        ] {
            tracker.observe(bytes.as_bytes(), |head| seen.push(head.to_vec()));
            assert_eq!(tracker.is_between_messages(), between, "{bytes}");
        }
        assert_eq!(seen, [&b"01"[..], b"h000000000000", b"R000100000002"]);
    }

    #[test]
    fn what_is_no_gotalk_is_kept_whole() {
        assert_eq!(pieces(b"01r0001z04echo", &[9]), [&b"01"[..], b"r0001z04echo"]);
        assert_eq!(pieces(b"01xyz", &[5]), [&b"01"[..], b"xyz"]);
    }
}
