//! How a listing walks the index: where a page starts, where its prefix ends, what is one group, how much to fetch.

use crate::limits::{LIST_KEYS_MAX, LIST_SEEK_ROWS, LIST_SEEK_ROWS_MIN};

/// The least byte string greater than every string that starts with `prefix`. Keys are UTF-8 and so hold no 0xff:
/// a prefix of nothing (or of 0xff only) ends at 0xff.
#[must_use]
pub fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff]
}

/// The least byte string greater than `key`.
#[must_use]
pub fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

/// The common prefix that `key` falls into: up to and with the first delimiter behind the prefix.
#[must_use]
pub fn group<'a>(key: &'a [u8], prefix: &[u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    if delimiter.is_empty() || !key.starts_with(prefix) {
        return None;
    }
    let rest = &key[prefix.len()..];
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// Where a page starts (inclusive). A marker that is a group, or lies within one, skips all of it, as in S3.
#[must_use]
pub fn start(prefix: &[u8], delimiter: &[u8], marker: &[u8]) -> Vec<u8> {
    if marker.is_empty() {
        return prefix.to_vec();
    }
    let from = match group(marker, prefix, delimiter) {
        Some(group) => end_of_prefix(group),
        None => after(marker),
    };
    from.max(prefix.to_vec())
}

/// How many rows the next seek of a page fetches. Without a delimiter one seek fills the page. With one, most rows of a
/// seek may fall into the group that its first row opens; so it fetches few where groups were large, many where there were
/// none. It cost 1,000 groups of 1,000 keys half a million rows a page to fetch all that was missing each time.
pub struct SeekRows {
    grouped: bool,
    rows: usize,
}

impl SeekRows {
    #[must_use]
    pub fn new(delimiter: &[u8]) -> Self {
        Self { grouped: !delimiter.is_empty(), rows: LIST_SEEK_ROWS }
    }

    /// For a page that lacks `missing` entries; one more tells whether it is the last.
    #[must_use]
    pub fn wanted(&self, missing: usize) -> i64 {
        let all = missing + 1;
        let rows = if self.grouped { self.rows.min(all.max(LIST_SEEK_ROWS_MIN)) } else { all };
        i64::try_from(rows).expect("a page is small")
    }

    /// What a seek found, and how much of that lay in groups that were passed.
    pub fn learn(&mut self, found: usize, passed: usize) {
        self.rows = if passed * 2 > found {
            (self.rows / 4).max(LIST_SEEK_ROWS_MIN)
        } else {
            (self.rows * 4).min(LIST_KEYS_MAX as usize + 1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{SeekRows, end_of_prefix, group, start};

    #[test]
    fn seeks_fetch_what_they_will_use() {
        assert_eq!(SeekRows::new(b"").wanted(1000), 1001);
        let mut rows = SeekRows::new(b"/");
        assert_eq!((rows.wanted(1000), rows.wanted(3)), (64, 8));
        rows.learn(64, 63);
        assert_eq!(rows.wanted(999), 16);
        rows.learn(16, 15);
        rows.learn(8, 7);
        assert_eq!(rows.wanted(997), 8);
        (0..9).for_each(|_| rows.learn(8, 0));
        assert_eq!(rows.wanted(1000), 1001);
    }

    #[test]
    fn ends_and_groups() {
        assert_eq!(end_of_prefix(b"a/"), b"a0");
        assert_eq!(end_of_prefix(b""), [0xff]);
        assert_eq!(end_of_prefix(&[b'a', 0xff]), b"b");
        assert_eq!(group(b"a/b/c", b"", b"/"), Some(&b"a/"[..]));
        assert_eq!(group(b"a/b/c", b"a/", b"/"), Some(&b"a/b/"[..]));
        assert_eq!(group(b"a/b", b"a/", b"/"), None);
        assert_eq!(group(b"x", b"", b""), None);
        assert_eq!(start(b"a/", b"/", b""), b"a/");
        assert_eq!(start(b"", b"/", b"a/"), b"a0");
        assert_eq!(start(b"", b"/", b"a/b"), b"a0");
        assert_eq!(start(b"a/", b"/", b"a/b"), b"a/b\0");
        assert_eq!(start(b"b", b"/", b"a"), b"b");
    }
}
