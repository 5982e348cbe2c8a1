//! `If-Match` and `If-None-Match`, as far as a key can know them.

use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use switchboard_hub::keys::{Condition, Revision};

use super::unmet;
use crate::problem::Problem;

/// What a request says must be so (RFC 9110, section 13.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    matches: Option<Vec<Tag>>,
    none_match: Option<Vec<Tag>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    /// `*`: whatever there is.
    Any,
    /// That write's value.
    Of { revision: Revision, weak: bool },
    /// None that this door gave: no key has it.
    Foreign,
}

impl Conditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            matches: tags(headers, IF_MATCH),
            none_match: tags(headers, IF_NONE_MATCH),
        }
    }

    /// Whether who reads wants to have the value of that write at all.
    pub(super) fn matched_by(&self, revision: Revision) -> bool {
        let is_it = |tag: &Tag| match tag {
            Tag::Any => true,
            Tag::Of {
                revision: known,
                weak,
            } => *known == revision && !weak,
            Tag::Foreign => false,
        };
        self.matches.as_ref().is_none_or(|tags| tags.iter().any(is_it))
    }

    /// Whether who reads has the value of that write already.
    pub(super) fn is_known(&self, revision: Revision) -> bool {
        let is_it = |tag: &Tag| match tag {
            Tag::Any => true,
            Tag::Of { revision: known, .. } => *known == revision,
            Tag::Foreign => false,
        };
        self.none_match
            .as_ref()
            .is_some_and(|tags| tags.iter().any(is_it))
    }

    /// What a write has to find.
    ///
    /// # Errors
    /// 412 for what no key can fulfil, 400 for what the hub has no condition for.
    pub(super) fn of_write(&self) -> Result<Condition, Problem> {
        match (self.matches.as_deref(), self.none_match.as_deref()) {
            (None, None) => Ok(Condition::Always),
            (None, Some([Tag::Any])) => Ok(Condition::Absent),
            (Some([Tag::Any]), None) => Ok(Condition::Present),
            (
                Some(
                    [
                        Tag::Of {
                            revision,
                            weak: false,
                        },
                    ],
                ),
                None,
            ) => Ok(Condition::At(*revision)),
            (Some([Tag::Foreign | Tag::Of { .. }]), None) => Err(unmet(None)),
            _ => Err(Problem::bad_request(
                "a key is written by `If-Match` with one tag or `*`, or by `If-None-Match: *`, or unconditionally",
            )),
        }
    }
}

fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Vec<Tag>> {
    let lists = headers.get_all(name);
    let mut lists = lists.iter().peekable();
    lists.peek()?;
    let tags = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    Some(tags.map(|tag| read(tag.trim_ascii())).collect())
}

fn read(tag: &[u8]) -> Tag {
    if tag == b"*" {
        return Tag::Any;
    }
    let (weak, strong) = match tag.strip_prefix(b"W/") {
        Some(strong) => (true, strong),
        None => (false, tag),
    };
    let number = strong
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match number {
        Some(number) => Tag::Of {
            revision: Revision(number),
            weak,
        },
        None => Tag::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::HeaderValue;

    use super::*;

    fn conditions(fields: &[(HeaderName, &'static str)]) -> Conditions {
        let fields = fields.iter().cloned();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        Conditions::of(&headers)
    }

    #[test]
    fn writes_have_the_conditions_that_keys_know() {
        for (fields, expected) in [
            (&[][..], Ok(Condition::Always)),
            (&[(IF_NONE_MATCH, "*")], Ok(Condition::Absent)),
            (&[(IF_MATCH, "*")], Ok(Condition::Present)),
            (&[(IF_MATCH, "\"7\"")], Ok(Condition::At(Revision(7)))),
            (&[(IF_MATCH, "W/\"7\"")], Err(412)),
            (&[(IF_MATCH, "\"x\"")], Err(412)),
            (&[(IF_MATCH, "7")], Err(412)),
            (&[(IF_MATCH, "\"7\", \"8\"")], Err(400)),
            (&[(IF_MATCH, "\"7\""), (IF_MATCH, "\"8\"")], Err(400)),
            (&[(IF_NONE_MATCH, "\"7\"")], Err(400)),
            (&[(IF_MATCH, "\"7\""), (IF_NONE_MATCH, "*")], Err(400)),
        ] {
            let condition = conditions(fields).of_write();
            assert_eq!(
                condition.map_err(|problem| problem.status.as_u16()),
                expected,
                "{fields:?}"
            );
        }
        assert_eq!(unmet(None).status, StatusCode::PRECONDITION_FAILED);
    }

    #[test]
    fn readers_are_told_what_they_have_and_only_what_they_want() {
        let known = |fields| conditions(fields).is_known(Revision(7));
        assert!(known(&[(IF_NONE_MATCH, "\"6\", W/\"7\"")]));
        assert!(known(&[(IF_NONE_MATCH, "*")]));
        assert!(!known(&[(IF_NONE_MATCH, "\"6\", \"07x\"")]) && !known(&[]));
        let wanted = |fields| conditions(fields).matched_by(Revision(7));
        assert!(wanted(&[]) && wanted(&[(IF_MATCH, "\"6\", \"7\"")]) && wanted(&[(IF_MATCH, "*")]));
        assert!(!wanted(&[(IF_MATCH, "W/\"7\"")]) && !wanted(&[(IF_MATCH, "\"6\"")]));
    }
}
