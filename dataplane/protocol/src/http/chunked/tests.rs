//! The chunked coding: cases of RFC 9112, cases of smuggling, and any split.

use proptest::prelude::*;

use super::*;

/// The decoded body and how much of the input it took.
fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<usize>), ChunkedError> {
    let mut decoder = ChunkedDecoder::new();
    let mut body = Vec::new();
    let mut cuts = cuts.iter().map(|cut| cut % (input.len() + 1)).collect::<Vec<_>>();
    cuts.push(input.len());
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts {
        while at < cut {
            let (consumed, event) = decoder.feed(&input[at..cut])?;
            match event {
                BodyEvent::Framing => assert!(consumed > 0, "no progress"),
                BodyEvent::Data(data) => {
                    assert_eq!(data, &input[at..at + consumed], "data is the front of the input");
                    body.extend_from_slice(data);
                }
                BodyEvent::End => {
                    assert!(decoder.is_complete());
                    return Ok((body, Some(at + consumed)));
                }
            }
            at += consumed;
        }
    }
    assert!(!decoder.is_complete());
    Ok((body, None))
}

#[track_caller]
fn check(input: &str, expected: Result<(&str, Option<usize>), ChunkedError>) {
    let decoded = decode(input.as_bytes(), &[]).map(|(body, end)| (String::from_utf8(body).unwrap(), end));
    assert_eq!(decoded.as_ref().map(|(body, end)| (&**body, *end)).map_err(|e| *e), expected, "{input:?}");
}

#[test]
fn bodies() {
    check("0\r\n\r\n", Ok(("", Some(5))));
    check("3\r\nabc\r\n0\r\n\r\nGET /", Ok(("abc", Some(13))));
    check("A\r\n0123456789\r\n00\r\n\r\n", Ok(("0123456789", Some(21))));
    check("3;a=\"b\" ;c\r\nabc\r\n0\r\n\r\n", Ok(("abc", Some(22))));
    check("0\r\nExpires: now\r\nX: y\r\n\r\n", Ok(("", Some(25))));
    check("3\r\nab", Ok(("ab", None)));
    check("3\r\nabc\r\n0\r\n", Ok(("abc", None)));
}

#[test]
fn what_two_readers_could_read_differently() {
    check("3\nabc", Err(ChunkedError::Size));
    check("3 \r\nabc", Err(ChunkedError::Size));
    check("0x3\r\nabc", Err(ChunkedError::Size));
    check("+3\r\nabc", Err(ChunkedError::Size));
    check("-3\r\nabc", Err(ChunkedError::Size));
    check("\r\nabc", Err(ChunkedError::Size));
    check("10000000000000000\r\n", Err(ChunkedError::Size));
    check("3\rabc", Err(ChunkedError::LineEnd));
    check("3;a\nb\r\nabc", Err(ChunkedError::Extension));
    check("3;a\0\r\nabc", Err(ChunkedError::Extension));
    check("3\r\nabcd", Err(ChunkedError::DataEnd));
    check("3\r\nabc\n0\r\n", Err(ChunkedError::DataEnd));
    check("3\r\nabc\rX", Err(ChunkedError::DataEnd));
    check("0\r\n\n", Err(ChunkedError::Trailer));
    check("0\r\n x: folded\r\n\r\n", Err(ChunkedError::Trailer));
    check("0\r\nx: y\n\r\n", Err(ChunkedError::Trailer));
    check("0\r\nx: y\rz\r\n", Err(ChunkedError::LineEnd));
    check("0\r\n\rX", Err(ChunkedError::LineEnd));
    check(&format!("3;{}", "a".repeat(300)), Err(ChunkedError::LineTooLong));
    check(&format!("0\r\n{}", "a: b\r\n".repeat(1100)), Err(ChunkedError::TrailersTooLarge));
    check("ffffffffffffffff\r\nabc", Ok(("abc", None)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_decodes_to_what_was_encoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..6),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend(format!("{:X}\r\n", chunk.len()).bytes());
            input.extend(chunk);
            input.extend(b"\r\n");
        }
        input.extend(b"0\r\ntrailer: dropped\r\n\r\n");
        let end = input.len();
        input.extend(b"GET /");
        prop_assert_eq!(decode(&input, &cuts), Ok((chunks.concat(), Some(end))));
    }

    #[test]
    fn any_split_of_damage_gives_the_same_answer(
        at: usize, byte: u8, cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut input = b"9;a=b\r\nsome data\r\n3\r\n\r\n.\r\n0\r\nx: y\r\n\r\n".to_vec();
        let at = at % input.len();
        input[at] = byte;
        prop_assert_eq!(decode(&input, &cuts), decode(&input, &[]));
    }
}
