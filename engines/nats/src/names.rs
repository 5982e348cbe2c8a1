//! What things are called in the cluster: streams, and subjects made of names without loss.
//!
//! | stream | subjects | holds |
//! | --- | --- | --- |
//! | `P-keys` | `P.k.v.BUCKET.KEY` | values, one message a key |
//! | | `P.k.d.BUCKET.KEY` | that a key was deleted, for watchers |
//! | | `P.k.l.BUCKET.KEY` | for a second: that it was looked at when others were changed |
//! | | `P.k.c.BUCKET` | that a bucket was cleared, for watchers |
//! | | `P.k.b.BUCKET`, `P.k.n.BUCKET` | that there is such a bucket, of values and of blobs |
//! | | `P.k.m.BUCKET.NAME` | what is known of a blob |
//! | | `P.k.w.ID` | that the parts of a blob are being written or taken away |
//! | | `P.k.f` | the format of all this |
//! | `P-queues` | `P.q.j.QUEUE.ID` | jobs as they were pushed |
//! | | `P.q.s.QUEUE.JOB` | where a job stands, if it is not where it was pushed to |
//! | | `P.q.u.QUEUE.HASH` | dedupe ids |
//! | | `P.q.n.QUEUE`, `P.q.f` | that there is such a queue; the format |
//! | `P-parts` | `P.p.ID.NUMBER` | the parts of blobs |
//!
//! A KEY is one token a byte, so that the keys under any prefix are those of one wildcard, and a last token that no
//! byte has. Only the first [`PATH_BYTES_MAX`] bytes are spelled out; the rest is hashed, and the whole key stands in
//! the message.

use bytes::Bytes;
use switchboard_engine::{Bucket, EngineError, QueueName, Result};

/// Most bytes of a key that are spelled out in its subject: the longest subject (four characters a byte) then takes a
/// quarter of the 4096 bytes that a NATS server allows for a control line.
pub(crate) const PATH_BYTES_MAX: usize = 256;

/// Most bytes in a prefix.
const PREFIX_BYTES_MAX: usize = 32;

/// The last token of a key that is spelled out.
const KEY_ENDS: &str = "!";

/// What the last token of a key that is hashed begins with.
const HASH_BEGINS: char = '~';

/// One of the streams that hold everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Keys,
    Queues,
    Parts,
}

impl Stream {
    pub(crate) const ALL: [Self; 3] = [Self::Keys, Self::Queues, Self::Parts];
}

/// What a subject of keys is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Values,
    Deleted,
    /// That it was looked at by who changed others.
    LookedAt,
    Blobs,
}

impl Family {
    fn letter(self) -> char {
        match self {
            Self::Values => 'v',
            Self::Deleted => 'd',
            Self::LookedAt => 'l',
            Self::Blobs => 'm',
        }
    }

    /// What the register of its buckets is called.
    fn register(self) -> char {
        match self {
            Self::Values | Self::Deleted | Self::LookedAt => 'b',
            Self::Blobs => 'n',
        }
    }
}

/// The names of one switchboard in a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// # Errors
    /// Invalid when the prefix is not `[A-Za-z0-9_-]{1,32}`.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=PREFIX_BYTES_MAX).contains(&prefix.len()) || !prefix.bytes().all(legal) {
            return Err(EngineError::Invalid(format!(
                "{prefix:?} is no prefix for a NATS cluster: it takes 1 to {PREFIX_BYTES_MAX} letters, digits, dashes \
                 and underscores"
            )));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
        })
    }

    pub(crate) fn stream(&self, stream: Stream) -> String {
        let name = match stream {
            Stream::Keys => "keys",
            Stream::Queues => "queues",
            Stream::Parts => "parts",
        };
        format!("{}-{name}", self.prefix)
    }

    /// All subjects of a stream.
    pub(crate) fn subjects(&self, stream: Stream) -> String {
        format!("{}.{}.>", self.prefix, Self::stream_letter(stream))
    }

    fn stream_letter(stream: Stream) -> char {
        match stream {
            Stream::Keys => 'k',
            Stream::Queues => 'q',
            Stream::Parts => 'p',
        }
    }

    /// What says in which format a stream is.
    pub(crate) fn format(&self, stream: Stream) -> String {
        format!("{}.{}.f", self.prefix, Self::stream_letter(stream))
    }

    pub(crate) fn key(&self, family: Family, bucket: &Bucket, key: &[u8]) -> String {
        let mut subject = self.under(family, bucket, key);
        if is_hashed(key) {
            let hash = ring::digest::digest(&ring::digest::SHA256, key);
            subject.push(HASH_BEGINS);
            subject.push_str(&const_hex::encode(hash));
        } else {
            subject.push_str(KEY_ENDS);
        }
        subject
    }

    /// What the subjects of all keys begin with that begin with `prefix`: to be told from others only up to
    /// [`PATH_BYTES_MAX`].
    fn under(&self, family: Family, bucket: &Bucket, prefix: &[u8]) -> String {
        let spelled = &prefix[..prefix.len().min(PATH_BYTES_MAX)];
        let bucket = bucket_token(bucket.as_str());
        let mut subject = format!("{}.k.{}.{bucket}.", self.prefix, family.letter());
        for byte in spelled {
            push_byte(&mut subject, *byte);
            subject.push('.');
        }
        subject
    }

    /// The wildcard of all keys that begin so.
    pub(crate) fn keys_under(&self, family: Family, bucket: &Bucket, prefix: &[u8]) -> String {
        self.under(family, bucket, prefix) + ">"
    }

    /// What a subject spells out of its key.
    pub(crate) fn path_of(&self, subject: &str) -> Vec<u8> {
        let mut path = Vec::new();
        for token in self.tokens(subject).unwrap_or_default().split('.') {
            match byte_of(token) {
                Some(byte) => path.push(byte),
                None => break,
            }
        }
        path
    }

    fn tokens<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(&self.prefix)?.splitn(5, '.').nth(4)
    }

    /// The key that a subject stands for; none where only its message tells.
    pub(crate) fn key_of(&self, subject: &str) -> Option<Bytes> {
        let mut key = Vec::new();
        for token in self.tokens(subject)?.split('.') {
            if token == KEY_ENDS {
                return Some(key.into());
            }
            key.push(byte_of(token)?);
        }
        None
    }

    /// What the subjects of all values begin with.
    pub(crate) fn values(&self) -> String {
        format!("{}.k.v.", self.prefix)
    }

    pub(crate) fn cleared(&self, bucket: &Bucket) -> String {
        format!("{}.k.c.{}", self.prefix, bucket_token(bucket.as_str()))
    }

    /// What says that there is such a bucket.
    pub(crate) fn bucket(&self, family: Family, bucket: &Bucket) -> String {
        format!(
            "{}.k.{}.{}",
            self.prefix,
            family.register(),
            bucket_token(bucket.as_str())
        )
    }

    pub(crate) fn buckets(&self, family: Family) -> String {
        format!("{}.k.{}.*", self.prefix, family.register())
    }

    /// That the parts of a blob are being written or taken away.
    pub(crate) fn work(&self, blob: &str) -> String {
        format!("{}.k.w.{blob}", self.prefix)
    }

    pub(crate) fn part(&self, blob: &str, number: u64) -> String {
        format!("{}.p.{blob}.{number}", self.prefix)
    }

    pub(crate) fn parts(&self, blob: &str) -> String {
        format!("{}.p.{blob}.*", self.prefix)
    }

    pub(crate) fn job(&self, queue: &QueueName, id: &str) -> String {
        format!("{}.q.j.{}.{id}", self.prefix, bucket_token(queue.as_str()))
    }

    pub(crate) fn jobs(&self, queue: &QueueName) -> String {
        self.job(queue, "*")
    }

    pub(crate) fn job_state(&self, queue: &QueueName, job: u64) -> String {
        format!("{}.q.s.{}.{job}", self.prefix, bucket_token(queue.as_str()))
    }

    pub(crate) fn job_states(&self, queue: &QueueName) -> String {
        format!("{}.q.s.{}.*", self.prefix, bucket_token(queue.as_str()))
    }

    /// Where a hub writes what shows it how far it has been told.
    pub(crate) fn mark(&self, queue: &QueueName, hub: &str) -> String {
        format!("{}.q.s.{}.m{hub}", self.prefix, bucket_token(queue.as_str()))
    }

    pub(crate) fn dedupe(&self, queue: &QueueName, id: &str) -> String {
        let hash = const_hex::encode(ring::digest::digest(&ring::digest::SHA256, id.as_bytes()));
        format!("{}.q.u.{}.{hash}", self.prefix, bucket_token(queue.as_str()))
    }

    pub(crate) fn queue(&self, queue: &QueueName) -> String {
        format!("{}.q.n.{}", self.prefix, bucket_token(queue.as_str()))
    }

    pub(crate) fn queues(&self) -> String {
        format!("{}.q.n.*", self.prefix)
    }

    /// Where the messages of the bus are.
    pub(crate) fn bus(&self) -> String {
        format!("{}.b", self.prefix)
    }
}

/// The byte that a token stands for.
fn byte_of(token: &str) -> Option<u8> {
    match token.as_bytes() {
        b"!" => None,
        [byte] => Some(*byte),
        [b'%', high, low] => const_hex::decode_to_array::<_, 1>([*high, *low])
            .ok()
            .map(|[byte]| byte),
        _ => None,
    }
}

/// Whether a key is too long to be spelled out.
pub(crate) fn is_hashed(key: &[u8]) -> bool {
    key.len() > PATH_BYTES_MAX
}

/// The name of a bucket or queue as one token: a dot would end it.
fn bucket_token(name: &str) -> String {
    name.replace('.', "~")
}

/// The name that a token of [`bucket_token`] stands for, the last of its subject.
pub(crate) fn last_name_of(subject: &str) -> String {
    let (_, token) = subject.rsplit_once('.').unwrap_or_default();
    token.replace('~', ".")
}

/// A byte as a token, and as a part of one: itself, if it has no meaning of its own in subjects.
pub(crate) fn push_byte(subject: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-_:/@".contains(&byte) {
        subject.push(char::from(byte));
    } else {
        subject.push('%');
        subject.push_str(&const_hex::encode([byte]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        Names::new("test").expect("a plain prefix")
    }

    fn is_under(filter: &str, subject: &str) -> bool {
        let stem = filter.strip_suffix('>').expect("a wildcard of all that follows");
        subject.len() > stem.len() && subject.starts_with(stem)
    }

    proptest! {
        #[test]
        fn keys_come_back_from_their_subjects(key in prop::collection::vec(any::<u8>(), 1..300)) {
            let bucket = Bucket::new("a.b").expect("a plain name");
            let subject = names().key(Family::Values, &bucket, &key);
            prop_assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>'));
            prop_assert!(subject.split('.').all(|token| !token.is_empty()));
            let back = names().key_of(&subject);
            if key.len() <= PATH_BYTES_MAX {
                prop_assert_eq!(back.as_deref(), Some(&key[..]));
            } else {
                prop_assert_eq!(back, None);
            }
        }

        #[test]
        fn a_wildcard_has_exactly_the_keys_under_its_prefix(
            key in prop::collection::vec(prop::sample::select(vec![0, b'!', b'.', b'a', b'~', 255]), 1..6),
            prefix in prop::collection::vec(prop::sample::select(vec![0, b'!', b'.', b'a', b'~', 255]), 0..4),
        ) {
            let bucket = Bucket::default();
            let subject = names().key(Family::Values, &bucket, &key);
            let filter = names().keys_under(Family::Values, &bucket, &prefix);
            prop_assert_eq!(is_under(&filter, &subject), key.starts_with(&prefix));
        }
    }

    #[test]
    fn names_of_buckets_come_back() {
        for name in ["a", "a.b", "..", "A-_9"] {
            let bucket = Bucket::new(name).expect("a plain name");
            let subject = names().bucket(Family::Values, &bucket);
            assert_eq!(subject.split('.').count(), 4);
            assert_eq!(last_name_of(&subject), name);
        }
    }

    #[test]
    fn prefixes_are_plain() {
        for bad in ["", "a.b", "a b", "*", "ä", &"x".repeat(PREFIX_BYTES_MAX + 1)] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
    }
}
