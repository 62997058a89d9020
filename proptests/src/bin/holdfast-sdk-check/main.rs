//! The AWS SDK for Rust against a running endpoint: its defaults stream signed trailers over http. What S3 means beside
//! bytes is in `semantics`.
//!
//! `holdfast-sdk-check ENDPOINT BUCKET`, credentials from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use aws_sdk_s3::{Client, Config};

mod semantics;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(bucket)) = (arguments.next(), arguments.next()) else {
        return Err("usage: holdfast-sdk-check ENDPOINT BUCKET".into());
    };
    let client = client(&endpoint)?;
    client.create_bucket().bucket(&bucket).send().await?;
    for size in [0usize, 1, 16 << 10, 100_000, 3 << 20] {
        round_trip(&client, &bucket, size, None).await?;
    }
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        round_trip(&client, &bucket, 70_000, Some(algorithm)).await?;
    }
    streamed_file(&client, &bucket).await?;
    multipart(&client, &bucket).await?;
    semantics::all(&client, &format!("{bucket}-meaning")).await?;
    #[allow(clippy::print_stdout, reason = "a command that reports to its caller")]
    {
        println!("all compared");
    }
    Ok(())
}

fn client(endpoint: &str) -> Outcome<Client> {
    let (id, secret) = (std::env::var("AWS_ACCESS_KEY_ID")?, std::env::var("AWS_SECRET_ACCESS_KEY")?);
    let http = match std::env::var("AWS_CA_BUNDLE") {
        Ok(bundle) => trusting(&std::fs::read(bundle)?),
        Err(_) => aws_smithy_http_client::Builder::new().build_http(),
    };
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned())))
        .credentials_provider(Credentials::new(id, secret, None, None, "environment"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(http);
    Ok(Client::from_conf(config.build()))
}

/// An HTTP client that trusts the test's own certificate authority.
fn trusting(pem: &[u8]) -> aws_sdk_s3::config::SharedHttpClient {
    use aws_smithy_http_client::tls;
    let trust = tls::TrustStore::empty().with_pem_certificate(pem);
    let context = tls::TlsContext::builder().with_trust_store(trust).build().expect("a PEM certificate");
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(context)
        .build_https()
}

/// Bytes that no compression and no all-zero shortcut would survive.
fn pattern(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(size)
    .collect()
}

async fn compare(client: &Client, bucket: &str, key: &str, body: &[u8]) -> Outcome<()> {
    let got = client.get_object().bucket(bucket).key(key).send().await?;
    let bytes = got.body.collect().await?.into_bytes();
    (bytes == body).then_some(()).ok_or_else(|| format!("{key}: other bytes came back").into())
}

async fn round_trip(
    client: &Client,
    bucket: &str,
    size: usize,
    algorithm: Option<ChecksumAlgorithm>,
) -> Outcome<()> {
    let key = format!("sdk/{size}/{algorithm:?}");
    let body = pattern(size);
    let put = client.put_object().bucket(bucket).key(&key).set_checksum_algorithm(algorithm);
    put.body(ByteStream::from(body.clone())).send().await?;
    compare(client, bucket, &key, &body).await
}

/// A file body cannot be hashed beforehand, so the SDK sends it in signed chunks with a trailer over http.
async fn streamed_file(client: &Client, bucket: &str) -> Outcome<()> {
    let body = pattern(9_000_001);
    let path = std::env::temp_dir().join(format!("holdfast-sdk-check-{}", std::process::id()));
    std::fs::write(&path, &body)?;
    let stream = ByteStream::from_path(&path).await?;
    let sent = client.put_object().bucket(bucket).key("file").body(stream).send().await;
    std::fs::remove_file(&path)?;
    sent?;
    compare(client, bucket, "file", &body).await
}

async fn multipart(client: &Client, bucket: &str) -> Outcome<()> {
    let parts = [pattern(5 << 20), pattern((5 << 20) + 1), pattern(77)];
    let upload = client.create_multipart_upload().bucket(bucket).key("mp").send().await?;
    let id = upload.upload_id().ok_or("no upload id")?;
    let mut done = CompletedMultipartUpload::builder();
    for (number, body) in (1..).zip(&parts) {
        let sent = client.upload_part().bucket(bucket).key("mp").upload_id(id).part_number(number);
        let sent = sent.body(ByteStream::from(body.clone())).send().await?;
        done = done.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag().map(str::to_owned))
                .set_checksum_crc32(sent.checksum_crc32().map(str::to_owned))
                .build(),
        );
    }
    let complete = client.complete_multipart_upload().bucket(bucket).key("mp").upload_id(id);
    complete.multipart_upload(done.build()).send().await?;
    compare(client, bucket, "mp", &parts.concat()).await
}
