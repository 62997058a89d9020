//! How a listing walks the index: where a page starts, where its prefix ends, what is one group.

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

/// Where a page starts (inclusive). A marker that is a whole group skips it.
#[must_use]
pub fn start(prefix: &[u8], delimiter: &[u8], marker: &[u8]) -> Vec<u8> {
    if marker.is_empty() {
        return prefix.to_vec();
    }
    let from = match group(marker, prefix, delimiter) {
        Some(group) if group.len() == marker.len() => end_of_prefix(marker),
        _ => after(marker),
    };
    from.max(prefix.to_vec())
}

#[cfg(test)]
mod tests {
    use super::{end_of_prefix, group, start};

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
        assert_eq!(start(b"", b"/", b"a/b"), b"a/b\0");
        assert_eq!(start(b"b", b"/", b"a"), b"b");
    }
}
