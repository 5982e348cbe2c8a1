use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn bucket(rate: u64, now: Instant) -> Bucket {
    Bucket::new(NonZeroU64::new(rate).expect("not zero"), now)
}

#[test]
fn a_bucket_holds_a_tenth_of_a_second() {
    let start = Instant::now();
    let mut bucket = bucket(1_000, start);
    assert_eq!(bucket.available(start), 100);
    bucket.spend(100);
    assert_eq!(bucket.available(start), 0);
    assert_eq!(bucket.ready_at(50), start + SECOND / 20);
    assert_eq!(bucket.available(start + SECOND / 20), 50);
    assert_eq!(
        bucket.available(start + SECOND * 60),
        100,
        "a pause earns no more than a bucket"
    );
}

#[test]
fn the_slowest_rate_works() {
    let start = Instant::now();
    let mut bucket = bucket(1, start);
    assert_eq!((bucket.portion(), bucket.available(start)), (1, 1));
    bucket.spend(1);
    assert_eq!(bucket.available(start + SECOND - Duration::from_nanos(1)), 0);
    assert_eq!(bucket.ready_at(1), start + SECOND);
    assert_eq!(bucket.available(start + SECOND), 1);
}

proptest! {
    /// However it is asked, a bucket gives its burst and what the time earned; asking at `ready_at` is never too early.
    #[test]
    fn a_bucket_gives_what_the_time_earned(
        rate in 1u64..10_000_000_000,
        steps in proptest::collection::vec((0u64..200_000_000, any::<u64>()), 1..100),
    ) {
        let start = Instant::now();
        let mut bucket = bucket(rate, start);
        let burst = bucket.available(start);
        let (mut now, mut spent) = (start, 0u128);
        for (nanos, wanted) in steps {
            now += Duration::from_nanos(nanos);
            let part = wanted.min(bucket.available(now));
            bucket.spend(part);
            spent += u128::from(part);
            let earned = (now - start).as_nanos() * u128::from(rate) / NANOS_PER_SECOND;
            prop_assert!(spent <= u128::from(burst) + earned + 1);
            let ready_at = bucket.ready_at(bucket.portion());
            prop_assert!(bucket.clone().available(ready_at) >= bucket.portion());
        }
    }
}

/// One end of a pipe, paced, as a stream would be.
struct Paced<S> {
    pace: Pace,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.pace.poll_read(&mut this.stream, cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.pace.poll_write(&mut this.stream, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.pace.poll_write_vectored(&mut this.stream, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

fn paced<S>(stream: S, rate: u64) -> Paced<S> {
    Paced {
        pace: Pace::new(NonZeroU64::new(rate).expect("not zero")),
        stream,
    }
}

const PAYLOAD_BYTES: usize = 100_000;

fn payload() -> Vec<u8> {
    (0..PAYLOAD_BYTES).map(|n| (n % 251) as u8).collect()
}

/// 100,000 bytes at 10,000 a second take ten seconds, less the first bucket.
fn assert_took_its_time(elapsed: Duration) {
    assert!(
        (Duration::from_millis(9_800)..Duration::from_millis(10_200)).contains(&elapsed),
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn reading_is_paced_and_loses_nothing() {
    let (mut writer, reader) = duplex(PAYLOAD_BYTES);
    writer.write_all(&payload()).await.expect("it fits");
    drop(writer);
    let start = Instant::now();
    let mut read = Vec::new();
    paced(reader, 10_000)
        .read_to_end(&mut read)
        .await
        .expect("reading");
    assert_took_its_time(start.elapsed());
    assert_eq!(read, payload());
}

#[tokio::test(start_paused = true)]
async fn writing_is_paced_and_smooth() {
    let (writer, mut reader) = duplex(PAYLOAD_BYTES);
    let mut writer = paced(writer, 10_000);
    let start = Instant::now();
    let writing = tokio::spawn(async move { writer.write_all(&payload()).await });
    let (mut read, mut buffer, mut longest, mut last) = (Vec::new(), [0; 4_096], Duration::ZERO, start);
    loop {
        let count = reader.read(&mut buffer).await.expect("reading");
        if count == 0 {
            break;
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
        assert!(count <= 1_000, "never more than a bucket at once");
        read.extend_from_slice(&buffer[..count]);
    }
    writing.await.expect("no panic").expect("writing");
    assert_took_its_time(start.elapsed());
    assert!(
        longest <= Duration::from_millis(60),
        "20 portions a second: {longest:?}"
    );
    assert_eq!(read, payload());
}

#[tokio::test(start_paused = true)]
async fn vectored_writing_is_paced_and_keeps_the_order() {
    let (writer, mut reader) = duplex(PAYLOAD_BYTES);
    let mut writer = paced(writer, 10_000);
    let start = Instant::now();
    let payload = payload();
    let mut sent = 0;
    while sent < payload.len() {
        // An empty slice, short ones, and a rest that never fits into a bucket.
        let rest = &payload[sent..];
        let (first, second) = rest.split_at(rest.len().min(7));
        let slices = [IoSlice::new(&[]), IoSlice::new(first), IoSlice::new(second)];
        sent += writer.write_vectored(&slices).await.expect("writing");
    }
    assert_took_its_time(start.elapsed());
    drop(writer);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).await.expect("reading");
    assert_eq!(read, payload);
}

#[tokio::test(start_paused = true)]
async fn a_short_message_does_not_wait_for_a_whole_portion() {
    let (writer, _reader) = duplex(PAYLOAD_BYTES);
    let mut writer = paced(writer, 10_000);
    writer.write_all(&[0; 999]).await.expect("within the bucket");
    let start = Instant::now();
    writer.write_all(&[0; 11]).await.expect("ten bytes later");
    assert!(
        start.elapsed() <= Duration::from_millis(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn empty_reads_and_writes_pass() {
    let (one, _other) = duplex(10);
    let mut stream = paced(one, 1);
    assert_eq!(
        stream.read(&mut []).await.expect("nothing asked, nothing read"),
        0
    );
    assert_eq!(stream.write(&[]).await.expect("nothing to write"), 0);
    assert_eq!(
        stream
            .write_vectored(&[IoSlice::new(&[])])
            .await
            .expect("nothing to write"),
        0
    );
}
