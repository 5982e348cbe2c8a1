//! A list as it was at one moment, encoded piece by piece while it goes on changing at its ends.
//!
//! The pieces, and then the log since that moment, make the list out of nothing. An element that has gone before its
//! piece was made has an empty one in its place: the log drops it.

/// How far the pieces of a list have come.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    /// How many elements there were, of which so many are in pieces.
    len: usize,
    done: usize,
    /// How many of them have gone from the front and from the back.
    gone_front: usize,
    gone_back: usize,
    /// How many elements have come before and behind those, as long as there are any of those.
    before: usize,
    behind: usize,
}

impl Pieces {
    /// None yet, of so many elements.
    pub(super) fn new(len: usize) -> Self {
        Self {
            len,
            done: 0,
            gone_front: 0,
            gone_back: 0,
            before: 0,
            behind: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done == self.len
    }

    /// The next element: where it stands now, or `None` if it has gone. There is one more.
    pub(super) fn advance(&mut self) -> Option<usize> {
        let number = self.done;
        self.done += 1;
        let there = self.gone_front..self.len - self.gone_back;
        (there.contains(&number)).then(|| self.before + number - self.gone_front)
    }

    pub(super) fn pushed_front(&mut self) {
        self.before += 1;
    }

    pub(super) fn pushed_back(&mut self) {
        self.behind += 1;
    }

    pub(super) fn dropped_front(&mut self, count: usize) {
        let newer = count.min(self.before);
        self.before -= newer;
        self.gone_front = (self.gone_front + count - newer).min(self.len - self.gone_back);
    }

    pub(super) fn dropped_back(&mut self, count: usize) {
        let newer = count.min(self.behind);
        self.behind -= newer;
        self.gone_back = (self.gone_back + count - newer).min(self.len - self.gone_front);
    }
}
