//! The date forms of HTTP, S3's XML and SigV4, from and to unix milliseconds. Without a clock: `now` is the caller's.

mod parse;

pub use parse::{parse_amz_basic, parse_http, parse_iso8601, parse_lenient};

const DAY_MS: u64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// 9999-12-31T23:59:59.999Z: all forms have four digits for the year. Later times are written as this one.
pub const UNIX_MS_MAX: u64 = 253_402_300_799_999;

/// A moment in UTC, by the proleptic Gregorian calendar and without leap seconds, as all of these forms have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub millisecond: u16,
}

impl Civil {
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        let unix_ms = unix_ms.min(UNIX_MS_MAX);
        let (days, in_day) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
        let (year, month, day) = civil_of_days(days);
        Self {
            year,
            month,
            day,
            hour: (in_day / 3_600_000) as u8,
            minute: (in_day / 60_000 % 60) as u8,
            second: (in_day / 1000 % 60) as u8,
            millisecond: (in_day % 1000) as u16,
        }
    }

    /// `None` where there is no such moment, or it is before 1970 or after 9999.
    pub fn to_unix_ms(self) -> Option<u64> {
        let in_range = (1970..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.millisecond < 1000;
        let seconds = u64::from(self.hour) * 3600 + u64::from(self.minute) * 60 + u64::from(self.second);
        in_range.then(|| {
            days_of_civil(self.year, self.month, self.day) * DAY_MS
                + seconds * 1000
                + u64::from(self.millisecond)
        })
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: Date, Last-Modified, Expires (RFC 9110, 5.6.7).
pub fn imf_fixdate(unix_ms: u64) -> [u8; 29] {
    let at = Civil::from_unix_ms(unix_ms);
    let mut out = *b"Sun, 06 Nov 1994 08:49:37 GMT";
    out[..3].copy_from_slice(WEEKDAYS[weekday(unix_ms)].as_bytes());
    put(&mut out[5..7], at.day.into());
    out[8..11].copy_from_slice(MONTHS[usize::from(at.month) - 1].as_bytes());
    put(&mut out[12..16], at.year.into());
    put(&mut out[17..19], at.hour.into());
    put(&mut out[20..22], at.minute.into());
    put(&mut out[23..25], at.second.into());
    out
}

/// `2026-11-22T01:02:03.000Z`: a date in S3's XML, the second that Last-Modified has, so that clients may compare the two.
pub fn iso8601_second(unix_ms: u64) -> String {
    iso8601(unix_ms / 1000 * 1000)
}

/// `2026-11-22T01:02:03.004Z`.
pub fn iso8601(unix_ms: u64) -> String {
    let at = Civil::from_unix_ms(unix_ms);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    put(&mut out[..4], at.year.into());
    put(&mut out[5..7], at.month.into());
    put(&mut out[8..10], at.day.into());
    put(&mut out[11..13], at.hour.into());
    put(&mut out[14..16], at.minute.into());
    put(&mut out[17..19], at.second.into());
    put(&mut out[20..23], at.millisecond.into());
    ascii(&out)
}

/// `20261122T010203Z`: `x-amz-date`.
pub fn amz_basic(unix_ms: u64) -> String {
    let at = Civil::from_unix_ms(unix_ms);
    let mut out = *b"00000000T000000Z";
    put(&mut out[..8], yyyymmdd(unix_ms));
    put(&mut out[9..11], at.hour.into());
    put(&mut out[11..13], at.minute.into());
    put(&mut out[13..15], at.second.into());
    ascii(&out)
}

/// `20261122` as a number: the date of a SigV4 credential scope.
pub fn yyyymmdd(unix_ms: u64) -> u32 {
    let at = Civil::from_unix_ms(unix_ms);
    u32::from(at.year) * 10_000 + u32::from(at.month) * 100 + u32::from(at.day)
}

/// Midnight, UTC, of a day written as [`yyyymmdd`].
pub fn day_start_ms(yyyymmdd: u32) -> Option<u64> {
    let civil = Civil {
        year: u16::try_from(yyyymmdd / 10_000).ok()?,
        month: (yyyymmdd / 100 % 100) as u8,
        day: (yyyymmdd % 100) as u8,
        hour: 0,
        minute: 0,
        second: 0,
        millisecond: 0,
    };
    civil.to_unix_ms()
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn put(out: &mut [u8], mut value: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Monday is 0; 1970-01-01 was a Thursday.
fn weekday(unix_ms: u64) -> usize {
    ((unix_ms.min(UNIX_MS_MAX) / DAY_MS + 3) % 7) as usize
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 => 28 + u8::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to January 1st of `year`, which has a 29th of February before it every 4th, but not every
/// 100th, but every 400th year; 477 of them lie before 1970.
fn days_before_year(year: u16) -> u64 {
    let years = u64::from(year) - 1;
    u64::from(year - 1970) * 365 + (years / 4 - years / 100 + years / 400) - 477
}

fn days_of_civil(year: u16, month: u8, day: u8) -> u64 {
    let months: u64 = (1..month).map(|month| u64::from(days_in_month(year, month))).sum();
    days_before_year(year) + months + u64::from(day) - 1
}

fn civil_of_days(days: u64) -> (u16, u8, u8) {
    // 365.2425 days make an average year; the guess is off by one at most, near New Year.
    let mut year = (1970 + days * 10_000 / 3_652_425) as u16;
    if days_before_year(year) > days {
        year -= 1;
    } else if days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= u64::from(days_in_month(year, month)) {
        day -= u64::from(days_in_month(year, month));
        month += 1;
    }
    (year, month, day as u8 + 1)
}

#[cfg(test)]
mod tests;
