//! Versions, conditions, copies, tags, attributes, configurations and refusals, as the SDK's types have them.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    AccelerateConfiguration, BucketAccelerateStatus, BucketVersioningStatus, ChecksumMode, ChecksumType,
    CorsConfiguration, CorsRule, Delete, ObjectAttributes, ObjectCannedAcl, ObjectIdentifier, Tag, Tagging,
    TaggingDirective, VersioningConfiguration,
};

use crate::Outcome;

pub(crate) async fn all(client: &Client, bucket: &str) -> Outcome<()> {
    client.create_bucket().bucket(bucket).send().await?;
    conditions(client, bucket).await?;
    tags_and_copies(client, bucket).await?;
    attributes(client, bucket).await?;
    configurations(client, bucket).await?;
    versions(client, bucket).await?;
    refusals(client, bucket).await
}

fn body(text: &'static str) -> ByteStream {
    ByteStream::from_static(text.as_bytes())
}

/// What was said must be so.
fn so(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The call must be refused with this status and code.
fn refused<T, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
    status: u16,
    code: &str,
) -> Outcome<()> {
    let Err(error) = answer else { return Err(format!("{code} was wanted, and nothing was refused").into()) };
    let got = error.raw_response().map(|response| response.status().as_u16());
    let said = error.code().unwrap_or_default();
    so(
        got == Some(status) && said == code,
        &format!("{code} {status} was wanted, not {said} {got:?}: {error:?}"),
    )
}

async fn conditions(client: &Client, bucket: &str) -> Outcome<()> {
    let put = || client.put_object().bucket(bucket).key("once");
    let first = put().if_none_match("*").body(body("1")).send().await?;
    refused(put().if_none_match("*").body(body("2")).send().await, 412, "PreconditionFailed")?;
    let tag = first.e_tag().ok_or("no ETag")?;
    put().if_match(tag).body(body("3")).send().await?;
    refused(put().if_match(tag).body(body("4")).send().await, 412, "PreconditionFailed")?;
    let get = client.get_object().bucket(bucket).key("once");
    refused(get.if_match(tag).send().await, 412, "PreconditionFailed")?;
    let head = client.head_object().bucket(bucket).key("once").send().await?;
    let unchanged = client.get_object().bucket(bucket).key("once");
    let unchanged = unchanged.set_if_none_match(head.e_tag().map(str::to_owned)).send().await;
    let status = unchanged.err().and_then(|error| error.raw_response().map(|raw| raw.status().as_u16()));
    so(status == Some(304), "a GET of what did not change")
}

async fn tags_and_copies(client: &Client, bucket: &str) -> Outcome<()> {
    let put = client.put_object().bucket(bucket).key("tagged").tagging("a=1&b=").metadata("m", "v");
    put.content_type("text/x").body(body("copied")).send().await?;
    let source = format!("{bucket}/tagged");
    let copy = |key: &str| client.copy_object().bucket(bucket).key(key).copy_source(&source);
    copy("same").send().await?;
    let got = client.get_object().bucket(bucket).key("same").send().await?;
    so(got.tag_count() == Some(2) && got.content_type() == Some("text/x"), "a copy's metadata")?;
    so(
        got.metadata().and_then(|user| user.get("m")).is_some_and(|value| value == "v"),
        "a copy's own metadata",
    )?;
    so(got.body.collect().await?.into_bytes() == "copied", "a copy's bytes")?;
    copy("other").tagging_directive(TaggingDirective::Replace).tagging("c=3").send().await?;
    let tags = client.get_object_tagging().bucket(bucket).key("other").send().await?;
    so(tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).eq([("c", "3")]), "replaced tags")?;
    let tags = Tagging::builder().tag_set(Tag::builder().key("k").value("v").build()?).build()?;
    client.put_object_tagging().bucket(bucket).key("other").tagging(tags).send().await?;
    client.delete_object_tagging().bucket(bucket).key("other").send().await?;
    let none = client.get_object_tagging().bucket(bucket).key("other").send().await?;
    so(none.tag_set().is_empty(), "removed tags")?;
    refused(
        client.copy_object().bucket(bucket).key("tagged").copy_source(&source).send().await,
        400,
        "InvalidRequest",
    )?;
    let absent = client.copy_object().bucket(bucket).key("x").copy_source(format!("{bucket}/nothing"));
    refused(absent.send().await, 404, "NoSuchKey")
}

async fn attributes(client: &Client, bucket: &str) -> Outcome<()> {
    client.put_object().bucket(bucket).key("sum").body(body("123456789")).send().await?;
    let head =
        client.head_object().bucket(bucket).key("sum").checksum_mode(ChecksumMode::Enabled).send().await?;
    so(head.checksum_crc32() == Some("y/Q5Jg=="), "the checksum that this SDK sends by default")?;
    so(head.checksum_type() == Some(&ChecksumType::FullObject), "its type")?;
    let asked = client.get_object_attributes().bucket(bucket).key("sum");
    let asked =
        asked.object_attributes(ObjectAttributes::ObjectSize).object_attributes(ObjectAttributes::Checksum);
    let got = asked.send().await?;
    so(got.object_size() == Some(9), "the size among the attributes")?;
    so(got.checksum().and_then(|sum| sum.checksum_crc32()) == Some("y/Q5Jg=="), "the checksum among them")?;
    let range = client.get_object().bucket(bucket).key("sum").range("bytes=-3").send().await?;
    so(range.content_range() == Some("bytes 6-8/9"), "a suffix range")?;
    so(range.body.collect().await?.into_bytes() == "789", "its bytes")?;
    let beyond = client.get_object().bucket(bucket).key("sum").range("bytes=9-").send().await;
    refused(beyond, 416, "InvalidRange")
}

async fn configurations(client: &Client, bucket: &str) -> Outcome<()> {
    refused(client.get_bucket_cors().bucket(bucket).send().await, 404, "NoSuchCORSConfiguration")?;
    let rule =
        CorsRule::builder().allowed_methods("GET").allowed_origins("https://*.example.test").build()?;
    let cors = CorsConfiguration::builder().cors_rules(rule).build()?;
    client.put_bucket_cors().bucket(bucket).cors_configuration(cors.clone()).send().await?;
    let got = client.get_bucket_cors().bucket(bucket).send().await?;
    so(got.cors_rules() == cors.cors_rules(), "the CORS rules that were put")?;
    client.delete_bucket_cors().bucket(bucket).send().await?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/no/*"}}]}}"#
    );
    client.put_bucket_policy().bucket(bucket).policy(&policy).send().await?;
    so(
        client.get_bucket_policy().bucket(bucket).send().await?.policy() == Some(&*policy),
        "the policy that was put",
    )?;
    refused(client.get_object().bucket(bucket).key("no/k").send().await, 403, "AccessDenied")?;
    refused(client.put_bucket_policy().bucket(bucket).policy("{}").send().await, 400, "MalformedPolicy")?;
    client.delete_bucket_policy().bucket(bucket).send().await?;
    refused(client.get_bucket_policy().bucket(bucket).send().await, 404, "NoSuchBucketPolicy")?;
    let owned = client.get_bucket_ownership_controls().bucket(bucket).send().await?;
    let rules = owned.ownership_controls().map(|controls| controls.rules()).unwrap_or_default();
    so(
        rules.iter().all(|rule| rule.object_ownership().as_str() == "BucketOwnerEnforced"),
        "a new bucket's ownership",
    )?;
    let shut = client.get_public_access_block().bucket(bucket).send().await?;
    let shut = shut.public_access_block_configuration().ok_or("no public access block")?;
    so(
        shut.block_public_acls() == Some(true) && shut.restrict_public_buckets() == Some(true),
        "a new bucket's block",
    )?;
    let acl = client.put_object_acl().bucket(bucket).key("sum").acl(ObjectCannedAcl::PublicRead).send().await;
    refused(acl, 400, "AccessControlListNotSupported")
}

async fn versions(client: &Client, bucket: &str) -> Outcome<()> {
    let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(bucket).versioning_configuration(enabled).send().await?;
    let put = |text| client.put_object().bucket(bucket).key("v").body(body(text)).send();
    let (first, second) = (put("first").await?, put("second").await?);
    so(first.version_id().is_some() && first.version_id() != second.version_id(), "two versions")?;
    let marker = client.delete_object().bucket(bucket).key("v").send().await?;
    so(marker.delete_marker() == Some(true), "a delete marker")?;
    refused(client.get_object().bucket(bucket).key("v").send().await, 404, "NoSuchKey")?;
    let get = |id: Option<&str>| {
        client.get_object().bucket(bucket).key("v").set_version_id(id.map(str::to_owned)).send()
    };
    so(get(first.version_id()).await?.body.collect().await?.into_bytes() == "first", "the first version")?;
    refused(get(marker.version_id()).await, 405, "MethodNotAllowed")?;
    let listed = client.list_object_versions().bucket(bucket).prefix("v").send().await?;
    so(listed.versions().len() == 2 && listed.delete_markers().len() == 1, "the listing of versions")?;
    let mut gone = Delete::builder();
    for id in [first.version_id(), second.version_id(), marker.version_id()] {
        gone =
            gone.objects(ObjectIdentifier::builder().key("v").set_version_id(id.map(str::to_owned)).build()?);
    }
    let done = client.delete_objects().bucket(bucket).delete(gone.build()?).send().await?;
    so(done.deleted().len() == 3 && done.errors().is_empty(), "three versions deleted at once")?;
    let left = client.list_object_versions().bucket(bucket).prefix("v").send().await?;
    so(left.versions().is_empty() && left.delete_markers().is_empty(), "nothing of them left")
}

async fn refusals(client: &Client, bucket: &str) -> Outcome<()> {
    refused(client.get_object().bucket(bucket).key("nothing").send().await, 404, "NoSuchKey")?;
    let nowhere = format!("{bucket}-nowhere");
    refused(client.list_objects_v2().bucket(&nowhere).send().await, 404, "NoSuchBucket")?;
    let upload = client.list_parts().bucket(bucket).key("k").upload_id("none").send().await;
    refused(upload, 404, "NoSuchUpload")?;
    let wrong =
        client.put_object().bucket(bucket).key("k").content_md5("AAAAAAAAAAAAAAAAAAAAAA==").body(body("x"));
    refused(wrong.send().await, 400, "BadDigest")?;
    refused(client.delete_bucket().bucket(bucket).send().await, 409, "BucketNotEmpty")?;
    let faster = AccelerateConfiguration::builder().status(BucketAccelerateStatus::Enabled).build();
    let lacking =
        client.put_bucket_accelerate_configuration().bucket(bucket).accelerate_configuration(faster);
    refused(lacking.send().await, 501, "NotImplemented")
}
