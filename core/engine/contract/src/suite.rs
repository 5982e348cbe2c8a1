//! The list of all properties, and what runs one.

use std::fmt;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::TestBed;

/// Longest run of one property: over that it hangs.
const PROPERTY_TIME_MAX: Duration = Duration::from_secs(300);

/// One property, for harnesses of one's own.
#[derive(Clone, Copy)]
pub struct Property {
    /// Its part and name: `keys::what_was_put_is_there`.
    pub name: &'static str,
    /// Tries it; it panics where the engine does not keep it.
    pub check: Check,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Tries a property on a bed.
pub type Check = for<'a> fn(&'a mut dyn TestBed) -> LocalBoxFuture<'a, ()>;

/// Tries one property on a bed of its own, with a runtime of two threads.
///
/// # Panics
/// When the property is not kept, or hangs.
pub fn run<B: TestBed, F: Future<Output = B>>(bed: impl FnOnce() -> F, check: Check) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut bed = bed().await;
        let checked = tokio::time::timeout(PROPERTY_TIME_MAX, check(&mut bed)).await;
        assert!(checked.is_ok(), "the property hangs");
    });
    // A task of the engine that still waits must not hold up the test.
    runtime.shutdown_background();
}

/// One test for each property: `contract_tests!(my_bed);`, where `my_bed` makes a bed: `async fn() -> impl TestBed`.
#[macro_export]
macro_rules! contract_tests {
    (@tests [$bed:expr] $($part:ident { $($property:ident)* })*) => {
        $(mod $part {
            #[allow(unused_imports)]
            use super::*;

            $(#[test]
            fn $property() {
                $crate::run($bed, |bed| ::std::boxed::Box::pin($crate::$part::$property(bed)));
            })*
        })*
    };
    (@list [] $($part:ident { $($property:ident)* })*) => {
        &[$($($crate::Property {
            name: concat!(stringify!($part), "::", stringify!($property)),
            check: |bed| ::std::boxed::Box::pin($crate::$part::$property(bed)),
        },)*)*]
    };
    (@every $then:ident $bed:tt) => {
        $crate::contract_tests! { @$then $bed
            whole {
                it_says_what_it_is
                it_can_be_flushed_at_any_time
                it_can_be_closed_twice
                it_is_unavailable_once_closed
                queues_are_unavailable_once_closed
                blobs_and_bus_are_unavailable_once_closed
            }
            keys {
                what_was_put_is_there
                writes_tell_before_and_after
                an_empty_value_is_a_value
                deleting_nothing_is_nothing
                append_adds_to_the_end
                touch_changes_only_the_expiry
                created_is_when_it_came_to_be
                keys_are_any_bytes
                keys_may_be_long
                what_is_no_key_is_not_there
                values_have_a_limit
                buckets_are_apart
                buckets_are_listed_while_they_hold_something
                clear_deletes_every_key
                many_are_read_in_their_order
                conditions_are_met_or_nothing_changes
                every_change_can_have_a_condition
                integers_are_added
                integers_overflow_at_their_ends
                only_integers_are_incremented
                floats_are_added_and_written_shortest
                floats_are_added_to_integers
                only_finite_numbers_are_added
                increments_keep_the_expiry
                expired_is_gone_from_its_millisecond_on
                expired_is_absent_for_writes
                expired_is_cleared_up_and_told
                expiry_is_kept_cleared_and_moved
                expiring_in_the_past_deletes
                expiry_follows_the_wall_clock
                expiry_outlasts_reopening
                a_batch_writes_all_its_keys
                later_writes_of_a_batch_see_earlier_ones
                a_batch_with_an_unmet_condition_changes_nothing
                a_batch_with_an_error_changes_nothing
                batches_have_a_limit
                a_batch_is_one_step_for_watchers
                scans_are_ordered_and_complete
                pages_keep_to_their_limits
                pages_are_bounded_in_bytes
                an_entry_larger_than_a_page_is_a_page
                scans_without_values_tell_the_rest
                scans_of_nothing_end_at_once
                scans_see_what_stays_while_others_write
                a_watch_of_everything_brings_what_there_is
                a_watch_of_nothing_is_current_at_once
                a_watch_from_now_brings_only_changes
                a_watch_keeps_to_its_prefix_and_bucket
                a_watch_after_a_revision_misses_nothing
                a_watch_goes_on_after_reopening
                a_watch_that_was_not_read_tells_the_last_of_every_key
                many_watches_all_hear
                a_clearing_is_told
                a_watch_ends_with_its_engine
                another_hub_hears_and_sees
                of_many_conditional_writes_one_wins
                of_many_who_put_the_absent_one_wins
                concurrent_changes_all_count
                a_watcher_of_many_writers_ends_with_what_there_is
                readers_see_whole_batches
                a_structure_comes_back_as_it_was_put
                kinds_take_the_place_of_each_other
                only_plain_values_are_incremented_and_appended_to
                structures_have_conditions_and_expiries
                putting_an_empty_structure_deletes
                what_is_no_structure_is_refused
                structures_outlast_reopening_and_crashes
                an_edit_sees_and_changes_its_key
                what_an_edit_leaves_alone_is_not_written
                edits_set_and_clear_the_expiry
                what_is_empty_is_absent
                what_is_taken_is_placed_whole
                an_edit_reaches_what_it_names
                edits_are_told
                an_edit_that_is_too_large_changes_nothing
                edits_and_writes_see_each_other
                edits_at_once_all_count
                an_edit_of_several_keys_is_one_step
                an_edit_depends_on_what_it_looked_at
                a_crash_leaves_edits_whole
                edits_together_do_what_structures_do
                everything_outlasts_reopening
                revisions_only_grow
                what_was_flushed_outlasts_a_crash
                a_crash_loses_only_the_youngest
                everything_together_does_what_a_map_does
            }
            queues {
                a_job_comes_as_it_was_pushed
                jobs_are_given_in_the_order_of_pushing
                higher_priorities_are_given_first
                what_comes_back_keeps_its_place
                a_delayed_job_waits_for_its_time
                a_push_with_the_same_dedupe_id_is_the_first
                pushes_have_limits
                reservations_have_limits
                queues_are_apart
                a_job_is_given_once_and_gone_when_done
                a_job_is_given_again_when_its_lease_is_over
                a_lease_that_was_never_given_is_lost
                an_extended_lease_ends_at_its_new_time
                a_job_that_failed_is_tried_again
                a_job_without_attempts_left_is_dead
                a_lease_that_is_over_is_a_failed_attempt
                a_revived_job_has_all_its_attempts_again
                leases_and_delays_ignore_jumps_of_the_clock
                a_lease_is_good_at_another_hub
                onlookers_see_where_jobs_stand
                looks_come_in_pages
                a_cancelled_job_is_gone
                a_purge_takes_one_state_away
                queues_are_listed_while_they_hold_a_job
                a_push_wakes_a_waiting_worker
                a_push_wakes_a_worker_at_another_hub
                what_comes_back_wakes_a_waiting_worker
                what_falls_due_wakes_a_waiting_worker
                a_worker_does_not_wait_for_more
                a_worker_who_waited_in_vain_gets_nothing
                a_worker_who_gave_up_takes_nothing
                many_workers_do_every_job_once
                of_many_who_finish_a_job_one_does
                of_many_pushes_with_one_dedupe_id_one_is_new
                jobs_outlast_reopening
                leases_and_delays_run_on_over_a_reopening
                ids_go_on_after_the_queue_was_empty
                flushed_jobs_outlast_a_crash
                a_crash_loses_only_the_youngest_jobs
                everything_together_does_what_a_list_does
            }
            blobs {
                a_blob_comes_back_as_it_was_written
                a_blob_may_have_a_content_type
                a_blob_is_visible_when_it_is_finished
                a_dropped_writer_leaves_nothing
                concurrent_writers_mix_nothing
                a_deleted_blob_is_gone
                names_are_any_text
                illegal_names_are_invalid
                buckets_of_blobs_are_apart
                blobs_outlast_reopening
                finished_blobs_outlast_a_crash
                ranges_bring_their_bytes
                a_reader_keeps_to_the_blob_it_opened
                many_may_read_at_once
                lists_come_in_order_and_pages
                another_hub_reads_it
            }
            bus {
                a_message_comes_as_it_was_published
                messages_come_in_the_order_of_their_publisher
                filters_match_as_at_the_hub
                each_message_comes_where_its_filters_match
                a_group_gets_each_message_once
                dropping_a_subscription_ends_it
                a_reader_far_behind_is_told_that_he_missed
                payloads_have_a_limit
                a_subscription_ends_with_its_engine
                a_request_gets_its_answer
                the_first_answer_counts
                a_request_to_nobody_fails_at_once
                a_request_without_an_answer_ends_after_its_time
                of_a_group_one_is_asked
            }
        }
    };
    ($bed:expr) => {
        $crate::contract_tests! { @every tests [$bed] }
    };
}

/// All properties.
pub const PROPERTIES: &[Property] = contract_tests! { @every list [] };
