//! Who owns what, and which ACLs pass where there are none.

use proptest::prelude::*;

use super::super::acl::{AclHeaders, AclResource};
use super::ObjectOwnership::{BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter};
use super::*;
use crate::xml::Owner;

const OWNER: Owner<'_> =
    Owner { id: "0a11111111111111111111111111111111111111111111111111111111111111", display_name: "a" };

#[track_caller]
fn check(inner: &str, expected: Result<ObjectOwnership, Code>) {
    for root in ["OwnershipControls", "OwnershipControls xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""] {
        let body = format!("<{root}>{inner}</OwnershipControls>");
        assert_eq!(ObjectOwnership::parse(body.as_bytes()).map_err(|error| error.code), expected, "{body}");
    }
}

#[test]
fn documents() {
    let rule = |name: &str| format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
    for ownership in ObjectOwnership::ALL {
        check(&rule(ownership.name()), Ok(ownership));
        assert_eq!(ObjectOwnership::parse(&ownership.to_xml()).unwrap(), ownership);
        assert_eq!(ObjectOwnership::parse_header(ownership.name()).unwrap(), ownership);
    }
    check("\n<Rule>\n <ObjectOwnership>\nObjectWriter</ObjectOwnership>\n</Rule>", Ok(ObjectWriter));
    check(&rule("Nobody"), Err(Code::MalformedXML));
    check(&rule(""), Err(Code::MalformedXML));
    check("", Err(Code::MalformedXML));
    check("<Rule/>", Err(Code::MalformedXML));
    check("<Rule><Other/></Rule>", Err(Code::MalformedXML));
    check(&rule("ObjectWriter").repeat(2), Err(Code::MalformedXML));
    check(&format!("<Rule/>{}", rule("ObjectWriter")), Err(Code::MalformedXML));
    check(&format!("{}<Other/>", rule("ObjectWriter")), Err(Code::MalformedXML));
    assert_eq!(ObjectOwnership::parse(b"").unwrap_err().code, Code::MissingRequestBodyError);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OwnershipControls \
                    xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ObjectOwnership>BucketOwnerPreferred\
                    </ObjectOwnership></Rule></OwnershipControls>";
    assert_eq!(String::from_utf8(BucketOwnerPreferred.to_xml()).unwrap(), expected);
    let gone = ObjectOwnership::not_found("b");
    assert_eq!((gone.code, gone.status()), (Code::OwnershipControlsNotFoundError, 404));
}

#[test]
fn headers() {
    for bad in ["", "RandomValue", "objectwriter"] {
        let error = ObjectOwnership::parse_header(bad).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert_eq!(error.message, format!("Invalid x-amz-object-ownership header: {bad}"));
    }
}

/// The ACL a PutObject with this `x-amz-acl` sets.
fn by_name(ownership: ObjectOwnership, name: &str) -> Result<CannedAcl, Code> {
    let headers = AclHeaders { acl: Some(name), ..AclHeaders::default() };
    let request = AclRequest::of_headers(&headers, AclResource::Object).unwrap().unwrap();
    ownership.admit_acl(&request, AclOwners::one(OWNER)).map_err(|error| error.code)
}

/// The ACL a PutBucketAcl with this body sets.
fn by_body(ownership: ObjectOwnership, body: &[u8]) -> Result<CannedAcl, Code> {
    let owners = AclOwners::one(OWNER);
    let request = AclRequest::of_put(&AclHeaders::default(), body, AclResource::Bucket, owners).unwrap();
    ownership.admit_acl(&request, owners).map_err(|error| error.code)
}

#[test]
fn without_acls_only_those_pass_that_change_nothing() {
    let unsupported = Err(Code::AccessControlListNotSupported);
    for passing in ["private", "bucket-owner-full-control"] {
        assert_eq!(by_name(BucketOwnerEnforced, passing), Ok(CannedAcl::Private), "{passing}");
    }
    for name in ["public-read", "public-read-write", "authenticated-read", "bucket-owner-read"] {
        assert_eq!(by_name(BucketOwnerEnforced, name), unsupported, "{name}");
        assert_eq!(by_name(ObjectWriter, name).unwrap().name(), name);
        assert_eq!(by_name(BucketOwnerPreferred, name).unwrap().name(), name);
    }
    assert_eq!(by_name(BucketOwnerEnforced, "aws-exec-read"), unsupported);
    assert_eq!(by_name(ObjectWriter, "aws-exec-read"), Err(Code::NotImplemented));
    let owners = AclOwners::one(OWNER);
    let (private, public) = (CannedAcl::Private.to_xml(owners), CannedAcl::PublicRead.to_xml(owners));
    assert_eq!(by_body(BucketOwnerEnforced, &private), Ok(CannedAcl::Private));
    assert_eq!(by_body(BucketOwnerEnforced, &public), unsupported);
    assert_eq!(by_body(ObjectWriter, &public), Ok(CannedAcl::PublicRead));
    let none = b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>";
    assert_eq!(by_body(BucketOwnerEnforced, none), unsupported);
    assert_eq!(by_body(ObjectWriter, none), Err(Code::NotImplemented));
    assert_eq!(Code::AccessControlListNotSupported.status(), 400);
}

#[test]
fn a_bucket_is_created_and_switched_in_other_words() {
    let owners = AclOwners::one(OWNER);
    let create = |ownership: ObjectOwnership, acl| {
        ownership.admit_new_bucket_acl(&AclRequest::Canned(acl), owners).map_err(|error| error.code)
    };
    let refused = Err(Code::InvalidBucketAclWithObjectOwnership);
    assert_eq!(create(BucketOwnerEnforced, CannedAcl::PublicRead), refused);
    assert_eq!(create(BucketOwnerEnforced, CannedAcl::Private), Ok(CannedAcl::Private));
    assert_eq!(create(ObjectWriter, CannedAcl::PublicRead), Ok(CannedAcl::PublicRead));
    let switch = |ownership: ObjectOwnership, acl| ownership.admit_bucket_with(acl).is_ok();
    assert!(switch(BucketOwnerEnforced, CannedAcl::Private));
    assert!(!switch(BucketOwnerEnforced, CannedAcl::AuthenticatedRead));
    assert!(!switch(BucketOwnerEnforced, CannedAcl::LogDeliveryWrite));
    assert!(switch(BucketOwnerPreferred, CannedAcl::PublicReadWrite));
}

#[test]
fn owners_of_new_objects() {
    let full = CannedAcl::BucketOwnerFullControl;
    for (ownership, acl, owner) in [
        (BucketOwnerEnforced, CannedAcl::Private, ObjectOwner::BucketOwner),
        (BucketOwnerEnforced, full, ObjectOwner::BucketOwner),
        (BucketOwnerPreferred, CannedAcl::Private, ObjectOwner::Writer),
        (BucketOwnerPreferred, full, ObjectOwner::BucketOwner),
        (ObjectWriter, full, ObjectOwner::Writer),
    ] {
        assert_eq!(ownership.owner_of_new(acl), owner, "{ownership:?} {acl:?}");
    }
    assert_eq!(BucketOwnerEnforced.effective_acl(CannedAcl::PublicRead), CannedAcl::Private);
    assert_eq!(ObjectWriter.effective_acl(CannedAcl::PublicRead), CannedAcl::PublicRead);
    assert_eq!(ObjectOwnership::default(), BucketOwnerEnforced);
    assert_eq!(ObjectOwnership::DELETED, ObjectWriter);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = ObjectOwnership::parse(&body);
    }
}
