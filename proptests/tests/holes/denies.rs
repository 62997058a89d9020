//! A policy's Deny holds, whatever way leads to the object: other names of it, other doors to it, other places to say things.

use crate::client::{Answer, Ask, Key, encode};
use crate::rig::rig;
use crate::{policy, put, put_policy};

/// A bucket that everybody may use, but for `secret`, which nobody may read: not its owner either.
fn with_secret(word: &str, versioned: bool) -> (String, String) {
    let rig = rig();
    let bucket = rig.open_bucket(word);
    if versioned {
        let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        Ask::put(&format!("/{bucket}?versioning")).document(status).by(&rig.owner).send().is(200, "");
    }
    let version =
        put(&bucket, "secret", "the secret").header("x-amz-version-id").unwrap_or("null").to_owned();
    put(&bucket, "open", "open");
    put_policy(
        &bucket,
        &[
            ("Allow", "s3:*", "/*", ""),
            ("Allow", "s3:ListBucket", "", ""),
            ("Deny", "s3:GetObject*", "/secret", ""),
        ],
    );
    (bucket, version)
}

#[track_caller]
fn nothing_leaks(answer: &Answer) {
    assert!(answer.status >= 400, "{answer:?}");
    assert!(!answer.text().contains("the secret"), "{}", answer.text());
    assert_eq!(answer.header("etag"), None);
}

/// Nobody, the owner in the head and in the query.
fn by_everybody(ask: &Ask) -> [Ask; 3] {
    let owner: &Key = &rig().owner;
    [ask.clone(), ask.clone().by(owner), ask.clone().presigned(owner)]
}

#[track_caller]
fn denied(ask: &Ask) {
    for ask in by_everybody(ask) {
        let answer = ask.send();
        nothing_leaks(&answer);
        assert_eq!(answer.status, 403, "{} {} {}", ask.method, ask.target, answer.text());
    }
}

#[test]
fn deny_holds_for_every_version_and_question() {
    for versioned in [false, true] {
        let (bucket, version) = with_secret("versions", versioned);
        for query in [
            "",
            "versionId=null",
            &format!("versionId={version}"),
            "versionid=null",
            "x-id=GetObject",
            "partNumber=1",
            "tagging",
            "acl",
            &format!("tagging&versionId={version}"),
            &format!("acl&versionId={version}"),
        ] {
            denied(&Ask::get(&format!("/{bucket}/secret?{query}")));
        }
        for query in ["", "?versionId=null"] {
            denied(&Ask::head(&format!("/{bucket}/secret{query}")));
        }
        let attributes = Ask::get(&format!("/{bucket}/secret?attributes"));
        denied(&attributes.header("x-amz-object-attributes", "ETag,ObjectSize"));
        denied(&Ask::get(&format!("/{bucket}/secret")).header("range", "bytes=0-3"));
    }
}

#[test]
fn deny_holds_under_every_name_of_the_key() {
    let (bucket, _) = with_secret("names", false);
    for name in ["%73ecret", "%73%65%63%72%65%74", "secre%74"] {
        denied(&Ask::get(&format!("/{bucket}/{name}")));
    }
    // Other keys, which are not there: no file system makes one of the two.
    for name in [
        "./secret",
        "x/../secret",
        "/secret",
        "secret/",
        "SECRET",
        "%2573ecret",
        "secret%00",
        "secret%20",
        "x%2F..%2Fsecret",
    ] {
        for ask in by_everybody(&Ask::get(&format!("/{bucket}/{name}"))) {
            nothing_leaks(&ask.send());
        }
    }
}

#[test]
fn deny_holds_for_sources_of_copies() {
    let rig = rig();
    let (bucket, version) = with_secret("sources", true);
    let target = rig.open_bucket("targets");
    put_policy(&target, &[("Allow", "s3:*", "/*", "")]);
    let before = rig.all_of(&target);
    for source in [
        "/secret",
        "%2Fsecret",
        "/%73ecret",
        &format!("/secret?versionId={version}"),
        "/secret?versionId=null",
    ] {
        for lead in ["", "/", "%2F"] {
            denied(
                &Ask::put(&format!("/{target}/copy"))
                    .header("x-amz-copy-source", format!("{lead}{bucket}{source}")),
            );
        }
    }
    assert_eq!(rig.all_of(&target), before);
    let upload = Ask::post(&format!("/{target}/copy?uploads")).by(&rig.owner).send().is(200, "");
    let upload = upload.element("UploadId").expect("an upload");
    let part = Ask::put(&format!("/{target}/copy?partNumber=1&uploadId={upload}"));
    denied(&part.header("x-amz-copy-source", format!("/{bucket}/secret")));
    let parts = Ask::get(&format!("/{target}/copy?uploadId={upload}")).by(&rig.owner).send().is(200, "");
    assert!(!parts.text().contains("<Part>"), "{}", parts.text());
}

#[test]
fn a_source_in_the_query_is_a_source() {
    let rig = rig();
    let (bucket, _) = with_secret("hoisted", false);
    let source = encode(format!("/{bucket}/secret").as_bytes(), false);
    let hoisted = Ask::put(&format!("/{bucket}/copy?x-amz-copy-source={source}")).presigned(&rig.owner);
    hoisted.send().is(403, "AccessDenied");
    // Unsigned, it is an argument that nobody knows.
    Ask::put(&format!("/{bucket}/copy?x-amz-copy-source={source}")).send().is(200, "");
    assert_eq!(Ask::get(&format!("/{bucket}/copy")).send().is(200, "").body, b"");
}

/// A bucket where everybody may put, but under the condition.
fn conditioned(word: &str, condition: &str) -> String {
    let bucket = rig().open_bucket(word);
    put(&bucket, "source", "x");
    put_policy(&bucket, &[("Allow", "s3:*", "/*", ""), ("Deny", "s3:PutObject", "/*", condition)]);
    bucket
}

#[test]
fn tags_in_the_query_are_judged() {
    let condition = r#""Condition":{"StringEquals":{"s3:RequestObjectTag/class":"secret"}}"#;
    let bucket = conditioned("tags", condition);
    let before = rig().all_of(&bucket);
    let header = Ask::put(&format!("/{bucket}/k")).header("x-amz-tagging", "class=secret");
    header.by(&rig().owner).send().is(403, "AccessDenied");
    for name in ["x-amz-tagging", "X-Amz-Tagging", "x-amz%2Dtagging"] {
        let hoisted = Ask::put(&format!("/{bucket}/k?{name}=class%3Dsecret"));
        hoisted.presigned(&rig().owner).send().is(403, "AccessDenied");
        let upload = Ask::post(&format!("/{bucket}/k?uploads&{name}=class%3Dsecret"));
        upload.presigned(&rig().owner).send().is(403, "AccessDenied");
    }
    assert_eq!(rig().all_of(&bucket), before);
}

#[test]
fn tags_that_a_copy_does_not_set_do_not_open_it() {
    let condition = r#""Condition":{"StringNotEquals":{"s3:RequestObjectTag/team":"red"}}"#;
    let bucket = conditioned("claims", condition);
    let before = rig().all_of(&bucket);
    let copy = Ask::put(&format!("/{bucket}/k")).header("x-amz-copy-source", format!("/{bucket}/source"));
    let claimed = copy.clone().header("x-amz-tagging", "team=red");
    let answer = claimed.send();
    assert!(answer.status >= 400, "a copy without the tag: {}", answer.text());
    assert_eq!(rig().all_of(&bucket), before);
    claimed.header("x-amz-tagging-directive", "REPLACE").send().is(200, "");
}

#[test]
fn an_acl_in_the_query_is_judged() {
    let condition = r#""Condition":{"StringEquals":{"s3:x-amz-acl":"public-read"}}"#;
    let bucket = conditioned("acls", condition);
    let before = rig().all_of(&bucket);
    for name in ["x-amz-acl", "X-AMZ-ACL"] {
        let hoisted = Ask::put(&format!("/{bucket}/k?{name}=public-read"));
        hoisted.presigned(&rig().owner).send().is(403, "AccessDenied");
    }
    let both = Ask::put(&format!("/{bucket}/k?x-amz-acl=private")).presigned(&rig().owner);
    both.unsigned("x-amz-acl", "public-read").send().is(400, "InvalidArgument");
    let twice =
        Ask::put(&format!("/{bucket}/k?x-amz-acl=private&x-amz-acl=public-read")).presigned(&rig().owner);
    twice.send().is(400, "InvalidArgument");
    let twice =
        Ask::put(&format!("/{bucket}/k")).header("x-amz-acl", "private").header("x-amz-acl", "public-read");
    twice.send().is(400, "InvalidArgument");
    assert_eq!(rig().all_of(&bucket), before);
}

#[test]
fn encryption_that_is_only_claimed_does_not_open() {
    let condition = r#""Condition":{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#;
    let bucket = conditioned("sse", condition);
    let before = rig().all_of(&bucket);
    Ask::put(&format!("/{bucket}/k")).send().is(403, "AccessDenied");
    Ask::put(&format!("/{bucket}/k"))
        .header("x-amz-server-side-encryption", "AES256")
        .send()
        .is(501, "NotImplemented");
    Ask::put(&format!("/{bucket}/k?x-amz-server-side-encryption=AES256")).send().is(403, "AccessDenied");
    assert_eq!(rig().all_of(&bucket), before);
}

#[test]
fn a_header_given_twice_opens_nothing() {
    let bucket = rig().open_bucket("twice");
    put(&bucket, "k", "x");
    let only = |name: &str| format!(r#""Condition":{{"StringEquals":{{"aws:{name}":"good"}}}}"#);
    for (key, header) in [("Referer", "referer"), ("UserAgent", "user-agent")] {
        put_policy(&bucket, &[("Allow", "s3:GetObject", "/*", &only(key))]);
        let ask = Ask::get(&format!("/{bucket}/k"));
        ask.clone().header(header, "good").send().is(200, "");
        for (one, other) in [("good", "bad"), ("bad", "good"), ("good", "good")] {
            ask.clone().header(header, one).header(header, other).send().is(403, "AccessDenied");
        }
        ask.header(header, "good\u{a0}").send().is(403, "AccessDenied");
    }
}

#[test]
fn where_somebody_sits_is_not_said_by_headers() {
    let bucket = rig().open_bucket("places");
    put(&bucket, "k", "x");
    for condition in
        [r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, r#"{"Bool":{"aws:SecureTransport":"true"}}"#]
    {
        put_policy(&bucket, &[("Allow", "s3:GetObject", "/*", &format!(r#""Condition":{condition}"#))]);
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1;proto=https"),
            ("x-real-ip", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("true-client-ip", "10.0.0.1"),
            ("x-amz-source-ip", "10.0.0.1"),
            ("aws:SourceIp", "10.0.0.1"),
            ("x-holdfast-source-ip", "10.0.0.1"),
            ("cf-connecting-ip", "10.0.0.1"),
        ] {
            let answer = Ask::get(&format!("/{bucket}/k")).header(name, value).send();
            assert!(matches!(answer.status, 400 | 403), "{name}: {}", answer.text());
        }
        Ask::get(&format!("/{bucket}/k?aws:SourceIp=10.0.0.1&aws:SecureTransport=true"))
            .send()
            .is(403, "AccessDenied");
    }
}

#[test]
fn what_may_be_listed_cannot_be_said_twice() {
    let bucket = rig().open_bucket("lists");
    put(&bucket, "pub/a", "x");
    put(&bucket, "hidden", "x");
    let prefix = r#""Condition":{"StringEquals":{"s3:prefix":"pub/"}}"#;
    put_policy(
        &bucket,
        &[("Allow", "s3:ListBucket", "", prefix), ("Allow", "s3:ListBucketVersions", "", prefix)],
    );
    Ask::get(&format!("/{bucket}?prefix=pub/")).send().is(200, "");
    for (query, status) in [
        ("prefix=pub/&prefix=", 400),
        ("prefix=&prefix=pub/", 400),
        ("Prefix=pub/", 403),
        ("prefix=pub%252F", 403),
        ("prefix=pub/&prefi%78=h", 400),
        ("prefix=pub", 403),
        ("versions&prefix=", 403),
        ("prefix", 403),
        ("list-type=2", 403),
    ] {
        let answer = Ask::get(&format!("/{bucket}?{query}")).send();
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(!answer.text().contains("hidden"));
    }
    let from_before =
        Ask::get(&format!("/{bucket}?list-type=2&prefix=pub/&start-after=a")).send().is(200, "");
    assert!(!from_before.text().contains("<Key>hidden"), "{}", from_before.text());
}

#[test]
fn deletes_in_one_body_are_judged_one_by_one() {
    let bucket = rig().open_bucket("deletes");
    put(&bucket, "keep", "x");
    put_policy(
        &bucket,
        &[("Allow", "s3:DeleteObject*", "/*", ""), ("Deny", "s3:DeleteObject*", "/keep", "")],
    );
    let entry = |key: &str, more: &str| format!("<Object><Key>{key}</Key>{more}</Object>");
    let null = "<VersionId>null</VersionId>";
    let body =
        [entry("keep", ""), entry("&#107;eep", ""), entry("keep", null), entry("<![CDATA[keep]]>", "")]
            .concat();
    let answer = Ask::post(&format!("/{bucket}?delete")).document(format!("<Delete>{body}</Delete>")).send();
    let text = answer.text();
    assert!(!text.contains("<Deleted>"), "{text}");
    Ask::get(&format!("/{bucket}/keep")).by(&rig().owner).send().is(200, "");
}

#[test]
fn tags_do_not_travel_past_who_may_not_read_them() {
    let rig = rig();
    let bucket = rig.open_bucket("labels");
    Ask::put(&format!("/{bucket}/k"))
        .header("x-amz-tagging", "label=hidden")
        .by(&rig.owner)
        .send()
        .is(200, "");
    put_policy(&bucket, &[("Allow", "s3:GetObject", "/*", "")]);
    let own = "strangers-own";
    Ask::put(&format!("/{own}")).by(&rig.stranger).send().is(200, "");
    Ask::get(&format!("/{bucket}/k?tagging")).by(&rig.stranger).send().is(403, "AccessDenied");
    let copy =
        Ask::put(&format!("/{own}/k")).header("x-amz-copy-source", format!("/{bucket}/k")).by(&rig.stranger);
    copy.send().is(403, "AccessDenied");
    let tags = Ask::get(&format!("/{own}/k?tagging")).by(&rig.stranger).send();
    assert!(!tags.text().contains("hidden"), "{}", tags.text());
    let without = Ask::put(&format!("/{own}/k")).header("x-amz-copy-source", format!("/{bucket}/k"));
    without.header("x-amz-tagging-directive", "REPLACE").by(&rig.stranger).send().is(200, "");
}

#[test]
fn a_policy_is_for_its_own_bucket() {
    let (rig, bucket) = (rig(), rig().open_bucket("own"));
    let before = rig.all_of(&bucket);
    let other = rig.open_bucket("victim");
    put(&other, "k", "x");
    let foreign =
        Ask::put(&format!("/{bucket}?policy")).document(policy(&other, &[("Allow", "s3:*", "/*", "")]));
    foreign.by(&rig.owner).send().is(400, "MalformedPolicy");
    assert_eq!(rig.all_of(&bucket), before);
    // A pattern that holds the bucket's name and others' is for the bucket alone.
    let ask = Ask::put(&format!("/{bucket}?policy")).document(policy("*", &[("Allow", "s3:*", "/*", "")]));
    ask.by(&rig.owner).send();
    Ask::get(&format!("/{other}/k")).send().is(403, "AccessDenied");
}
