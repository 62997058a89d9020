//! Histories that no correct store gives are refused, those of a register that does one thing at a time are not.

mod generated;

use super::{Line, Op, Outcome, Report, Told, check, parse};

const KEY: &str = "b/k";

fn at(op: Op, call_us: u64, return_us: u64) -> Line {
    Line::called(1, op, KEY, call_us).returned(return_us, Outcome::Ok)
}

fn put(value: &str, call_us: u64, return_us: u64) -> Line {
    Line { value: Some(value.to_owned()), ..at(Op::Put, call_us, return_us) }
}

fn unknown(line: Line) -> Line {
    Line { outcome: Outcome::Unknown, return_us: None, ..line }
}

fn refused(line: Line) -> Line {
    Line { outcome: Outcome::Refused, ..line }
}

fn if_absent(line: Line) -> Line {
    Line { if_none_match: true, ..line }
}

fn if_match(etag: &str, line: Line) -> Line {
    Line { if_match: Some(etag.to_owned()), ..line }
}

fn get(seen: Option<&str>, call_us: u64, return_us: u64) -> Line {
    Line { seen: seen.map(str::to_owned), ..at(Op::Get, call_us, return_us) }
}

fn delete(call_us: u64, return_us: u64) -> Line {
    at(Op::Delete, call_us, return_us)
}

fn list(listed: &[(&str, &str)], call_us: u64, return_us: u64) -> Line {
    let listed = listed.iter().map(|(key, etag)| ((*key).to_owned(), (*etag).to_owned())).collect();
    Line { key: String::new(), prefix: Some("b/".into()), listed, ..at(Op::List, call_us, return_us) }
}

fn checked(history: &[Line]) -> Report {
    check(history).expect("a history")
}

#[track_caller]
fn good(history: &[Line]) {
    let report = checked(history);
    let told: Vec<_> = report.offences.iter().map(|offence| Told(offence, history).to_string()).collect();
    assert!(report.is_linearisable(), "{told:?}");
}

#[track_caller]
fn bad(history: &[Line]) {
    let report = checked(history);
    assert_eq!(report.offences.len(), 1, "{report:?}");
}

#[test]
fn a_stale_read_is_refused() {
    bad(&[put("1", 0, 1), put("2", 2, 3), get(Some("1"), 4, 5)]);
    good(&[put("1", 0, 1), put("2", 2, 4), get(Some("1"), 3, 5)]);
}

#[test]
fn a_read_that_goes_back_is_refused_though_both_overlap_the_write() {
    bad(&[put("1", 0, 1), put("2", 2, 9), get(Some("2"), 3, 4), get(Some("1"), 5, 6)]);
    good(&[put("1", 0, 1), put("2", 2, 9), get(Some("1"), 3, 4), get(Some("2"), 5, 6)]);
}

#[test]
fn a_lost_update_is_refused() {
    let first = if_match("0", put("1", 2, 5));
    bad(&[put("0", 0, 1), first.clone(), if_match("0", put("2", 3, 6))]);
    good(&[put("0", 0, 1), first, refused(if_match("0", put("2", 3, 6)))]);
}

#[test]
fn two_winners_of_if_none_match_are_refused() {
    let first = if_absent(put("1", 0, 5));
    bad(&[first.clone(), if_absent(put("2", 1, 6))]);
    good(&[first.clone(), refused(if_absent(put("2", 1, 6)))]);
    good(&[first, delete(1, 6), if_absent(put("2", 1, 6))]);
}

#[test]
fn a_condition_that_refused_without_cause_is_refused() {
    bad(&[refused(if_absent(put("1", 0, 5)))]);
    bad(&[put("1", 0, 1), refused(if_match("1", put("2", 2, 3)))]);
    good(&[refused(if_match("1", put("2", 2, 3)))]);
}

#[test]
fn a_resurrected_delete_is_refused() {
    bad(&[put("1", 0, 1), delete(2, 3), get(None, 4, 5), get(Some("1"), 6, 7)]);
    bad(&[put("1", 0, 1), delete(2, 3), get(Some("1"), 6, 7)]);
}

#[test]
fn an_acknowledged_write_that_is_gone_is_refused() {
    bad(&[put("1", 0, 1), get(None, 2, 3)]);
    bad(&[put("1", 0, 1), unknown(delete(4, 0)), get(None, 2, 3)]);
}

#[test]
fn a_read_from_the_future_is_refused() {
    bad(&[get(Some("1"), 0, 1), put("1", 2, 3)]);
    bad(&[get(Some("1"), 0, 1), unknown(put("1", 2, 3))]);
    bad(&[get(Some("nobody's"), 0, 1)]);
}

#[test]
fn an_unknown_write_may_come_late_or_never_but_not_twice() {
    let put_late = unknown(put("1", 0, 0));
    good(&[put_late.clone(), get(None, 5, 6), get(Some("1"), 7, 8)]);
    good(&[put_late.clone(), get(None, 5, 6), put("2", 7, 8), get(Some("2"), 9, 10)]);
    bad(&[put_late.clone(), get(Some("1"), 3, 4), put("2", 5, 6), get(Some("1"), 7, 8)]);
    good(&[put_late.clone(), put("2", 5, 6), get(Some("1"), 7, 8)]);
    good(&[put_late, refused(if_absent(put("2", 3, 4)))]);
}

#[test]
fn what_failed_for_certain_must_not_be_seen() {
    let failed = Line { outcome: Outcome::Failed, ..put("1", 0, 1) };
    bad(&[failed.clone(), get(Some("1"), 2, 3)]);
    good(&[failed, get(None, 2, 3)]);
}

#[test]
fn a_listing_that_misses_an_acknowledged_key_is_refused() {
    bad(&[put("1", 0, 1), list(&[], 2, 3)]);
    bad(&[put("1", 0, 1), delete(2, 3), list(&[(KEY, "1")], 4, 5)]);
    good(&[put("1", 0, 3), list(&[], 2, 4), list(&[(KEY, "1")], 5, 6)]);
}

#[test]
fn a_page_speaks_of_its_range_alone() {
    let page = Line { after: Some("b/k".into()), until: Some("b/m".into()), ..list(&[("b/l", "2")], 2, 3) };
    let other = Line { key: "b/l".into(), ..put("2", 0, 1) };
    let beyond = Line { key: "b/z".into(), ..put("3", 0, 1) };
    good(&[put("1", 0, 1), other, beyond, page]);
}

#[test]
fn a_copy_reads_its_source() {
    let copy =
        Line { key: "b/z".into(), source: Some(KEY.into()), value: Some("1".into()), ..at(Op::Copy, 4, 5) };
    good(&[put("1", 0, 1), copy.clone()]);
    bad(&[put("1", 0, 1), put("2", 2, 3), copy]);
}

#[test]
fn a_value_that_its_writer_never_learned_is_one_value() {
    let copy = Line { value: None, ..unknown(at(Op::Copy, 0, 0)) };
    good(&[copy.clone(), get(Some("1"), 2, 3), get(Some("1"), 4, 5)]);
    bad(&[copy, get(Some("1"), 2, 3), get(Some("2"), 4, 5)]);
}

#[test]
fn an_offence_is_told_by_what_it_takes() {
    let mut history = vec![put("1", 0, 1), put("2", 2, 3)];
    history.extend((0..20).map(|read| get(Some("2"), 4 + read, 5 + read)));
    history.push(get(Some("1"), 40, 41));
    history.push(put("3", 50, 51));
    let report = checked(&history);
    assert_eq!(report.offences[0].lines, [0, 1, 22]);
}

#[test]
fn lines_that_make_no_sense_are_errors_with_their_number() {
    let told = |text: &str| parse(text).and_then(|lines| check(&lines)).expect_err("nonsense").to_string();
    assert!(told("\n{\"client\":1}").starts_with("line 2: "));
    let typo = r#"{"client":1,"op":"put","key":"b/k","if_nonmatch":true,"call_us":1,"outcome":"unknown"}"#;
    assert!(told(typo).contains("if_nonmatch"));
    let backwards = r#"{"client":1,"op":"delete","key":"b/k","call_us":2,"return_us":1,"outcome":"ok"}"#;
    assert!(told(backwards).contains("before it was called"));
    let refusal = r#"{"client":1,"op":"delete","key":"b/k","call_us":1,"return_us":1,"outcome":"refused"}"#;
    assert!(told(refusal).contains("condition"));
}

#[test]
fn the_example_of_the_documentation_is_linearisable() {
    let example: String = include_str!("../history.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! {"))
        .map(|line| format!("{{{line}\n"))
        .collect();
    let lines = parse(&example).expect("parses");
    assert_eq!(lines.len(), 8);
    good(&lines);
    let again: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).expect("is JSON")).collect();
    assert_eq!(parse(&again.join("\n")).expect("parses"), lines);
}
