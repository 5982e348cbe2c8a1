use std::time::Duration;

use super::*;
use crate::requests::parse;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn write(verb: WriteVerb, body: &str) -> Result<(Bucket, Key, Write), Fault> {
    parse::<WriteRequest>("op", body.as_bytes())?.write(verb, NOW)
}

fn said(refused: Result<impl std::fmt::Debug, Fault>) -> String {
    refused.expect_err("refused").message().to_owned()
}

#[test]
fn keys_and_values_are_text_or_base64() {
    let (bucket, key, put) = write(WriteVerb::Put, r#"{"key":"ä","value":"x"}"#).unwrap();
    assert_eq!((bucket, key.as_bytes()), (Bucket::default(), "ä".as_bytes()));
    assert_eq!(put, Write::put("x"));
    let body = r#"{"bucket":"b","key_base64":"/w==","value_base64":"AP8="}"#;
    let (bucket, key, put) = write(WriteVerb::Put, body).unwrap();
    assert_eq!((bucket.as_str(), key.as_ref()), ("b", &b"\xff"[..]));
    assert_eq!(put, Write::put(&b"\0\xff"[..]));
    assert_eq!(write(WriteVerb::Put, r#"{"key":"a"}"#).unwrap().2, Write::put(""));
    for (body, words) in [
        ("{}", "the key is empty"),
        (r#"{"key":"a","key_base64":"YQ=="}"#, "not both"),
        (r#"{"key":"a","value":"a","value_base64":""}"#, "not both"),
        (r#"{"key_base64":"a"}"#, "no standard base64"),
        (r#"{"key":"a","bucket":"a/b"}"#, "cannot name a bucket"),
        (r#"{"key":"a","ttl":3}"#, "unknown field `ttl`"),
        (r#"{"key":"a","op":"put"}"#, "belongs into the writes"),
    ] {
        assert!(said(write(WriteVerb::Put, body)).contains(words), "{body}");
    }
    let long = format!(r#"{{"key":"{}"}}"#, "x".repeat(64 * 1024 + 1));
    let refused = write(WriteVerb::Put, &long).unwrap_err();
    assert!(
        matches!(
            refused,
            Fault::Error {
                kind: ErrorKind::TooLarge,
                ..
            }
        ),
        "{refused}"
    );
}

#[test]
fn conditions_are_said_in_one_way() {
    let condition = |fields: &str| {
        let written = write(WriteVerb::Put, &format!(r#"{{"key":"a"{fields}}}"#));
        written.map(|(_, _, write)| write.condition)
    };
    assert_eq!(condition(""), Ok(Condition::Always));
    assert_eq!(condition(r#","if_absent":false"#), Ok(Condition::Always));
    assert_eq!(condition(r#","if_absent":true"#), Ok(Condition::Absent));
    assert_eq!(condition(r#","revision":0"#), Ok(Condition::Absent));
    assert_eq!(condition(r#","revision":7"#), Ok(Condition::At(Revision(7))));
    assert!(said(condition(r#","if_absent":true,"revision":7"#)).contains("not both"));
    assert!(said(write(WriteVerb::Cas, r#"{"key":"a"}"#)).contains("`revision` is missing"));
    let cas = write(WriteVerb::Cas, r#"{"key":"a","value":"x","revision":3}"#)
        .unwrap()
        .2;
    assert_eq!(cas, Write::put("x").when(Condition::At(Revision(3))));
}

#[test]
fn expiry_is_said_in_one_way_and_follows_the_verb() {
    let expiry = |verb, fields: &str| {
        let written = write(verb, &format!(r#"{{"key":"a"{fields}}}"#));
        written.map(|(_, _, write)| write.expiry)
    };
    let at = |millis| Ok(Expiry::At(NOW.after(Duration::from_millis(millis))));
    assert_eq!(expiry(WriteVerb::Put, ""), Ok(Expiry::Never));
    assert_eq!(expiry(WriteVerb::Incr, ""), Ok(Expiry::Keep));
    assert_eq!(expiry(WriteVerb::Append, ""), Ok(Expiry::Keep));
    assert_eq!(expiry(WriteVerb::Expire, ""), Ok(Expiry::Never));
    assert_eq!(expiry(WriteVerb::Put, r#","expires_ms":5"#), at(5));
    assert_eq!(expiry(WriteVerb::Incr, r#","expires_s":2"#), at(2000));
    let moment = Ok(Expiry::At(Timestamp::from_millis(7)));
    assert_eq!(expiry(WriteVerb::Expire, r#","expires_unix_ms":7"#), moment);
    let latest = Ok(Expiry::At(Timestamp::from_millis(u64::MAX)));
    assert_eq!(
        expiry(WriteVerb::Put, r#","expires_s":18446744073709551615"#),
        latest
    );
    assert!(said(expiry(WriteVerb::Put, r#","expires_s":1,"expires_ms":1"#)).contains("not several"));
}

#[test]
fn fields_that_mean_nothing_are_refused() {
    for (verb, field) in [
        (WriteVerb::Delete, r#""value":"x""#),
        (WriteVerb::Delete, r#""expires_s":1"#),
        (WriteVerb::Delete, r#""if_absent":true"#),
        (WriteVerb::Incr, r#""value_base64":"""#),
        (WriteVerb::Put, r#""by":1"#),
        (WriteVerb::Append, r#""if_absent":true"#),
        (WriteVerb::Expire, r#""value":"""#),
    ] {
        let body = format!(r#"{{"key":"a",{field}}}"#);
        assert!(
            said(write(verb, &body)).contains("means nothing"),
            "{verb:?} {body}"
        );
    }
}

#[test]
fn increments_are_integers_or_decimals() {
    let change = |by: &str| {
        let written = write(WriteVerb::Incr, &format!(r#"{{"key":"a"{by}}}"#));
        written.map(|(_, _, write)| write.change)
    };
    assert_eq!(change(""), Ok(Change::Increment(1)));
    assert_eq!(
        change(r#","by":-9223372036854775808"#),
        Ok(Change::Increment(i64::MIN))
    );
    assert_eq!(change(r#","by":1.5"#), Ok(Change::IncrementFloat(1.5)));
    assert_eq!(change(r#","by":1e3"#), Ok(Change::IncrementFloat(1000.0)));
    assert!(said(change(r#","by":9223372036854775808"#)).contains("out of range"));
    assert!(change(r#","by":"1""#).is_err());
}

#[test]
fn batches_name_the_write_that_is_wrong() {
    let writes = |writes: &str| {
        let body = format!(r#"{{"bucket":"b","writes":[{writes}]}}"#);
        parse::<BatchRequest>(BATCH, body.as_bytes())?.writes(NOW)
    };
    let (bucket, batch) =
        writes(r#"{"op":"put","key":"a","value":"1"},{"op":"delete","key":"b","revision":4}"#).unwrap();
    assert_eq!(bucket.as_str(), "b");
    assert_eq!(batch[1].1, Write::delete().when(Condition::At(Revision(4))));
    let good = r#"{"op":"incr","key":"a"}"#;
    for (bad, words) in [
        (r#"{"key":"b"}"#, "write 1: `op` is missing"),
        (r#"{"op":"put","key":"b","bucket":"c"}"#, "write 1: all writes"),
        (r#"{"op":"cas","key":"b"}"#, "write 1: `revision` is missing"),
        (r#"{"op":"swap","key":"b"}"#, "unknown variant `swap`"),
    ] {
        assert!(said(writes(&format!("{good},{bad}"))).contains(words), "{bad}");
    }
    let refused = |count: usize| writes(&vec![good; count].join(",")).map(drop).unwrap_err();
    assert!(matches!(
        refused(0),
        Fault::Error {
            kind: ErrorKind::Invalid,
            ..
        }
    ));
    assert!(matches!(
        refused(BATCH_WRITES_MAX + 1),
        Fault::Error {
            kind: ErrorKind::TooLarge,
            ..
        }
    ));
    assert_eq!(
        writes(&vec![good; BATCH_WRITES_MAX].join(",")).unwrap().1.len(),
        BATCH_WRITES_MAX
    );
}

#[test]
fn scans_and_watches_are_bounded_and_say_where_they_begin() {
    let scan = |body: &str| parse::<ScanRequest>(SCAN, body.as_bytes())?.scan();
    let (bucket, all) = scan("").unwrap();
    assert_eq!(
        (bucket, all.limit, all.values),
        (Bucket::default(), SCAN_ENTRIES_MAX, false)
    );
    let (_, part) = scan(r#"{"prefix":"a","after_base64":"Yf8=","limit":3,"values":true}"#).unwrap();
    assert_eq!(
        (&part.prefix[..], part.after, part.limit),
        (&b"a"[..], Key::new(&b"a\xff"[..]).ok(), 3)
    );
    for body in [
        r#"{"limit":0}"#,
        r#"{"limit":1001}"#,
        r#"{"cursor":"x"}"#,
        r#"{"prefix":"a","prefix_base64":""}"#,
    ] {
        assert!(scan(body).is_err(), "{body}");
    }
    let watch = |body: &str| parse::<WatchRequest>(WATCH, body.as_bytes())?.watch();
    assert_eq!(watch("{}").unwrap().2, WatchFrom::Everything);
    assert_eq!(watch(r#"{"news_only":true}"#).unwrap().2, WatchFrom::Now);
    assert_eq!(
        watch(r#"{"after_revision":7}"#).unwrap().2,
        WatchFrom::After(Revision(7))
    );
    assert!(said(watch(r#"{"after_revision":7,"news_only":true}"#)).contains("not both"));
}
