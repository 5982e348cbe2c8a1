//! What `cmsgpack` makes of values, beside what that of Redis makes.

use bytes::Bytes;
use proptest::prelude::*;

use crate::testing::Bed;

fn eval(source: &str, arg: &[u8]) -> String {
    let args = [b"EVAL".as_slice(), source.as_bytes(), b"0", arg];
    let text = Bed::new().run_args(args.into_iter().map(Bytes::copy_from_slice).collect());
    text.split_once(" script: ")
        .map_or(text.clone(), |(words, _)| words.to_owned())
}

#[test]
fn values_are_packed_as_redis_does() {
    let cases: [(&str, &[u8]); 6] = [
        (
            "1,-1,-33,127,128,256,65536,4294967296,-128,-129,-32769,1.5,0.1",
            b"\x01\xff\xd0\xdf\x7f\xcc\x80\xcd\x01\x00\xce\x00\x01\x00\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xd0\x80\
              \xd1\xff\x7f\xd2\xff\xff\x7f\xff\xca\x3f\xc0\x00\x00\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a",
        ),
        (
            "'a',true,false,{},{1,2},{a=1},{[1]=1,[3]=2},nil",
            b"\xa1a\xc3\xc2\x90\x92\x01\x02\x81\xa1a\x01\x82\x01\x01\x03\x02\xc0",
        ),
        ("{1,2,nil,4}", b"\x83\x01\x01\x02\x02\x04\x04"),
        ("('x'):rep(32)", b"\xd9\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ("redis.call", b"\xc0"),
        (
            "(function() local t = {} for i = 1, 20 do t = {t} end return t end)()",
            b"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0",
        ),
    ];
    for (values, bytes) in cases {
        let packed = eval(&format!("return cmsgpack.pack({values})"), b"");
        assert_eq!(packed, format!("\"{}\"", bytes.escape_ascii()), "{values}");
    }
}

#[test]
fn bytes_are_unpacked_as_redis_does() {
    for (source, answer) in [
        (
            "return {cmsgpack.unpack(cmsgpack.pack(1, -1, 'a', {1, 2}))}",
            "[1, -1, \"a\", [1, 2]]",
        ),
        ("return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3))}", "[1, 1]"),
        (
            "return {cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 1)}",
            "[2, 2]",
        ),
        (
            "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2, 0)}",
            "[2, 1, 2]",
        ),
        (
            "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 5, 0)}",
            "[-1, 1, 2, 3]",
        ),
        ("return {cmsgpack.unpack('')}", "[]"),
        (
            "return cmsgpack.unpack('\\147\\1')",
            "-ERR user_script:1: Missing bytes in input.",
        ),
        (
            "return cmsgpack.unpack('\\193')",
            "-ERR user_script:1: Bad data format in input.",
        ),
        (
            "return cmsgpack.unpack_one('', 5)",
            "-ERR user_script:1: Start offset 5 greater than input length 0.",
        ),
        (
            "return cmsgpack.pack()",
            "-ERR user_script:1: bad argument #0 to 'pack' (MessagePack pack needs input.)",
        ),
        (
            "return cmsgpack.unpack(('\\145'):rep(100000))",
            "-ERR user_script:1: Values are nested too deep in input.",
        ),
        (
            "return cmsgpack.unpack(('\\1'):rep(100000))",
            "-ERR user_script:1: too many results to unpack",
        ),
        (
            "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
            "-ERR user_script:1: Missing bytes in input.",
        ),
        (
            "return cmsgpack.unpack('\\129\\192\\1')",
            "-ERR user_script:1: Bad data format in input.",
        ),
        ("return cmsgpack.unpack(cmsgpack.pack({a = {b = 7}})).a.b", "7"),
        (
            "return tostring(cmsgpack.unpack(cmsgpack.pack(-0.1)))",
            "\"-0.1\"",
        ),
    ] {
        assert_eq!(eval(source, b""), answer, "{source}");
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let shown = eval("return {cmsgpack.unpack(ARGV[1])}", &bytes);
        prop_assert!(shown.starts_with('[') || shown.starts_with("-ERR"), "{}", shown);
    }

    #[test]
    fn strings_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let shown = eval("return cmsgpack.unpack(cmsgpack.pack({ARGV[1]}))[1] == ARGV[1]", &bytes);
        prop_assert_eq!(shown, "1");
    }

    #[test]
    fn integers_come_back(number in -(1_i64 << 53)..(1 << 53)) {
        let shown = eval("return cmsgpack.unpack(cmsgpack.pack(tonumber(ARGV[1]))) == tonumber(ARGV[1])", number.to_string().as_bytes());
        prop_assert_eq!(shown, "1");
    }
}
