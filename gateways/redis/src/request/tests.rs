use proptest::prelude::*;

use super::*;

/// Small enough that hostile bytes reach every bound.
const SMALL: RequestLimits = RequestLimits {
    line_bytes_max: 64,
    words_max: 8,
    word_bytes_max: 32,
    command_bytes_max: 128,
};

/// All commands in pieces of these sizes, and what ended them.
fn read(bytes: &[u8], size: usize, limits: RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
    let (mut requests, mut buffer, mut commands) = (Requests::new(limits), BytesMut::new(), Vec::new());
    let mut words = Words::default();
    for piece in bytes.chunks(size.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match requests.next(&mut buffer, &mut words) {
                Ok(true) => commands.push(words.iter().map(<[u8]>::to_vec).collect()),
                Ok(false) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn words(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
    match read(bytes, bytes.len(), RequestLimits::default()) {
        (_, Some(error)) => Err(error.to_string()),
        (commands, None) => Ok(commands),
    }
}

#[test]
fn commands_are_read_as_redis_does() {
    let command = |words: &[&str]| {
        words
            .iter()
            .map(|word| word.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    for (bytes, commands) in [
        ("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", vec![command(&["GET", "a"])]),
        ("*1\r\n$0\r\n\r\n", vec![command(&[""])]),
        ("*0\r\n*-1\r\nPING\r\n", vec![command(&["PING"])]),
        ("\r\n\n  PING  \n", vec![command(&["PING"])]),
        (
            "set a \"b \\\"\\x41\\n\" 'c\\' d'\r\n",
            vec![command(&["set", "a", "b \"A\n", "c' d"])],
        ),
        (
            "a\nb\r\n*1\r\n$1\r\nc\r\n",
            vec![command(&["a"]), command(&["b"]), command(&["c"])],
        ),
        ("*2\r\n$3\r\nGET\r\n$1\r\n", vec![]),
    ] {
        assert_eq!(words(bytes.as_bytes()), Ok(commands), "{bytes:?}");
    }
}

#[test]
fn mistakes_have_the_words_of_redis() {
    let long = "9".repeat(70_000);
    for (bytes, error) in [
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*01\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*1\r\n$67108865\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("a \"b\r\n", "unbalanced quotes in request"),
        ("a 'b'c\r\n", "unbalanced quotes in request"),
        (&format!("*{long}"), "too big mbulk count string"),
        (&format!("*1\r\n${long}"), "too big bulk count string"),
        (&long, "too big inline request"),
    ] {
        assert_eq!(words(bytes.as_bytes()), Err(format!("Protocol error: {error}")));
    }
}

#[test]
fn what_is_announced_takes_no_memory() {
    let (mut requests, mut buffer) = (Requests::new(RequestLimits::default()), BytesMut::new());
    buffer.extend_from_slice(b"*1048576\r\n$67108864\r\n");
    assert_eq!(requests.next(&mut buffer, &mut Words::default()), Ok(false));
    assert!(requests.is_amid());
    assert!(buffer.capacity() < 1024);
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same(
        commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6), 0..6),
        size in 1usize..40,
    ) {
        let mut bytes = Vec::new();
        for command in &commands {
            bytes.extend(format!("*{}\r\n", command.len()).bytes());
            for word in command {
                bytes.extend(format!("${}\r\n", word.len()).bytes());
                bytes.extend(word);
                bytes.extend(b"\r\n");
            }
        }
        prop_assert_eq!(read(&bytes, size, RequestLimits::default()), (commands, None));
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in "[*$\\-0-9\r\n\"'\\\\x a]{0,200}", size in 1usize..40) {
        let whole = read(bytes.as_bytes(), bytes.len(), SMALL);
        prop_assert_eq!(read(bytes.as_bytes(), size, SMALL), whole);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
        let whole = read(&bytes, bytes.len(), SMALL);
        prop_assert_eq!(read(&bytes, size, SMALL), whole);
    }
}
