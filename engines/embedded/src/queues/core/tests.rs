use std::collections::BTreeMap;

use proptest::prelude::*;
use switchboard_engine::Timestamp;
use switchboard_engine::queues::{LEASE_MIN, Push};

use super::*;
use crate::queues::record::{DedupeRecord, Kind, StateRecord, decode_body, encode_body};

mod model;

use model::{Model, Outcome, Step};

/// What the store below would hold.
type Disk = BTreeMap<(Kind, u128), Bytes>;

fn at(millis: u64) -> Moment {
    Moment {
        wall: Timestamp::from_millis(1_000_000 + millis),
        monotonic: Duration::from_millis(millis),
    }
}

fn job(payload: &'static str) -> NewJob {
    let push = Push::new(payload);
    NewJob {
        priority: 0,
        attempts_max: 3,
        delay: Duration::ZERO,
        dedupe: None,
        body: encode_body(&push, Timestamp::default()),
    }
}

/// A round that is under way.
type Round = Vec<((Kind, u128), Option<Bytes>)>;

fn collect(core: &mut Core, now: Moment) -> Round {
    let mut round = Round::new();
    core.drain(now, usize::MAX, usize::MAX, &mut |kind, id, value| {
        round.push(((kind, id), value.map(Bytes::copy_from_slice)));
    });
    round
}

fn stored(core: &mut Core, disk: &mut Disk, round: Round) {
    for (key, value) in round {
        match value {
            Some(value) => disk.insert(key, value),
            None => disk.remove(&key),
        };
    }
    core.confirm(usize::MAX);
}

fn save(core: &mut Core, now: Moment, disk: &mut Disk) -> usize {
    let round = collect(core, now);
    let written = round.len();
    stored(core, disk, round);
    written
}

fn load(disk: &Disk, now: Moment) -> Core {
    let mut core = Core::new();
    let mut dedupes = Vec::new();
    for ((kind, id), value) in disk {
        match kind {
            Kind::State => core.restore(now, *id as u64, StateRecord::decode(value).unwrap()),
            Kind::Dedupe => dedupes.push((DedupeHash(*id), DedupeRecord::decode(value).unwrap())),
            Kind::Ids | Kind::Body | Kind::Reason => {}
        }
    }
    dedupes.sort_by_key(|(_, record)| record.until);
    for (hash, record) in dedupes {
        core.restore_dedupe(now, hash, record);
    }
    core
}

#[test]
fn what_comes_and_goes_within_a_round_is_not_written() {
    let (mut core, mut disk) = (Core::new(), Disk::new());
    core.push(at(0), 1, &job("a")).unwrap();
    let taken = core.reserve(at(0), 1, LEASE_MIN, 7);
    core.ack(at(0), 1, taken[0].token).unwrap();
    assert_eq!(save(&mut core, at(0), &mut disk), 0);
    assert!(core.is_disposable());
    assert_eq!(core.bytes(), 0);
}

#[test]
fn a_body_is_written_once_and_its_end_takes_everything_away() {
    let (mut core, mut disk) = (Core::new(), Disk::new());
    core.push(at(0), 1, &job("a")).unwrap();
    assert_eq!(save(&mut core, at(0), &mut disk), 2);
    let taken = core.reserve(at(0), 1, LEASE_MIN, 7);
    assert_eq!(taken[0].body, None, "memory let go of it");
    assert_eq!(save(&mut core, at(0), &mut disk), 1);
    core.nack(at(0), 1, 7, Duration::ZERO, "no".into()).unwrap();
    assert_eq!(save(&mut core, at(0), &mut disk), 2, "state and reason");
    assert!(core.cancel(1));
    assert_eq!(save(&mut core, at(0), &mut disk), 3);
    assert!(disk.is_empty() && core.is_disposable());
}

#[test]
fn bodies_of_ready_jobs_stay_in_memory_up_to_a_bound() {
    let mut core = Core::new();
    for id in 1..=3 {
        core.push(at(0), id, &job("a")).unwrap();
    }
    core.push(
        at(0),
        4,
        &NewJob {
            delay: LEASE_MIN,
            ..job("a")
        },
    )
    .unwrap();
    let body_bytes = job("a").body.len();
    collect(&mut core, at(0));
    core.confirm(body_bytes);
    assert_eq!(core.bytes(), 2 * body_bytes);
    let bodies: Vec<_> = core
        .reserve(at(0), 3, LEASE_MIN, 7)
        .into_iter()
        .map(|taken| taken.body.is_some())
        .collect();
    assert_eq!(bodies, [true, true, false]);
}

#[test]
fn a_body_that_is_on_the_disk_and_in_memory_is_not_written_again_and_goes_when_it_is_taken() {
    let mut core = Core::new();
    core.push(at(0), 1, &job("a")).unwrap();
    collect(&mut core, at(0));
    core.confirm(0);
    assert!(core.bytes() > 0);
    assert!(core.reserve(at(0), 1, LEASE_MIN, 7)[0].body.is_some());
    assert_eq!(core.bytes(), 0);
    core.nack(at(0), 1, 7, Duration::ZERO, "no".into()).unwrap();
    assert_eq!(collect(&mut core, at(0)).len(), 2, "state and reason");
}

#[test]
fn a_job_that_ends_while_it_is_written_is_taken_away_in_the_next_round() {
    let (mut core, mut disk) = (Core::new(), Disk::new());
    core.push(at(0), 1, &job("a")).unwrap();
    core.push(at(0), 2, &job("b")).unwrap();
    let round = collect(&mut core, at(0));
    assert!(core.cancel(2));
    stored(&mut core, &mut disk, round);
    assert_eq!(disk.len(), 4);
    assert!(!core.is_disposable());
    assert_eq!(save(&mut core, at(0), &mut disk), 2);
    assert_eq!(
        disk.keys().collect::<Vec<_>>(),
        [&(Kind::State, 1), &(Kind::Body, 1)]
    );
}

#[test]
fn a_round_is_cut_by_changes_and_by_bytes() {
    let mut core = Core::new();
    for id in 1..=5 {
        core.push(at(0), id, &job("a")).unwrap();
    }
    let mut records = 0;
    let mut count = |_, _, _: Option<&[u8]>| records += 1;
    assert_eq!(core.drain(at(0), 2, usize::MAX, &mut count), 2);
    assert_eq!(
        core.drain(at(0), usize::MAX, 1, &mut count),
        1,
        "one is always possible"
    );
    assert_eq!((records, core.unsaved()), (6, 2));
}

#[test]
fn a_lease_that_is_over_is_no_right_even_before_anybody_noticed() {
    let mut core = Core::new();
    core.push(at(0), 1, &job("a")).unwrap();
    core.reserve(at(0), 1, Duration::from_millis(100), 7);
    assert_eq!(core.extend(at(99), 1, 7, Duration::from_millis(100)), Ok(()));
    assert_eq!(core.ack(at(199), 1, 7), Err(EngineError::LeaseLost(1)));
    assert!(!core.advance(at(199)));
    assert_eq!(core.counts().ready, 1);
}

#[test]
fn so_many_due_at_once_are_worked_off_in_steps() {
    let mut core = Core::new();
    let jobs = DUE_STEPS_MAX as u64 + 1;
    for id in 1..=jobs {
        core.push(
            at(0),
            id,
            &NewJob {
                delay: Duration::from_millis(5),
                ..job("a")
            },
        )
        .unwrap();
    }
    assert!(!core.advance(at(4)));
    assert!(core.advance(at(5)));
    assert_eq!(core.counts().delayed, 1);
    assert!(!core.advance(at(5)));
    assert_eq!((core.counts().ready, core.quiet_until()), (jobs, NEVER));
}

#[test]
fn a_job_that_cannot_be_read_is_buried() {
    let mut core = Core::new();
    core.push(at(0), 1, &job("a")).unwrap();
    core.reserve(at(0), 1, LEASE_MIN, 7);
    core.bury(1, 8, "another's".into());
    assert_eq!(core.counts().reserved, 1);
    core.bury(1, 7, "damaged".into());
    let seen = core.look(JobState::Dead, 0, 10, 10).outcome;
    assert_eq!(seen[0].reason.as_deref(), Some("damaged"));
}

#[test]
fn walks_go_in_steps_and_stop_when_all_were_found() {
    let mut core = Core::new();
    for id in 1..=10 {
        let delay = if id % 5 == 0 { LEASE_MIN } else { Duration::ZERO };
        core.push(at(0), id, &NewJob { delay, ..job("a") }).unwrap();
    }
    let walked = core.look(JobState::Delayed, 0, 10, 6);
    assert_eq!((walked.outcome.len(), walked.next), (1, Some(7)));
    let walked = core.look(JobState::Delayed, 7, 10, 6);
    assert_eq!((walked.outcome.len(), walked.next), (1, None));
    assert_eq!(core.look(JobState::Dead, 0, 10, 6).next, None);
    let walked = core.purge(JobState::Ready, 0, 4, 100);
    assert_eq!(
        (walked.outcome, walked.next),
        (3, None),
        "those that came later stay"
    );
    let walked = core.purge(JobState::Ready, 0, u64::MAX, 2);
    assert_eq!((walked.outcome, walked.next), (1, Some(6)));
}

#[test]
fn a_wall_clock_set_back_before_a_restart_stretches_nothing_beyond_its_bound() {
    let (mut core, mut disk) = (Core::new(), Disk::new());
    core.push(at(0), 1, &job("a")).unwrap();
    core.reserve(at(0), 1, LEASE_MIN, 7);
    save(&mut core, at(0), &mut disk);
    let earlier = Moment {
        wall: Timestamp::default(),
        monotonic: Duration::ZERO,
    };
    let core = load(&disk, earlier);
    assert_eq!(
        core.quiet_until(),
        1_000_100,
        "within the longest lease: as it was written"
    );
    let disk = disk
        .into_iter()
        .map(|(key, value)| match StateRecord::decode(&value) {
            Some(record) => (
                key,
                Bytes::copy_from_slice(
                    &StateRecord {
                        until: Timestamp::from_millis(u64::MAX),
                        ..record
                    }
                    .encode(),
                ),
            ),
            None => (key, value),
        });
    let core = load(&disk.collect(), earlier);
    assert_eq!(core.quiet_until(), 24 * 3_600_000);
}

#[test]
fn the_window_of_a_dedupe_id_ends_by_time_and_outlasts_its_job() {
    let (mut core, mut disk) = (Core::new(), Disk::new());
    let hash = DedupeHash::of("order 7");
    let deduped = || NewJob {
        dedupe: Some(hash),
        ..job("a")
    };
    assert!(!core.push(at(0), 1, &deduped()).unwrap().duplicate);
    assert!(core.cancel(1));
    assert!(core.is_empty() && !core.is_disposable());
    save(&mut core, at(0), &mut disk);
    let mut core = load(&disk, at(0));
    let pushed = core.push(at(119_999), 2, &deduped()).unwrap();
    assert_eq!(
        pushed,
        Pushed {
            id: JobId(1),
            duplicate: true
        }
    );
    core.advance(at(120_000));
    assert!(!core.push(at(120_000), 3, &deduped()).unwrap().duplicate);
    assert!(core.cancel(3));
    core.advance(at(240_000));
    save(&mut core, at(240_000), &mut disk);
    assert!(disk.is_empty() && core.is_disposable());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a list of jobs with a flag each: the same answers, the same states, through clean reopenings and through
    /// crashes, after which what was saved last is there.
    #[test]
    fn it_does_what_a_simple_model_does(steps in proptest::collection::vec(model::step(), 1..120)) {
        let mut model = Model::default();
        let mut bed = Bed { core: Core::new(), disk: Disk::new(), round: None };
        for step in steps {
            let expected = model.step(&step);
            let outcome = bed.step(&model, &step);
            prop_assert_eq!(outcome, expected, "{:?}", step);
            prop_assert_eq!(bed.see(), model.see(), "{:?}", step);
            prop_assert!(bed.core.quiet_until() > model.now().millis());
        }
    }
}

struct Bed {
    core: Core,
    disk: Disk,
    round: Option<Round>,
}

impl Bed {
    /// Does the step at the moment, and with the lease, that the model says.
    fn step(&mut self, model: &Model, step: &Step) -> Outcome {
        let (now, core) = (model.now(), &mut self.core);
        core.advance(now);
        let (id, token) = model.lease();
        match *step {
            Step::Push {
                priority,
                delay,
                dedupe,
                attempts_max,
            } => {
                let payload = model.last_id().to_string();
                let job = NewJob {
                    priority,
                    attempts_max,
                    delay: Duration::from_millis(delay),
                    dedupe: dedupe.map(|dedupe| DedupeHash::of(&dedupe.to_string())),
                    body: encode_body(&Push::new(payload), Timestamp::default()),
                };
                return Outcome::Pushed(core.push(now, model.last_id(), &job).unwrap());
            }
            Step::Reserve { max, lease } => {
                let taken = core.reserve(now, max, Duration::from_millis(lease), model.last_id());
                return Outcome::Taken(taken.into_iter().map(|taken| self.read(taken)).collect());
            }
            Step::Ack(_) => return Outcome::Done(core.ack(now, id, token).is_ok()),
            Step::Extend(_, time) => {
                let extended = core.extend(now, id, token, Duration::from_millis(time));
                return Outcome::Done(extended.is_ok());
            }
            Step::Nack(_, wait) => {
                let state = core.nack(now, id, token, Duration::from_millis(wait), "no".into());
                return Outcome::Nacked(state.ok());
            }
            Step::Cancel(_) => return Outcome::Done(core.cancel(id)),
            Step::Revive(_) => return Outcome::Done(core.revive(id)),
            Step::GiveBack(_) => core.give_back(id, token),
            Step::Pass(_) | Step::Jump(_) => {}
            Step::Save => self.save(now),
            Step::Collect => self.collect(now),
            Step::Stored => self.stored(),
            Step::Reopen => {
                self.save(now);
                self.load(now);
            }
            Step::Crash => {
                self.round = None;
                self.load(now);
            }
        }
        Outcome::Nothing
    }

    fn collect(&mut self, now: Moment) {
        self.stored();
        self.round = Some(collect(&mut self.core, now));
    }

    fn stored(&mut self) {
        if let Some(round) = self.round.take() {
            stored(&mut self.core, &mut self.disk, round);
        }
    }

    fn save(&mut self, now: Moment) {
        self.collect(now);
        self.stored();
    }

    fn load(&mut self, now: Moment) {
        self.core = load(&self.disk, now);
        self.core.advance(now);
    }

    /// The id and the attempt of a job whose body, wherever it is, says that id.
    fn read(&self, taken: Taken) -> (u64, u32) {
        let on_disk = || self.disk[&(Kind::Body, u128::from(taken.id))].clone();
        let job = decode_body(taken.id, taken.body.unwrap_or_else(on_disk)).unwrap();
        assert_eq!(job.payload, taken.id.to_string());
        (taken.id, taken.attempt)
    }

    /// All jobs with their states, attempts, ends, and whether there is a reason, in memory or on the disk.
    fn see(&self) -> Vec<model::Sight> {
        let states = [
            JobState::Ready,
            JobState::Delayed,
            JobState::Reserved,
            JobState::Dead,
        ];
        let mut sights = Vec::new();
        for state in states {
            let seen = self.core.look(state, 0, usize::MAX, usize::MAX).outcome;
            assert_eq!(seen.len() as u64, self.core.jobs.count(state));
            for Seen { id, slot, reason, .. } in seen {
                let reason = reason.is_some() || self.disk.contains_key(&(Kind::Reason, id.into()));
                assert!(reason || !slot.marks.reason);
                sights.push((id, slot.state, slot.attempts, Core::due(&slot), slot.marks.reason));
            }
        }
        sights.sort_by_key(|sight| sight.0);
        sights
    }
}
