//! Dates as other systems write them, and round trips.

use proptest::prelude::*;

use super::*;

const RFC9110: u64 = 784_111_777_000;

fn imf(unix_ms: u64) -> String {
    ascii(&imf_fixdate(unix_ms))
}

#[test]
fn written_forms() {
    assert_eq!(imf(RFC9110), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(imf(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(imf(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(imf(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    // GNU date: date -u -d 2026-11-22T01:02:03Z +%s
    let at = 1_795_309_323_004;
    assert_eq!(iso8601(at), "2026-11-22T01:02:03.004Z");
    assert_eq!(amz_basic(at), "20261122T010203Z");
    assert_eq!(yyyymmdd(at), 20_261_122);
    assert_eq!(day_start_ms(20_261_122), Some(at / DAY_MS * DAY_MS));
    assert_eq!(day_start_ms(20_260_229), None);
    assert_eq!(day_start_ms(u32::MAX), None);
}

#[track_caller]
fn check(text: &str, expected: Option<u64>) {
    assert_eq!(parse_lenient(text), expected, "{text:?}");
}

#[test]
fn read_forms() {
    check("Sun, 06 Nov 1994 08:49:37 GMT", Some(RFC9110));
    check("Sunday, 06-Nov-94 08:49:37 GMT", Some(RFC9110));
    check("Sun Nov  6 08:49:37 1994", Some(RFC9110));
    check("1994-11-06T08:49:37Z", Some(RFC9110));
    check("1994-11-06T08:49:37.5Z", Some(RFC9110 + 500));
    check("1994-11-06T08:49:37.123456789Z", Some(RFC9110 + 123));
    check("19941106T084937Z", Some(RFC9110));
    check("Saturday, 01-Jan-00 00:00:00 GMT", Some(946_684_800_000));
    check("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800_000));
}

#[test]
fn what_is_no_date() {
    for text in [
        "",
        "yesterday",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 GMT;",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 23:59:60 GMT",
        "Sun, 31 Nov 1994 00:00:00 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "1994-11-06T08:49:37",
        "1994-11-06T08:49:37.Z",
        "1994-13-06T08:49:37Z",
        "19941106T084937",
        "+9941106T084937Z",
        "é9941106T084937Z",
    ] {
        check(text, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_reads_back(unix_ms in 0..=UNIX_MS_MAX) {
        let second = unix_ms / 1000 * 1000;
        prop_assert_eq!(parse_http(&imf(unix_ms)), Some(second));
        prop_assert_eq!(parse_iso8601(&iso8601(unix_ms)), Some(unix_ms));
        prop_assert_eq!(parse_amz_basic(&amz_basic(unix_ms)), Some(second));
        prop_assert_eq!(Civil::from_unix_ms(unix_ms).to_unix_ms(), Some(unix_ms));
        prop_assert_eq!(day_start_ms(yyyymmdd(unix_ms)), Some(unix_ms / DAY_MS * DAY_MS));
    }

    #[test]
    fn next_day_is_the_next_day(day in 0..UNIX_MS_MAX / DAY_MS) {
        let (today, tomorrow) = (Civil::from_unix_ms(day * DAY_MS), Civil::from_unix_ms((day + 1) * DAY_MS));
        let last = today.day == days_in_month(today.year, today.month);
        prop_assert_eq!(tomorrow.day, if last { 1 } else { today.day + 1 });
    }

    #[test]
    fn no_text_upsets_the_parser(text in ".{0,40}") {
        let _ = parse_lenient(&text);
    }
}
