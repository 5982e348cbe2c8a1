//! Answers and their bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use switchboard_hub::Fault;
use switchboard_peer::PartReceiver;

use crate::events::EventStream;
use crate::exchange::Exchange;
use crate::upload::Upload;

/// What the gateway answers with.
pub(crate) type Answer = Response<AnswerBody>;

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer cannot be completed: the connection, or in HTTP/2 the stream, is broken off, so that what was sent is
/// not taken for all of it.
#[derive(Debug, thiserror::Error)]
#[error("the result broke off: {0}")]
pub(crate) struct BrokenOff(Fault);

/// The body of an answer. The exchange is over when it is dropped.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    content: Content,
    exchange: Option<Exchange>,
}

#[derive(Debug)]
enum Content {
    /// Empty once it was taken.
    Whole(Bytes),
    Result(ResultStream),
    Events(Box<EventStream>),
}

/// A streamed result on its way to the client. It is only read as the client takes it, so a slow client holds back
/// who produces it.
#[derive(Debug)]
pub(crate) struct ResultStream {
    /// The part that was waited for before the answer began.
    pub(crate) first: Option<Bytes>,
    pub(crate) rest: PartReceiver,
    /// The body of the request may still be on its way.
    pub(crate) upload: Option<Upload>,
}

impl AnswerBody {
    pub(crate) fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Whole(bytes.into()))
    }

    pub(crate) fn result(stream: ResultStream) -> Self {
        Self::of(Content::Result(stream))
    }

    pub(crate) fn events(stream: EventStream) -> Self {
        Self::of(Content::Events(Box::new(stream)))
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            exchange: None,
        }
    }

    /// Has the exchange end with this body.
    pub(crate) fn ends(&mut self, exchange: Exchange) {
        self.exchange = Some(exchange);
    }

    /// All of it, if it is no stream.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Result(_) | Content::Events(_) => None,
        }
    }
}

impl ResultStream {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let part = ready!(self.rest.poll_next(cx));
        if part.is_none() {
            self.upload = None;
        }
        Poll::Ready(part.map(|part| part.map_err(BrokenOff)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        let bytes = match &mut this.content {
            Content::Whole(bytes) if bytes.is_empty() => None,
            Content::Whole(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::Result(stream) => ready!(stream.poll_part(cx)),
            Content::Events(stream) => ready!(stream.poll_events(cx)).map(Ok),
        };
        if let Some(exchange) = &mut this.exchange {
            match &bytes {
                Some(Ok(bytes)) => exchange.add_sent(bytes.len()),
                Some(Err(BrokenOff(fault))) => exchange.broke_off(fault),
                None => {}
            }
        }
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Result(_) | Content::Events(_) => SizeHint::default(),
        }
    }
}

/// An answer of that type with all of its body.
pub(crate) fn whole(content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(AnswerBody::whole(body));
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
