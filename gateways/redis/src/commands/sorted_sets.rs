//! Sorted sets: members in the order of their scores.

use crate::command::Group;
use crate::reply::{Protocol, Reply};

mod add;
mod combine;
mod members;
mod pop;
mod random;
mod range;
mod remove;
mod source;
mod span;
#[cfg(test)]
mod tests;

/// See the module.
pub(crate) static GROUP: Group = Group {
    name: "sorted-set",
    title: "Sorted sets",
    commands: &[
        pop::BZMPOP,
        pop::BZPOPMAX,
        pop::BZPOPMIN,
        add::ZADD,
        members::ZCARD,
        range::ZCOUNT,
        combine::ZDIFF,
        combine::ZDIFFSTORE,
        add::ZINCRBY,
        combine::ZINTER,
        combine::ZINTERCARD,
        combine::ZINTERSTORE,
        range::ZLEXCOUNT,
        pop::ZMPOP,
        members::ZMSCORE,
        pop::ZPOPMAX,
        pop::ZPOPMIN,
        random::ZRANDMEMBER,
        range::ZRANGE,
        range::ZRANGEBYLEX,
        range::ZRANGEBYSCORE,
        range::ZRANGESTORE,
        members::ZRANK,
        remove::ZREM,
        remove::ZREMRANGEBYLEX,
        remove::ZREMRANGEBYRANK,
        remove::ZREMRANGEBYSCORE,
        range::ZREVRANGE,
        range::ZREVRANGEBYLEX,
        range::ZREVRANGEBYSCORE,
        members::ZREVRANK,
        members::ZSCAN,
        members::ZSCORE,
        combine::ZUNION,
        combine::ZUNIONSTORE,
    ],
};

/// How the scores of members are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scores {
    Untold,
    /// Each after its member.
    Beside,
    /// Each in an array with its member.
    Paired,
}

impl Scores {
    /// As `WITHSCORES` has them.
    fn told(are_told: bool, reply: &Reply) -> Self {
        match (are_told, reply.protocol) {
            (false, _) => Self::Untold,
            (true, Protocol::Resp2) => Self::Beside,
            (true, Protocol::Resp3) => Self::Paired,
        }
    }

    /// The head of an answer that has so many members.
    fn head(self, reply: &mut Reply, members: usize) {
        reply.array(match self {
            Self::Beside => members * 2,
            Self::Untold | Self::Paired => members,
        });
    }

    fn member(self, reply: &mut Reply, member: &[u8], score: f64) {
        if self == Self::Paired {
            reply.array(2);
        }
        reply.bulk(member);
        if self != Self::Untold {
            reply.double(score);
        }
    }
}
