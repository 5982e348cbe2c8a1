//! Lists of what a client takes, with how much it likes each (RFC 9110, section 12.4.2).

use hyper::header::HeaderValue;

/// How much `wanted` is liked, in thousandths, by the entry that names it exactly; `None` if there is none.
pub(crate) fn quality(list: &HeaderValue, wanted: &str) -> Option<u16> {
    let list = list.to_str().ok()?;
    list.split(',').find_map(|entry| {
        let mut pieces = entry.split(';');
        let name = pieces.next().unwrap_or_default().trim();
        if !name.eq_ignore_ascii_case(wanted) {
            return None;
        }
        let weight = pieces.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("q")
                .then(|| thousandths(value.trim()))
        });
        Some(weight.unwrap_or(1000))
    })
}

/// `0` to `1` with at most three decimals; what is none counts as not liked at all.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        // In range, so the cast is exact.
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read() {
        for (list, expected) in [
            ("gzip", Some(1000)),
            ("br, GZIP;q=0.5", Some(500)),
            ("gzip ; q=0", Some(0)),
            ("gzip;level=1;q=0.25", Some(250)),
            ("gzip;q=x", Some(0)),
            ("gzip;q=7", Some(0)),
            ("br", None),
            ("*", None),
            ("", None),
            ("gzipped", None),
        ] {
            let list = HeaderValue::from_str(list).unwrap();
            assert_eq!(quality(&list, "gzip"), expected, "{list:?}");
        }
    }
}
