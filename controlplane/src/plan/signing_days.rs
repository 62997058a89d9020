//! Which days' signing keys a node holds: a presigned URL lives seven days, and clocks may be a day ahead.

use jiff::civil::Date;

use crate::limits::{DAY_MS, SIGNING_DAYS_AHEAD, SIGNING_DAYS_BACK};

/// Dates as yyyymmdd, from a week back to tomorrow (UTC).
#[must_use]
pub fn signing_days(now_ms: u64) -> Vec<u32> {
    let today = i64::try_from(now_ms / DAY_MS).expect("a date");
    (today - SIGNING_DAYS_BACK..=today + SIGNING_DAYS_AHEAD).map(yyyymmdd).collect()
}

fn yyyymmdd(days_since_1970: i64) -> u32 {
    let date = Date::constant(1970, 1, 1)
        .checked_add(jiff::Span::new().days(days_since_1970))
        .expect("a date within jiff's range of 10,000 years");
    let (year, month, day) =
        (date.year().unsigned_abs(), date.month().unsigned_abs(), date.day().unsigned_abs());
    u32::from(year) * 10_000 + u32::from(month) * 100 + u32::from(day)
}

#[cfg(test)]
mod tests {
    use super::signing_days;

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
}
