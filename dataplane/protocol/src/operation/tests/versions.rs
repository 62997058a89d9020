//! ListObjectVersions and GetObjectAttributes, read as the router will read them once they are routed.

use super::*;

const ID: &str = "018bcfe5687b7fffbfffffffffffffff";

fn list(query: &str) -> Result<ListObjectVersionsInput, S3Error> {
    let head = head(&format!("GET /bkt?versions{query}"), &[]);
    ListObjectVersionsInput::read(&Request::new(&head)?)
}

fn attributes(query: &str, headers: &[&str]) -> Result<GetObjectAttributesInput, S3Error> {
    let head = head(&format!("GET /bkt/key?attributes{query}"), headers);
    GetObjectAttributesInput::read(&Request::new(&head)?)
}

#[test]
fn versions_are_listed_from_markers() {
    let input =
        list(&format!("&prefix=a+b&delimiter=/&key-marker=k&version-id-marker={ID}&max-keys=7")).unwrap();
    assert_eq!((&*input.prefix, &*input.delimiter, &*input.key_marker), ("a b", "/", "k"));
    assert_eq!(input.version_id_marker, VersionId::parse(ID).ok());
    assert_eq!((input.max_keys, input.encode), (7, false));
    assert_eq!(
        list("&key-marker=k&version-id-marker=null").unwrap().version_id_marker,
        Some(VersionId::Null)
    );
    assert_eq!(list("&key-marker=&version-id-marker=null").unwrap().version_id_marker, None);
    assert!(list("&encoding-type=URL").unwrap().encode);
    for (text, max_keys) in [("", 1000), ("0", 0), ("-0", 0), ("007", 7), ("2147483647", 1000)] {
        assert_eq!(list(&format!("&max-keys={text}")).unwrap().max_keys, max_keys, "{text}");
    }
}

/// Each says the name of the argument, and of several S3 names the first in its own order (measured by others at us-east-1 and
/// ap-northeast-2, 2026).
#[test]
fn wrong_arguments_are_named_in_the_order_of_s3() {
    let wrong = |query: &str| {
        let error = list(query).unwrap_err();
        assert_eq!((error.code, error.extra[0].0), (Code::InvalidArgument, "ArgumentName"), "{query}");
        (error.extra[0].1.clone(), error.message.into_owned())
    };
    let check =
        |query, name: &str, message: &str| assert_eq!(wrong(query), (name.into(), message.into()), "{query}");
    let (keys, vid) = ("max-keys", "version-id-marker");
    let not_a_number = "Provided max-keys not an integer or within integer range";
    let alone = "A version-id marker cannot be specified without a key marker.";
    check("&max-keys=abc&version-id-marker=x", keys, not_a_number);
    check("&max-keys=2147483648", keys, not_a_number);
    check("&max-keys=%2B5", keys, not_a_number);
    check("&max-keys=-1", keys, "max-keys cannot be negative");
    check("&version-id-marker=x&encoding-type=x", vid, alone);
    check("&version-id-marker=", vid, alone);
    check("&version-id-marker=null&max-keys=-1", vid, alone);
    check("&key-marker=a&version-id-marker=&encoding-type=x", vid, "A version-id marker cannot be empty.");
    check("&key-marker=a&version-id-marker=NULL", vid, "Invalid version id specified");
    check("&key-marker=&version-id-marker=x&encoding-type=x", vid, "Invalid version id specified");
    check("&encoding-type=&max-keys=-1", "encoding-type", "Invalid Encoding Method specified in Request");
    assert_eq!(wrong(&format!("&prefix={}", "p".repeat(1025))).0, "prefix");
}

#[test]
fn optional_attributes_of_versions() {
    let ask = |value: &str| {
        let head = head("GET /bkt?versions", &[&format!("x-amz-optional-object-attributes: {value}")]);
        let read = ListObjectVersionsInput::read(&Request::new(&head).unwrap());
        read.map(drop).map_err(|error| error.code)
    };
    assert_eq!((ask("RestoreStatus"), ask(" RestoreStatus , ")), (Ok(()), Ok(())));
    assert_eq!(ask("RestoreStatus,Color"), Err(Code::InvalidArgument));
}

#[test]
fn attributes_are_a_list() {
    let etag = ObjectAttributes { etag: true, ..Default::default() };
    let input = attributes("", &["x-amz-object-attributes: ETag"]).unwrap();
    assert_eq!((input.attributes, input.version, input.max_parts), (etag, VersionSelector::Current, 1000));
    let all = [
        "x-amz-object-attributes: ETag, Checksum,ObjectParts",
        "X-Amz-Object-Attributes: StorageClass,,ObjectSize",
    ];
    let paged = ["x-amz-max-parts: 2", "x-amz-part-number-marker: 7"];
    let input = attributes(&format!("&versionId={ID}"), &[all, paged].concat()).unwrap();
    let every = ObjectAttributes {
        etag: true,
        checksum: true,
        object_parts: true,
        storage_class: true,
        object_size: true,
    };
    assert_eq!((input.attributes, input.version.named()), (every, Some(ID)));
    assert_eq!((input.max_parts, input.part_number_marker), (2, 7));
    let most = attributes("", &[all[0], "x-amz-max-parts: 5000", "x-amz-part-number-marker: 20000"]).unwrap();
    assert_eq!((most.max_parts, most.part_number_marker), (1000, 10_000));
}

#[test]
fn wrong_attributes_are_refused() {
    let wrong = |query: &str, headers: &[&str]| attributes(query, headers).unwrap_err();
    for headers in [&[][..], &["x-amz-object-attributes:"], &["x-amz-object-attributes: , "]] {
        let error = wrong("", headers);
        assert_eq!(error.code, Code::InvalidRequest);
        assert!(error.message.ends_with("is either missing or empty"), "{error}");
    }
    let error = wrong("", &["x-amz-object-attributes: ETag,etag"]);
    assert_eq!((error.code, &*error.message), (Code::InvalidArgument, "Invalid attribute name specified."));
    assert_eq!(error.extra[1], ("ArgumentValue", "etag".into()));
    let etag = "x-amz-object-attributes: ETag";
    for header in
        ["x-amz-max-parts: x", "x-amz-max-parts: -1", "x-amz-part-number-marker: +1", "x-amz-max-parts:"]
    {
        assert_eq!(wrong("", &[etag, header]).code, Code::InvalidArgument, "{header}");
    }
    assert_eq!(wrong("&versionId=x", &[etag]).code, Code::InvalidArgument);
}
