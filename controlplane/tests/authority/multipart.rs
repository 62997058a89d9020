//! Multipart uploads: what is refused, what the object is, pages, what is freed.

use bytes::Bytes;
use holdfast_common::wire::{self, Checksum, Refusal, answer::Answer, mutation::Op, query::Query as Ask};

use crate::node::{Node, blob, delete, mutation, outcome};
use crate::rig::Db;

const MIB5: u64 = 5 << 20;

fn part(number: u32, size: u64) -> wire::Part {
    let md5 = Bytes::from(vec![u8::try_from(number % 250).expect("fits"); 16]);
    wire::Part { number, blob: Some(blob(&Bytes::new(), size)), md5, ..Default::default() }
}

fn etag(number: u32) -> String {
    hex::encode(vec![u8::try_from(number % 250).expect("fits"); 16])
}

async fn upload(node: &Node, bucket: u64, key: &str) -> String {
    let create = wire::CreateUpload {
        meta: Some(wire::ObjectMeta {
            content_type: "x/y".into(),
            acl: "public-read".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    node.commit(mutation(bucket, key, Op::CreateUpload(create))).await.expect("an upload").upload_id
}

fn put_part(bucket: u64, key: &str, upload_id: &str, mut part: wire::Part) -> wire::Mutation {
    let mut put = mutation(bucket, key, Op::PutPart(wire::PutPart::default()));
    part.blob.as_mut().expect("a blob").op_id = put.op_id.clone();
    put.op = Some(Op::PutPart(wire::PutPart { upload_id: upload_id.into(), part: Some(part) }));
    put
}

fn complete(bucket: u64, key: &str, upload_id: &str, numbers: &[u32]) -> wire::Mutation {
    let parts = numbers.iter().map(|number| wire::CompletedPart {
        number: *number,
        etag: etag(*number),
        checksums: vec![],
    });
    let complete =
        wire::CompleteUpload { upload_id: upload_id.into(), parts: parts.collect(), ..Default::default() };
    mutation(bucket, key, Op::CompleteUpload(complete))
}

#[tokio::test]
async fn parts_become_an_object() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let id = upload(&node, bucket, "k").await;
    for (number, size) in [(1, MIB5), (2, 3), (3, MIB5), (5, 7)] {
        node.commit(put_part(bucket, "k", &id, part(number, size))).await.expect("a part");
    }
    assert_eq!(node.commit(put_part(bucket, "other", &id, part(1, 1))).await, Err(Refusal::NoSuchUpload));
    assert_eq!(node.commit(put_part(bucket, "k", &id, part(0, 1))).await, Err(Refusal::InvalidRequest));
    assert_eq!(node.commit(complete(bucket, "k", &id, &[3, 1])).await, Err(Refusal::InvalidPartOrder));
    assert_eq!(node.commit(complete(bucket, "k", &id, &[1, 4])).await, Err(Refusal::InvalidPart));
    assert_eq!(node.commit(complete(bucket, "k", &id, &[1, 2, 3])).await, Err(Refusal::EntityTooSmall));
    assert_eq!(node.commit(complete(bucket, "k", &id, &[])).await, Err(Refusal::InvalidRequest));
    // A part again: the first is freed.
    node.commit(put_part(bucket, "k", &id, part(3, MIB5 + 1))).await.expect("a part again");
    assert_eq!(db.count("freed").await, 1);
    let parts = node
        .query(Ask::Parts(wire::PartsQuery {
            bucket_id: bucket,
            key: "k".into(),
            upload_id: id.clone(),
            after_number: 1,
            max_parts: 2,
        }))
        .await;
    let Answer::Parts(parts) = parts else { panic!("{parts:?}") };
    assert_eq!((parts.parts.len(), parts.truncated, parts.next_after_number), (2, true, 3));
    let first = node.commit(complete(bucket, "k", &id, &[1, 3, 5])).await.expect("completes");
    let record = first.record.clone().expect("a record");
    assert_eq!(record.size, 2 * MIB5 + 1 + 7);
    // md5 of 01*16 03*16 05*16
    use md5::Digest as _;
    let whole: Vec<u8> = [1u8, 3, 5].iter().flat_map(|byte| vec![*byte; 16]).collect();
    assert_eq!(record.etag, format!("{}-3", hex::encode(md5::Md5::digest(&whole))));
    let manifest = record.manifest.expect("a manifest");
    assert_eq!(manifest.parts.iter().map(|part| part.offset).collect::<Vec<_>>(), [0, MIB5, 2 * MIB5 + 1]);
    assert_eq!(manifest.part_count, 3);
    let meta = record.meta.expect("meta");
    assert_eq!(
        (meta.content_type.as_str(), meta.acl.as_str(), meta.checksums.len()),
        ("x/y", "public-read", 0)
    );
    assert_eq!((db.count("freed").await, db.count("part").await), (2, 0), "part 2 was not used");
    // Completed again, by another request: the same answer.
    assert_eq!(node.commit(complete(bucket, "k", &id, &[1, 3, 5])).await.expect("the same"), first);
    assert_eq!(node.commit(put_part(bucket, "k", &id, part(1, 1))).await, Err(Refusal::NoSuchUpload));
    node.commit(delete(bucket, "k")).await.expect("deletes");
    assert_eq!(db.count("freed").await, 5);
}

#[tokio::test]
async fn many_parts_stand_in_pages_which_copies_share() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let id = upload(&node, bucket, "k").await;
    let items = (1..=600).map(|number| put_part(bucket, "k", &id, part(number, MIB5))).collect();
    for wait in node.send(items) {
        outcome(wait.await.expect("an answer")).expect("a part");
    }
    let numbers: Vec<u32> = (1..=600).collect();
    let record =
        node.commit(complete(bucket, "k", &id, &numbers)).await.expect("completes").record.expect("a record");
    let manifest = record.manifest.expect("a manifest");
    assert_eq!((manifest.parts.len(), manifest.part_count), (0, 600));
    assert_eq!(manifest.page_offsets, [0, 250 * MIB5, 500 * MIB5]);
    let page = node
        .query(Ask::ManifestPage(wire::ManifestPageQuery { pages_of: manifest.pages_of.clone(), page: 2 }))
        .await;
    let Answer::ManifestPage(page) = page else { panic!("{page:?}") };
    assert_eq!((page.parts.len(), page.parts[0].number, page.parts[0].offset), (100, 501, 500 * MIB5));
    let copy = wire::CopyObject { source_bucket_id: bucket, source_key: "k".into(), ..Default::default() };
    node.commit(mutation(bucket, "copy", Op::Copy(copy))).await.expect("copies");
    node.commit(delete(bucket, "k")).await.expect("deletes");
    assert_eq!((db.count("freed").await, db.count("manifest_page").await), (0, 3));
    node.commit(delete(bucket, "copy")).await.expect("deletes");
    // The pages go when their time has come, and then the blobs in them are free.
    db.until_count("manifest_page", 0).await;
    assert_eq!((db.count("freed").await, db.count("blob").await), (600, 0));
}

#[tokio::test]
async fn a_reader_of_a_long_manifest_reads_on_when_it_is_overwritten() {
    let db = Db::fresh().await;
    let running = db.start_with_delay(3_600_000).await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let id = upload(&node, bucket, "k").await;
    let items = (1..=20).map(|number| put_part(bucket, "k", &id, part(number, MIB5))).collect();
    for wait in node.send(items) {
        outcome(wait.await.expect("an answer")).expect("a part");
    }
    let numbers: Vec<u32> = (1..=20).collect();
    let record =
        node.commit(complete(bucket, "k", &id, &numbers)).await.expect("completes").record.expect("a record");
    let pages_of = record.manifest.expect("a manifest").pages_of;
    node.put(bucket, "k", "over").await.expect("overwrites");
    let page = || Ask::ManifestPage(wire::ManifestPageQuery { pages_of: pages_of.clone(), page: 0 });
    let due = "SELECT (extract(epoch FROM not_before) * 1e6)::bigint FROM freed WHERE pages";
    let before = db.number(due).await;
    let Answer::ManifestPage(found) = node.query(page()).await else { panic!("the page is gone") };
    assert_eq!(found.parts.len(), 20);
    assert!(db.number(due).await > before, "whoever reads on is waited for");
    // Its time comes, twice for all we know: the blobs are freed once, for another delay.
    db.client().await.batch_execute("UPDATE freed SET not_before = '-infinity'").await.expect("time passes");
    db.until_count("manifest_page", 0).await;
    assert_eq!(db.count("freed WHERE not_before > clock_timestamp() + interval '50 minutes'").await, 20);
    assert!(matches!(node.query(page()).await, Answer::Refused(_)));
}

#[tokio::test]
async fn checksums_of_the_whole_are_checked() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let algorithm = wire::checksum::Algorithm::Crc64nvme;
    let create = wire::CreateUpload { checksum_algorithm: algorithm.into(), ..Default::default() };
    let id = node.commit(mutation(bucket, "k", Op::CreateUpload(create))).await.expect("an upload").upload_id;
    let crc = |bytes: &[u8]| {
        Bytes::copy_from_slice(&crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
    };
    let (one, two) = (vec![7u8; MIB5 as usize], b"tail".to_vec());
    let sum = |value| Checksum { algorithm: algorithm.into(), kind: 0, value };
    for (number, bytes) in [(1, &one), (2, &two)] {
        let part = wire::Part { checksums: vec![sum(crc(bytes))], ..part(number, bytes.len() as u64) };
        node.commit(put_part(bucket, "k", &id, part)).await.expect("a part");
    }
    let expecting = |value| {
        let mut mutation = complete(bucket, "k", &id, &[1, 2]);
        if let Some(Op::CompleteUpload(complete)) = &mut mutation.op {
            complete.expected = Some(sum(value));
        }
        mutation
    };
    assert_eq!(node.commit(expecting(crc(b"other"))).await, Err(Refusal::BadDigest));
    let whole = [one, two].concat();
    let record = node.commit(expecting(crc(&whole))).await.expect("completes").record.expect("a record");
    assert_eq!(record.meta.expect("meta").checksums, [sum(crc(&whole))]);
}

#[tokio::test]
async fn an_upload_that_named_no_checksum_gets_the_default_one() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let id = upload(&node, bucket, "k").await;
    use wire::checksum::Algorithm::{Crc32, Crc64nvme};
    let sum = |algorithm: wire::checksum::Algorithm, bytes: &[u8]| {
        let value = if algorithm == Crc32 {
            Bytes::from_static(&[9; 4]) // what a client sent besides: nothing to the object
        } else {
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
            Bytes::copy_from_slice(&crc.to_be_bytes())
        };
        Checksum { algorithm: algorithm.into(), kind: 0, value }
    };
    let (one, two) = (vec![7u8; MIB5 as usize], b"tail".to_vec());
    for (number, bytes) in [(1, &one), (2, &two)] {
        let checksums = vec![sum(Crc32, bytes), sum(Crc64nvme, bytes)];
        let part = wire::Part { checksums, ..part(number, bytes.len() as u64) };
        node.commit(put_part(bucket, "k", &id, part)).await.expect("a part");
    }
    let done = node.commit(complete(bucket, "k", &id, &[1, 2])).await.expect("completes");
    let meta = done.record.expect("a record").meta.expect("meta");
    assert_eq!(meta.checksums, [sum(Crc64nvme, &[one, two].concat())]);
}

#[tokio::test]
async fn uploads_are_listed_and_aborted() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut ids = Vec::new();
    for key in ["a", "d/1", "d/2", "e", "e"] {
        ids.push(upload(&node, bucket, key).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let ask = |marker: &str, id: &str, max_uploads| {
        Ask::Uploads(wire::UploadsQuery {
            bucket_id: bucket,
            delimiter: "/".into(),
            key_marker: Bytes::copy_from_slice(marker.as_bytes()),
            upload_id_marker: id.into(),
            max_uploads,
            ..Default::default()
        })
    };
    let page = |answer| match answer {
        Answer::Uploads(page) => page,
        other => panic!("{other:?}"),
    };
    let first = page(node.query(ask("", "", 3)).await);
    assert_eq!((first.uploads.len(), first.common_prefixes.len(), first.truncated), (2, 1, true));
    assert_eq!(first.next_upload_id_marker, ids[3]);
    let second = page(node.query(ask("e", &first.next_upload_id_marker, 3)).await);
    assert_eq!((second.uploads[0].upload_id.clone(), second.truncated), (ids[4].clone(), false));
    assert!(page(node.query(ask("e", "", 3)).await).uploads.is_empty());
    node.commit(put_part(bucket, "a", &ids[0], part(1, 9))).await.expect("a part");
    let abort = || mutation(bucket, "a", Op::AbortUpload(wire::AbortUpload { upload_id: ids[0].clone() }));
    node.commit(abort()).await.expect("aborts");
    assert_eq!(node.commit(abort()).await, Err(Refusal::NoSuchUpload));
    assert_eq!((db.count("freed").await, db.count("part").await), (1, 0));
}
