//! A message as text of some format, made once for all who want it so.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;

/// How many times as large as the message a rendering may be that is kept with it. A queue bounds what its messages
/// weigh, so this bounds what is kept beside them. Text is about as large as its message; what takes much more, such as
/// control characters in JSON, is rendered for each reader.
const KEPT_SIZES_MAX: usize = 2;

/// The rendering that is kept with a message: the first that was asked for. It is no part of what the message says.
#[derive(Default)]
pub(crate) struct Rendering(OnceLock<Box<Kept>>);

struct Kept {
    format: &'static str,
    text: Bytes,
}

impl Rendering {
    /// See [`Message::rendered`](crate::Message::rendered).
    pub(crate) fn get(&self, format: &'static str, size: usize, render: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(kept) = self.0.get().filter(|kept| kept.format == format) {
            return kept.text.clone();
        }
        let text = render();
        if self.0.get().is_none() && text.len() <= size.saturating_mul(KEPT_SIZES_MAX) {
            let kept = Kept {
                format,
                text: text.clone(),
            };
            // If another was quicker, that is as good.
            let _ = self.0.set(Box::new(kept));
        }
        text
    }
}

impl fmt::Debug for Rendering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rendering")
            .field(&self.0.get().map(|kept| kept.format))
            .finish()
    }
}

impl Clone for Rendering {
    fn clone(&self) -> Self {
        // A copy may be changed.
        Self::default()
    }
}

impl PartialEq for Rendering {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Rendering {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_format_is_rendered_once_and_others_each_time() {
        let rendering = Rendering::default();
        let text = |text: &'static str| move || Bytes::from_static(text.as_bytes());
        let never = || -> Bytes { panic!("it is rendered already") };
        assert_eq!(rendering.get("a", 100, text("one")), "one");
        assert_eq!(rendering.get("a", 100, never), "one");
        assert_eq!(rendering.get("b", 100, text("two")), "two");
        assert_eq!(rendering.get("b", 100, text("three")), "three");
        assert_eq!(rendering.get("a", 100, never), "one");
        assert_eq!(rendering.clone().get("a", 100, text("changed")), "changed");
    }

    #[test]
    fn what_is_much_larger_than_its_message_is_not_kept() {
        let rendering = Rendering::default();
        let render = |bytes: usize| move || Bytes::from(vec![b'x'; bytes]);
        assert_eq!(rendering.get("a", 5, render(11)).len(), 11);
        assert_eq!(rendering.get("a", 5, render(10)).len(), 10);
        assert_eq!(rendering.get("a", 5, render(3)).len(), 10, "this one is kept");
    }
}
