//! Results on stdout. A reader that leaves (`switchboard subscribe … | head -1`) ends the command quietly.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Nobody reads any more: no fault, but a reason to end.
    #[error("nobody reads the output any more")]
    Closed,
    /// The output broke.
    #[error("cannot write the result: {0}")]
    Broken(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broken(error),
        }
    }
}

/// Writes all of it to stdout at once. Blocking.
///
/// # Errors
/// What [`OutputError`] names.
pub fn print(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// A text that others chose, on one line and without what could paint on the terminal: control characters are escaped
/// as in Rust, `\n` or `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_control() {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain.into()
}

/// Writes results as they arrive.
#[derive(Debug)]
pub struct Output<W = tokio::io::Stdout> {
    writer: W,
}

impl Output {
    /// To stdout.
    pub fn stdout() -> Self {
        Self::new(tokio::io::stdout())
    }
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// To any writer.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Writes all bytes through to the reader.
    ///
    /// # Errors
    /// What [`OutputError`] names.
    ///
    /// # Cancel safety
    /// None: a part may have been written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.writer.write_all(bytes).await?;
        Ok(self.writer.flush().await?)
    }

    /// Writes bytes and a line break.
    ///
    /// # Errors
    /// What [`OutputError`] names.
    ///
    /// # Cancel safety
    /// None: a part may have been written.
    pub async fn write_line(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.writer.write_all(bytes).await?;
        self.write(b"\n").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(plain("a\x1b[2J\n\u{9b}b"), "a\\u{1b}[2J\\n\\u{9b}b");
        assert!(matches!(plain("grün \\ 日"), Cow::Borrowed("grün \\ 日")));
    }

    #[tokio::test]
    async fn lines_and_bytes_arrive() {
        let mut output = Output::new(Vec::new());
        output.write(b"a").await.expect("written");
        output.write_line(b"b").await.expect("written");
        assert_eq!(output.writer, b"ab\n");
    }

    #[tokio::test]
    async fn a_reader_who_leaves_is_told_from_a_fault() {
        let (writer, reader) = tokio::io::duplex(1);
        drop(reader);
        let left = Output::new(writer).write(b"x").await;
        assert!(matches!(left, Err(OutputError::Closed)), "{left:?}");
        let full = OutputError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, OutputError::Broken(_)));
    }
}
