//! What `struct` and `bit` make of values, beside what those of Redis make.

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
            "'>I2bBhHlLxi4',1,-1,2,3,4,5,6,7",
            b"\x00\x01\xff\x02\x00\x03\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\
              \x00\x00\x07",
        ),
        ("'<dfs',1.5,2.5,'ab'", b"\x00\x00\x00\x00\x00\x00\xf8?\x00\x00 @ab\x00"),
        ("'c0','abc'", b"abc"),
        ("'c3','abcdef'", b"abc"),
        ("'!4bi4',1,2", b"\x01\x00\x00\x00\x02\x00\x00\x00"),
        ("''", b""),
    ];
    for (values, bytes) in cases {
        let packed = eval(&format!("return struct.pack({values})"), b"");
        assert_eq!(packed, format!("\"{}\"", bytes.escape_ascii()), "{values}");
    }
}

#[test]
fn bytes_are_unpacked_as_redis_does() {
    for (source, answer) in [
        ("return {struct.unpack('>I2', '\\1\\2')}", "[258, 3]"),
        (
            "return {struct.unpack('<Bc0s', '\\3abcxyz\\0')}",
            "[\"abc\", \"xyz\", 9]",
        ),
        ("return {struct.unpack('bB', '\\255\\255')}", "[-1, 255, 3]"),
        (
            "return {struct.unpack('i4', '\\1\\0\\0\\0\\2\\0\\0\\0', 5)}",
            "[2, 9]",
        ),
        ("return struct.size('>I2b!8d')", "16"),
        (
            "return struct.unpack('i4i4', ('\\0'):rep(8), 5)",
            "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short)",
        ),
        (
            "return struct.unpack('i4', 'a')",
            "-ERR user_script:1: bad argument #2 to 'unpack' (data string too short)",
        ),
        (
            "return struct.pack('q', 1)",
            "-ERR user_script:1: bad argument #1 to 'pack' (invalid format option 'q')",
        ),
        (
            "return struct.pack('c4', 'abc')",
            "-ERR user_script:1: bad argument #3 to 'pack' (string too short)",
        ),
        (
            "return struct.unpack('s', 'abc')",
            "-ERR user_script:1: unfinished string in data",
        ),
        (
            "return struct.unpack('c0', 'abc')",
            "-ERR user_script:1: format 'c0' needs a previous size",
        ),
        (
            "return struct.size('s')",
            "-ERR user_script:1: bad argument #1 to 'size' (option 's' has no fixed size)",
        ),
        (
            "return struct.size('c0')",
            "-ERR user_script:1: bad argument #1 to 'size' (option 'c0' has no fixed size)",
        ),
        (
            "return struct.pack('!3i', 1)",
            "-ERR user_script:1: alignment 3 is not a power of 2",
        ),
        (
            "return struct.pack('c99999999999999999999', 'a')",
            "-ERR user_script:1: bad argument #3 to 'pack' (string too short)",
        ),
        (
            "return struct.pack('i33', 1)",
            "-ERR user_script:1: integral size 33 is larger than limit of 32",
        ),
        (
            "return struct.unpack('i4', 'abcd', 0)",
            "-ERR user_script:1: bad argument #3 to 'unpack' (offset must be 1 or greater)",
        ),
    ] {
        assert_eq!(eval(source, b""), answer, "{source}");
    }
}

#[test]
fn bits_are_those_of_redis() {
    for (call, answer) in [
        ("tobit(0xffffffff)", "-1"),
        ("tobit(2^40 + 1)", "1"),
        ("tobit(1.5)", "2"),
        ("tobit(2.5)", "2"),
        ("tobit('12')", "12"),
        ("tobit(0/0)", "0"),
        ("tohex(-1)", "\"ffffffff\""),
        ("tohex(255, 4)", "\"00ff\""),
        ("tohex(255, -4)", "\"00FF\""),
        ("bnot(0)", "-1"),
        ("band(7, 3, 1)", "1"),
        ("bor(1, 2, 4)", "7"),
        ("bxor(1, 3)", "2"),
        ("lshift(1, 31)", "-2147483648"),
        ("lshift(1, 33)", "2"),
        ("rshift(-1, 28)", "15"),
        ("arshift(-16, 2)", "-4"),
        ("rol(0x12345678, 12)", "1164411171"),
        ("ror(0x12345678, 12)", "1736516421"),
        ("bswap(0x12345678)", "2018915346"),
        (
            "band()",
            "-ERR user_script:1: bad argument #1 to 'band' (number expected, got no value)",
        ),
        (
            "band('x')",
            "-ERR user_script:1: bad argument #1 to 'band' (number expected, got string)",
        ),
    ] {
        assert_eq!(eval(&format!("return bit.{call}"), b""), answer, "{call}");
    }
}

proptest! {
    #[test]
    fn integers_come_back(number in any::<i32>(), bytes in 4_usize..9, order in "[<>]") {
        let source = format!("return struct.unpack('{order}i{bytes}', struct.pack('{order}i{bytes}', ARGV[1]))");
        prop_assert_eq!(eval(&source, number.to_string().as_bytes()), number.to_string());
    }

    #[test]
    fn hostile_formats_are_refused(format in "[bBhHlLiIfdscx<>! 0-9]{0,12}") {
        for function in ["pack(ARGV[1], 1, 2, 3, 4, 5, 6)", "unpack(ARGV[1], ('x'):rep(50))", "size(ARGV[1])"] {
            let shown = eval(&format!("return {{struct.{function}}}"), format.as_bytes());
            prop_assert!(shown.starts_with('[') || shown.starts_with("-ERR"), "{}", shown);
        }
    }
}
