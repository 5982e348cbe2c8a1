use switchboard_peer::ErrorKind;

use super::*;

fn refused<T: HubRequest + fmt::Debug>(operation: &str, body: &str) -> String {
    match parse::<T>(operation, body.as_bytes()) {
        Err(Fault::Error {
            kind: ErrorKind::Invalid,
            message,
        }) => message.into_owned(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_is_well_formed_is_read() {
    let serve: ServeRequest = parse(SERVE, br#"{"ops":["a","b"],"caller":true}"#).unwrap();
    assert_eq!(
        serve,
        ServeRequest {
            ops: vec!["a".into(), "b".into()],
            caller: true,
            safe: false,
            result_type: None,
        }
    );
    let serve: ServeRequest = parse(SERVE, br#"{"ops":["a"]}"#).unwrap();
    assert!(!serve.caller);
    let declared = br#"{"ops":["a"],"safe":true,"result_type":"text/plain; charset=utf-8"}"#;
    let declaration = parse::<ServeRequest>(SERVE, declared).unwrap().declaration();
    assert_eq!(
        declaration,
        Declaration {
            safe: true,
            result_type: Some(MediaType::parse("text/plain; charset=utf-8").unwrap()),
        }
    );
    let subscribe: SubscribeRequest = parse(SUBSCRIBE, br#"{"topics":["a/#"],"policy":"latest"}"#).unwrap();
    assert_eq!(subscribe.policy, Some(Policy::Latest));
    for no_policy in [r#"{"topics":["a/#"]}"#, r#"{"topics":["a/#"],"policy":null}"#] {
        assert_eq!(
            parse::<SubscribeRequest>(SUBSCRIBE, no_policy.as_bytes())
                .unwrap()
                .policy,
            None
        );
    }
    let login: LoginRequest = parse(LOGIN, br#"{"account":"guest"}"#).unwrap();
    assert_eq!(login.account, "guest");
    let page: PageRequest = parse(OPS, br#"{"after":"x","limit":3}"#).unwrap();
    assert_eq!(
        page,
        PageRequest {
            after: Some("x".into()),
            limit: 3
        }
    );
}

#[test]
fn no_body_is_an_empty_object() {
    for body in ["", "  ", "null", "{}", " null\n"] {
        assert_eq!(
            parse::<NoRequest>(STATS, body.as_bytes()),
            Ok(NoRequest {}),
            "{body:?}"
        );
        assert_eq!(
            parse::<PageRequest>(OPS, body.as_bytes()),
            Ok(PageRequest::default()),
            "{body:?}"
        );
    }
    assert!(refused::<ServeRequest>(SERVE, "").contains("missing field `ops`"));
}

#[test]
fn a_typo_is_named() {
    assert!(refused::<ServeRequest>(SERVE, r#"{"op":["a"]}"#).starts_with("hub.serve: unknown field `op`"));
    assert!(refused::<SubscribeRequest>(SUBSCRIBE, r#"{"topics":["a"],"qos":1}"#).contains("`qos`"));
    assert!(refused::<NoRequest>(WHOAMI, r#"{"x":1}"#).contains("unknown field `x`"));
    assert!(
        refused::<SubscribeRequest>(SUBSCRIBE, r#"{"topics":["a"],"policy":"drop"}"#).contains("drop-oldest")
    );
    for bad in [r#""text""#, "3", &format!("\"a/{}\"", "b".repeat(4096))] {
        let refused = refused::<ServeRequest>(SERVE, &format!(r#"{{"ops":["a"],"result_type":{bad}}}"#));
        assert!(refused.len() < 512, "{refused}");
    }
    assert!(refused::<ServeRequest>(SERVE, "hello").starts_with("hub.serve: "));
    assert!(refused::<ServeRequest>(SERVE, r#"{"ops":"a"}"#).contains("line 1"));
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let list = |count: usize| format!(r#"{{"ops":[{}]}}"#, vec![r#""x""#; count].join(","));
    assert!(parse::<ServeRequest>(SERVE, list(LIST_MAX).as_bytes()).is_ok());
    assert!(refused::<ServeRequest>(SERVE, &list(LIST_MAX + 1)).contains("1025"));
    assert!(refused::<ServeRequest>(SERVE, &list(0)).contains("1 to 1024"));
    assert!(refused::<UnserveRequest>(UNSERVE, &list(0)).contains("hub.unserve"));
    assert!(refused::<UnsubscribeRequest>(UNSUBSCRIBE, r#"{"topics":[]}"#).contains("hub.unsubscribe"));
    assert!(refused::<ServeRequest>(SERVE, r#"{"ops":[""]}"#).contains("empty"));
    assert!(refused::<SubscribeRequest>(SUBSCRIBE, r#"{"topics":["a#"]}"#).contains("malformed"));
    assert!(refused::<PageRequest>(OPS, r#"{"limit":0}"#).contains("1 to 1000"));
    assert!(refused::<PageRequest>(OPS, r#"{"limit":1001}"#).contains("after"));
    assert!(refused::<LoginRequest>(LOGIN, r#"{"account":"No Body"}"#).contains("no account"));
    assert!(
        refused::<LoginRequest>(LOGIN, r#"{"account":"a","password":"b","token":"c"}"#).contains("not both")
    );
}

#[test]
fn a_refusal_is_short_however_long_the_request() {
    let long = format!(r#"{{"{}":1}}"#, "é".repeat(100_000));
    let message = refused::<NoRequest>(WHOAMI, &long);
    assert!(message.chars().count() < SAID_CHARS_MAX + 20 && message.ends_with('…'));
}

#[test]
fn a_publish_carries_text_or_base64() {
    let read = |body: &str| {
        parse::<PublishRequest>(PUBLISH, body.as_bytes())
            .unwrap()
            .into_publish()
    };
    let publish = read(r#"{"topic":"t","payload":"on","retain":true,"expires_s":60}"#).unwrap();
    assert_eq!((&*publish.topic, &publish.payload[..]), ("t", &b"on"[..]));
    assert_eq!(
        (publish.retain, publish.expires_after),
        (true, Some(Duration::from_secs(60)))
    );
    assert_eq!(
        read(r#"{"topic":"t","payload_base64":"AP8="}"#).unwrap().payload,
        [0, 255][..]
    );
    assert_eq!(read(r#"{"topic":"t"}"#).unwrap().payload, [][..]);
    for illegal in ["AP8", "%%%", "AP8=="] {
        let fault = read(&format!(r#"{{"topic":"t","payload_base64":"{illegal}"}}"#)).unwrap_err();
        assert!(fault.message().contains("base64"), "{fault}");
    }
    assert!(
        refused::<PublishRequest>(PUBLISH, r#"{"topic":"t","payload":"","payload_base64":""}"#)
            .contains("both")
    );
    for seconds in ["0", "4294967296"] {
        let body = format!(r#"{{"topic":"t","expires_s":{seconds}}}"#);
        assert!(refused::<PublishRequest>(PUBLISH, &body).contains("expires_s"));
    }
}

#[test]
fn secrets_are_not_shown() {
    let login: LoginRequest = parse(LOGIN, br#"{"account":"a","password":"hush"}"#).unwrap();
    assert!(!format!("{login:?}").contains("hush"));
}
