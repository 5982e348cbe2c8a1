//! A recording as steps of the end that is in the test's hands, and that end.

use std::collections::HashMap;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::file::{Sent, Side, frame};
use super::table::{Differs, Said};
use crate::frames::{BINARY, CLOSE, End, Frame};

/// What the test's end does, or hears of our peer.
#[derive(Debug)]
pub enum Step {
    Say(Frame),
    Hear(Wanted),
    End,
    HearEnd,
}

/// A frame of our peer, of which some ranges may differ.
#[derive(Debug)]
pub struct Wanted {
    pub frame: Frame,
    free: Vec<Range<usize>>,
}

impl Wanted {
    /// Our peer sends text as binary, like all else; its ids and the loads in its heartbeats are its own.
    fn new(frame: Frame, mut free: Vec<Range<usize>>) -> Self {
        match frame.payload.first() {
            Some(b'r' | b's') if frame.payload.len() > 5 => free.push(1..5),
            Some(b'h') if frame.payload.len() == 13 => free.push(1..5),
            _ => {}
        }
        let opcode = if frame.opcode == CLOSE { CLOSE } else { BINARY };
        Self {
            frame: Frame { opcode, ..frame },
            free,
        }
    }

    fn is(&self, heard: &Frame) -> bool {
        let (wanted, said) = (&self.frame.payload, &heard.payload);
        let free = |at: usize| self.free.iter().any(|range| range.contains(&at));
        let same = |at: usize| free(at) || wanted.get(at) == said.get(at);
        self.frame.opcode == heard.opcode
            && self.frame.masked == heard.masked
            && self.frame.last == heard.last
            && wanted.len() == said.len()
            && (0..wanted.len()).all(same)
    }
}

/// The steps of one connection, our peer being `ours`. Each run of what our peer sent may be replaced.
pub fn steps(
    sent: &[Sent],
    ours: Side,
    runs: &mut impl Iterator<Item = Option<&'static [Said]>>,
) -> Vec<Step> {
    let mut steps = vec![];
    let mut in_run = false;
    let mut replaced = false;
    for sent in sent {
        if sent.from != ours {
            in_run = false;
            match (frame(sent), sent.event.as_deref()) {
                (Some(frame), _) => steps.push(Step::Say(frame)),
                (None, Some("eof")) => steps.push(Step::End),
                _ => {}
            }
            continue;
        }
        if sent.event.as_deref() == Some("eof") {
            steps.push(Step::HearEnd);
            continue;
        }
        let Some(frame) = frame(sent) else { continue };
        if !in_run {
            in_run = true;
            let run = runs.next().flatten();
            replaced = run.is_some();
            let masked = ours == Side::Client;
            let heard = run.into_iter().flatten().map(|said| said.frame(masked));
            steps.extend(heard.map(|frame| Step::Hear(Wanted::new(frame, vec![]))));
        }
        if !replaced {
            steps.push(Step::Hear(Wanted::new(frame, sent.redacted())));
        }
    }
    steps
}

/// What replaces the recorded frames of our peer, run by run.
pub fn runs(differs: &'static [Differs], name: &str) -> impl Iterator<Item = Option<&'static [Said]>> {
    let found = differs.iter().find(|differs| differs.name == name);
    found.map_or(&[][..], |differs| differs.says).iter().copied()
}

/// The test's end.
pub struct Player<S> {
    end: End<S>,
    /// Heard before it was wanted.
    ahead: Vec<Frame>,
    /// Our ids of calls, by those in the recording.
    ids: HashMap<Vec<u8>, Vec<u8>>,
    any_order: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Player<S> {
    pub fn new(end: End<S>, any_order: bool) -> Self {
        Self {
            end,
            ahead: vec![],
            ids: HashMap::new(),
            any_order,
        }
    }

    /// Our peer may have gone before: then nobody hears it.
    pub async fn say(&mut self, mut frame: Frame) {
        if let [b'R' | b'S' | b'E', id @ ..] = &mut frame.payload[..]
            && let Some(id) = id.first_chunk_mut::<4>()
            && let Some(ours) = self.ids.get(&id[..])
        {
            id.copy_from_slice(ours);
        }
        let _ = self.end.io.write_all(&frame.encode()).await;
    }

    pub async fn end(&mut self) {
        let _ = self.end.io.shutdown().await;
    }

    pub async fn hear(&mut self, wanted: &Wanted) -> Result<(), String> {
        if let Some(at) = self.ahead.iter().position(|heard| wanted.is(heard)) {
            self.ahead.remove(at);
            return Ok(());
        }
        loop {
            match self.end.next().await {
                Some(heard) if wanted.is(&heard) => {
                    if let (Some(recorded), Some(ours)) = (id(&wanted.frame), id(&heard)) {
                        self.ids.insert(recorded, ours);
                    }
                    return Ok(());
                }
                Some(heard) if self.any_order => self.ahead.push(heard),
                heard => return Err(format!("wanted {:?}, heard {heard:?}", wanted.frame)),
            }
        }
    }

    /// Hears the end, and nothing before it.
    pub async fn hear_end(&mut self) -> Result<(), String> {
        match self.end.next().await {
            None if self.ahead.is_empty() => Ok(()),
            heard => Err(format!("wanted the end, heard {heard:?} and {:?}", self.ahead)),
        }
    }
}

/// The id, if this is the header of a call.
fn id(frame: &Frame) -> Option<Vec<u8>> {
    match &frame.payload[..] {
        [b'r' | b's', id @ ..] => id.get(..4).map(<[u8]>::to_vec),
        _ => None,
    }
}
