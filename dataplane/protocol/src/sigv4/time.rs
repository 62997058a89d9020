//! The moment a request says it was signed at.

use crate::date;

/// A time of the form `20130524T000000Z`: the text that is signed, and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestTime {
    pub(super) text: [u8; 16],
    pub(super) unix_ms: u64,
    /// yyyymmdd
    pub(super) day: u32,
}

impl RequestTime {
    /// Reads `yyyymmddThhmmssZ`; `None` for anything else and for moments that do not exist.
    pub(super) fn parse_basic(text: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = text.try_into().ok()?;
        let unix_ms = date::parse_amz_basic(std::str::from_utf8(text).ok()?)?;
        Some(Self { text: bytes, unix_ms, day: date::yyyymmdd(unix_ms) })
    }

    /// A `Date` header: the same form, or an HTTP date, which is signed in the basic form.
    pub(super) fn parse_date_header(value: &[u8]) -> Option<Self> {
        let http = || {
            let unix_ms = date::parse_http(std::str::from_utf8(value).ok()?)?;
            Self::parse_basic(date::amz_basic(unix_ms).as_bytes())
        };
        Self::parse_basic(value).or_else(http)
    }
}

/// Reads eight digits that are a date.
pub(super) fn parse_day(text: &str) -> Option<u32> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let day = digits.then(|| text.parse().ok()).flatten()?;
    date::day_start_ms(day).map(|_| day)
}

/// `2013-05-24T00:00:00Z`, as error answers show times.
pub(super) fn extended(unix_ms: u64) -> String {
    let mut text = date::iso8601_second(unix_ms);
    text.truncate("2013-05-24T00:00:00".len());
    text + "Z"
}

#[cfg(test)]
mod tests {
    use super::{RequestTime, extended, parse_day};

    #[test]
    fn reads_what_is_a_time_and_nothing_else() {
        let time = RequestTime::parse_basic(b"20130524T000001Z").expect("a time");
        assert_eq!((time.unix_ms, time.day), (1_369_353_601_000, 20_130_524));
        assert_eq!(extended(time.unix_ms + 999), "2013-05-24T00:00:01Z");
        let same = RequestTime::parse_date_header(b"Fri, 24 May 2013 00:00:01 GMT");
        assert_eq!(same, Some(time));
        assert_eq!(RequestTime::parse_date_header(b"20130524T000001Z"), Some(time));
        let shapes = ["", "20130524T000000", "20130524T000000z", "20130524 000000Z", "2013052+T000000Z"];
        let values = [
            "20130524T240000Z",
            "20130524T006000Z",
            "20130229T000000Z",
            "20131301T000000Z",
            "19691231T235959Z",
        ];
        for text in shapes.into_iter().chain(values) {
            assert_eq!(RequestTime::parse_basic(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_day("20240229"), Some(20_240_229));
        for bad in ["2024022", "20230229", "+2024022", "99999999", "20241301", "2024 101"] {
            assert_eq!(parse_day(bad), None, "{bad}");
        }
    }
}
