//! Bodies that grow, nest or refer: bombs for every parser of XML and JSON.

use crate::client::Ask;
use crate::put;
use crate::rig::rig;

/// A place that takes XML: method, what stands behind the bucket's name, root, a good inside, the code for a bad one, bytes that
/// it may have at most.
type Place = (&'static str, &'static str, &'static str, &'static str, &'static str, usize);

const PLACES: [Place; 12] = [
    (
        "PUT",
        "-new",
        "CreateBucketConfiguration",
        "<LocationConstraint>us-east-1</LocationConstraint>",
        "MalformedXML",
        16 << 10,
    ),
    ("POST", "?delete", "Delete", "<Object><Key>k</Key></Object>", "MalformedXML", 2 << 20),
    (
        "POST",
        "/k?uploadId=none",
        "CompleteMultipartUpload",
        "<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>",
        "MalformedXML",
        4 << 20,
    ),
    ("PUT", "?versioning", "VersioningConfiguration", "<Status>Enabled</Status>", "MalformedXML", 16 << 10),
    (
        "PUT",
        "?tagging",
        "Tagging",
        "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>",
        "MalformedXML",
        128 << 10,
    ),
    (
        "PUT",
        "/k?tagging",
        "Tagging",
        "<TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet>",
        "MalformedXML",
        128 << 10,
    ),
    (
        "PUT",
        "?cors",
        "CORSConfiguration",
        "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>",
        "MalformedXML",
        64 << 10,
    ),
    (
        "PUT",
        "?acl",
        "AccessControlPolicy",
        "<Owner><ID>x</ID></Owner><AccessControlList></AccessControlList>",
        "MalformedACLError",
        64 << 10,
    ),
    (
        "PUT",
        "/k?acl",
        "AccessControlPolicy",
        "<Owner><ID>x</ID></Owner><AccessControlList></AccessControlList>",
        "MalformedACLError",
        64 << 10,
    ),
    (
        "PUT",
        "?ownershipControls",
        "OwnershipControls",
        "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>",
        "MalformedXML",
        16 << 10,
    ),
    (
        "PUT",
        "?publicAccessBlock",
        "PublicAccessBlockConfiguration",
        "<BlockPublicAcls>false</BlockPublicAcls>",
        "MalformedXML",
        16 << 10,
    ),
    ("PUT", "/other?tagging", "Tagging", "<TagSet/>", "MalformedXML", 128 << 10),
];

/// Sends a body to every place; the code of each answer must be one of these, or the place's own.
#[track_caller]
fn everywhere(what: &str, others: &[&str], body: impl Fn(&Place) -> Vec<u8>) {
    let rig = rig();
    let bucket = rig.open_bucket("bombs");
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    for place in &PLACES {
        let (method, target, _, _, code, _) = place;
        let ask = Ask::new(method, &format!("/{bucket}{target}")).document(body(place));
        let answer = ask.clone().by(&rig.owner).send();
        let found = answer.code();
        assert!(
            answer.status == 400 && (found == *code || others.contains(&&*found)),
            "{what} {method} {target}: {answer:?} {}",
            answer.text()
        );
        // Nobody's bodies are not even read.
        let refused = ask.send();
        let too_long = others.contains(&&*refused.code());
        assert!(refused.status == 403 || too_long, "{what} {method} {target}: {refused:?}");
    }
    assert_eq!(rig.all_of(&bucket), before, "{what}");
    Ask::head(&format!("/{bucket}-new")).by(&rig.owner).send().is(404, "");
}

#[test]
fn entities_are_never_expanded() {
    let bomb = |declared: &str, used: &str| {
        let (declared, used) = (declared.to_owned(), used.to_owned());
        move |(_, _, root, inside, _, _): &Place| {
            format!("<?xml version=\"1.0\"?><!DOCTYPE {root} [{declared}]><{root}>{used}{inside}</{root}>")
                .into_bytes()
        }
    };
    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
    everywhere("laughs", &[], bomb(&format!("<!ENTITY e0 \"lol\">{laughs}"), "&e9;"));
    everywhere("file", &[], bomb("<!ENTITY x SYSTEM \"file:///etc/passwd\">", "&x;"));
    everywhere("network", &[], bomb("<!ENTITY % x SYSTEM \"http://169.254.169.254/\">%x;", ""));
    everywhere("unused", &[], bomb("<!ENTITY x \"y\">", ""));
    everywhere("undeclared", &[], |(_, _, root, inside, _, _)| {
        format!("<{root}>&nbsp;{inside}</{root}>").into_bytes()
    });
    everywhere("no character", &[], |(_, _, root, inside, _, _)| {
        format!("<{root}>&#0;&#xD800;{inside}</{root}>").into_bytes()
    });
}

#[test]
fn nesting_has_an_end() {
    for depth in [20, 1000, 1500] {
        everywhere("deep", &[], |(_, _, root, inside, _, _)| {
            format!("<{root}>{}{}{inside}</{root}>", "<a>".repeat(depth), "</a>".repeat(depth)).into_bytes()
        });
    }
    everywhere("open", &[], |(_, _, root, _, _, _)| format!("<{root}>{}", "<a>".repeat(3000)).into_bytes());
}

#[test]
fn attributes_have_an_end() {
    let many: String = (0..500).map(|n| format!(" a{n}=\"\"")).collect();
    everywhere("attributes", &[], |(_, _, root, inside, _, _)| {
        format!("<{root}{many}>{inside}</{root}>").into_bytes()
    });
    everywhere("twice", &[], |(_, _, root, inside, _, _)| {
        format!("<{root} a='1' a='2'>{inside}</{root}>").into_bytes()
    });
}

#[test]
fn a_body_is_what_its_place_wants() {
    everywhere("another root", &[], |(_, _, _, inside, _, _)| format!("<Evil>{inside}</Evil>").into_bytes());
    everywhere("two roots", &[], |(_, _, root, inside, _, _)| {
        format!("<{root}>{inside}</{root}><{root}>{inside}</{root}>").into_bytes()
    });
    everywhere("text behind", &[], |(_, _, root, inside, _, _)| {
        format!("<{root}>{inside}</{root}>x").into_bytes()
    });
    everywhere("cut", &[], |(_, _, root, inside, _, _)| format!("<{root}>{inside}").into_bytes());
    everywhere("crossed", &[], |(_, _, root, _, _, _)| {
        format!("<{root}><a><b></a></b></{root}>").into_bytes()
    });
    everywhere("JSON", &[], |_| b"{\"a\":1}".to_vec());
    everywhere("bytes", &[], |(_, _, root, inside, _, _)| {
        [format!("<{root}>\u{0}{inside}").as_bytes(), b"\xff\xfe", format!("</{root}>").as_bytes()].concat()
    });
    everywhere("UTF-16", &[], |(_, _, root, inside, _, _)| {
        let text = format!("\u{feff}<{root}>{inside}</{root}>");
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    });
}

#[test]
fn length_has_an_end() {
    let long = ["MaxMessageLengthExceeded", "EntityTooLarge"];
    everywhere("long", &long, |(_, _, root, inside, _, bytes)| {
        format!("<{root}>{}{inside}</{root}>", " ".repeat(*bytes)).into_bytes()
    });
    everywhere("long name", &long, |(_, _, _, _, _, bytes)| {
        format!("<{}/>", "a".repeat(bytes - 64)).into_bytes()
    });
    let rig = rig();
    let bucket = rig.open_bucket("endless");
    put(&bucket, "k", "x");
    for (method, target, root, _, _, bytes) in PLACES {
        let body = format!("<{root}>{}", " ".repeat(bytes + 1));
        let answer =
            Ask::new(method, &format!("/{bucket}{target}")).document(body).chunked().by(&rig.owner).send();
        assert!(
            answer.status == 400 && long.contains(&&*answer.code()),
            "{method} {target}: {answer:?} {}",
            answer.text()
        );
    }
}

#[test]
fn lists_have_an_end() {
    let rig = rig();
    let bucket = rig.open_bucket("lists");
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    let tag = |n: usize| format!("<Tag><Key>{n}</Key><Value/></Tag>");
    let rule = |_| {
        "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>".to_owned()
    };
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    for (method, target, body) in [
        (
            "POST",
            "?delete",
            format!("<Delete>{}</Delete>", many(1001, &|n| format!("<Object><Key>{n}</Key></Object>"))),
        ),
        ("PUT", "?tagging", format!("<Tagging><TagSet>{}</TagSet></Tagging>", many(51, &tag))),
        ("PUT", "/k?tagging", format!("<Tagging><TagSet>{}</TagSet></Tagging>", many(11, &tag))),
        ("PUT", "?cors", format!("<CORSConfiguration>{}</CORSConfiguration>", many(101, &rule))),
        (
            "POST",
            "/k?uploadId=none",
            format!(
                "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
                many(10_001, &|n| format!("<Part><PartNumber>{}</PartNumber><ETag>x</ETag></Part>", n + 1))
            ),
        ),
    ] {
        let answer = Ask::new(method, &format!("/{bucket}{target}")).document(body).by(&rig.owner).send();
        assert_eq!(answer.status, 400, "{method} {target}: {}", answer.text());
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn policies_that_are_bombs_are_malformed() {
    let rig = rig();
    let bucket = rig.open_bucket("json");
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    let good = crate::policy(&bucket, &[("Allow", "s3:GetObject", "/*", "")]);
    let in_condition = |text: &str| {
        crate::policy(&bucket, &[("Allow", "s3:GetObject", "/*", &format!(r#""Condition":{text}"#))])
    };
    for body in [
        "[".repeat(20_000),
        "{\"a\":".repeat(4_000),
        format!("{{\"Statement\":{}", "[".repeat(10_000)),
        in_condition(&"{\"a\":".repeat(3_000)),
        good.replace("\"Version\"", "\"Version\":\"2012-10-17\",\"Version\""),
        good.replace("Allow", "Allow\",\"Effect\":\"Deny"),
        good.replace("Allow", "Allo\\u0000w"),
        good.replace("Allow", "\\ud800"),
        format!("\u{feff}{good}"),
        format!("{good}{good}"),
        format!("{good}x"),
        in_condition("{\"NumericEquals\":{\"s3:max-keys\":1e999999}}"),
        good.replace("s3:GetObject", &"*?".repeat(12_000)),
        good.replace("\"2012-10-17\"", "9".repeat(10_000).as_str()),
        "null".into(),
        "{}".into(),
        "\"\"".into(),
        "{".into(),
        good.replace("s3:GetObject\"", &format!("s3:GetObject\",\"Sid\":\"{}\"", "a".repeat(30_000))),
    ] {
        let shown: String = body.chars().take(60).collect();
        let answer = Ask::put(&format!("/{bucket}?policy")).document(body).by(&rig.owner).send();
        assert_eq!((answer.status, &*answer.code()), (400, "MalformedPolicy"), "{shown}: {}", answer.text());
    }
    let long = " ".repeat(200 << 10) + &good;
    let answer = Ask::put(&format!("/{bucket}?policy")).document(long).by(&rig.owner).send();
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn a_body_that_is_not_what_was_claimed_is_not_acted_on() {
    let rig = rig();
    let bucket = rig.open_bucket("claimed");
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    let claims = [
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ];
    for (method, target, root, inside, _, _) in PLACES.iter().filter(|place| place.1 != "-new") {
        // Of a completion a checksum is the object's.
        let claims = if target.contains("uploadId") { &claims[..1] } else { &claims[..] };
        for (name, value) in claims {
            let ask =
                Ask::new(method, &format!("/{bucket}{target}")).body(format!("<{root}>{inside}</{root}>"));
            ask.header(name, value).by(&rig.owner).send().is(400, "BadDigest");
        }
        let other = crate::client::sha256_hex(b"another body");
        let ask =
            Ask::new(method, &format!("/{bucket}{target}")).document(format!("<{root}>{inside}</{root}>"));
        ask.by_with(&rig.owner, &other).send().is(400, "XAmzContentSHA256Mismatch");
    }
    assert_eq!(rig.all_of(&bucket), before);
}
