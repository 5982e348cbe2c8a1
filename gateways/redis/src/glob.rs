//! Patterns of Redis: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before what stands for itself.
//!
//! A `*` is left again only for a later one, never tried anew, so that `a*a*a*b` costs at most the product of both
//! lengths.

/// Most elements of a pattern: no key is as long. One with more fits nothing.
const ELEMENTS_MAX: usize = 64 * 1024;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    elements: Vec<Element>,
    /// How many elements are no `*`: what fits has so many bytes.
    bytes_min: usize,
    is_too_long: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// `*`
    Some,
    /// `?`
    Any,
    Byte(u8),
    /// A bit for each byte that fits.
    OneOf(Box<[u64; 4]>),
}

impl Element {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Some => false,
            Self::Any => true,
            Self::Byte(one) => *one == byte,
            Self::OneOf(bits) => has(bits, byte),
        }
    }
}

fn has(bits: &[u64; 4], byte: u8) -> bool {
    bits[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

impl Glob {
    /// Every text is a pattern.
    pub(crate) fn new(pattern: &[u8]) -> Self {
        let mut glob = Self {
            elements: Vec::new(),
            bytes_min: 0,
            is_too_long: false,
        };
        let mut rest = pattern;
        while let Some((first, more)) = rest.split_first() {
            rest = more;
            let element = match first {
                b'*' if glob.elements.last() == Some(&Element::Some) => continue,
                b'*' => Element::Some,
                b'?' => Element::Any,
                b'[' => one_of(&mut rest),
                b'\\' => match more.split_first() {
                    Some((byte, more)) => {
                        rest = more;
                        Element::Byte(*byte)
                    }
                    None => Element::Byte(b'\\'),
                },
                byte => Element::Byte(*byte),
            };
            glob.bytes_min += usize::from(element != Element::Some);
            glob.elements.push(element);
            if glob.elements.len() > ELEMENTS_MAX {
                glob.is_too_long = true;
                break;
            }
        }
        glob
    }

    /// Whether all of a text fits.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        if self.is_too_long || text.len() < self.bytes_min {
            return false;
        }
        let (mut element, mut place) = (0, 0);
        // Where the last `*` is, and from where on it is followed by what fits, as far as was tried.
        let mut star = None;
        loop {
            match (self.elements.get(element), text.get(place)) {
                (None, None) => return true,
                (Some(Element::Some), _) if element + 1 == self.elements.len() => return true,
                (Some(Element::Some), _) => {
                    element += 1;
                    star = Some((element, place));
                }
                (Some(one), Some(byte)) if one.fits(*byte) => {
                    element += 1;
                    place += 1;
                }
                // Beyond the end, a later beginning is of no use either.
                (_, None) => return false,
                (_, Some(_)) => {
                    let Some((after, from)) = star else { return false };
                    star = Some((after, from + 1));
                    (element, place) = (after, from + 1);
                }
            }
        }
    }

    /// What all that fits begins with.
    pub(crate) fn literal_prefix(&self) -> Vec<u8> {
        let literals = self.elements.iter().map_while(|element| match element {
            Element::Byte(byte) => Some(*byte),
            _ => None,
        });
        literals.collect()
    }

    /// Whether only one text fits.
    pub(crate) fn is_literal(&self) -> bool {
        let is_byte = |element: &Element| matches!(element, Element::Byte(_));
        self.elements.iter().all(is_byte)
    }

    /// Whether everything fits.
    pub(crate) fn is_everything(&self) -> bool {
        self.elements == [Element::Some]
    }
}

/// What follows a `[`, up to `]` or the end.
fn one_of(rest: &mut &[u8]) -> Element {
    let is_none_of = rest.first() == Some(&b'^');
    if is_none_of {
        *rest = &rest[1..];
    }
    let mut bits = [0_u64; 4];
    loop {
        let (range, more) = match rest {
            [b'\\', byte, more @ ..] => (*byte..=*byte, more),
            [b']', more @ ..] => {
                *rest = more;
                break;
            }
            [one, b'-', other, more @ ..] => (*one.min(other)..=*one.max(other), more),
            [byte, more @ ..] => (*byte..=*byte, more),
            [] => break,
        };
        for byte in range {
            bits[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        *rest = more;
    }
    if is_none_of {
        bits = bits.map(|word| !word);
    }
    Element::OneOf(Box::new(bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, simple and slow.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        let Some((first, rest)) = pattern.split_first() else {
            return text.is_empty();
        };
        if *first == b'*' {
            return (0..=text.len()).any(|skipped| model(rest, &text[skipped..]));
        }
        let Some((byte, text)) = text.split_first() else {
            return false;
        };
        match first {
            b'?' => model(rest, text),
            b'[' => {
                let (fits, rest) = class_model(rest, *byte);
                fits && model(rest, text)
            }
            b'\\' if !rest.is_empty() => rest[0] == *byte && model(&rest[1..], text),
            one => one == byte && model(rest, text),
        }
    }

    fn class_model(mut rest: &[u8], byte: u8) -> (bool, &[u8]) {
        let is_none_of = rest.first() == Some(&b'^');
        rest = &rest[usize::from(is_none_of)..];
        let mut fits = false;
        while !rest.is_empty() && rest[0] != b']' {
            let used = if rest[0] == b'\\' && rest.len() > 1 {
                fits |= rest[1] == byte;
                2
            } else if rest.len() > 2 && rest[1] == b'-' {
                let (from, to) = (rest[0].min(rest[2]), rest[0].max(rest[2]));
                fits |= (from..=to).contains(&byte);
                3
            } else {
                fits |= rest[0] == byte;
                1
            };
            rest = &rest[used..];
        }
        (fits != is_none_of, rest.get(1..).unwrap_or_default())
    }

    #[test]
    fn patterns_of_redis() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h\\*llo", "h*llo", true),
            ("h\\*llo", "hello", false),
            ("a\\", "a\\", true),
            ("[\\]]", "]", true),
            ("[]", "]", false),
            ("[abc", "b", true),
            ("[a-]", "]", true),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("**", "x", true),
            ("news.*", "news.art", true),
        ] {
            assert_eq!(
                Glob::new(pattern.as_bytes()).matches(text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        let glob = Glob::new(&b"a*".repeat(1_000));
        let mut text = b"a".repeat(20_000);
        assert!(glob.matches(&text));
        text.push(b'b');
        assert!(!Glob::new(&[&b"a*".repeat(1_000)[..], b"c"].concat()).matches(&text));
    }

    #[test]
    fn a_pattern_that_is_too_long_fits_nothing() {
        let text = b"a".repeat(ELEMENTS_MAX + 1);
        assert!(!Glob::new(&text).matches(&text));
        assert!(Glob::new(&text[1..]).matches(&text[1..]));
    }

    #[test]
    fn patterns_begin() {
        for (pattern, prefix) in [("a\\*b*c", "a*b"), ("*", ""), ("abc", "abc"), ("a[b]", "a")] {
            assert_eq!(Glob::new(pattern.as_bytes()).literal_prefix(), prefix.as_bytes());
        }
        assert!(Glob::new(b"**").is_everything());
        assert!(Glob::new(b"a\\*b").is_literal() && !Glob::new(b"a*b").is_literal());
    }

    proptest! {
        #[test]
        fn as_the_model(pattern in r"[ab*?\[\]^\\-]{0,10}", text in r"[ab\]\[^-]{0,8}") {
            let fits = Glob::new(pattern.as_bytes()).matches(text.as_bytes());
            prop_assert_eq!(fits, model(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes(pattern: Vec<u8>, text: Vec<u8>) {
            let glob = Glob::new(&pattern);
            if glob.matches(&text) {
                prop_assert!(text.starts_with(&glob.literal_prefix()));
            }
        }
    }
}
