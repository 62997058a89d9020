//! Keys of other tenants, keys for other buckets, and nobody: what is not opened to them stays shut, and nothing that they may
//! do widens what they are.

use holdfast_controlplane::app::Permission;

use crate::client::{Ask, Key};
use crate::rig::rig;
use crate::{policy, put, put_policy};

/// One request for every operation, on a bucket with the object `k` and this upload.
fn everything(bucket: &str, upload: &str) -> Vec<Ask> {
    let of_bucket = |query: &str| format!("/{bucket}?{query}");
    let of_object = |query: &str| format!("/{bucket}/k?{query}");
    let mut asks: Vec<Ask> = [
        "",
        "list-type=2",
        "versions",
        "uploads",
        "location",
        "policy",
        "policyStatus",
        "acl",
        "cors",
        "tagging",
        "versioning",
        "ownershipControls",
        "publicAccessBlock",
        "lifecycle",
        "encryption",
    ]
    .map(|query| Ask::get(&of_bucket(query)))
    .into();
    asks.extend(
        ["", "acl", "tagging", &format!("uploadId={upload}"), "versionId=null"]
            .map(|query| Ask::get(&of_object(query))),
    );
    asks.extend(
        ["policy", "cors", "tagging", "ownershipControls", "publicAccessBlock", ""]
            .map(|query| Ask::delete(&of_bucket(query))),
    );
    asks.extend(
        ["", "tagging", "versionId=null", &format!("uploadId={upload}")]
            .map(|query| Ask::delete(&of_object(query))),
    );
    asks.extend([Ask::head(&of_bucket("")), Ask::head(&of_object("")), Ask::put(&of_object("")).body("y")]);
    asks.push(Ask::post(&of_object("uploads")));
    asks.push(Ask::put(&of_object(&format!("partNumber=1&uploadId={upload}"))).body("y"));
    let complete = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>";
    asks.push(Ask::post(&of_object(&format!("uploadId={upload}"))).body(complete));
    asks.push(Ask::get(&of_object("attributes")).header("x-amz-object-attributes", "ETag"));
    asks.push(
        Ask::put(&of_object(""))
            .header("x-amz-copy-source", format!("/{bucket}/k"))
            .header("x-amz-metadata-directive", "REPLACE"),
    );
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    asks.extend([
        Ask::put(&of_bucket("tagging")).document(tags),
        Ask::put(&of_object("tagging")).document(tags),
    ]);
    asks.extend(
        [Ask::put(&of_bucket("acl")), Ask::put(&of_object("acl"))]
            .map(|ask| ask.header("x-amz-acl", "private")),
    );
    let allow = policy(bucket, &[("Allow", "s3:*", "/*", "")]);
    asks.push(Ask::put(&of_bucket("policy")).document(allow));
    asks.push(
        Ask::put(&of_bucket("versioning"))
            .document("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
    );
    let blocks = "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>";
    asks.push(Ask::put(&of_bucket("publicAccessBlock")).document(blocks));
    let rules =
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>";
    asks.push(Ask::put(&of_bucket("ownershipControls")).document(rules));
    let cors = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>";
    asks.push(Ask::put(&of_bucket("cors")).document(cors));
    asks
}

/// None of them does anything for whoever `sign` makes of a request.
#[track_caller]
fn all_refused(bucket: &str, upload: &str, wants: impl Fn(&Ask) -> bool, sign: impl Fn(Ask) -> Ask) {
    let before = rig().all_of(bucket);
    for ask in everything(bucket, upload).into_iter().filter(wants) {
        let ask = sign(ask);
        let answer = ask.send();
        let code = if ask.method == "HEAD" { "" } else { "AccessDenied" };
        assert_eq!(
            (answer.status, &*answer.code()),
            (403, code),
            "{} {} {}",
            ask.method,
            ask.target,
            answer.text()
        );
    }
    assert_eq!(rig().all_of(bucket), before);
}

fn furnished(word: &str) -> (String, String) {
    let bucket = rig().bucket(word);
    put(&bucket, "k", "x");
    let upload = Ask::post(&format!("/{bucket}/k?uploads")).by(&rig().owner).send().is(200, "");
    (bucket, upload.element("UploadId").expect("an upload"))
}

#[test]
fn what_nobody_opened_is_shut() {
    let rig = rig();
    let (bucket, upload) = furnished("shut");
    let elsewhere = rig.bucket("elsewhere");
    let scoped = rig.scoped_key(&[&elsewhere], &[Permission::Admin]);
    let empty = rig.scoped_key(&[], &[Permission::Admin]);
    all_refused(&bucket, &upload, |_| true, |ask| ask);
    for key in [&rig.stranger, &scoped, &empty] {
        all_refused(&bucket, &upload, |_| true, |ask| ask.by(key));
    }
    all_refused(&bucket, &upload, |ask| ask.headers.is_empty(), |ask| ask.presigned(&rig.stranger));
}

#[test]
fn a_key_does_what_it_was_made_for() {
    let rig = rig();
    let (bucket, upload) = furnished("made-for");
    let writes = |ask: &Ask| !matches!(&*ask.method, "GET" | "HEAD");
    let reader = rig.scoped_key(&[&bucket], &[Permission::Read]);
    all_refused(&bucket, &upload, writes, |ask| ask.by(&reader));
    let writer = rig.scoped_key(&[&bucket], &[Permission::Write]);
    all_refused(&bucket, &upload, |ask| !writes(ask), |ask| ask.by(&writer));
    let copy = Ask::put(&format!("/{bucket}/copy")).header("x-amz-copy-source", format!("/{bucket}/k"));
    copy.by(&writer).send().is(403, "AccessDenied");
    Ask::delete(&format!("/{bucket}")).by(&writer).send().is(403, "AccessDenied");
}

#[test]
fn a_scoped_key_sees_and_makes_no_other_buckets() {
    let rig = rig();
    let (mine, other) = (rig.bucket("mine"), rig.bucket("others"));
    let key = rig.scoped_key(&[&mine], &[Permission::Admin]);
    let list = Ask::get("/").by(&key).send().is(200, "").text();
    assert!(list.contains(&mine) && !list.contains(&other), "{list}");
    Ask::put("/scoped-made-this").by(&key).send().is(403, "AccessDenied");
    Ask::head("/scoped-made-this").by(&rig.owner).send().is(404, "");
    let absent = Ask::get("/no-such-bucket-at-all").by(&key).send().is(403, "AccessDenied").text();
    let hidden = Ask::get(&format!("/{other}")).by(&key).send().is(403, "AccessDenied").text();
    let told = |text: &str| {
        text[..text.find("<Resource>").or(text.find("<RequestId>")).expect("an error")].to_owned()
    };
    assert_eq!(told(&absent), told(&hidden));
}

/// A new bucket under an old name is another bucket.
#[test]
fn a_scope_does_not_pass_to_a_namesake() {
    let rig = rig();
    let bucket = rig.bucket("namesake");
    let key = rig.scoped_key(&[&bucket], &[Permission::Admin]);
    Ask::put(&format!("/{bucket}/k")).by(&key).send().is(200, "");
    Ask::delete(&format!("/{bucket}/k")).by(&key).send().is(204, "");
    Ask::delete(&format!("/{bucket}")).by(&rig.owner).send().is(204, "");
    Ask::put(&format!("/{bucket}")).by(&rig.stranger).send().is(200, "");
    Ask::put(&format!("/{bucket}/k")).by(&key).send().is(403, "AccessDenied");
    Ask::get(&format!("/{bucket}")).by(&rig.owner).send().is(403, "AccessDenied");
}

fn owner_id() -> String {
    Ask::get("/").by(&rig().owner).send().element("ID").expect("an owner")
}

/// An account in a policy passes on what its keys may do already, and adds nothing to a key that was made for less.
#[test]
fn an_account_in_a_policy_widens_no_key() {
    let rig = rig();
    let (bucket, elsewhere) = (rig.open_bucket("account"), rig.bucket("elsewhere"));
    put(&bucket, "k", "x");
    let key = rig.scoped_key(&[&elsewhere], &[Permission::Read]);
    let principal = format!(r#""Principal":{{"AWS":"{}"}}"#, owner_id());
    put_policy(&bucket, &[("Allow", "s3:*", "/*", &principal)]);
    let before = rig.all_of(&bucket);
    Ask::get(&format!("/{bucket}/k")).by(&key).send().is(403, "AccessDenied");
    Ask::put(&format!("/{bucket}/k")).body("y").by(&key).send().is(403, "AccessDenied");
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn a_restricted_bucket_is_not_public() {
    let rig = rig();
    let bucket = rig.open_bucket("restricted");
    put(&bucket, "k", "x");
    put_policy(&bucket, &[("Allow", "s3:*", "/*", ""), ("Allow", "s3:ListBucket", "", "")]);
    let block = "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    Ask::put(&format!("/{bucket}?publicAccessBlock")).document(block).by(&rig.owner).send().is(200, "");
    let before = rig.all_of(&bucket);
    for ask in [
        Ask::get(&format!("/{bucket}/k")),
        Ask::get(&format!("/{bucket}")),
        Ask::put(&format!("/{bucket}/k")).body("y"),
        Ask::delete(&format!("/{bucket}/k")),
        Ask::delete(&format!("/{bucket}?publicAccessBlock")),
        Ask::put(&format!("/{bucket}/c")).header("x-amz-copy-source", format!("/{bucket}/k")),
    ] {
        ask.send().is(403, "AccessDenied");
        ask.by(&rig.stranger).send().is(403, "AccessDenied");
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn acls_open_nothing_where_they_are_ignored() {
    let rig = rig();
    let bucket = rig.open_bucket("ignored");
    Ask::put(&format!("/{bucket}/k"))
        .header("x-amz-acl", "public-read")
        .body("x")
        .by(&rig.owner)
        .send()
        .is(200, "");
    Ask::put(&format!("/{bucket}?acl"))
        .header("x-amz-acl", "public-read-write")
        .by(&rig.owner)
        .send()
        .is(200, "");
    Ask::get(&format!("/{bucket}/k")).send().is(200, "");
    let shut = |document: &str, body: &str| {
        Ask::put(&format!("/{bucket}?{document}")).document(body).by(&rig.owner).send().is(200, "");
        for ask in [
            Ask::get(&format!("/{bucket}/k")),
            Ask::get(&format!("/{bucket}")),
            Ask::put(&format!("/{bucket}/n")),
        ] {
            ask.send().is(403, "AccessDenied");
            ask.by(&rig.stranger).send().is(403, "AccessDenied");
        }
    };
    shut(
        "publicAccessBlock",
        "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>",
    );
    Ask::put(&format!("/{bucket}?acl")).header("x-amz-acl", "private").by(&rig.owner).send().is(200, "");
    Ask::delete(&format!("/{bucket}?publicAccessBlock")).by(&rig.owner).send().is(204, "");
    Ask::get(&format!("/{bucket}/k")).send().is(200, "");
    shut(
        "ownershipControls",
        "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
    );
}

/// Who may write through an ACL may not open what is written to others, nor take the bucket over.
#[test]
fn who_may_write_may_not_rule() {
    let rig = rig();
    let bucket = rig.open_bucket("rule");
    put(&bucket, "k", "x");
    Ask::put(&format!("/{bucket}?acl"))
        .header("x-amz-acl", "public-read-write")
        .by(&rig.owner)
        .send()
        .is(200, "");
    Ask::put(&format!("/{bucket}/theirs")).body("y").send().is(200, "");
    let before = rig.all_of(&bucket);
    for ask in [
        Ask::get(&format!("/{bucket}/k")),
        Ask::get(&format!("/{bucket}/theirs?acl")),
        Ask::delete(&format!("/{bucket}/k")),
        Ask::put(&format!("/{bucket}?acl")).header("x-amz-acl", "private"),
        Ask::get(&format!("/{bucket}?acl")),
        Ask::put(&format!("/{bucket}/k?acl")).header("x-amz-acl", "public-read"),
        Ask::put(&format!("/{bucket}?policy")).document(policy(&bucket, &[("Allow", "s3:*", "/*", "")])),
        Ask::put(&format!("/{bucket}?publicAccessBlock")),
        Ask::delete(&format!("/{bucket}")),
    ] {
        ask.send().is(403, "AccessDenied");
    }
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn an_upload_belongs_to_its_key_and_bucket() {
    let rig = rig();
    let (bucket, upload) = furnished("uploads");
    let theirs = "strangers-uploads";
    Ask::put(&format!("/{theirs}")).by(&rig.stranger).send().is(200, "");
    let before = rig.all_of(&bucket);
    let tries = |key: &Key, bucket: &str, name: &str| {
        for ask in [
            Ask::put(&format!("/{bucket}/{name}?partNumber=1&uploadId={upload}")).body("y"),
            Ask::get(&format!("/{bucket}/{name}?uploadId={upload}")),
            Ask::delete(&format!("/{bucket}/{name}?uploadId={upload}")),
        ] {
            ask.by(key).send().is(404, "NoSuchUpload");
        }
    };
    tries(&rig.stranger, theirs, "k");
    tries(&rig.owner, &bucket, "other");
    assert_eq!(rig.all_of(&bucket), before);
}

#[test]
fn nobody_dresses_an_answer_up() {
    let bucket = rig().open_bucket("dress");
    put(&bucket, "k", "<script>");
    put_policy(&bucket, &[("Allow", "s3:GetObject", "/*", "")]);
    for argument in
        ["response-content-type=text/html", "response-content-disposition=inline", "response-cache-control=a"]
    {
        Ask::get(&format!("/{bucket}/k?{argument}")).send().is(400, "InvalidRequest");
    }
    for argument in ["response-content-type=a%0d%0aSet-Cookie:%20x", "response-expires=%00"] {
        let answer = Ask::get(&format!("/{bucket}/k?{argument}")).presigned(&rig().owner).send();
        assert!(answer.status == 400 && answer.header("set-cookie").is_none(), "{answer:?}");
    }
}
