use std::{num::NonZeroU32, time::Duration};

use super::{Bound, ByteSize, Span};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Doc<T> {
    x: T,
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str::<Doc<T>>(&format!("x = {text}"))
        .map(|doc| doc.x)
        .map_err(|e| e.message().to_owned())
}

fn span(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|s| s.0).map_err(|e| e.to_string())
}

fn size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(|s| s.0).map_err(|e| e.to_string())
}

#[test]
fn spans_are_read() {
    assert_eq!(span("10s"), Ok(Duration::from_secs(10)));
    assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(span("250us"), Ok(Duration::from_micros(250)));
    assert_eq!(span("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(span("1h 5 m"), Ok(Duration::from_secs(3900)));
    assert_eq!(span(" 2d "), Ok(Duration::from_secs(172_800)));
    assert_eq!(span("0s"), Ok(Duration::ZERO));
}

#[test]
fn bad_spans_say_what_to_write() {
    assert_eq!(
        span("10"),
        Err("`10` has no unit: write it like `10s` or `500ms`".into())
    );
    assert_eq!(
        span("10 sec"),
        Err("unknown unit `sec` in `10 sec`: the units are us, ms, s, m, h and d".into())
    );
    assert_eq!(
        span(""),
        Err("empty: write a number and a unit, like `10s` or `500ms`".into())
    );
    assert_eq!(
        span("s"),
        Err("`s` does not start with a whole number: write it like `10s` or `500ms`".into())
    );
    assert_eq!(
        span("-1s"),
        Err("`-1s` does not start with a whole number: write it like `10s` or `500ms`".into())
    );
    assert_eq!(
        span("99999999999999d"),
        Err("`99999999999999d` is too large".into())
    );
    assert_eq!(
        span("99999999999999999999s"),
        Err("`99999999999999999999s` is too large".into())
    );
    assert!(span("1.5s").is_err_and(|e| e.contains("unknown unit")));
    assert!(span("1m30").is_err_and(|e| e.contains("no unit")));
    assert!(span("1_000ms").is_err());
    assert!(span("１0s").is_err(), "digits of other scripts are not digits");
}

#[test]
fn sizes_are_read() {
    assert_eq!(size("512B"), Ok(512));
    assert_eq!(size("64KiB"), Ok(65_536));
    assert_eq!(size("1 MiB"), Ok(1 << 20));
    assert_eq!(size("2GiB"), Ok(2 << 30));
    assert_eq!(size("3kB"), Ok(3000));
    assert_eq!(size("1MB"), Ok(1_000_000));
}

#[test]
fn bad_sizes_say_what_to_write() {
    assert_eq!(
        size("64"),
        Err("`64` has no unit: write it like `64KiB` or `1MiB`".into())
    );
    assert!(size("64kib").is_err_and(|e| e.contains("unknown unit `kib`")));
    assert!(size("1MiB2KiB").is_err_and(|e| e.contains("unknown unit `MiB2KiB`")));
    assert_eq!(size("99999999TiB"), Err("`99999999TiB` is too large".into()));
}

#[test]
fn quantities_are_written_as_they_are_read() {
    for text in ["10s", "500ms", "1m", "90s", "2h", "1d", "250us", "0s"] {
        assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(text.to_owned()));
    }
    for text in ["512B", "64KiB", "1MiB", "3GiB", "1TiB", "1000B", "0B"] {
        assert_eq!(
            text.parse::<ByteSize>().map(|s| s.to_string()),
            Ok(text.to_owned())
        );
    }
}

#[test]
fn the_file_refuses_plain_numbers_where_a_unit_is_needed() {
    assert_eq!(
        read::<Span>("10"),
        Err("`10` has no unit: write it like `10s` or `500ms`".into())
    );
    assert_eq!(
        read::<ByteSize>("10"),
        Err("`10` has no unit: write it like `64KiB` or `1MiB`".into())
    );
    assert!(read::<Span>("true").is_err_and(|e| e.contains("expected a duration like")));
    assert_eq!(read::<Span>("\"10s\""), Ok(Span::from_secs(10)));
}

#[test]
fn bounds_may_be_lifted() {
    let three = NonZeroU32::new(3).map(Bound::AtMost);
    assert_eq!(read::<Bound<NonZeroU32>>("3").ok(), three);
    assert_eq!(read::<Bound<NonZeroU32>>("\"unlimited\""), Ok(Bound::Unlimited));
    assert_eq!(
        read::<Bound<ByteSize>>("\"1KiB\""),
        Ok(Bound::AtMost(ByteSize(1024)))
    );
    assert!(read::<Bound<NonZeroU32>>("0").is_err());
    assert!(read::<Bound<NonZeroU32>>("\"none\"").is_err());
    assert!(read::<Bound<ByteSize>>("1024").is_err_and(|e| e.contains("has no unit")));
    assert_eq!(
        toml::to_string(&Doc {
            x: Bound::<ByteSize>::Unlimited
        })
        .as_deref(),
        Ok("x = \"unlimited\"\n")
    );
    assert_eq!(Bound::AtMost(3).limit(), Some(3));
    assert_eq!(Bound::<u8>::Unlimited.limit(), None);
}
