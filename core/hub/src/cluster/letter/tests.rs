use proptest::prelude::*;

use super::*;

fn said() -> impl Strategy<Value = Said> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from);
    let opening =
        ("\\PC{1,20}", any::<Option<u32>>(), any::<bool>()).prop_map(|(op, deadline, stream)| Opening {
            op,
            account: "guest".to_owned(),
            door: "gotalk".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            deadline_ms: deadline.map(u64::from),
            content_type: stream.then(|| "text/plain".to_owned()),
            stream,
            again: !stream,
        });
    prop_oneof![
        (opening, prop::option::of(bytes())).prop_map(|(opening, payload)| Said::Open(opening, payload)),
        bytes().prop_map(Said::Result),
        any::<bool>().prop_map(|whole| Said::Stream { whole }),
        (bytes(), any::<bool>()).prop_map(|(bytes, last)| Said::Piece { bytes, last }),
        Just(Said::End),
        (0..KINDS.len(), "\\PC{0,20}").prop_map(|(kind, said)| Said::Fault(Fault::error(KINDS[kind], said))),
        (any::<u32>(), "\\PC{0,20}").prop_map(|(wait, said)| {
            Said::Fault(Fault::retry(Duration::from_millis(u64::from(wait)), said))
        }),
        any::<u32>().prop_map(Said::Credit),
        Just(Said::Cancel),
        Just(Said::NotServed),
    ]
}

proptest! {
    #[test]
    fn letters_of_calls_are_read_as_they_were_written(
        said in said(), from in any::<u64>(), caller in any::<u64>(), number in any::<u64>(), serial in any::<u32>(),
    ) {
        let call = CallId { caller: HubId(caller), number };
        let letter = Letter { from: HubId(from), content: Content::Call { call, serial, said } };
        prop_assert_eq!(Letter::decode(&letter.encode()), Ok(letter));
    }

    #[test]
    fn news_are_read_as_they_were_written(
        topic in "\\PC{1,30}", retain: bool, from in any::<u64>(), expires in any::<Option<u32>>(),
        record in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let news = News {
            from: HubId(from),
            topic: topic.into(),
            retain,
            expires_ms: expires.map(u64::from),
            record: record.into(),
        };
        prop_assert_eq!(News::decode(&news.encode()), Ok(news));
    }

    #[test]
    fn hostile_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from([&[VERSION][..], &bytes].concat());
        let _ = Letter::decode(&bytes);
        let _ = News::decode(&bytes);
    }
}

#[test]
fn what_is_not_of_a_call_is_read_as_it_was_written() {
    let page = ServedPage {
        version: 3,
        after: String::new(),
        ops: vec![Served {
            op: "upper".to_owned(),
            safe: true,
            result_type: Some("text/plain".to_owned()),
        }],
        missed: vec!["gone".to_owned()],
        more: true,
    };
    for content in [
        Content::Served(page),
        Content::Ask {
            after: "ä".to_owned(),
        },
        Content::Released,
        Content::Left,
    ] {
        let letter = Letter {
            from: HubId(7),
            content,
        };
        assert_eq!(Letter::decode(&letter.encode()), Ok(letter));
    }
}

#[test]
fn what_is_of_another_version_is_not_understood() {
    let letter = Letter {
        from: HubId(7),
        content: Content::Ask { after: String::new() },
    };
    let mut bytes = letter.encode().to_vec();
    bytes[0] = VERSION + 1;
    assert_eq!(Letter::decode(&Bytes::from(bytes)), Err(NotUnderstood));
}
