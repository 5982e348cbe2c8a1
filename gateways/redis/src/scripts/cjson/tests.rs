//! What `cjson` says of values, beside what that of Redis says.

use bytes::Bytes;

use crate::testing::Bed;

fn eval(source: &str) -> String {
    let args = [b"EVAL".as_slice(), source.as_bytes(), b"0"];
    let text = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
    text.split_once(" script: ")
        .map_or(text.clone(), |(words, _)| words.to_owned())
}

#[test]
fn values_are_encoded() {
    for (value, json) in [
        (
            "{1, 2, {a = 1, b = {}}, true, cjson.null}",
            r#"[1,2,{"a":1,"b":{}},true,null]"#,
        ),
        (
            r#"'x"\\/\1\127\n\t\r\8\12é'"#,
            r#""x\"\\\/\u0001\u007f\n\t\r\b\fé""#,
        ),
        ("{[1] = 1, [5] = 2}", "[1,null,null,null,2]"),
        ("{1, 2, nil, 4}", "[1,2,null,4]"),
        ("{[1.5] = 1}", r#"{"1.5":1}"#),
        ("{[0] = 1}", r#"{"0":1}"#),
        ("{[-1] = 1}", r#"{"-1":1}"#),
        ("{['1'] = 1}", r#"{"1":1}"#),
        ("{}", "{}"),
        ("{{}}", "[{}]"),
        ("nil", "null"),
        ("0.1", "0.1"),
        ("1.5", "1.5"),
        ("1e20", "1e+20"),
        ("100000000000000", "1e+14"),
        ("12345678901234567", "1.2345678901235e+16"),
        ("-7", "-7"),
    ] {
        let source = format!("return cjson.encode({value}) == ARGV[1]");
        let args = [b"EVAL".as_slice(), source.as_bytes(), b"0", json.as_bytes()];
        let text = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
        assert_eq!(
            text,
            "1",
            "{value}: {}",
            eval(&format!("return cjson.encode({value})"))
        );
    }
}

#[test]
fn errors_are_those_of_cjson() {
    let deep = "(('['):rep(1001)..(']'):rep(1001))";
    for (source, words) in [
        (
            "encode({[1]=1,[2]=2,[20]=3})",
            "Cannot serialise table: excessively sparse array",
        ),
        (
            "encode({[true]=1})",
            "Cannot serialise boolean: table key must be a number or string",
        ),
        (
            "encode(redis.call)",
            "Cannot serialise function: type not supported",
        ),
        ("encode(0/0)", "Cannot serialise number: must not be NaN or Inf"),
        ("encode()", "bad argument #1 to 'encode' (expected 1 argument)"),
        ("decode()", "bad argument #1 to 'decode' (expected 1 argument)"),
        (
            "decode({})",
            "bad argument #1 to 'decode' (string expected, got table)",
        ),
        ("decode('')", "Expected value but found T_END at character 1"),
        (
            "decode('1 2')",
            "Expected the end but found T_NUMBER at character 3",
        ),
        ("decode('[1,')", "Expected value but found T_END at character 4"),
        (
            "decode('[1 2')",
            "Expected comma or array end but found T_NUMBER at character 4",
        ),
        (
            "decode('[1,]')",
            "Expected value but found T_ARR_END at character 4",
        ),
        (
            "decode('{1:2}')",
            "Expected object key string but found T_NUMBER at character 2",
        ),
        (
            "decode('{\"a\" 2}')",
            "Expected colon but found T_NUMBER at character 6",
        ),
        (
            "decode('{\"a\":1,}')",
            "Expected object key string but found T_OBJ_END at character 8",
        ),
        (
            "decode('\"ab')",
            "Expected value but found unexpected end of string at character 4",
        ),
        (
            "decode('\"\\\\q\"')",
            "Expected value but found invalid escape code at character 2",
        ),
        (
            "decode('\"\\\\ud83d\"')",
            "Expected value but found invalid unicode escape code at character 2",
        ),
        (
            "decode('tru')",
            "Expected value but found invalid token at character 1",
        ),
        (
            &format!("decode({deep})"),
            "Found too many nested data structures (1001) at character 1001",
        ),
    ] {
        assert_eq!(
            eval(&format!("return cjson.{source}")),
            format!("-ERR user_script:1: {words}")
        );
    }
    assert_eq!(
        eval("local t = {} for i = 1, 2000 do t = {t} end return cjson.encode(t)"),
        "-ERR user_script:1: Cannot serialise, excessive nesting (1001)"
    );
}

#[test]
fn texts_are_decoded() {
    for (text, answer) in [
        (
            r#"[1, 2.5, "x", [], {"a": [true, false]}]"#,
            "[1, 2, \"x\", [], []]",
        ),
        (r#""\u00e9\ud83d\ude00\n\/""#, r#""\xc3\xa9\xf0\x9f\x98\x80\n/""#),
        (" 15 ", "15"),
        ("0x10", "16"),
        ("-1e2", "-100"),
        ("\"a\nb\"", "\"a\\nb\""),
    ] {
        let args = [
            b"EVAL".as_slice(),
            b"return cjson.decode(ARGV[1])",
            b"0",
            text.as_bytes(),
        ];
        let shown = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
        assert_eq!(shown, answer, "{text}");
    }
    assert_eq!(eval(r#"return cjson.decode('{"a": {"b": [1, 7]}}').a.b[2]"#), "7");
    assert_eq!(
        eval("return tostring(cjson.decode('null') == cjson.null)"),
        "\"true\""
    );
    assert_eq!(
        eval("return tostring(cjson.decode('nan'))..tostring(cjson.decode('-inf'))"),
        "\"nan-inf\""
    );
}

proptest::proptest! {
    #[test]
    fn strings_come_back(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let source = b"return cjson.decode(cjson.encode({ARGV[1]}))[1] == ARGV[1]";
        let args = [b"EVAL".as_slice(), source, b"0", &text];
        let shown = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
        proptest::prop_assert_eq!(shown, "1");
    }

    #[test]
    fn hostile_texts_are_refused(text in "[\\[\\]{}:,\"\\\\0-9a-fntrueu+.x -]{0,40}") {
        let args = [b"EVAL".as_slice(), b"return type(cjson.decode(ARGV[1]))", b"0", text.as_bytes()];
        let shown = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
        proptest::prop_assert!(shown.starts_with('"') || shown.starts_with("-ERR"));
    }
}
