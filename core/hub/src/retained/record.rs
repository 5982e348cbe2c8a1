//! How a last value stands in the engine: what was said about the payload, then the payload.
//!
//! One byte 1 (the version), when it was published (u64, milliseconds since 1970), the number of headers (u16), for
//! each its name and its value (u16 length, bytes), the payload. Numbers are little-endian. When it expires is the
//! engine's to know.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use switchboard_engine::{Bucket, Timestamp};

use crate::message::{HEADERS_MAX, Message};

const VERSION: u8 = 1;

/// Where last values are kept, by topic.
pub(crate) fn bucket() -> Bucket {
    Bucket::new(ByteString::from_static("hub.retained")).unwrap_or_default()
}

pub(crate) fn encode(message: &Message) -> Bytes {
    let mut record = BytesMut::with_capacity(message.size());
    record.put_u8(VERSION);
    record.put_u64_le(Timestamp::from(message.published).as_millis());
    // Publishing has checked their bounds, which are far below these types'.
    record.put_u16_le(message.headers.len() as u16);
    for text in message.headers.iter().flat_map(|(name, value)| [name, value]) {
        record.put_u16_le(text.len() as u16);
        record.put_slice(text.as_bytes());
    }
    record.put_slice(&message.payload);
    record.freeze()
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) published: Timestamp,
    pub(crate) headers: Vec<(ByteString, ByteString)>,
    pub(crate) payload: Bytes,
}

/// `None` if it is none: written by a newer version, or not by a hub.
pub(crate) fn decode(record: &Bytes) -> Option<Record> {
    let mut rest = record.clone();
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let published = Timestamp::from_millis(rest.try_get_u64_le().ok()?);
    let count = usize::from(rest.try_get_u16_le().ok()?);
    if count > HEADERS_MAX {
        return None;
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = text(&mut rest)?;
        headers.push((name, text(&mut rest)?));
    }
    Some(Record {
        published,
        headers,
        payload: rest,
    })
}

/// The payload alone.
pub(crate) fn payload(record: &Bytes) -> Option<Bytes> {
    Some(decode(record)?.payload)
}

fn text(rest: &mut Bytes) -> Option<ByteString> {
    let length = usize::from(rest.try_get_u16_le().ok()?);
    if rest.remaining() < length {
        return None;
    }
    ByteString::try_from(rest.split_to(length)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Publish;
    use crate::session::SessionId;

    proptest! {
        #[test]
        fn what_was_published_is_read_back(
            headers in prop::collection::vec(("[a-z]{0,9}", ".{0,20}"), 0..=4),
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut publish = Publish::new("t", payload);
            for (name, value) in headers {
                publish = publish.header(name, value);
            }
            let message = publish.into_message(SessionId::HUB);
            let record = decode(&encode(&message)).expect("a record");
            prop_assert_eq!(record.headers, message.headers);
            prop_assert_eq!(record.payload, message.payload);
            prop_assert_eq!(record.published, Timestamp::from(message.published));
        }

        #[test]
        fn hostile_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn records_of_a_newer_version_are_none() {
        let mut record = encode(&Publish::new("t", "x").into_message(SessionId::HUB)).to_vec();
        record[0] = VERSION + 1;
        assert_eq!(decode(&Bytes::from(record)), None);
    }
}
