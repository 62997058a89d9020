//! What is inside stays inside: no port, path or header of clients reaches it, and no secret can be printed.

use std::path::Path;

use holdfast_common::secret::Secret;
use holdfast_dataplane::config::Config;
use holdfast_protocol::sigv4::{SigningKey, derive_day_key};

use crate::client::Ask;
use crate::rig::rig;
use crate::{put, put_policy};

#[test]
fn operators_pages_are_not_on_the_port_of_clients() {
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/minio/health/live",
        "/admin/v1/keys",
        "/debug/pprof",
        "/.well-known/x",
    ] {
        let answer = Ask::get(path).send();
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.text().contains("holdfast_"), "{path}");
        assert!((400..500).contains(&Ask::get(path).by(&rig().owner).send().status), "{path}");
    }
}

#[test]
fn no_header_makes_a_request_internal() {
    let (rig, bucket) = (rig(), rig().bucket("internal"));
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    for (name, value) in [
        ("x-minio-source-replication-request", "true"),
        ("x-minio-internal-server-side-encryption-s3-sealed-key", "x"),
        ("x-amz-replication-status", "REPLICA"),
        ("x-holdfast-internal", "1"),
        ("x-rgw-auth", "system"),
        ("x-forwarded-user", "root"),
        ("authorization-override", "root"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/"),
        ("x-rewrite-url", "/"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            Ask::new(method, &format!("/{bucket}/k")).header(name, value).send().is(403, "AccessDenied");
        }
    }
    assert_eq!(rig.all_of(&bucket), before);
}

/// What is stored of a client's headers comes back as it was given, and means nothing on its way.
#[test]
fn stored_headers_are_no_commands() {
    let (rig, bucket) = (rig(), rig().open_bucket("stored"));
    let ask = Ask::put(&format!("/{bucket}/k")).header("x-amz-meta-x-amz-acl", "public-read");
    ask.header("content-type", "text/html").body("x").by(&rig.owner).send().is(200, "");
    Ask::get(&format!("/{bucket}/k")).send().is(403, "AccessDenied");
    for value in ["a\r\nx: y", "a\nx: y", "a\rb", "a\0b"] {
        let ask = Ask::put(&format!("/{bucket}/n")).header("x-amz-meta-a", value).by(&rig.owner);
        let answers = crate::client::exchange(&ask.bytes());
        assert!(answers.iter().all(|answer| (400..500).contains(&answer.status)), "{value:?}: {answers:?}");
    }
    Ask::head(&format!("/{bucket}/n")).by(&rig.owner).send().is(404, "");
}

#[test]
fn what_is_not_enforced_is_not_taken() {
    let (rig, bucket) = (rig(), rig().bucket("enforced"));
    put(&bucket, "k", "x");
    let before = rig.all_of(&bucket);
    for document in [
        "lifecycle",
        "encryption",
        "replication",
        "notification",
        "logging",
        "website",
        "object-lock",
        "accelerate",
        "requestPayment",
        "inventory&id=x",
        "analytics&id=x",
        "metrics&id=x",
        "intelligent-tiering&id=x",
    ] {
        let ask = Ask::put(&format!("/{bucket}?{document}")).document("<x/>").by(&rig.owner);
        ask.send().is(501, "NotImplemented");
    }
    for argument in ["legal-hold", "retention", "restore", "renameObject", "select&select-type=2"] {
        for method in ["PUT", "POST"] {
            Ask::new(method, &format!("/{bucket}/k?{argument}"))
                .by(&rig.owner)
                .send()
                .is(501, "NotImplemented");
        }
    }
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-write-offset-bytes", "1"),
    ] {
        let ask = Ask::put(&format!("/{bucket}/n")).header(name, value).body("x").by(&rig.owner);
        ask.send().is(501, "NotImplemented");
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn planes_speak_in_the_clear_on_loopback_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("dataplane.toml");
    let loads = |url: &str| {
        let drive = directory.path().display();
        std::fs::write(&file, format!("control_url = [\"{url}\"]\ndrives = [\"{drive}\"]\nparity = 0\n"))
            .expect("written");
        Config::load(&file).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(loads("http://127.0.0.1:9100"), Ok(()));
    for url in [
        "http://10.0.0.1:9100",
        "http://control.example:9100",
        "http://127.0.0.1.evil.example:9100",
        "http://[::ffff:10.0.0.1]:9100",
    ] {
        assert!(loads(url).is_err(), "{url}");
    }
    let file = directory.path().join("controlplane.toml");
    std::fs::write(&file, "grpc_addr = \"0.0.0.0:9100\"\ndatabase_url = \"host=/run user=x\"\n")
        .expect("written");
    let config = holdfast_controlplane::config::Config::load(Path::new(&file)).expect("it loads");
    assert!(config.speaks_grpc_tls(), "beyond loopback there is no other way");
    std::fs::write(&file, "admin_addr = \"0.0.0.0:9001\"\ndatabase_url = \"host=/run user=x\"\n")
        .expect("written");
    assert!(holdfast_controlplane::config::Config::load(Path::new(&file)).is_err());
}

#[test]
fn secrets_cannot_be_printed() {
    let secret = Secret::from("correct horse battery".to_owned());
    assert!(!format!("{secret:?}").contains("horse"));
    let key = SigningKey::new(&derive_day_key(b"correct horse", 20_260_101, "us-east-1"));
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
}

/// A policy that the node cannot read, as one of a later version is, is no policy that allows.
#[test]
fn a_policy_is_never_half_read() {
    let bucket = rig().open_bucket("half-read");
    put(&bucket, "k", "x");
    let unknown = r#""Condition":{"StringEquals":{"aws:NotYetKnown":"x"}}"#;
    let text = crate::policy(
        &bucket,
        &[("Allow", "s3:GetObject", "/*", ""), ("Deny", "s3:GetObject", "/*", unknown)],
    );
    let ask = Ask::put(&format!("/{bucket}?policy")).document(text).by(&rig().owner);
    ask.send().is(400, "MalformedPolicy");
    Ask::get(&format!("/{bucket}/k")).send().is(403, "AccessDenied");
    put_policy(&bucket, &[("Deny", "s3:GetObject", "/*", "")]);
    Ask::get(&format!("/{bucket}/k")).by(&rig().owner).send().is(403, "AccessDenied");
}
