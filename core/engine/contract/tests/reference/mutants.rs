//! Each flaw is found by the property that speaks of it.

use std::panic::catch_unwind;

use switchboard_engine_contract::{PROPERTIES, run};

use crate::bed::ReferenceBed;
use crate::engine::Flaw;

fn is_found(flaw: Flaw, name: &str) {
    let property = PROPERTIES.iter().find(|property| property.name == name);
    let check = property.expect("a property of that name").check;
    let outcome = catch_unwind(|| run(async || ReferenceBed::new(flaw), check));
    assert!(outcome.is_err(), "{name} does not see {flaw:?}");
}

macro_rules! mutants {
    ($($test:ident: $flaw:ident is seen by $property:literal;)*) => {
        $(#[test]
        fn $test() {
            is_found(Flaw::$flaw, $property);
        })*
    };
}

mutants! {
    late_expiry: ExpiresLate is seen by "keys::expired_is_gone_from_its_millisecond_on";
    reused_revisions: ReusesRevisions is seen by "keys::revisions_only_grow";
    half_a_batch: HalfBatch is seen by "keys::a_batch_with_an_unmet_condition_changes_nothing";
    half_a_batch_amid_others: HalfBatch is seen by "keys::everything_together_does_what_a_map_does";
    conditions_apart: ConditionApart is seen by "keys::of_many_conditional_writes_one_wins";
    edits_apart: EditApart is seen by "keys::edits_at_once_all_count";
    edits_apart_from_what_they_saw: EditApart is seen by "keys::an_edit_depends_on_what_it_looked_at";
    half_an_edit: HalfEdit is seen by "keys::an_edit_of_several_keys_is_one_step";
    forgotten_kinds: ForgetsKind is seen by "keys::a_structure_comes_back_as_it_was_put";
    empty_structures: KeepsEmpty is seen by "keys::what_is_empty_is_absent";
    lost_logs: LosesLog is seen by "keys::an_edit_sees_and_changes_its_key";
    lost_logs_amid_others: LosesLog is seen by "keys::edits_together_do_what_structures_do";
    written_for_being_seen: WritesWhatItSaw is seen by "keys::what_an_edit_leaves_alone_is_not_written";
    a_watch_that_skips: WatchSkips is seen by "keys::a_watch_that_was_not_read_tells_the_last_of_every_key";
    a_watch_that_skips_what_was_before: WatchSkips is seen by "keys::a_watch_goes_on_after_reopening";
    a_scan_that_skips: ScanSkips is seen by "keys::scans_are_ordered_and_complete";
    exponents: Exponents is seen by "keys::floats_are_added_and_written_shortest";
    flushing_nothing: NeverFlushes is seen by "keys::what_was_flushed_outlasts_a_crash";
    flushing_no_job: NeverFlushes is seen by "queues::flushed_jobs_outlast_a_crash";
    flushing_no_blob: NeverFlushes is seen by "blobs::finished_blobs_outlast_a_crash";
    losing_the_oldest: LosesTheOldest is seen by "keys::a_crash_loses_only_the_youngest";
    two_leases: LeasesTwice is seen by "queues::a_job_is_given_once_and_gone_when_done";
    two_leases_amid_others: LeasesTwice is seen by "queues::everything_together_does_what_a_list_does";
    old_leases: OldLeaseCounts is seen by "queues::a_job_is_given_again_when_its_lease_is_over";
    leases_by_the_wall_clock: LeasesByWallClock is seen by "queues::leases_and_delays_ignore_jumps_of_the_clock";
    no_priorities: NoPriorities is seen by "queues::higher_priorities_are_given_first";
    forgotten_dedupe_ids: ForgetsDedupe is seen by "queues::a_push_with_the_same_dedupe_id_is_the_first";
    jobs_for_the_gone: TakesForTheGone is seen by "queues::a_worker_who_gave_up_takes_nothing";
    early_blobs: VisibleEarly is seen by "blobs::a_blob_is_visible_when_it_is_finished";
    early_blobs_left_behind: VisibleEarly is seen by "blobs::a_dropped_writer_leaves_nothing";
    mixed_blobs: MixesBlobs is seen by "blobs::a_reader_keeps_to_the_blob_it_opened";
    groups_that_get_all: GroupGetsAll is seen by "bus::a_group_gets_each_message_once";
    silent_losses: LosesSilently is seen by "bus::a_reader_far_behind_is_told_that_he_missed";
}
