//! Nodes on one core, over real sockets and with certificates of a CA of their own.

mod bad_nodes;
mod bad_servers;
mod blobs;
mod drives;
mod identity;
mod raw;
mod rig;
mod tickets;

use std::future::Future;

use crate::rt::epoll::EpollRt;
use crate::rt::monoio::UringRt;
use crate::rt::{CoreConfig, Rt};

/// Runs each named check as a test of its own, over io_uring and over epoll.
macro_rules! on_both_runtimes {
    ($($part:ident $name:ident),* $(,)?) => {
        mod uring {
            $(#[test] fn $name() { super::on_core::<super::UringRt, _>(super::$part::$name::<super::UringRt>); })*
        }
        mod epoll {
            $(#[test] fn $name() { super::on_core::<super::EpollRt, _>(super::$part::$name::<super::EpollRt>); })*
        }
    };
}

on_both_runtimes!(
    blobs a_blob_over_three_nodes_outlives_one_of_them,
    blobs an_upload_that_is_given_up_leaves_nothing_on_any_node,
    drives what_a_node_does_with_its_drives_it_does_with_anothers,
    drives pieces_of_every_length_come_back_whole,
    drives a_flush_covers_no_append_of_a_broken_connection,
    drives a_fragment_that_moved_is_found_on_another_node,
    drives all_nodes_are_asked_and_who_is_silent_is_named,
    drives a_write_that_lacks_nodes_has_those_tried_that_are_left_alone,
    drives a_node_that_the_authority_speaks_of_is_tried_at_once,
    drives a_node_that_had_no_drives_when_it_was_asked_is_asked_again,
    drives a_blob_that_another_node_reads_is_not_deleted,
    drives what_is_read_for_long_is_kept_where_it_was_put_before_the_reader_comes_to_it,
    drives two_nodes_that_read_from_each_other_keep_nothing_for_each_others_sake,
    drives faults_of_a_drive_keep_their_type,
    drives more_requests_than_fit_wait_and_are_all_answered,
    bad_nodes certificates_that_name_no_node_of_ours_are_refused,
    bad_nodes a_certificate_that_tls_does_not_believe_comes_to_no_greeting,
    bad_nodes a_node_that_is_revoked_is_refused_on_its_open_connection,
    bad_nodes frames_that_are_none_are_refused_and_harm_nothing,
    bad_nodes what_comes_before_the_greeting_is_refused_once_and_never_received,
    bad_nodes a_greeting_that_trickles_is_too_late,
    bad_nodes who_reads_no_answers_is_not_received_from,
    tickets each_wrong_ticket_is_refused_with_its_reason,
    tickets blobs_that_a_node_wrote_it_writes_without_a_ticket,
    tickets a_node_that_hears_nothing_wants_a_ticket_for_every_blob,
    tickets what_is_there_is_not_replaced_by_who_shows_a_ticket,
    tickets what_was_made_again_elsewhere_is_not_deleted_at_anothers_word,
    tickets a_ticket_is_asked_for_once_and_again_when_it_is_refused,
    bad_servers a_server_that_lies_is_not_believed,
    bad_servers a_server_that_is_another_is_told_nothing,
    bad_servers a_server_that_says_nothing_costs_its_askers_once,
    bad_servers a_server_that_stops_answering_fails_what_waits,
);

fn on_core<R: Rt, F: Future<Output = ()>>(main: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| R::run(&CoreConfig { index: 0, cpu: None }, main()).unwrap());
    thread.join().expect("the check passes");
}
