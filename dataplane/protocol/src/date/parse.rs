//! Reading dates. Every form is read to the last character; what does not fit is `None`, which callers ignore
//! (conditions) or refuse (signatures).

use super::{Civil, MONTHS, WEEKDAYS};

/// HTTP's three forms: IMF-fixdate, RFC 850's, and C's asctime (RFC 9110, 5.6.7).
pub fn parse_http(text: &str) -> Option<u64> {
    imf_fixdate(text).or_else(|| rfc850(text)).or_else(|| asctime(text))?.to_unix_ms()
}

/// `2026-11-22T01:02:03Z`, with or without a fraction of the second, of which milliseconds are kept.
pub fn parse_iso8601(text: &str) -> Option<u64> {
    let mut scan = Scan(text);
    let mut at = scan.date_with_hyphens()?;
    scan.literal("T")?;
    scan.time_with_colons(&mut at)?;
    if scan.literal(".").is_some() {
        at.millisecond = scan.fraction_ms()?;
    }
    scan.literal("Z")?;
    scan.end()?;
    at.to_unix_ms()
}

/// `20261122T010203Z`.
pub fn parse_amz_basic(text: &str) -> Option<u64> {
    let mut scan = Scan(text);
    let mut at = midnight(scan.number(4)?, scan.number(2)?, scan.number(2)?);
    scan.literal("T")?;
    (at.hour, at.minute, at.second) = (scan.number(2)? as u8, scan.number(2)? as u8, scan.number(2)? as u8);
    scan.literal("Z")?;
    scan.end()?;
    at.to_unix_ms()
}

/// Whatever clients put into `If-Modified-Since` and its like: HTTP's forms, and ISO 8601, which S3 takes as well.
pub fn parse_lenient(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    parse_http(text).or_else(|| parse_iso8601(text)).or_else(|| parse_amz_basic(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<Civil> {
    let mut scan = Scan(text);
    scan.one_of(&WEEKDAYS)?;
    scan.literal(", ")?;
    let day = scan.number(2)?;
    scan.literal(" ")?;
    let month = scan.one_of(&MONTHS)?;
    scan.literal(" ")?;
    let mut at = midnight(scan.number(4)?, month, day);
    scan.literal(" ")?;
    scan.time_with_colons(&mut at)?;
    // botocore's Date has a number for it.
    [" GMT", " UTC", " -0000", " +0000"].iter().find_map(|zone| scan.literal(zone))?;
    scan.end()?;
    Some(at)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`. RFC 9110 wants the century guessed from today; here 70-99 are 19xx and the rest
/// 20xx, for a date of that form is from an ancient client and no object is older than 1970.
fn rfc850(text: &str) -> Option<Civil> {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let mut scan = Scan(text);
    scan.one_of(&DAYS)?;
    scan.literal(", ")?;
    let day = scan.number(2)?;
    scan.literal("-")?;
    let month = scan.one_of(&MONTHS)?;
    scan.literal("-")?;
    let year = scan.number(2)?;
    let mut at = midnight(if year < 70 { 2000 + year } else { 1900 + year }, month, day);
    scan.literal(" ")?;
    scan.time_with_colons(&mut at)?;
    scan.literal(" GMT")?;
    scan.end()?;
    Some(at)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<Civil> {
    let mut scan = Scan(text);
    scan.one_of(&WEEKDAYS)?;
    scan.literal(" ")?;
    let month = scan.one_of(&MONTHS)?;
    scan.literal(" ")?;
    let day = if scan.literal(" ").is_some() { scan.number(1)? } else { scan.number(2)? };
    scan.literal(" ")?;
    let mut at = midnight(1970, month, day);
    scan.time_with_colons(&mut at)?;
    scan.literal(" ")?;
    at.year = scan.number(4)?;
    scan.end()?;
    Some(at)
}

fn midnight(year: u16, month: u16, day: u16) -> Civil {
    Civil { year, month: month as u8, day: day as u8, hour: 0, minute: 0, second: 0, millisecond: 0 }
}

/// What is left of a date.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// Exactly `digits` digits, at most four.
    fn number(&mut self, digits: usize) -> Option<u16> {
        let number = self.0.get(..digits)?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.0 = &self.0[digits..];
        number.parse().ok()
    }

    /// The position of the name found, counted from 1, as months are.
    fn one_of(&mut self, names: &[&str]) -> Option<u16> {
        let at = names.iter().position(|name| self.0.starts_with(name))?;
        self.0 = &self.0[names[at].len()..];
        Some(at as u16 + 1)
    }

    fn date_with_hyphens(&mut self) -> Option<Civil> {
        let year = self.number(4)?;
        self.literal("-")?;
        let month = self.number(2)?;
        self.literal("-")?;
        Some(midnight(year, month, self.number(2)?))
    }

    fn time_with_colons(&mut self, at: &mut Civil) -> Option<()> {
        at.hour = self.number(2)? as u8;
        self.literal(":")?;
        at.minute = self.number(2)? as u8;
        self.literal(":")?;
        at.second = self.number(2)? as u8;
        Some(())
    }

    /// One to nine digits after the point.
    fn fraction_ms(&mut self) -> Option<u16> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let ms = self.0.bytes().take(digits).chain([b'0', b'0']).take(3);
        let ms = ms.fold(0, |ms, digit| ms * 10 + u16::from(digit - b'0'));
        self.0 = &self.0[digits..];
        Some(ms)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
