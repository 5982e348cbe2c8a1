//! JSON for people: laid out over lines, with nothing else changed. Numbers keep all their digits, and keys their
//! order, which a detour over parsed values would cost.

use std::io::Write;

use serde::de::IgnoredAny;

/// Spaces a level.
const INDENT: usize = 2;

/// Whether it is one JSON value.
pub fn is_valid(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// The value laid out over lines; `None` if it is no JSON.
pub fn pretty(text: &[u8]) -> Option<Vec<u8>> {
    is_valid(text).then(|| {
        let mut layout = Layout::default();
        text.iter().for_each(|byte| layout.take(*byte));
        layout.out
    })
}

/// What is written so far of a value that is known to be legal.
#[derive(Default)]
struct Layout {
    out: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// A bracket was opened, and nothing stands in it yet.
    opened: bool,
}

impl Layout {
    fn take(&mut self, byte: u8) {
        if self.in_string {
            self.out.push(byte);
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.opened) {
                    self.new_line();
                }
                self.out.push(byte);
            }
            _ => {
                if std::mem::take(&mut self.opened) {
                    self.new_line();
                }
                self.out.push(byte);
                self.after(byte);
            }
        }
    }

    fn after(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.new_line(),
            b':' => self.out.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }

    fn new_line(&mut self) {
        // Writing into a Vec cannot fail.
        let _ = write!(self.out, "\n{:1$}", "", self.depth * INDENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_laid_out_as_serde_does_and_means_the_same() {
        for text in [
            "null",
            " 12 ",
            "[]",
            "{}",
            "[ ]",
            r#"{"a":[1,{"b":[]},[[]]],"c":{}}"#,
            r#"[ "a,b:{}[]\"\\", "\\" , true ]"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
            let laid_out = pretty(text.as_bytes()).expect("JSON");
            assert_eq!(
                String::from_utf8_lossy(&laid_out),
                serde_json::to_string_pretty(&value).expect("JSON"),
                "{text}"
            );
        }
    }

    #[test]
    fn digits_and_order_stay() {
        let text = br#"{"z":12345678901234567890123.10,"a":1e400}"#;
        let laid_out = pretty(text).expect("JSON");
        assert_eq!(
            laid_out,
            b"{\n  \"z\": 12345678901234567890123.10,\n  \"a\": 1e400\n}"
        );
    }

    #[test]
    fn what_is_no_json_is_not_touched() {
        for text in ["", "{", "a", "1 2", "[1,]", "\"\u{1}\""] {
            assert_eq!(pretty(text.as_bytes()), None, "{text:?}");
        }
    }
}
