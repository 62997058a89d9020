//! Which days' signing keys a node holds: a presigned URL lives seven days, and clocks may be a day ahead.

use jiff::civil::Date;

use crate::limits::{DAY_MS, SIGNING_DAYS_AHEAD, SIGNING_DAYS_BACK};

const DAY_ZERO: Date = Date::constant(1970, 1, 1);

/// Dates as yyyymmdd, from a week back to tomorrow (UTC).
#[must_use]
pub fn signing_days(now_ms: u64) -> Vec<u32> {
    let today = i64::try_from(now_ms / DAY_MS).expect("a date");
    (today - SIGNING_DAYS_BACK..=today + SIGNING_DAYS_AHEAD).map(yyyymmdd).collect()
}

fn yyyymmdd(days_since_1970: i64) -> u32 {
    number(after(days_since_1970))
}

fn after(days_since_1970: i64) -> Date {
    let span = jiff::Span::new().days(days_since_1970);
    DAY_ZERO.checked_add(span).expect("a date within jiff's range of 10,000 years")
}

/// A date as credential scopes write it.
fn number(date: Date) -> u32 {
    let (year, month, day) =
        (date.year().unsigned_abs(), date.month().unsigned_abs(), date.day().unsigned_abs());
    u32::from(year) * 10_000 + u32::from(month) * 100 + u32::from(day)
}

/// The first day, as yyyymmdd, of which no node holds signing keys yet.
fn unknown_to_nodes(now_ms: u64) -> u32 {
    yyyymmdd(i64::try_from(now_ms / DAY_MS).expect("a date") + SIGNING_DAYS_AHEAD + 1)
}

/// Reads YYYY-MM-DD, the first day whose signatures are to count. A sentence, if it is no date or one that would end the key for
/// longer than it takes for every signing key that a node ever held to be worthless.
pub fn first_trusted_day(text: &str, now_ms: u64) -> Result<u32, String> {
    let date: Date =
        text.parse().map_err(|_| format!("`{text}` is no date; write it as YYYY-MM-DD (UTC)"))?;
    let (day, latest) = (number(date), unknown_to_nodes(now_ms));
    if date < DAY_ZERO || day > latest {
        let latest = dashed(latest).unwrap_or_default();
        return Err(format!(
            "{text} is too far away: from {latest} on no signing key of this key has left the control plane; to end it, revoke it"
        ));
    }
    Ok(day)
}

/// yyyymmdd as YYYY-MM-DD; `None`: 0, no bound.
#[must_use]
pub fn dashed(day: u32) -> Option<String> {
    (day > 0).then(|| format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100))
}

#[cfg(test)]
mod tests {
    use super::{dashed, first_trusted_day, signing_days};

    #[test]
    fn a_week_back_to_tomorrow_over_a_leap_day() {
        // 2024-03-01 00:00:00 UTC
        let days = signing_days(1_709_251_200_000);
        assert_eq!(
            days,
            [20240223, 20240224, 20240225, 20240226, 20240227, 20240228, 20240229, 20240301, 20240302]
        );
        assert_eq!(signing_days(1_709_251_199_999).last(), Some(&20240301));
    }

    #[test]
    fn signatures_are_refused_until_the_first_day_that_nobody_holds_keys_of() {
        let first = |text| first_trusted_day(text, 1_709_251_200_000);
        assert_eq!((first("2024-03-03"), first("2024-02-29")), (Ok(20240303), Ok(20240229)));
        for wrong in ["2024-03-04", "1969-12-31", "2024-02-30", "20240301x", "", "tomorrow"] {
            assert!(first(wrong).is_err(), "{wrong}");
        }
        assert_eq!((dashed(20240229).as_deref(), dashed(0)), (Some("2024-02-29"), None));
    }
}
