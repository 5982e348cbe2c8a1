//! Files that the door serves: the library for browsers, and pages.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use ring::digest::{SHA256, digest};

use crate::answer::{Answer, AnswerBody};
use crate::negotiation::quality;
use crate::problem::Problem;

/// The library is served under any path that ends so, since pages written for the original gotalk have it where their
/// server had it.
const LIBRARY_SUFFIX: &str = "/gotalk.js";

/// What a path that ends with a slash stands for.
const INDEX: &str = "index.html";

/// Nothing but what comes from this door, and no script or style within a page; no text becomes HTML or a script
/// (<https://www.w3.org/TR/trusted-types/>); nobody may frame it.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// May be kept, but must be asked for each time: an update is seen at once, and costs 304 otherwise.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Compressed once, so the effort is worth it.
const BROTLI_QUALITY: u32 = 9;

/// The window of Brotli, as a power of two of bytes.
const BROTLI_WINDOW: u32 = 22;

/// The files, each as it is and compressed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Assets {
    library: Option<Arc<Asset>>,
    pages: HashMap<String, Arc<Asset>>,
}

#[derive(Debug)]
struct Asset {
    content_type: HeaderValue,
    bytes: Bytes,
    /// Made when first asked for: most daemons are never asked for most of their files.
    variants: OnceLock<Variants>,
}

#[derive(Debug)]
struct Variants {
    plain: Variant,
    gzip: Option<Variant>,
    brotli: Option<Variant>,
}

/// One form of a file. Each has a strong tag of its own: their bytes differ.
#[derive(Debug)]
struct Variant {
    encoding: Option<HeaderValue>,
    tag: HeaderValue,
    bytes: Bytes,
}

impl Assets {
    /// No files: the paths of all are unknown.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same, with the library for browsers, at every path that ends in `/gotalk.js`.
    #[must_use]
    pub fn library(mut self, script: impl Into<Bytes>) -> Self {
        self.library = Some(Asset::new(content_type(LIBRARY_SUFFIX), script.into()));
        self
    }

    /// The same, with a file at this path, which begins with a slash: `/index.html` is also what `/` shows. What it is
    /// follows from the end of its name.
    #[must_use]
    pub fn page(mut self, path: &str, bytes: impl Into<Bytes>) -> Self {
        self.pages
            .insert(path.to_owned(), Asset::new(content_type(path), bytes.into()));
        self
    }

    fn find(&self, path: &str) -> Option<&Asset> {
        if path.ends_with(LIBRARY_SUFFIX) {
            return self.library.as_deref();
        }
        if path.ends_with('/') {
            return self.pages.get(&format!("{path}{INDEX}")).map(Arc::as_ref);
        }
        self.pages.get(path).map(Arc::as_ref)
    }
}

/// Serves the file at the path of the request.
pub(crate) fn answer<B>(assets: &Assets, request: &Request<B>) -> Result<Answer, Problem> {
    let asset = assets
        .find(request.uri().path())
        .ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::method("GET, HEAD", "this is read by GET"));
    }
    let variant = asset.choose(request.headers());
    let is_known = is_known(request.headers(), &variant.tag);
    let mut answer = Response::new(if is_known {
        AnswerBody::empty()
    } else {
        AnswerBody::whole(variant.bytes.clone())
    });
    let headers = answer.headers_mut();
    headers.insert(ETAG, variant.tag.clone());
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CACHE_CONTROL, REVALIDATED);
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, asset.content_type.clone());
        if let Some(encoding) = &variant.encoding {
            headers.insert(CONTENT_ENCODING, encoding.clone());
        }
    }
    Ok(answer)
}

impl Asset {
    fn new(content_type: HeaderValue, bytes: Bytes) -> Arc<Self> {
        Arc::new(Self {
            content_type,
            bytes,
            variants: OnceLock::new(),
        })
    }

    /// The smallest form that the client takes.
    fn choose(&self, request: &HeaderMap) -> &Variant {
        let takes = |encoding: &str| {
            let mut lists = request.get_all(ACCEPT_ENCODING).iter();
            let wanted = lists.find_map(|list| quality(list, encoding).or_else(|| quality(list, "*")));
            wanted.is_some_and(|quality| quality > 0)
        };
        let variants = self.variants.get_or_init(|| Variants::of(&self.bytes));
        let brotli = variants.brotli.as_ref().filter(|_| takes("br"));
        let gzip = || variants.gzip.as_ref().filter(|_| takes("gzip"));
        brotli.or_else(gzip).unwrap_or(&variants.plain)
    }
}

impl Variants {
    fn of(bytes: &Bytes) -> Self {
        let compressed = |name: &'static str, compressed: std::io::Result<Vec<u8>>| {
            // What does not get smaller, as pictures, is served as it is.
            let compressed = compressed
                .ok()
                .filter(|compressed| compressed.len() < bytes.len())?;
            Some(Variant::new(
                Some(HeaderValue::from_static(name)),
                compressed.into(),
            ))
        };
        Self {
            gzip: compressed("gzip", gzip(bytes)),
            brotli: compressed("br", brotli(bytes)),
            plain: Variant::new(None, bytes.clone()),
        }
    }
}

impl Variant {
    fn new(encoding: Option<HeaderValue>, bytes: Bytes) -> Self {
        let hash = digest(&SHA256, &bytes);
        // Half of the hash is more than enough to tell files apart.
        let half = hash.as_ref().get(..16).unwrap_or_default();
        let tag = format!("\"{}\"", const_hex::encode(half));
        Self {
            encoding,
            // Hexadecimal digits in quotes always are a value.
            tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
            bytes,
        }
    }
}

/// Whether the client has this form of the file already (RFC 9110, section 13.1.2).
fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes();
    request.get_all(IF_NONE_MATCH).iter().any(|list| {
        list.as_bytes().split(|byte| *byte == b',').any(|known| {
            let known = known.trim_ascii();
            known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag
        })
    })
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let mut encoder =
        brotli::CompressorWriter::new(&mut compressed, bytes.len().max(1), BROTLI_QUALITY, BROTLI_WINDOW);
    encoder.write_all(bytes)?;
    encoder.flush()?;
    drop(encoder);
    Ok(compressed)
}

fn content_type(path: &str) -> HeaderValue {
    let suffix = path.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    HeaderValue::from_static(match suffix {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "application/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str =
        "export const script = 'a script'; // a script that is long enough to get smaller, a script";

    fn get(path: &str, headers: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Bytes) {
        let assets = Assets::none()
            .library(SCRIPT.repeat(20))
            .page("/index.html", "<p>")
            .page("/x/a.css", "p {}");
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(()).unwrap();
        let answer = answer(&assets, &request).unwrap_or_else(|problem| problem.into_answer(false));
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.bytes().unwrap().clone())
    }

    #[test]
    fn the_library_is_at_every_path_with_its_name() {
        for path in ["/gotalk/gotalk.js", "/gotalk.js", "/old/place/gotalk.js?v=1"] {
            let (status, headers, body) = get(path, &[]);
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers[CONTENT_TYPE], "application/javascript; charset=utf-8");
            assert_eq!(headers[VARY], "Accept-Encoding");
            assert!(headers[ETAG].as_bytes().starts_with(b"\""), "a strong tag");
            assert_eq!(body, SCRIPT.repeat(20));
        }
        assert_eq!(get("/notgotalk.js", &[]).0, StatusCode::NOT_FOUND);
        assert_eq!(get("/gotalk.js/", &[]).0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_smallest_form_that_the_client_takes_is_served() {
        let mut tags = std::collections::HashSet::new();
        for (accepted, encoding) in [
            ("gzip, deflate, br", Some("br")),
            ("*", Some("br")),
            ("gzip, br;q=0", Some("gzip")),
            ("gzip;q=0.1", Some("gzip")),
            ("deflate", None),
            ("br;q=0, gzip;q=0, *", None),
            ("", None),
        ] {
            let (_, headers, body) = get("/gotalk.js", &[(ACCEPT_ENCODING, accepted)]);
            let chosen = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(chosen, encoding, "{accepted:?}");
            assert_eq!(body.len() < SCRIPT.len() * 20, encoding.is_some());
            tags.insert((encoding, headers[ETAG].clone()));
        }
        assert_eq!(tags.len(), 3, "each form has one tag of its own");
    }

    #[test]
    fn what_is_compressed_can_be_read_back() {
        use std::io::Read as _;
        let whole = SCRIPT.repeat(20);
        let mut text = String::new();
        let (_, _, body) = get("/gotalk.js", &[(ACCEPT_ENCODING, "gzip")]);
        flate2::read::GzDecoder::new(&body[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, whole);
        text.clear();
        let (_, _, body) = get("/gotalk.js", &[(ACCEPT_ENCODING, "br")]);
        brotli::Decompressor::new(&body[..], 4096)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, whole);
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let (_, headers, _) = get("/gotalk.js", &[(ACCEPT_ENCODING, "br")]);
        let tag = headers[ETAG].to_str().unwrap();
        for known in [tag, &format!("\"x\", W/{tag}"), "*"] {
            let asked = [(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, known)];
            let (status, headers, body) = get("/gotalk.js", &asked);
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(
                (headers[ETAG].to_str().unwrap(), headers[VARY].to_str().unwrap()),
                (tag, "Accept-Encoding")
            );
        }
        // The tag of another form is another.
        assert_eq!(get("/gotalk.js", &[(IF_NONE_MATCH, tag)]).0, StatusCode::OK);
    }

    #[test]
    fn pages_are_served_strictly() {
        for (path, content_type) in [
            ("/", "text/html; charset=utf-8"),
            ("/x/a.css", "text/css; charset=utf-8"),
        ] {
            let (status, headers, _) = get(path, &[]);
            assert_eq!(
                (status, &headers[CONTENT_TYPE]),
                (StatusCode::OK, &HeaderValue::from_static(content_type))
            );
            assert!(
                headers[CONTENT_SECURITY_POLICY]
                    .to_str()
                    .unwrap()
                    .contains("default-src 'none'")
            );
        }
        for path in ["/x", "/x/", "/../index.html", "//"] {
            assert_eq!(get(path, &[]).0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
