//! The four switches, one by one.

use proptest::prelude::*;

use super::*;

const OFF: PublicAccessBlock = PublicAccessBlock {
    block_public_acls: false,
    ignore_public_acls: false,
    block_public_policy: false,
    restrict_public_buckets: false,
};

#[track_caller]
fn check(inner: &str, expected: Result<PublicAccessBlock, Code>) {
    let root = "PublicAccessBlockConfiguration";
    for open in [root.to_owned(), format!("{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"")] {
        let body = format!("<{open}>{inner}</{root}>");
        assert_eq!(PublicAccessBlock::parse(body.as_bytes()).map_err(|error| error.code), expected, "{body}");
    }
}

#[test]
fn documents() {
    let malformed = Err(Code::MalformedXML);
    check("", Ok(OFF));
    check(
        "<BlockPublicAcls>true</BlockPublicAcls>",
        Ok(PublicAccessBlock { block_public_acls: true, ..OFF }),
    );
    let two = "\n <RestrictPublicBuckets> TRUE </RestrictPublicBuckets>\n<IgnorePublicAcls>1</IgnorePublicAcls>\
               <BlockPublicPolicy>false</BlockPublicPolicy>";
    check(two, Ok(PublicAccessBlock { ignore_public_acls: true, restrict_public_buckets: true, ..OFF }));
    check("<BlockPublicAcls/>", malformed);
    check("<BlockPublicAcls>yes</BlockPublicAcls>", malformed);
    check("<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>true</BlockPublicAcls>", malformed);
    check("<Other>true</Other>", malformed);
    check("text", malformed);
    assert_eq!(PublicAccessBlock::parse(b"").unwrap_err().code, Code::MissingRequestBodyError);
    assert_eq!(PublicAccessBlock::default(), OFF);
    let gone = PublicAccessBlock::not_found("b");
    assert_eq!((gone.code, gone.status()), (Code::NoSuchPublicAccessBlockConfiguration, 404));
}

#[test]
fn two_refuse_what_would_open_the_bucket() {
    let acls = PublicAccessBlock { block_public_acls: true, ..OFF };
    for acl in CannedAcl::ALL {
        let refused = acls.admit_acl(acl).map_err(|error| error.code);
        assert_eq!(refused, if acl.is_public() { Err(Code::AccessDenied) } else { Ok(()) }, "{acl:?}");
        assert_eq!(
            PublicAccessBlock { block_public_acls: false, ..PublicAccessBlock::NEW_BUCKET }.admit_acl(acl),
            Ok(())
        );
    }
    let policy = PublicAccessBlock { block_public_policy: true, ..OFF };
    assert_eq!(policy.admit_policy(true).unwrap_err().code, Code::AccessDenied);
    assert_eq!(policy.admit_policy(false), Ok(()));
    assert_eq!(acls.admit_policy(true), Ok(()));
}

#[test]
fn two_ignore_what_is_there() {
    let ignoring = PublicAccessBlock { ignore_public_acls: true, ..OFF };
    assert_eq!(ignoring.effective_acl(CannedAcl::PublicReadWrite), CannedAcl::Private);
    assert_eq!(ignoring.effective_acl(CannedAcl::AuthenticatedRead), CannedAcl::Private);
    assert_eq!(ignoring.effective_acl(CannedAcl::BucketOwnerRead), CannedAcl::BucketOwnerRead);
    assert_eq!(OFF.effective_acl(CannedAcl::PublicRead), CannedAcl::PublicRead);
    let restricting = PublicAccessBlock { restrict_public_buckets: true, ..OFF };
    assert_eq!(restricting.policy_reach(true), PolicyReach::OwnerOnly);
    assert_eq!(restricting.policy_reach(false), PolicyReach::AsWritten);
    assert_eq!(ignoring.policy_reach(true), PolicyReach::AsWritten);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read_back(settings in any::<[bool; 4]>()) {
        let block = PublicAccessBlock::of_settings(settings);
        prop_assert_eq!(PublicAccessBlock::parse(&block.to_xml()), Ok(block));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = PublicAccessBlock::parse(&body);
    }
}
