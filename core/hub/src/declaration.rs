//! What responders say of the operations that they serve.

use crate::media_type::MediaType;

/// What a responder says of an operation that it serves. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declaration {
    /// Calls change nothing, and one more or less makes no difference: so gateways may have one made by what is meant
    /// for reading, such as GET in HTTP (RFC 9110, section 9.2.1). Where several responders share an operation it is
    /// safe only if all say so.
    pub safe: bool,
    /// What the results are.
    pub result_type: Option<MediaType>,
}

impl Declaration {
    /// What holds for an operation that all of these share: what all of them say.
    pub(crate) fn common<'a>(mut all: impl Iterator<Item = &'a Self>) -> Self {
        let Some(first) = all.next() else {
            return Self::default();
        };
        all.fold(first.clone(), |common, other| Self {
            safe: common.safe && other.safe,
            result_type: common
                .result_type
                .filter(|result_type| other.result_type.as_ref() == Some(result_type)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaration(safe: bool, result_type: Option<&str>) -> Declaration {
        Declaration {
            safe,
            result_type: result_type.map(|text| MediaType::parse(text).unwrap()),
        }
    }

    #[test]
    fn what_holds_is_what_all_say() {
        let plain = || declaration(true, Some("text/plain"));
        for (others, expected) in [
            (vec![], Declaration::default()),
            (vec![plain()], plain()),
            (vec![plain(), plain()], plain()),
            (
                vec![plain(), declaration(false, Some("text/plain"))],
                declaration(false, Some("text/plain")),
            ),
            (
                vec![plain(), declaration(true, Some("text/html")), plain()],
                declaration(true, None),
            ),
            (vec![plain(), declaration(true, None)], declaration(true, None)),
        ] {
            assert_eq!(Declaration::common(others.iter()), expected);
        }
    }
}
