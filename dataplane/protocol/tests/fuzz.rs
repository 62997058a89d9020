//! Every parser of this crate against bytes that nobody should send: one harness each, for the bounded run here and for the
//! long one of `deploy/fuzz`.
//!
//! ```text
//! corpus file ─┐                              ┌─ itself ────────────────┐
//!              ├─► input (any bytes) ─────────┤                         ├─► check: what must hold of a parser's answer
//! random, or ──┘                              └─ as choices: `grow` ────┘
//! the fuzzer's                                   a text of that grammar
//! ```
//! Random bytes never get past the first check of a parser, so each input is taken twice: as what a client sends, and as the
//! choices that grow a text out of the grammar and the corpus. Inputs here come from a fixed seed, so that every run is the
//! same; under `deploy/fuzz` they come from libFuzzer (through bolero), which follows the code they reach.
//!
//! `__fuzz__/NAME/corpus` holds texts as clients send them, `__fuzz__/NAME/crashes` those that once failed; both are read by
//! every run.

#[path = "fuzz/body.rs"]
mod body;
#[path = "fuzz/dice.rs"]
mod dice;
#[path = "fuzz/document.rs"]
mod document;
#[path = "fuzz/form.rs"]
mod form;
#[path = "fuzz/form_policy.rs"]
mod form_policy;
#[path = "fuzz/harness.rs"]
mod harness;
#[path = "fuzz/head.rs"]
mod head;
#[path = "fuzz/peer.rs"]
mod peer;
#[path = "fuzz/policy.rs"]
mod policy;
#[path = "fuzz/proxy.rs"]
mod proxy;
#[path = "fuzz/refusal.rs"]
mod refusal;
#[path = "fuzz/request.rs"]
mod request;
#[path = "fuzz/route.rs"]
mod route;
#[path = "fuzz/signature.rs"]
mod signature;
#[path = "fuzz/signed.rs"]
mod signed;
#[path = "fuzz/text.rs"]
mod text;
#[path = "fuzz/value.rs"]
mod value;
#[path = "fuzz/xml.rs"]
mod xml;

use harness::Harness;

/// A test for each parser: its name, what grows inputs for it, what must hold of its answers.
macro_rules! harnesses {
    ($($name:ident: $grow:expr, $check:expr;)*) => { $(
        #[test]
        fn $name() {
            let harness = Harness::new(stringify!($name), $grow, $check);
            #[cfg(fuzzing)]
            bolero::check!(name = stringify!($name)).for_each(|input: &[u8]| harness.run(input));
            #[cfg(not(fuzzing))]
            harness.smoke();
        }
    )* };
}

harnesses! {
    request_head: head::grow, head::check;
    proxy_header: proxy::grow_header, proxy::check_header;
    forwarded: text::grow(proxy::FORWARDED_WORDS), proxy::check_forwarded;
    query: text::grow(head::QUERY_WORDS), head::check_query;
    route: route::grow, route::check;
    chunked: body::grow_chunked, body::check_chunked;
    aws_chunked: body::grow_aws_chunked, body::check_aws_chunked;
    xml_create_bucket: xml::grow(xml::CREATE_BUCKET), document::check_create_bucket;
    xml_delete: xml::grow(xml::DELETE), document::check_delete;
    xml_complete_upload: xml::grow(xml::COMPLETE_UPLOAD), document::check_complete_upload;
    xml_versioning: xml::grow(xml::VERSIONING), document::check_versioning;
    xml_ownership: xml::grow(xml::OWNERSHIP), document::check_ownership;
    xml_public_access: xml::grow(xml::PUBLIC_ACCESS), document::check_public_access;
    xml_tagging: xml::grow(xml::TAGGING), document::check_tagging;
    xml_cors: xml::grow(xml::CORS), document::check_cors;
    xml_acl: xml::grow(xml::ACL), document::check_acl;
    bucket_policy: policy::grow, policy::check;
    form: form::grow, form::check;
    form_policy: form_policy::grow, form_policy::check;
    signature_header: signature::grow_header, signature::check;
    signature_query: signature::grow_query, signature::check;
    signature_form: signature::grow_form, signature::check_form;
    range: text::grow(value::RANGE_WORDS), value::check_range;
    date: text::grow(value::DATE_WORDS), value::check_date;
    condition: text::grow(value::CONDITION_WORDS), value::check_condition;
    version_id: text::grow(value::VERSION_WORDS), value::check_version;
    tag_header: text::grow(value::TAG_WORDS), value::check_tag_header;
    list_token: text::grow(value::TOKEN_WORDS), value::check_token;
    peer_frame: peer::grow, peer::check;
}
