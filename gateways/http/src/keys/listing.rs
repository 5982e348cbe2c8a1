//! `/keys`: which keys there are, or what happens to them.

use hyper::header::CACHE_CONTROL;
use hyper::{Method, Request};
use switchboard_hub::Fault;
use switchboard_hub::keys::json;
use switchboard_hub::requests::keys::{ScanRequest, WatchRequest};

use super::{NO_CACHE, Refusal, keys, watch};
use crate::answer::{self, Answer, JSON};
use crate::problem::Problem;
use crate::query::{parameters, quoted, switch};
use crate::visitor::Visitor;

/// Lists keys, or watches them.
pub(crate) async fn all<B>(visitor: &Visitor, request: &Request<B>) -> Result<Answer, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::method("GET, HEAD", "keys are listed and watched by GET"));
    }
    let wanted = Wanted::read(request.uri().query())?;
    let answer = match wanted {
        Wanted::Page(page) => scan(visitor, &page).await,
        Wanted::Watch(watch) => watch::answer(visitor, request.headers(), watch).await,
    };
    answer.map_err(|fault| Refusal::from(fault).into_problem(visitor))
}

async fn scan(visitor: &Visitor, page: &ScanRequest) -> Result<Answer, Fault> {
    let (bucket, scan) = page.scan()?;
    let found = keys(visitor)?.scan(&bucket, scan)?.await?;
    // Text and numbers always are JSON.
    let json = serde_json::to_vec(&json::page(&found, page.values)).unwrap_or_default();
    let mut answer = answer::whole(JSON, json);
    answer.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    Ok(answer)
}

/// What a request for `/keys` asks for.
enum Wanted {
    Page(ScanRequest),
    Watch(WatchRequest),
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let (mut page, mut watch) = (ScanRequest::default(), WatchRequest::default());
        let (mut is_watch, mut of_page, mut of_watch) = (false, None, None);
        let known = &[
            "bucket",
            "prefix",
            "prefix_base64",
            "after",
            "after_base64",
            "limit",
            "values",
            "watch",
            "news",
            "last_event_id",
        ];
        for (name, value) in parameters(query, known)? {
            let text = || Some(value.to_string());
            match name {
                "bucket" => page.bucket = text(),
                "prefix" => page.prefix = text(),
                "prefix_base64" => page.prefix_base64 = text(),
                "watch" => is_watch = switch(name, &value)?,
                "news" | "last_event_id" => {
                    of_watch = Some(name);
                    match name {
                        "news" => watch.news_only = switch(name, &value)?,
                        _ => watch.after_revision = value.parse().ok(),
                    }
                }
                _ => {
                    of_page = Some(name);
                    match name {
                        "after" => page.after = text(),
                        "after_base64" => page.after_base64 = text(),
                        "values" => page.values = switch(name, &value)?,
                        _ => page.limit = Some(limit(&value)?),
                    }
                }
            }
        }
        match (if is_watch { of_page } else { of_watch }, is_watch) {
            (Some(name), true) => Err(Problem::bad_request(format!("`{name}` means nothing to a watch"))),
            (Some(name), false) => Err(Problem::bad_request(format!(
                "`{name}` belongs to a watch: add `watch`"
            ))),
            (None, false) => Ok(Self::Page(page)),
            (None, true) => Ok(Self::Watch(WatchRequest {
                bucket: page.bucket,
                prefix: page.prefix,
                prefix_base64: page.prefix_base64,
                ..watch
            })),
        }
    }
}

fn limit(text: &str) -> Result<usize, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request(format!("`limit` is {}: it takes a number", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_belong_to_pages_or_to_watches() {
        let read = |query| Wanted::read(Some(query)).map_err(|problem| problem.message.into_owned());
        assert!(
            matches!(read("prefix=a&limit=3&values"), Ok(Wanted::Page(page)) if page.limit == Some(3) && page.values)
        );
        assert!(matches!(
            read("watch&prefix=a&last_event_id=7"),
            Ok(Wanted::Watch(watch)) if watch.after_revision == Some(7)
        ));
        assert!(matches!(read("watch=false"), Ok(Wanted::Page(_))));
        for (query, said) in [
            ("watch&limit=3", "means nothing to a watch"),
            ("news", "belongs to a watch"),
            ("limit=x", "takes a number"),
            ("key=x", "unknown parameter"),
        ] {
            match read(query) {
                Err(message) => assert!(message.contains(said), "{query}: {message}"),
                Ok(_) => panic!("{query} is refused"),
            }
        }
    }
}
