//! Reading and proving a request head: what every request pays before its first byte of work. Limit: memcpy of the head.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use criterion::{Criterion, Throughput, criterion_group};
use holdfast_benches::table::{self, Row, Table};
use holdfast_common::id::TenantId;
use holdfast_protocol::access::{KeyIdentity, Permissions, Scope};
use holdfast_protocol::http::RequestHead;
use holdfast_protocol::operation::{Addressing, route};
use holdfast_protocol::sigv4::{KeyLookup, KeySource, SigningKey, authenticate, derive_day_key};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

mod allocations;

use allocations::{Counted, allocations};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "us-east-1";
const DAY: u32 = 20_130_524;
/// 2013-05-24T00:00:00Z
const NOW_MS: u64 = 1_369_353_600_000;
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct OneKey {
    key: SigningKey,
    identity: Arc<KeyIdentity>,
}

impl OneKey {
    fn new() -> Self {
        let identity = KeyIdentity {
            access_key_id: ACCESS_KEY.into(),
            name: "bench".into(),
            tenant_id: TenantId(1),
            scope: Scope::WholeTenant,
            permissions: Permissions::ALL,
            signed_not_before: 0,
            revision: 1,
        };
        let key = SigningKey::new(&derive_day_key(SECRET.as_bytes(), DAY, REGION));
        Self { key, identity: Arc::new(identity) }
    }
}

impl KeySource for OneKey {
    fn signing_key(&self, _: &str, _: u32, _: &str) -> KeyLookup<'_> {
        KeyLookup::Found { key: &self.key, identity: &self.identity }
    }
}

/// Signs with the oracle; gives the names and values to send.
fn oracle(credentials: &Credentials) -> Vec<(String, String)> {
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = aws_sigv4::http_request::PercentEncodingMode::Single;
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("s3")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS))
        .settings(settings)
        .build()
        .expect("complete")
        .into();
    let headers = [("x-amz-meta-a", "1"), ("content-type", "application/octet-stream")];
    let body = SignableBody::Precomputed(HASH.to_owned());
    let request =
        SignableRequest::new("PUT", "http://127.0.0.1:9000/bucket/some/key-0001", headers.into_iter(), body);
    let (instructions, _) = sign(request.expect("signable"), &params).expect("signed").into_parts();
    let (added, _) = instructions.into_parts();
    let sent = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    sent.chain(added.iter().map(|header| (header.name().to_owned(), header.value().to_owned()))).collect()
}

fn head_text(headers: &[(String, String)]) -> Vec<u8> {
    let mut text = "PUT /bucket/some/key-0001 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n".to_owned();
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "Content-Length: 4096\r\nUser-Agent: bench\r\n\r\n").into_bytes()
}

fn heads(c: &mut Criterion) {
    let credentials = Credentials::new(ACCESS_KEY, SECRET, None, None, "bench");
    let text = head_text(&oracle(&credentials));
    let head = RequestHead::parse(&text).expect("a head").expect("a whole head").0;
    let keys = OneKey::new();
    let verified = authenticate(&head, &keys, REGION, NOW_MS).expect("the oracle's signature holds");
    assert!(verified.who.identity().is_some());

    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("limit: memcpy", |b| b.iter(|| black_box(&text[..]).to_vec()));
    group.bench_function("parse", |b| b.iter(|| RequestHead::parse(black_box(&text))));
    group.bench_function("verify SigV4", |b| {
        b.iter(|| authenticate(black_box(&head), &keys, REGION, NOW_MS).map(|verified| verified.who))
    });
    let addressing = Addressing::new::<&str>([]);
    group.bench_function("route", |b| b.iter(|| route(black_box(&head), &addressing)));
    // The oracle can only sign; a verifier made of it would pay that and the parse of the claim.
    group.bench_function("sign with aws-sigv4", |b| b.iter(|| oracle(black_box(&credentials))));
    group.finish();
    let verify = allocations(|| authenticate(&head, &keys, REGION, NOW_MS));
    assert_eq!(verify, 0, "verifying allocates nothing");
    let counts = [
        ("parse", allocations(|| RequestHead::parse(&text))),
        ("verify SigV4", verify),
        ("route: bucket, key, input", allocations(|| route(&head, &addressing))),
        ("sign with aws-sigv4", allocations(|| oracle(&credentials))),
    ];
    let rows = counts.map(|(stage, count)| Row::alone(stage, count as f64, "allocations"));
    table::print_all(&[Table { title: "allocations of one head".into(), rows: rows.into() }]);
}

criterion_group!(benches, heads);

fn main() {
    let began = SystemTime::now();
    benches();
    table::print(began);
}
