//! What a mutant does wrong.

/// One thing that an engine must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Keys live a millisecond too long.
    ExpiresLate,
    /// The revisions of a bucket start again when it is empty.
    ReusesRevisions,
    /// What a batch did before its condition was not met stays.
    HalfBatch,
    /// Condition and change are two steps.
    ConditionApart,
    /// An edit writes what it made of something that may be there no more.
    EditApart,
    /// The keys of an edit are written one after another.
    HalfEdit,
    /// A structure is kept as bytes.
    ForgetsKind,
    /// What an edit took the last of stays.
    KeepsEmpty,
    /// What was changed in a structure is not kept.
    LosesLog,
    /// The keys that an edit looked at are written.
    WritesWhatItSaw,
    /// A watch that is too far behind goes on as if nothing were missing.
    WatchSkips,
    /// A scan leaves out the first key of a page.
    ScanSkips,
    /// Floats are written with an exponent.
    Exponents,
    /// Nothing is flushed.
    NeverFlushes,
    /// A crash loses an older write and keeps a younger one.
    LosesTheOldest,
    /// A job under a lease is given to others.
    LeasesTwice,
    /// Any lease of a job is as good as the last.
    OldLeaseCounts,
    /// Leases end by the wall clock.
    LeasesByWallClock,
    /// Priorities are ignored.
    NoPriorities,
    /// A dedupe id is forgotten when its job is done.
    ForgetsDedupe,
    /// Who gave up waiting for a job takes one all the same.
    TakesForTheGone,
    /// A blob can be read before it is finished.
    VisibleEarly,
    /// A reader goes on with the blob that replaced his.
    MixesBlobs,
    /// Every member of a group gets each message.
    GroupGetsAll,
    /// Nobody is told that messages were lost.
    LosesSilently,
}
