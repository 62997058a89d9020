//! Copies: sources as clients write them, and what may be copied onto itself.

use super::*;

const ID: &str = "018bcfe5687b7fffbfffffffffffffff";

#[test]
fn copies() {
    let copy = |source: &str, more: &[&str]| {
        let source = format!("x-amz-copy-source: {source}");
        let headers: Vec<&str> = more.iter().copied().chain([source.as_str()]).collect();
        match ask("PUT /bkt/key", &headers)?.operation {
            Operation::CopyObject(input) => Ok(*input),
            other => panic!("{}", other.name()),
        }
    };
    for (sent, bucket, key, version) in [
        ("/src/a%20b", "src", "a b", None),
        ("src/a+b?c", "src", "a+b?c", None),
        ("src/a%3FversionId=x", "src", "a?versionId=x", None),
        ("src/k?versionId=null", "src", "k", Some("null")),
        ("src//k/", "src", "/k/", None),
        ("src/%D0%BA", "src", "к", None),
        ("src%2Fa%20b%2Fc", "src", "a b/c", None),
        ("%2Fsrc%2Fk?versionId=null", "src", "k", Some("null")),
        ("src%2Fk%3FversionId%3Dnull", "src", "k?versionId=null", None),
        (&format!("src/k?versionId={ID}"), "src", "k", Some(ID)),
    ] {
        let source = copy(sent, &[]).unwrap_or_else(|error: S3Error| panic!("{sent}: {error}")).source;
        assert_eq!(
            (source.bucket.as_str(), source.key.as_str(), source.version.named()),
            (bucket, key, version)
        );
    }
    for bad in [
        "",
        "/",
        "src",
        "src/",
        "/src/",
        "SRC/k",
        "src/k?versionId=",
        "src/k?versionId=x",
        "src/%FF",
        "src/%zz",
    ] {
        assert_eq!(copy(bad, &[]).map(drop).unwrap_err().code, Code::InvalidArgument, "{bad}");
    }
    assert_eq!(copy("arn:aws:s3:x", &[]).map(drop).unwrap_err().code, Code::NotImplemented);
    let itself =
        |more: &[&str]| copy("bkt/key", more).map(|input| input.replace_meta).map_err(|error| error.code);
    assert_eq!(itself(&[]), Err(Code::InvalidRequest));
    assert_eq!(itself(&["x-amz-metadata-directive: REPLACE"]), Ok(true));
    assert_eq!(itself(&["x-amz-storage-class: STANDARD"]), Ok(false));
    assert_eq!(itself(&["x-amz-website-redirect-location: /elsewhere"]), Ok(false));
    assert_eq!(itself(&["x-amz-tagging-directive: REPLACE"]), Err(Code::InvalidRequest));
    assert_eq!(itself(&["x-amz-metadata-directive: MERGE"]), Err(Code::InvalidArgument));
    assert!(copy(&format!("bkt/key?versionId={ID}"), &[]).is_ok(), "brings an older version back");
    assert!(copy("bkt2/key", &[]).is_ok() && copy("bkt/key2", &[]).is_ok());
    let replaces_tags = |directive: &str| {
        let header = format!("x-amz-tagging-directive: {directive}");
        copy("src/k", &[&header]).map(|input| input.replace_tags).map_err(|error| error.code)
    };
    assert_eq!((replaces_tags("COPY"), replaces_tags("REPLACE")), (Ok(false), Ok(true)));
    assert_eq!(replaces_tags("MERGE"), Err(Code::InvalidArgument));
    let when = copy("src/k", &["x-amz-copy-source-if-match: \"e\""]).unwrap().source.when;
    assert_eq!(when.if_match, "e");
    for (header, expected) in [
        ("x-amz-copy-source-if-match: W/\"e\"", ("W/e", "")),
        ("x-amz-copy-source-if-none-match: W/\"e\"", ("", "e")),
        ("x-amz-copy-source-if-none-match: *", ("", "*")),
    ] {
        let when = copy("src/k", &[header]).unwrap().source.when;
        assert_eq!((&*when.if_match, &*when.if_none_match), expected, "{header}");
    }
    let part = |range: &str| {
        let headers = ["x-amz-copy-source: src/k", &format!("x-amz-copy-source-range: {range}")];
        ask("PUT /bkt/key?uploadId=u&partNumber=1", &headers).map(drop).map_err(|error| error.code)
    };
    assert_eq!(part("bytes=0-9"), Ok(()));
    for bad in
        ["bytes=5-", "bytes=-5", "0-2", "bytes=0", "bytes=hello-world", "bytes=0-2,3-5", "bytes=2-1", ""]
    {
        assert_eq!(part(bad), Err(Code::InvalidArgument), "{bad:?}");
    }
}
