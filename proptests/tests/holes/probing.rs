//! What an answer gives away to somebody who may not know: that a key is there, or was, or what is in it.

use crate::client::{Answer, Ask};
use crate::rig::rig;
use crate::{put, put_policy};

/// All of an answer but what belongs to its request.
fn told(answer: &Answer, key: &str) -> String {
    let own = ["date", "x-amz-request-id", "x-amz-id-2", "content-length"];
    let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| !own.contains(&&**name)).collect();
    let text = answer.text();
    let cut = text.find("<RequestId>").unwrap_or(text.len());
    format!("{} {headers:?} {}", answer.status, text[..cut].replace(key, "KEY"))
}

#[track_caller]
fn same(one: (&Ask, &str), other: (&Ask, &str)) {
    assert_eq!(
        told(&one.0.send(), one.1),
        told(&other.0.send(), other.1),
        "{} {}",
        one.0.method,
        one.0.target
    );
}

fn versioned(bucket: &str) {
    let status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    Ask::put(&format!("/{bucket}?versioning")).document(status).by(&rig().owner).send().is(200, "");
}

#[test]
fn a_deleted_key_looks_like_one_that_never_was() {
    let rig = rig();
    let bucket = rig.open_bucket("markers");
    versioned(&bucket);
    put(&bucket, "gone", "x");
    Ask::delete(&format!("/{bucket}/gone")).by(&rig.owner).send().is(204, "");
    let ask = |method: &str, key: &str| Ask::new(method, &format!("/{bucket}/{key}"));
    for allowed in ["", "s3:GetObject"] {
        if !allowed.is_empty() {
            put_policy(&bucket, &[("Allow", allowed, "/*", "")]);
        }
        for method in ["GET", "HEAD"] {
            same((&ask(method, "gone"), "gone"), (&ask(method, "never"), "never"));
            ask(method, "gone").send().is(403, if method == "GET" { "AccessDenied" } else { "" });
        }
        let copy = |key: &str| {
            Ask::put(&format!("/{bucket}/c")).header("x-amz-copy-source", format!("/{bucket}/{key}"))
        };
        same((&copy("gone"), "gone"), (&copy("never"), "never"));
        let attributes = |key: &str| {
            Ask::get(&format!("/{bucket}/{key}?attributes")).header("x-amz-object-attributes", "ETag")
        };
        same((&attributes("gone"), "gone"), (&attributes("never"), "never"));
        for question in ["acl", "tagging"] {
            let ask = |key: &str| Ask::get(&format!("/{bucket}/{key}?{question}"));
            same((&ask("gone"), "gone"), (&ask("never"), "never"));
        }
    }
}

#[test]
fn what_may_not_be_read_looks_like_what_is_not_there() {
    let rig = rig();
    let bucket = rig.open_bucket("hidden");
    put(&bucket, "there", "x");
    put_policy(&bucket, &[("Allow", "s3:GetObject", "/pub/*", ""), ("Allow", "s3:PutObject", "/pub/*", "")]);
    for (method, query) in [
        ("GET", ""),
        ("HEAD", ""),
        ("GET", "?acl"),
        ("GET", "?tagging"),
        ("GET", "?versionId=null"),
        ("DELETE", ""),
        ("PUT", ""),
        ("DELETE", "?tagging"),
        ("POST", "?uploads"),
    ] {
        let ask = |key: &str| Ask::new(method, &format!("/{bucket}/{key}{query}"));
        same((&ask("there"), "there"), (&ask("never"), "never"));
        let by = |key: &str| ask(key).by(&rig.stranger);
        same((&by("there"), "there"), (&by("never"), "never"));
    }
    for condition in ["x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"] {
        let ask = |key: &str| {
            let ask =
                Ask::put(&format!("/{bucket}/pub/c")).header("x-amz-copy-source", format!("/{bucket}/{key}"));
            ask.header(condition, "\"9dd4e461268c8034f5c8564e155c67a6\"")
        };
        same((&ask("there"), "there"), (&ask("never"), "never"));
    }
    for condition in ["if-match", "if-none-match"] {
        let ask = |key: &str| Ask::get(&format!("/{bucket}/{key}")).header(condition, "*");
        same((&ask("there"), "there"), (&ask("never"), "never"));
    }
}

#[test]
fn an_upload_that_may_not_be_seen_looks_like_none() {
    let rig = rig();
    let bucket = rig.open_bucket("unseen");
    let upload = Ask::post(&format!("/{bucket}/k?uploads"))
        .by(&rig.owner)
        .send()
        .element("UploadId")
        .expect("an upload");
    let ask = |method: &str, id: &str| Ask::new(method, &format!("/{bucket}/k?uploadId={id}"));
    for method in ["GET", "DELETE", "POST"] {
        same((&ask(method, &upload), &upload), (&ask(method, "none"), "none"));
    }
}

#[test]
fn a_preflight_tells_its_own_origin_and_no_more() {
    let rig = rig();
    let bucket = rig.bucket("preflight");
    put(&bucket, "k", "x");
    let ask = |target: &str, origin: &str, method: &str| {
        let ask = Ask::new("OPTIONS", target).header("origin", origin);
        ask.header("access-control-request-method", method)
    };
    let of_key = format!("/{bucket}/k");
    ask(&of_key, "https://good.example", "GET").send().is(403, "AccessForbidden");
    let cors = "<CORSConfiguration><CORSRule><ID>secret-rule</ID><AllowedOrigin>https://good.example</AllowedOrigin>\
                <AllowedOrigin>https://partner.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                <AllowedHeader>x-good-*</AllowedHeader><ExposeHeader>x-amz-meta-a</ExposeHeader></CORSRule></CORSConfiguration>";
    Ask::put(&format!("/{bucket}?cors")).document(cors).by(&rig.owner).send().is(200, "");
    let allowed = ask(&of_key, "https://good.example", "GET").send().is(200, "");
    assert!(!format!("{allowed:?}").contains("partner") && !format!("{allowed:?}").contains("secret-rule"));
    assert!(allowed.header("vary").is_some_and(|vary| vary.contains("Origin")), "{allowed:?}");
    for (origin, method) in [
        ("https://evil.example", "GET"),
        ("https://good.example.evil", "GET"),
        ("https://good.example", "PUT"),
        ("null", "GET"),
        ("https://good.example, https://evil.example", "GET"),
        ("HTTPS://GOOD.EXAMPLE", "PUT"),
        ("", "GET"),
        ("*", "GET"),
        ("https://good.example", "get"),
        ("https://good.example", ""),
    ] {
        let answer = ask(&of_key, origin, method).send();
        assert!(matches!(answer.status, 400 | 403), "{origin} {method}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert!(!answer.text().contains("partner"));
    }
    let header = ask(&of_key, "https://good.example", "GET")
        .header("access-control-request-headers", "x-good-a, x-evil");
    header.send().is(403, "AccessForbidden");
    // A key that is there, one that is not, one that may be read or not: all the same.
    let other = format!("/{bucket}/none");
    same(
        (&ask(&of_key, "https://good.example", "GET"), "k"),
        (&ask(&other, "https://good.example", "GET"), "none"),
    );
}

#[test]
fn a_preflight_does_nothing_and_proves_nothing() {
    let rig = rig();
    let bucket = rig.bucket("options");
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    for query in ["", "?acl", "?delete", "?policy", "?versionId=null"] {
        let ask = Ask::new("OPTIONS", &format!("/{bucket}/k{query}"))
            .header("x-amz-copy-source", "/a/b")
            .by(&rig.owner);
        let answer = ask.send();
        assert!(answer.status >= 400, "{answer:?}");
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn an_answer_to_a_page_is_marked_only_for_its_origins() {
    let rig = rig();
    let bucket = rig.bucket("marked");
    put(&bucket, "k", "x");
    let cors = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.good.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                </CORSRule></CORSConfiguration>";
    Ask::put(&format!("/{bucket}?cors")).document(cors).by(&rig.owner).send().is(200, "");
    for (origin, allowed) in [
        ("https://a.good.example", true),
        ("https://good.example", false),
        ("https://a.good.example.evil", false),
        ("https://evil/.good.example", true),
        ("null", false),
        ("", false),
    ] {
        let answer =
            Ask::get(&format!("/{bucket}/k")).header("origin", origin).send().is(403, "AccessDenied");
        assert_eq!(answer.header("access-control-allow-origin").is_some(), allowed, "{origin}: {answer:?}");
        assert!(!answer.text().contains("good.example"));
    }
}

/// Whoever may write and not read must not learn by conditions what is there (AWS wants GetObject for If-Match).
#[test]
fn who_may_only_write_cannot_guess_what_is_there() {
    let bucket = rig().open_bucket("guess");
    put(&bucket, "k", "x");
    put_policy(&bucket, &[("Allow", "s3:PutObject", "/*", "")]);
    let ask = |etag: &str| Ask::put(&format!("/{bucket}/k")).header("if-match", etag).body("y");
    let before = rig().all_of(&bucket);
    ask("\"00000000000000000000000000000000\"").send().is(403, "AccessDenied");
    ask("\"9dd4e461268c8034f5c8564e155c67a6\"").send().is(403, "AccessDenied");
    assert_eq!(rig().all_of(&bucket), before);
}
