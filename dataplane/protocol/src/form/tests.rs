//! Forms as clients send them, forms that nobody should send, and any split of either.

use proptest::prelude::*;

use super::*;

mod object;

/// What came of a form, with the file put together, so that splits do not show.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    fields: Vec<(String, String)>,
    file: Vec<u8>,
    file_bytes_max: Option<u64>,
}

/// Feeds `body` in pieces that end at `cuts`.
fn decode(boundary: &str, body: &[u8], cuts: &[usize]) -> Result<Seen, FormError> {
    let boundary = Boundary::parse(format!("multipart/form-data; boundary=\"{boundary}\"").as_bytes())?;
    let mut decoder = FormDecoder::new(&boundary, Some(body.len() as u64));
    let (mut fields, mut file, mut ended) = (None, Vec::new(), false);
    let mut cuts = cuts.iter().map(|cut| cut % (body.len() + 1)).collect::<Vec<_>>();
    cuts.push(body.len());
    cuts.sort_unstable();
    let mut at = 0;
    for cut in cuts {
        while at < cut {
            let (consumed, event) = decoder.feed(&body[at..cut])?;
            match event {
                FormEvent::Framing => assert!(consumed > 0, "no progress"),
                FormEvent::File(found) => assert!(fields.replace(found).is_none(), "two files"),
                FormEvent::Data(data) => {
                    assert_eq!(data, &body[at..at + consumed], "the file is the front of the input");
                    assert!(fields.is_some() && !ended, "data outside of the file");
                    file.extend_from_slice(data);
                }
                FormEvent::Held(held) => {
                    assert!(consumed == 0 && fields.is_some() && !ended);
                    file.extend_from_slice(&held);
                }
                FormEvent::FileEnd => ended = true,
            }
            at += consumed;
        }
    }
    decoder.finish()?;
    assert!(ended, "a closed form has had its file");
    let fields = fields.expect("a file has begun");
    let fields = fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Seen { fields, file, file_bytes_max: decoder.file_bytes_max() })
}

type Fields<'a> = &'a [(&'a str, &'a str)];

/// Fields and file of a form with the boundary `b`, or the error.
#[track_caller]
fn check(body: &str, expected: Result<(Fields<'_>, &str), FormError>) {
    let seen = decode("b", body.as_bytes(), &[]);
    let expected = expected.map(|(fields, file)| Seen {
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        file: file.as_bytes().to_vec(),
        file_bytes_max: seen.as_ref().ok().and_then(|seen| seen.file_bytes_max),
    });
    assert_eq!(seen, expected, "{body:?}");
    for size in [1, 2, 3, 7] {
        let cuts: Vec<_> = (0..body.len()).step_by(size).collect();
        assert_eq!(decode("b", body.as_bytes(), &cuts), seen, "{body:?} in pieces of {size}");
    }
}

fn part(disposition: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
}

#[test]
fn forms_of_clients() {
    let key = part("name=\"key\"", "k");
    let file = part("name=\"file\"; filename=\"f.txt\"", "hello");
    check(&format!("{key}{file}--b--\r\n"), Ok((&[("key", "k")], "hello")));
    check(&format!("{key}{file}--b--"), Ok((&[("key", "k")], "hello")));
    // a preamble, an epilogue, the page's button, a second file
    check(&format!("preamble\r\n\r\n{key}{file}--b--\r\nepilogue --b--"), Ok((&[("key", "k")], "hello")));
    check(&format!("\r\n{key}{file}--b--"), Ok((&[("key", "k")], "hello")));
    let more = part("name=\"submit\"", "Upload") + &part("name=\"file\"", "other");
    check(&format!("{key}{file}{more}--b--"), Ok((&[("key", "k")], "hello")));
    check(&format!("{key}{file}--b\r\nno head at all\r\n--b--"), Ok((&[("key", "k")], "hello")));
    // every part a file, as requests sends what s3-tests upload
    let all = part("name=\"key\"; filename=\"key\"", "in/${filename}")
        + &part("name=\"FILE\"; filename=\"a/b.txt\"", "");
    check(&format!("{all}--b--"), Ok((&[("key", "in/b.txt")], "")));
    check(&format!("{}--b--", part("name=\"file\"", "text")), Ok((&[], "text")));
    let lines = part("name=\"tagging\"", "a\r\n\r\nb") + &file;
    check(&format!("{lines}--b--"), Ok((&[("tagging", "a\r\n\r\nb")], "hello")));
}

#[test]
fn what_looks_like_a_boundary_stays_in_the_file() {
    for content in [
        "\r",
        "\r\n",
        "\r\n-",
        "\r\n--",
        "\r\n--b-",
        "\r\n--b-\r\n",
        "\r\n--b\r",
        "\r\n--b\r\r",
        "\r\n--bb\r\n",
        "--b\r\n",
        "--b--",
        "\n--b--",
        "\r\r\n--",
        "\r\n--b\r\r\n--b-",
        "\r\n--b \r\n",
        "\r\n--B--\r\n",
    ] {
        let body = part("name=file", content) + "--b--";
        check(&body, Ok((&[], content)));
        let body = part("name=key", content) + &part("name=file", "") + "--b--";
        check(&body, Ok((&[("key", content)], "")));
    }
}

#[test]
fn forms_that_nobody_should_send() {
    let key = part("name=key", "k");
    let file = part("name=file", "hello");
    for cut in
        ["", "key=k&file=x", "--b", "--b\r\n", "--c\r\nContent-Disposition: form-data; name=file\r\n\r\n"]
    {
        check(cut, Err(FormError::Truncated));
    }
    check(&file, Err(FormError::Truncated));
    check(&format!("{file}--b-"), Err(FormError::Truncated));
    check(&format!("{file}--b\r\n"), Err(FormError::Truncated));
    check(&format!("{file}--bb--"), Err(FormError::Truncated));
    check("--b--", Err(FormError::NoFile));
    check(&format!("{key}--b--"), Err(FormError::NoFile));
    check(&format!("{key}--b--{file}--b--"), Err(FormError::NoFile));
    check(&format!("{key}{key}{file}--b--"), Err(FormError::Repeated("key".into())));
    check("--b\r\n\r\nvalue\r\n--b--", Err(FormError::Disposition));
    check("--b\r\nContent-Disposition: file; name=file\r\n\r\n\r\n--b--", Err(FormError::Disposition));
    check("--b\r\nContent-Disposition: form-data; name=a\n\r\n\r\n--b--", Err(FormError::PartHead));
    let many: String =
        (0..=crate::limits::FORM_FIELDS_MAX).map(|i| part(&format!("name=a{i}"), "")).collect();
    check(&format!("{many}{file}--b--"), Err(FormError::TooManyFields));
    check(&format!("--b\r\nA: {}", "a".repeat(5000)), Err(FormError::PartHeadTooLong));
}

#[test]
fn what_is_around_the_file_is_bounded_and_the_file_is_not() {
    let file = part("name=file", &"x".repeat(3 * FORM_BYTES_MAX));
    check(&format!("{file}--b--"), Ok((&[], &"x".repeat(3 * FORM_BYTES_MAX))));
    let room = FORM_BYTES_MAX - part("name=a", "").len() - (part("name=file", "").len() - 2);
    let exact = |extra| part("name=a", &"a".repeat(room + extra)) + &file + "--b--";
    assert_eq!(decode("b", exact(0).as_bytes(), &[]).map(|seen| seen.file.len()), Ok(3 * FORM_BYTES_MAX));
    check(&exact(1), Err(FormError::TooLongBeforeFile));
    check(&format!("{}\r\n{file}--b--", "preamble".repeat(3000)), Err(FormError::TooLongBeforeFile));
    check(&format!("{file}--b--{}", "e".repeat(FORM_BYTES_MAX + 1)), Err(FormError::TooLongAfterFile));
    check(
        &format!("{file}{}--b--", part("name=b", &"b".repeat(FORM_BYTES_MAX))),
        Err(FormError::TooLongAfterFile),
    );
}

#[test]
fn the_most_a_file_can_have() {
    let body = part("name=key", "k") + &part("name=file", "hello") + "--b--";
    assert_eq!(decode("b", body.as_bytes(), &[]).unwrap().file_bytes_max, Some(5));
    assert_eq!(decode("b", (body + "\r\n").as_bytes(), &[]).unwrap().file_bytes_max, Some(7));
    let boundary = Boundary::parse(b"multipart/form-data; boundary=b").unwrap();
    for (content_length, expected) in
        [(None, None), (Some(0), Some(0)), (Some(1 << 40), Some((1 << 40) - 49 - 7))]
    {
        let mut decoder = FormDecoder::new(&boundary, content_length);
        assert_eq!(decoder.file_bytes_max(), None);
        let mut input = "--b\r\nContent-Disposition: form-data; name=file\r\n\r\n".as_bytes();
        assert_eq!(input.len(), 49 + 1);
        while !input.is_empty() {
            input = &input[decoder.feed(input).unwrap().0..];
        }
        assert_eq!(decoder.file_bytes_max(), expected.map(|max: u64| max.saturating_sub(1)));
    }
}

#[test]
fn refusals_as_s3_answers_them() {
    let answer = |error: FormError| {
        let error = crate::error::S3Error::from(error);
        (error.status(), error.code.name(), error.extra.first().map(|(_, value)| value.clone()))
    };
    let enclosure = "Bucket POST must be of the enclosure-type multipart/form-data".to_owned();
    assert_eq!(answer(FormError::NotMultipart), (412, "PreconditionFailed", Some(enclosure)));
    assert_eq!(answer(FormError::Truncated), (400, "MalformedPOSTRequest", None));
    assert_eq!(answer(FormError::Boundary), (400, "MalformedPOSTRequest", None));
    assert_eq!(answer(FormError::NoFile), (400, "InvalidArgument", Some("file".to_owned())));
    assert_eq!(answer(FormError::TransferEncoding), (501, "NotImplemented", None));
    let bytes = Some("20480".to_owned());
    assert_eq!(answer(FormError::TooLongBeforeFile), (400, "MaxPostPreDataLengthExceededError", bytes));
}

/// Contents made of what the decoder looks for.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n--bo-unda'ry".to_vec()),
        Just(b"-".to_vec()),
        Just(b"bo-unda'ry".to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn has_delimiter(content: &[u8]) -> bool {
    let content = [content, b"\r\n"].concat();
    let delimiter = b"\r\n--bo-unda'ry";
    let ends = |at: usize| content[at..].starts_with(b"\r\n") || content[at..].starts_with(b"--");
    memchr::memmem::find_iter(&content, delimiter).any(|at| ends(at + delimiter.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_fields_and_file_as_they_were(
        values in prop::collection::vec("[ -~\r\n\u{e4}]{0,20}", 0..4),
        file in content(),
        epilogue: bool,
        cuts in prop::collection::vec(any::<usize>(), 0..60),
    ) {
        prop_assume!(!has_delimiter(&file));
        let mut body = Vec::new();
        for (i, value) in values.iter().enumerate() {
            body.extend(format!("--bo-unda'ry\r\nContent-Disposition: form-data; name=\"a{i}\"\r\n\r\n{value}\r\n").bytes());
        }
        body.extend(b"--bo-unda'ry\r\nContent-Disposition: form-data; name=\"file\"\r\nContent-Type: a/b\r\n\r\n");
        body.extend(&file);
        body.extend(b"\r\n--bo-unda'ry--");
        body.extend(if epilogue { &b"\r\n"[..] } else { b"" });
        let seen = decode("bo-unda'ry", &body, &cuts).unwrap();
        prop_assert_eq!(&seen.file, &file);
        let sent: Vec<_> = values.iter().enumerate().map(|(i, value)| (format!("a{i}"), value.clone())).collect();
        prop_assert_eq!(seen.fields, sent);
        prop_assert_eq!(seen.file_bytes_max, Some(file.len() as u64 + if epilogue { 2 } else { 0 }));
    }

    /// One byte wrong, anywhere: the same answer for every split, be it a form or an error.
    #[test]
    fn any_split_of_damage_gives_the_same_answer(at: usize, byte: u8, cuts in prop::collection::vec(any::<usize>(), 0..40)) {
        let file = part("name=\"file\"; filename=\"f\"", "data\r\n--b");
        let mut body = (part("name=\"key\"", "k\r\n--") + &file + &part("name=x", "y") + "--b--\r\n").into_bytes();
        let at = at % body.len();
        body[at] = byte;
        prop_assert_eq!(decode("b", &body, &cuts), decode("b", &body, &[]));
    }

    #[test]
    fn nothing_panics(
        body in prop::collection::vec(any::<u8>(), 0..300),
        content_type in prop::collection::vec(any::<u8>(), 0..80),
        text in "\\PC{0,80}",
    ) {
        let _ = decode("b", &body, &[3, 50]);
        let _ = decode("b", &[b"--b\r\n".as_slice(), &body].concat(), &[]);
        let _ = Boundary::parse(&content_type);
        let _ = Boundary::parse(format!("multipart/form-data; {text}").as_bytes());
        let _ = Policy::parse(&text);
        let _ = decode("b", format!("--b\r\nContent-Disposition: form-data; {text}\r\n\r\n\r\n--b--").as_bytes(), &[]);
    }
}
