//! XML bodies of the elements that S3 knows, in and out of their places.

use super::dice::Dice;
use super::text::edit;

/// What a body is grown of.
#[derive(Clone, Copy)]
pub(crate) struct Grammar {
    /// The root, what may stand in it, and what may stand in those.
    pub(crate) paths: &'static [&'static str],
    pub(crate) values: &'static [&'static str],
}

pub(crate) const CREATE_BUCKET: Grammar = Grammar {
    paths: &["CreateBucketConfiguration/LocationConstraint", "CreateBucketConfiguration/Location/Name"],
    values: &["", "us-east-1", "EU", " eu-west-1\n", "nowhere"],
};
pub(crate) const DELETE: Grammar = Grammar {
    paths: &[
        "Delete/Object/Key",
        "Delete/Object/VersionId",
        "Delete/Object/ETag",
        "Delete/Quiet",
        "Delete/Object/Size",
    ],
    values: &[
        "",
        "a",
        "dir/b c",
        "&#1;",
        "null",
        "018bcfe5687b7fffbfffffffffffffff",
        "true",
        "false",
        "\"e\"",
        "&amp;",
        "&#13;",
    ],
};
pub(crate) const COMPLETE_UPLOAD: Grammar = Grammar {
    paths: &[
        "CompleteMultipartUpload/Part/PartNumber",
        "CompleteMultipartUpload/Part/ETag",
        "CompleteMultipartUpload/Part/ChecksumCRC32",
        "CompleteMultipartUpload/Part/ChecksumSHA256",
    ],
    values: &[
        "",
        "1",
        "2",
        "10000",
        "10001",
        "0",
        "-1",
        "+3",
        " 4 ",
        "\"abc\"",
        "&quot;abc&quot;",
        "AAAAAA==",
        "x",
    ],
};
pub(crate) const VERSIONING: Grammar = Grammar {
    paths: &["VersioningConfiguration/Status", "VersioningConfiguration/MfaDelete"],
    values: &["", "Enabled", "Suspended", "Disabled", "enabled", " Enabled "],
};
pub(crate) const OWNERSHIP: Grammar = Grammar {
    paths: &["OwnershipControls/Rule/ObjectOwnership"],
    values: &["", "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter", "objectwriter"],
};
pub(crate) const PUBLIC_ACCESS: Grammar = Grammar {
    paths: &[
        "PublicAccessBlockConfiguration/BlockPublicAcls",
        "PublicAccessBlockConfiguration/IgnorePublicAcls",
        "PublicAccessBlockConfiguration/BlockPublicPolicy",
        "PublicAccessBlockConfiguration/RestrictPublicBuckets",
    ],
    values: &["", "true", "false", "TRUE", "1", " true"],
};
pub(crate) const TAGGING: Grammar = Grammar {
    paths: &["Tagging/TagSet/Tag/Key", "Tagging/TagSet/Tag/Value"],
    values: &["", "a", "b", "c d", "aws:x", "\u{e4}", "&#10;", "&lt;", "k1", "k2", "k3"],
};
pub(crate) const CORS: Grammar = Grammar {
    paths: &[
        "CORSConfiguration/CORSRule/AllowedOrigin",
        "CORSConfiguration/CORSRule/AllowedMethod",
        "CORSConfiguration/CORSRule/AllowedHeader",
        "CORSConfiguration/CORSRule/ExposeHeader",
        "CORSConfiguration/CORSRule/MaxAgeSeconds",
        "CORSConfiguration/CORSRule/ID",
    ],
    values: &[
        "",
        "*",
        "http://*.a",
        "GET",
        "PUT",
        "OPTIONS",
        "x-*",
        "ETag",
        "0",
        "3000",
        "-1",
        "a*b*",
        "x y",
        "&#13;&#10;X: y",
    ],
};
pub(crate) const ACL: Grammar = Grammar {
    paths: &[
        "AccessControlPolicy/Owner/ID",
        "AccessControlPolicy/Owner/DisplayName",
        "AccessControlPolicy/AccessControlList/Grant/Permission",
        "AccessControlPolicy/AccessControlList/Grant/Grantee/ID",
        "AccessControlPolicy/AccessControlList/Grant/Grantee/URI",
        "AccessControlPolicy/AccessControlList/Grant/Grantee/EmailAddress",
    ],
    values: &[
        "",
        "FULL_CONTROL",
        "READ",
        "WRITE",
        "http://acs.amazonaws.com/groups/global/AllUsers",
        "a@b",
        "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ],
};

const WORDS: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "&",
    ";",
    "<Zz/>",
    "<Key>",
    "</Key>",
    "<!-- c -->",
    "<![CDATA[x]]>",
    "]]>",
    "<?xml version=\"1.0\"?>",
    "<?pi?>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "&#0;",
    "&#x10FFFF;",
    "&#xD800;",
    "&lt;",
    " xmlns=\"x\"",
    " a='1'",
    " xsi:type=\"Group\"",
    " xsi:type=\"CanonicalUser\"",
    "\0",
    "\u{1}",
    "\u{feff}",
    "\u{fffe}",
    "s:",
    " ",
    "\r\n",
];

/// A tree that follows the paths, mostly; or a text of the corpus. Then edited.
pub(crate) fn grow(grammar: Grammar) -> impl Fn(&mut Dice<'_>, &[Vec<u8>]) -> Vec<u8> {
    move |dice, seeds| {
        let mut body = match dice.below(3) {
            0 => dice.pick(&seeds.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_vec(),
            _ => document(dice, grammar).into_bytes(),
        };
        if !dice.once_in(3) {
            edit(dice, &mut body, WORDS);
        }
        body
    }
}

fn document(dice: &mut Dice<'_>, grammar: Grammar) -> String {
    let mut out =
        dice.pick(&["", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!-- c -->", "\u{feff}"]).to_owned();
    let root = grammar.paths[0].split('/').next().unwrap_or_default();
    element(dice, grammar, root, &mut out);
    out
}

/// An element at `path`: of those below it some, each perhaps several times; at the end of a path a value.
fn element(dice: &mut Dice<'_>, grammar: Grammar, path: &str, out: &mut String) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let attribute = match name {
        "Grantee" => dice.pick(&[" xsi:type=\"CanonicalUser\"", " xsi:type='Group'", ""]),
        _ => dice.pick(&["", "", "", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""]),
    };
    out.push_str(&format!("<{name}{attribute}>"));
    let mut inner: Vec<&str> = Vec::new();
    for below in grammar.paths.iter().filter_map(|known| known.strip_prefix(path)?.strip_prefix('/')) {
        let first = &below[..below.find('/').unwrap_or(below.len())];
        if !inner.contains(&first) {
            inner.push(first);
        }
    }
    if inner.is_empty() {
        out.push_str(dice.pick(grammar.values));
    }
    let lists = inner.iter().any(|name| ["Object", "Part", "Tag", "CORSRule", "Grant"].contains(name));
    for name in inner {
        let times =
            if lists { dice.below(4) } else { usize::from(!dice.once_in(8)) + usize::from(dice.once_in(16)) };
        (0..times).for_each(|_| element(dice, grammar, &format!("{path}/{name}"), out));
    }
    out.push_str(&format!("</{name}>"));
}
