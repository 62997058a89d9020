//! Canned ACLs by name, header and body; what they open; how S3 shows them.

use proptest::prelude::*;

use super::*;
use crate::error::{Code, S3Error};

const OWNER_ID: &str = "0a11111111111111111111111111111111111111111111111111111111111111";
const OTHER_ID: &str = "0b22222222222222222222222222222222222222222222222222222222222222";
const THIRD_ID: &str = "0c33333333333333333333333333333333333333333333333333333333333333";
const OWNER: Owner<'_> = Owner { id: OWNER_ID, display_name: "a&b" };
const OTHER: Owner<'_> = Owner { id: OTHER_ID, display_name: "" };

fn one() -> AclOwners<'static> {
    AclOwners::one(OWNER)
}

/// An object of OWNER in a bucket of OTHER.
fn two() -> AclOwners<'static> {
    AclOwners { owner: OWNER, bucket_owner: OTHER }
}

fn user_xml(id: &str, permission: &str) -> String {
    let name = if id == OWNER_ID { "<DisplayName>a&amp;b</DisplayName>" } else { "" };
    format!(
        "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{id}</ID>{name}\
         </Grantee><Permission>{permission}</Permission></Grant>"
    )
}

fn group_xml(uri: &str, permission: &str) -> String {
    format!(
        "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"><URI>\
         http://acs.amazonaws.com/groups/{uri}</URI></Grantee><Permission>{permission}</Permission></Grant>"
    )
}

fn policy(owner: &str, grants: &str) -> String {
    let root = "AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    format!(
        "<{root}><Owner>{owner}</Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )
}

#[track_caller]
fn renders(acl: CannedAcl, owners: AclOwners<'_>, shared: &str) {
    let owner = format!("<ID>{OWNER_ID}</ID><DisplayName>a&amp;b</DisplayName>");
    let grants = format!("{}{shared}", user_xml(OWNER_ID, "FULL_CONTROL"));
    let expected = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", policy(&owner, &grants));
    assert_eq!(String::from_utf8(acl.to_xml(owners)).unwrap(), expected, "{acl:?}");
}

#[test]
fn are_rendered_as_s3_does() {
    let all = |permission| group_xml("global/AllUsers", permission);
    renders(CannedAcl::Private, one(), "");
    renders(CannedAcl::PublicRead, one(), &all("READ"));
    renders(CannedAcl::PublicReadWrite, one(), &format!("{}{}", all("READ"), all("WRITE")));
    renders(CannedAcl::AuthenticatedRead, one(), &group_xml("global/AuthenticatedUsers", "READ"));
    let logs = format!("{}{}", group_xml("s3/LogDelivery", "WRITE"), group_xml("s3/LogDelivery", "READ_ACP"));
    renders(CannedAcl::LogDeliveryWrite, one(), &logs);
    renders(CannedAcl::BucketOwnerRead, one(), "");
    renders(CannedAcl::BucketOwnerFullControl, one(), "");
    renders(CannedAcl::BucketOwnerRead, two(), &user_xml(OTHER_ID, "READ"));
    renders(CannedAcl::BucketOwnerFullControl, two(), &user_xml(OTHER_ID, "FULL_CONTROL"));
}

#[test]
fn names() {
    use AclResource::{Bucket, Object};
    let read = |name: &str, of| {
        let headers = AclHeaders { acl: Some(name), ..AclHeaders::default() };
        let request = AclRequest::of_headers(&headers, of).map_err(|error| error.code)?.unwrap();
        request.canned(one()).map_err(|error| error.code)
    };
    for acl in CannedAcl::ALL {
        assert_eq!(CannedAcl::named(acl.name()), Some(acl));
    }
    assert_eq!(read("public-read", Bucket), Ok(CannedAcl::PublicRead));
    assert_eq!(read("bucket-owner-full-control", Object), Ok(CannedAcl::BucketOwnerFullControl));
    assert_eq!(read("bucket-owner-full-control", Bucket), Ok(CannedAcl::Private));
    assert_eq!(read("bucket-owner-read", Bucket), Ok(CannedAcl::Private));
    assert_eq!(read("log-delivery-write", Bucket), Ok(CannedAcl::LogDeliveryWrite));
    assert_eq!(read("log-delivery-write", Object), Err(Code::InvalidArgument));
    assert_eq!(read("aws-exec-read", Object), Err(Code::NotImplemented));
    for other in ["", "public-ready", "Private", "private "] {
        assert_eq!(read(other, Bucket), Err(Code::InvalidArgument), "{other}");
    }
}

#[test]
fn what_each_opens() {
    use Stranger::{Anonymous, Authenticated, BucketOwner};
    let nothing = Opened::default();
    let read = Opened { read: true, ..nothing };
    let both = Opened { write: true, ..read };
    let everything = Opened { read_acp: true, write_acp: true, ..both };
    for (acl, anonymous, authenticated, bucket_owner) in [
        (CannedAcl::Private, nothing, nothing, nothing),
        (CannedAcl::PublicRead, read, read, read),
        (CannedAcl::PublicReadWrite, both, both, both),
        (CannedAcl::AuthenticatedRead, nothing, read, read),
        (CannedAcl::BucketOwnerRead, nothing, nothing, read),
        (CannedAcl::BucketOwnerFullControl, nothing, nothing, everything),
        (CannedAcl::LogDeliveryWrite, nothing, nothing, nothing),
    ] {
        let found = [Anonymous, Authenticated, BucketOwner].map(|stranger| acl.opens(stranger));
        assert_eq!(found, [anonymous, authenticated, bucket_owner], "{acl:?}");
        assert_eq!(acl.is_public(), authenticated != nothing, "{acl:?}");
    }
    let owners_only = CannedAcl::ALL.into_iter().filter(|acl| acl.grants_owner_only()).count();
    assert_eq!(owners_only, 3);
}

#[track_caller]
fn put(body: &str, owners: AclOwners<'_>, expected: Result<Option<CannedAcl>, Code>) {
    let read = AclRequest::of_put(&AclHeaders::default(), body.as_bytes(), AclResource::Object, owners);
    assert_eq!(read.map(|request| request.known(owners)).map_err(|error| error.code), expected, "{body}");
}

#[test]
fn bodies_that_say_what_a_canned_one_says() {
    let owner = format!("<ID>{OWNER_ID}</ID>");
    for owners in [one(), two()] {
        for acl in CannedAcl::ALL {
            let rendered = String::from_utf8(acl.to_xml(owners)).unwrap();
            let same = CannedAcl::ALL.into_iter().find(|other| other.grants(owners) == acl.grants(owners));
            put(&rendered, owners, Ok(same));
        }
    }
    let full = user_xml(OWNER_ID, "FULL_CONTROL");
    let read = group_xml("global/AllUsers", "READ");
    put(&policy(&owner, &full), one(), Ok(Some(CannedAcl::Private)));
    put(&policy(&owner, &format!("{read}{full}{read}")), one(), Ok(Some(CannedAcl::PublicRead)));
    put(&policy(&owner, &format!("\n {full}\n")).replace(" xmlns=\"http://s3", " a=\"http://s3"), one(), {
        Ok(Some(CannedAcl::Private))
    });
    // No canned ACL says that.
    put(&policy(&owner, ""), one(), Ok(None));
    put(&policy(&owner, &read), one(), Ok(None));
    put(&policy(&owner, &user_xml(OWNER_ID, "READ")), one(), Ok(None));
    put(&policy(&owner, &format!("{full}{}", user_xml(THIRD_ID, "READ"))), one(), Ok(None));
    put(&policy(&owner, &format!("{full}{}", user_xml(OTHER_ID, "READ"))), one(), Ok(None));
    let error = AclRequest::Grants(std::collections::BTreeSet::new()).canned(one()).unwrap_err();
    assert_eq!(error.code, Code::NotImplemented);
}

#[test]
fn bodies_are_refused_as_s3_does() {
    let owner = format!("<ID>{OWNER_ID}</ID>");
    let full = user_xml(OWNER_ID, "FULL_CONTROL");
    let good = policy(&owner, &full);
    put(&policy(&format!("<ID>{OTHER_ID}</ID>"), &full), one(), Err(Code::AccessDenied));
    put(&good.replace(&format!("<Owner>{owner}</Owner>"), ""), one(), Ok(Some(CannedAcl::Private)));
    for (from, to) in [
        ("AccessControlPolicy", "Policy"),
        ("<ID>", "<Id>"),
        (owner.as_str(), ""),
        ("FULL_CONTROL", "EVERYTHING"),
        ("FULL_CONTROL", ""),
        ("<Permission>FULL_CONTROL</Permission>", ""),
        ("CanonicalUser", "Canonical User"),
        ("CanonicalUser", "Group"),
        (" xsi:type=\"CanonicalUser\"", ""),
        ("<Permission>", "<Other/><Permission>"),
        ("<Grant>", "<Other/><Grant>"),
        ("</AccessControlPolicy>", "<Other/></AccessControlPolicy>"),
        ("</AccessControlPolicy>", ""),
        ("</AccessControlPolicy>", "<Owner><ID>a</ID></Owner></AccessControlPolicy>"),
        ("<AccessControlPolicy", "<!DOCTYPE a><AccessControlPolicy"),
    ] {
        put(&good.replace(from, to), one(), Err(Code::MalformedACLError));
    }
    put(&policy(&owner, &user_xml("_foo", "READ")), one(), Err(Code::InvalidArgument));
    put(&policy(&owner, &group_xml("global/Nobody", "READ")), one(), Err(Code::InvalidArgument));
    let email = user_xml("x", "READ")
        .replace("CanonicalUser", "AmazonCustomerByEmail")
        .replace("ID>", "EmailAddress>");
    put(&policy(&owner, &email), one(), Err(Code::MethodNotAllowed));
    let groups = |count: usize| policy(&owner, &user_xml(THIRD_ID, "READ").repeat(count));
    put(&groups(2), one(), Ok(None));
    let users = |count: u32| {
        let user = |at| user_xml(&format!("{at:064x}"), "READ");
        policy(&owner, &(0..count).map(user).collect::<String>())
    };
    put(&users(100), one(), Ok(None));
    put(&users(101), one(), Err(Code::MalformedACLError));
}

fn of_headers(headers: &AclHeaders<'_>) -> Result<Option<Option<CannedAcl>>, S3Error> {
    let request = AclRequest::of_headers(headers, AclResource::Object)?;
    Ok(request.map(|request| request.known(one())))
}

#[test]
fn headers_say_it_too() {
    let all = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
    let me = format!("id={OWNER_ID}");
    let full = AclHeaders { grant_full_control: Some(&me), ..AclHeaders::default() };
    let read = AclHeaders { grant_read: Some(all), ..full };
    let ok = |headers: &AclHeaders<'_>| of_headers(headers).unwrap();
    assert_eq!(ok(&AclHeaders::default()), None);
    assert_eq!(
        ok(&AclHeaders { acl: Some("public-read"), ..AclHeaders::default() }),
        Some(Some(CannedAcl::PublicRead))
    );
    assert_eq!(ok(&full), Some(Some(CannedAcl::Private)));
    assert_eq!(ok(&read), Some(Some(CannedAcl::PublicRead)));
    assert_eq!(ok(&AclHeaders { grant_write: Some(all), ..read }), Some(Some(CannedAcl::PublicReadWrite)));
    assert_eq!(ok(&AclHeaders { grant_read_acp: Some(all), ..read }), Some(None));
    let many = format!(" id=\"{OTHER_ID}\" , {all},{me}");
    assert_eq!(ok(&AclHeaders { grant_read: Some(&many), ..full }), Some(None));
    assert_eq!(ok(&AclHeaders { grant_read: Some(""), ..AclHeaders::default() }), Some(None));
}

#[test]
fn headers_are_refused_as_s3_does() {
    let refused = |value: &str, code, told: Option<&str>| {
        let headers = AclHeaders { grant_write_acp: Some(value), ..AclHeaders::default() };
        let error = of_headers(&headers).expect_err(value);
        let named = error.extra.iter().find(|(name, _)| *name == "ArgumentName");
        assert_eq!((error.code, named.map(|(_, value)| value.as_str())), (code, told), "{value}");
    };
    refused("fakename=a", Code::InvalidArgument, Some("x-amz-grant-write-acp"));
    refused("a", Code::InvalidArgument, Some("x-amz-grant-write-acp"));
    refused("uri=http://a", Code::InvalidArgument, Some("uri"));
    refused("id=_foo", Code::InvalidArgument, Some("id"));
    refused("emailAddress=\"a@b.c\"", Code::MethodNotAllowed, None);
    let many = (0..101).map(|at| format!("id={at:064x}")).collect::<Vec<_>>().join(",");
    refused(&many, Code::MalformedACLError, None);
    let both = AclHeaders { acl: Some("private"), grant_read: Some("id=a"), ..AclHeaders::default() };
    assert_eq!(of_headers(&both).unwrap_err().code, Code::InvalidRequest);
    let put = |headers: &AclHeaders<'_>, body: &[u8]| {
        AclRequest::of_put(headers, body, AclResource::Bucket, one()).unwrap_err().code
    };
    assert_eq!(put(&AclHeaders::default(), b""), Code::MissingSecurityHeader);
    let canned = AclHeaders { acl: Some("private"), ..AclHeaders::default() };
    assert_eq!(put(&canned, b"<AccessControlPolicy/>"), Code::UnexpectedContent);
    let wrong = AclHeaders { acl: Some("fake-acl"), ..AclHeaders::default() };
    assert_eq!(put(&wrong, b""), Code::InvalidArgument);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_header_is_read_or_refused(value in ".{0,60}") {
        let headers = AclHeaders { grant_read: Some(&value), ..AclHeaders::default() };
        let _ = AclRequest::of_headers(&headers, AclResource::Bucket);
        let canned = AclHeaders { acl: Some(&value), ..AclHeaders::default() };
        let _ = AclRequest::of_headers(&canned, AclResource::Bucket);
    }

    #[test]
    fn any_markup_is_read_or_refused(pieces in prop::collection::vec(prop_oneof![
        Just("<AccessControlPolicy>"), Just("</AccessControlPolicy>"), Just("<AccessControlList>"), Just("</AccessControlList>"),
        Just("<Grant>"), Just("</Grant>"), Just("<Grantee i:type='Group'>"), Just("<Grantee type=''/>"), Just("</Grantee>"),
        Just("<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"), Just("<Permission>READ</Permission>"),
        Just("<Owner>"), Just("</Owner>"), Just("<ID>"), Just("</ID>"), Just("a"), Just("<"), Just("&"),
    ], 0..24)) {
        let body = pieces.concat();
        let _ = AclRequest::of_put(&AclHeaders::default(), body.as_bytes(), AclResource::Object, one());
    }

    #[test]
    fn nobody_gains_by_being_anonymous(at in 0..CannedAcl::ALL.len()) {
        let acl = CannedAcl::ALL[at];
        let (less, more) = (acl.opens(Stranger::Anonymous), acl.opens(Stranger::Authenticated));
        prop_assert!(!less.read || more.read);
        prop_assert!(!less.write || more.write);
    }
}
