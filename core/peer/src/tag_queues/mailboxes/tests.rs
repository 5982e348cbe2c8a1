use proptest::prelude::*;

use super::*;

fn options() -> TagOptions {
    TagOptions {
        tag_messages_max: 2,
        tag_bytes_max: 10,
        messages_max: 5,
        bytes_max: 12,
        unclaimed: Unclaimed::Keep {
            messages_max: 3,
            bytes_max: 10,
        },
        ..TagOptions::default()
    }
}

fn dropping() -> Mailboxes {
    Mailboxes::new(&TagOptions {
        when_full: WhenFull::Drop,
        ..options()
    })
}

fn put(mailboxes: &mut Mailboxes, tag: u64, payload: &'static str) -> Offer {
    mailboxes.offer(tag, Bytes::from(payload))
}

#[test]
fn a_full_tag_has_the_reader_wait_until_there_is_room() {
    let mut mailboxes = Mailboxes::new(&options());
    let ready = mailboxes.claim(1);
    assert_eq!(put(&mut mailboxes, 1, "a"), Offer::Done);
    assert_eq!(put(&mut mailboxes, 1, "b"), Offer::Done);
    assert!(!mailboxes.is_room_wanted());
    assert_eq!(put(&mut mailboxes, 1, "c"), Offer::Full(Bytes::from("c")));
    assert!(mailboxes.is_room_wanted());
    assert_eq!(mailboxes.take(1), Some(Bytes::from("a")));
    assert_eq!(put(&mut mailboxes, 1, "c"), Offer::Done);
    assert!(!mailboxes.is_room_wanted());
    assert_eq!(
        ready.available_permits(),
        3,
        "one a message ever queued: none was taken here"
    );
    let counts = mailboxes.counts();
    assert_eq!((counts.received, counts.dropped_full, counts.waiting), (3, 0, 2));
}

#[test]
fn a_full_tag_drops_the_newest_if_told_so() {
    let mut mailboxes = dropping();
    mailboxes.claim(1);
    for payload in ["a", "b", "c", "d"] {
        assert_eq!(put(&mut mailboxes, 1, payload), Offer::Done);
    }
    let taken: Vec<_> = std::iter::from_fn(|| mailboxes.take(1)).collect();
    assert_eq!(taken, ["a", "b"]);
    let counts = mailboxes.counts();
    assert_eq!((counts.received, counts.dropped_full), (4, 2));
}

#[test]
fn bytes_are_bounded_by_tag_and_in_all_and_a_message_alone_is_let_in() {
    let mut mailboxes = dropping();
    (1..=3).for_each(|tag| drop(mailboxes.claim(tag)));
    put(&mut mailboxes, 1, "123456");
    put(&mut mailboxes, 1, "12345");
    assert_eq!(mailboxes.counts().dropped_full, 1, "eleven bytes for one tag");
    put(&mut mailboxes, 2, "123456");
    put(&mut mailboxes, 3, "1");
    assert_eq!(mailboxes.counts().dropped_full, 2, "thirteen bytes in all");
    while mailboxes.take(1).is_some() || mailboxes.take(2).is_some() {}
    put(&mut mailboxes, 3, "twenty bytes, alone!");
    assert_eq!(
        (mailboxes.counts().waiting, mailboxes.counts().waiting_bytes),
        (1, 20)
    );
}

#[test]
fn messages_are_bounded_in_all() {
    let mut mailboxes = Mailboxes::new(&options());
    (1..=6).for_each(|tag| drop(mailboxes.claim(tag)));
    for tag in 1..=5 {
        assert_eq!(put(&mut mailboxes, tag, ""), Offer::Done);
    }
    assert_eq!(put(&mut mailboxes, 6, ""), Offer::Full(Bytes::new()));
}

#[test]
fn the_unclaimed_wait_for_a_claim_in_order_and_are_dropped_over_their_bound() {
    let mut mailboxes = Mailboxes::new(&options());
    for (tag, payload) in [(1, "a"), (2, "b"), (1, "c"), (1, "over")] {
        assert_eq!(put(&mut mailboxes, tag, payload), Offer::Done);
    }
    assert_eq!(mailboxes.counts().dropped_unclaimed, 1);
    let ready = mailboxes.claim(1);
    assert_eq!(ready.available_permits(), 2);
    assert_eq!(mailboxes.unclaimed_ready().available_permits(), 1);
    assert_eq!(mailboxes.take(1), Some(Bytes::from("a")));
    // Unread when its last claim goes, it is unclaimed again, and older than what comes then.
    mailboxes.claim(1);
    mailboxes.release(1);
    assert_eq!(mailboxes.counts().waiting, 1);
    mailboxes.release(1);
    put(&mut mailboxes, 1, "d");
    assert_eq!(mailboxes.counts().waiting, 0);
    let order: Vec<_> = std::iter::from_fn(|| mailboxes.take_unclaimed())
        .map(|message| message.payload)
        .collect();
    assert_eq!(order, ["b", "c", "d"]);
    assert_eq!(mailboxes.counts().unclaimed_bytes, 0);
}

#[test]
fn nothing_unclaimed_is_kept_if_told_so() {
    let mut mailboxes = Mailboxes::new(&TagOptions {
        unclaimed: Unclaimed::Drop,
        ..options()
    });
    put(&mut mailboxes, 1, "a");
    assert_eq!(mailboxes.take_unclaimed_of(1), None);
    assert_eq!(mailboxes.take_unclaimed(), None);
    assert_eq!(mailboxes.counts().dropped_unclaimed, 1);
    let none = Unclaimed::Keep {
        messages_max: 0,
        bytes_max: 10,
    };
    let mut mailboxes = Mailboxes::new(&TagOptions {
        unclaimed: none,
        ..options()
    });
    put(&mut mailboxes, 1, "a");
    assert_eq!(mailboxes.counts().dropped_unclaimed, 1);
}

#[test]
fn the_first_end_counts_and_what_came_before_can_be_taken() {
    let mut mailboxes = Mailboxes::new(&options());
    let ready = mailboxes.claim(1);
    put(&mut mailboxes, 1, "a");
    put(&mut mailboxes, 2, "b");
    mailboxes.end(TagsEnded::Remote);
    mailboxes.end(TagsEnded::Local);
    assert_eq!(mailboxes.how_ended(), TagsEnded::Remote);
    assert!(ready.is_closed() && mailboxes.claim(3).is_closed());
    assert_eq!(put(&mut mailboxes, 1, "late"), Offer::Done);
    assert_eq!(mailboxes.take(1), Some(Bytes::from("a")));
    assert_eq!(mailboxes.take(1), None);
    assert_eq!(mailboxes.take_unclaimed_of(2), Some(Bytes::from("b")));
}

#[derive(Debug, Clone)]
enum Step {
    Offer(u64, usize),
    Claim(u64),
    Release(u64),
    Take(u64),
    TakeUnclaimedOf(u64),
    TakeUnclaimed,
}

fn step() -> impl Strategy<Value = Step> {
    let tag = 0_u64..4;
    prop_oneof![
        4 => (tag.clone(), 0_usize..8).prop_map(|(tag, bytes)| Step::Offer(tag, bytes)),
        1 => tag.clone().prop_map(Step::Claim),
        1 => tag.clone().prop_map(Step::Release),
        2 => tag.clone().prop_map(Step::Take),
        1 => tag.prop_map(Step::TakeUnclaimedOf),
        1 => Just(Step::TakeUnclaimed),
    ]
}

proptest! {
    /// Whatever happens in whatever order: every message is in one place, taken or dropped; each tag keeps its order;
    /// the counts are true; there is a permit for each message.
    #[test]
    fn nothing_is_lost_doubled_or_miscounted(steps in prop::collection::vec(step(), 0..200)) {
        let mut mailboxes = dropping();
        let (mut taken, mut offered) = (0_u64, 0_u64);
        let mut last_of = HashMap::<u64, u64>::new();
        for step in steps {
            let message = match step {
                Step::Offer(tag, bytes) => {
                    offered += 1;
                    mailboxes.offer(tag, Bytes::from(vec![7; bytes]));
                    None
                }
                Step::Claim(tag) => {
                    mailboxes.claim(tag);
                    None
                }
                Step::Release(tag) => {
                    mailboxes.release(tag);
                    None
                }
                Step::Take(tag) => {
                    let number = mailboxes.claimed.get(&tag).and_then(|mailbox| Some(mailbox.messages.front()?.0));
                    mailboxes.take(tag).map(|_| (tag, number))
                }
                Step::TakeUnclaimedOf(tag) => {
                    let number = mailboxes.unclaimed.by_tag.get(&tag).and_then(|numbers| numbers.front().copied());
                    mailboxes.take_unclaimed_of(tag).map(|_| (tag, number))
                }
                Step::TakeUnclaimed => {
                    let number = mailboxes.unclaimed.messages.first_key_value().map(|(number, _)| *number);
                    mailboxes.take_unclaimed().map(|message| (message.tag, number))
                }
            };
            if let Some((tag, number)) = message {
                taken += 1;
                let number = number.expect("what was taken was there");
                if let Some(before) = last_of.insert(tag, number) {
                    prop_assert!(before < number, "tag {tag}: {number} after {before}");
                }
            }
            check(&mailboxes)?;
            let counts = mailboxes.counts();
            let here = (counts.waiting + counts.unclaimed) as u64;
            prop_assert_eq!(counts.received, offered);
            prop_assert_eq!(offered, taken + here + counts.dropped_full + counts.dropped_unclaimed);
        }
    }
}

/// What must hold between any two steps.
fn check(mailboxes: &Mailboxes) -> Result<(), TestCaseError> {
    let mut waiting = Load::default();
    for mailbox in mailboxes.claimed.values() {
        prop_assert!(mailbox.claims > 0);
        prop_assert!(mailbox.ready.available_permits() >= mailbox.messages.len());
        let bytes: usize = mailbox.messages.iter().map(|(_, payload)| payload.len()).sum();
        prop_assert_eq!(mailbox.bytes, bytes);
        mailbox
            .messages
            .iter()
            .for_each(|(_, payload)| waiting.add(payload.len()));
    }
    prop_assert_eq!(mailboxes.waiting, waiting);
    let lobby = &mailboxes.unclaimed;
    let mut load = Load::default();
    lobby
        .messages
        .values()
        .for_each(|message| load.add(message.payload.len()));
    prop_assert_eq!(lobby.load, load);
    prop_assert!(lobby.load.messages <= 3);
    prop_assert!(lobby.ready.available_permits() >= lobby.messages.len());
    let by_tag: usize = lobby.by_tag.values().map(VecDeque::len).sum();
    prop_assert_eq!(by_tag, lobby.messages.len());
    prop_assert!(lobby.by_tag.values().all(|numbers| !numbers.is_empty()));
    prop_assert!(
        lobby
            .messages
            .values()
            .all(|message| !mailboxes.claimed.contains_key(&message.tag))
    );
    Ok(())
}
