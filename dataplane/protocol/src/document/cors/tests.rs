//! Documents as clients send them, and the answers that S3 was seen to give.

use proptest::prelude::*;

use super::*;

const NAMESPACE: &str = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

fn parse(rules: &str) -> Result<CorsConfiguration, S3Error> {
    let plain =
        CorsConfiguration::parse(format!("<CORSConfiguration>{rules}</CORSConfiguration>").as_bytes());
    let named = format!("<CORSConfiguration{NAMESPACE}>{rules}</CORSConfiguration>");
    assert_eq!(CorsConfiguration::parse(named.as_bytes()), plain, "the namespace says nothing");
    plain
}

fn rules(rules: &str) -> CorsConfiguration {
    parse(rules).unwrap()
}

const RULE: &str = "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>";
const FULL: &str = "<CORSRule><ID>r&amp;1</ID><AllowedOrigin>http://www.example1.com</AllowedOrigin><AllowedMethod>GET\
    </AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-AMZ-*</AllowedHeader><AllowedHeader>Authorization\
    </AllowedHeader><MaxAgeSeconds>3000</MaxAgeSeconds><ExposeHeader>x-amz-meta-custom-header</ExposeHeader>\
    <ExposeHeader>ETag</ExposeHeader></CORSRule>";

#[test]
fn is_rendered_as_it_was_read() {
    let head = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CORSConfiguration{NAMESPACE}>");
    for given in [RULE.to_owned(), FULL.to_owned(), format!("{FULL}{RULE}")] {
        let text = String::from_utf8(rules(&given).to_xml()).unwrap();
        assert_eq!(text, format!("{head}{given}</CORSConfiguration>"));
    }
    // The order of elements and the white space between them say nothing.
    let turned = "\n <CORSRule>\n<AllowedMethod>GET</AllowedMethod><MaxAgeSeconds> 5 </MaxAgeSeconds>\
                  <AllowedOrigin/></CORSRule>\n";
    let turned = rules(turned);
    assert_eq!(turned.rules()[0].max_age_seconds, Some(5));
    assert_eq!(turned.rules()[0].allowed_origins[0].as_str(), "");
}

#[track_caller]
fn refused(inner: &str, code: Code, message: &str) {
    let error = parse(inner).expect_err(inner);
    assert_eq!(error.code, code, "{inner}: {error}");
    assert!(error.message.contains(message), "{inner}: {error}");
}

fn rule_with(inner: &str) -> String {
    RULE.replace("</CORSRule>", &format!("{inner}</CORSRule>"))
}

#[test]
fn shapes_are_refused_as_malformed() {
    let malformed = |inner: &str| refused(inner, Code::MalformedXML, "");
    malformed("");
    malformed("<CORSRule/>");
    malformed("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>");
    malformed("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>");
    malformed(&format!("{RULE}<Other/>"));
    malformed(&rule_with("<Other/>"));
    malformed(&rule_with("<ID>a</ID><ID>b</ID>"));
    malformed(&rule_with("<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>1</MaxAgeSeconds>"));
    for seconds in ["", "-1", "1.5", "2147483648", "one"] {
        malformed(&rule_with(&format!("<MaxAgeSeconds>{seconds}</MaxAgeSeconds>")));
    }
    // A bad shape anywhere comes before a bad value.
    malformed(&format!("{}<CORSRule/>", RULE.replace("GET", "FOO")));
    assert_eq!(CorsConfiguration::parse(b"").unwrap_err().code, Code::MissingRequestBodyError);
    assert_eq!(CorsConfiguration::parse(b"<CORS/>").unwrap_err().code, Code::MalformedXML);
}

#[test]
fn values_are_refused_in_the_words_of_s3() {
    let invalid = |inner: &str, message: &str| refused(inner, Code::InvalidRequest, message);
    for method in ["MYMETHOD", "OPTIONS", "get", "*", ""] {
        let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
        invalid(&RULE.replace("GET", method), &message);
    }
    invalid(
        &RULE.replace(">*<", ">*example*.com<"),
        "AllowedOrigin \"*example*.com\" can not have more than one wildcard.",
    );
    invalid(
        &rule_with("<AllowedHeader>*-*</AllowedHeader>"),
        "AllowedHeader \"*-*\" can not have more than one wildcard.",
    );
    invalid(
        &rule_with("<ExposeHeader>x-amz-meta-*</ExposeHeader>"),
        "ExposeHeader \"x-amz-meta-*\" contains wildcard. We currently do not support wildcard for ExposeHeader.",
    );
    for header in ["a b", "a&#13;&#10;Set-Cookie: x", "é", ""] {
        invalid(&rule_with(&format!("<ExposeHeader>{header}</ExposeHeader>")), "contains invalid character.");
        invalid(
            &rule_with(&format!("<AllowedHeader>{header}</AllowedHeader>")),
            "contains invalid character.",
        );
    }
    let id = |length| rule_with(&format!("<ID>{}</ID>", "é".repeat(length)));
    assert!(parse(&id(255)).is_ok());
    invalid(&id(256), "255 characters");
    assert_eq!(rules(&RULE.repeat(100)).rules().len(), 100);
    let too_many = "The number of CORS rules should not exceed allowed limit of 100 rules.";
    invalid(&RULE.repeat(101), too_many);
}

/// `name: value`, one a line.
fn lines(answer: Option<CorsAnswer<'_>>) -> String {
    let headers = answer.map(|answer| answer.headers()).unwrap_or_default();
    headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

#[test]
fn answers_carry_the_headers_of_s3() {
    let config = rules(FULL);
    let origin = "http://www.example1.com";
    let named =
        "Access-Control-Allow-Origin: http://www.example1.com\nAccess-Control-Allow-Methods: GET, PUT\n";
    let rest = "Access-Control-Expose-Headers: x-amz-meta-custom-header, ETag\nAccess-Control-Max-Age: 3000\n\
                Access-Control-Allow-Credentials: true\n\
                Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\n";
    assert_eq!(lines(config.actual(origin, "PUT")), format!("{named}{rest}"));
    assert_eq!(
        lines(config.preflight(origin, "GET", Some("X-Amz-Date,authorization ,, x-amz-acl"))),
        format!("{named}Access-Control-Allow-Headers: x-amz-date, authorization, x-amz-acl\n{rest}")
    );
    assert_eq!(lines(config.preflight(origin, "GET", Some(" , "))), format!("{named}{rest}"));
    let anyone = "Access-Control-Allow-Origin: *\nAccess-Control-Allow-Methods: GET\n\
                  Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\n";
    assert_eq!(lines(rules(RULE).actual("http://random:1234", "GET")), anyone);
    assert_eq!(config.actual(origin, "GET").unwrap().rule().id.as_deref(), Some("r&1"));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let second = RULE.replace("GET", "PUT").replace(">*<", ">*.put<");
    let config = rules(&format!("{FULL}{second}{RULE}"));
    let from = |origin, method, headers| {
        let answer = config.preflight(origin, method, headers)?;
        config.rules().iter().position(|rule| rule == answer.rule())
    };
    assert_eq!(from("http://www.example1.com", "GET", None), Some(0));
    assert_eq!(from("http://www.example1.com", "GET", Some("authorization")), Some(0));
    assert_eq!(from("http://www.example1.com", "GET", Some("content-type")), None);
    assert_eq!(from("https://www.example1.com", "GET", None), Some(2));
    assert_eq!(from("http://www.example1.com:80", "GET", None), Some(2));
    assert_eq!(from("a.put", "PUT", None), Some(1));
    assert_eq!(from("a.put", "PUT", Some("x-amz-date")), None);
    assert_eq!(from("a", "DELETE", None), None);
    assert_eq!(from("a", "get", None), None);
    let many = vec!["x-amz-a"; 101].join(",");
    assert_eq!(from("http://www.example1.com", "GET", Some(&many)), None);
    assert_eq!(from("http://www.example1.com", "GET", Some(&many[8..])), Some(0));
}

/// The outcome of a preflight: the code and what is told, or nothing.
fn preflight(request: CorsRequest<'_>, state: CorsState<'_>) -> Result<(), (Code, String, Vec<String>)> {
    let answer = request.preflight(state, CorsResource::Object);
    answer.map(|_| ()).map_err(|error| {
        let told = error.extra.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        (error.code, error.message.into_owned(), told)
    })
}

#[test]
fn a_preflight_is_refused_in_the_order_of_s3() {
    let config = rules(FULL);
    let enabled = CorsState::Enabled(&config);
    let origin = Some("http://www.example1.com");
    let ask = |origin, requested_method, requested_headers| CorsRequest {
        origin,
        requested_method,
        requested_headers,
    };
    let bad = |message: &str| Err((Code::BadRequest, message.to_owned(), vec![]));
    let forbidden = |why: &str, method: &str, resource: &str| {
        let told = vec![format!("Method={method}"), format!("ResourceType={resource}")];
        Err((Code::AccessForbidden, format!("CORSResponse: {why}"), told))
    };
    let no_origin = bad("Insufficient information. Origin request header needed.");
    for state in [CorsState::NoSuchBucket, CorsState::Disabled, enabled] {
        assert_eq!(preflight(ask(None, Some("PUT"), None), state), no_origin);
        assert_eq!(preflight(ask(Some(""), None, None), state), no_origin);
    }
    let disabled = "CORS is not enabled for this bucket.";
    assert_eq!(
        preflight(ask(origin, Some("PUT"), None), CorsState::Disabled),
        forbidden(disabled, "PUT", "BUCKET")
    );
    assert_eq!(
        preflight(ask(origin, None, None), CorsState::Disabled),
        forbidden(disabled, "OPTIONS", "BUCKET")
    );
    assert_eq!(
        preflight(ask(origin, None, None), CorsState::NoSuchBucket),
        forbidden("Bucket not found", "OPTIONS", "BUCKET")
    );
    assert_eq!(
        preflight(ask(origin, None, None), enabled),
        bad("Invalid Access-Control-Request-Method: null")
    );
    assert_eq!(
        preflight(ask(origin, Some("get"), None), enabled),
        bad("Invalid Access-Control-Request-Method: get")
    );
    assert_eq!(
        preflight(ask(origin, Some("GET"), Some("x-amz-a,b@d")), enabled),
        bad("Access-Control-Request-Headers \"b@d\" contains invalid character.")
    );
    let no_rule = "This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
                   Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's \
                   CORS spec.";
    assert_eq!(preflight(ask(origin, Some("DELETE"), None), enabled), forbidden(no_rule, "DELETE", "OBJECT"));
    assert_eq!(
        preflight(ask(Some("http://www.example1.com/"), Some("GET"), None), enabled),
        forbidden(no_rule, "GET", "OBJECT")
    );
    assert_eq!(preflight(ask(origin, Some("PUT"), Some("x-amz-date")), enabled), Ok(()));
    assert_eq!(Code::AccessForbidden.status(), 403);
}

#[test]
fn other_requests_believe_the_headers_of_a_preflight() {
    let config = rules(&RULE.replace(">*<", ">*suffix<"));
    let says = |method, requested_method, requested_headers| {
        let request = CorsRequest { origin: Some("foo.suffix"), requested_method, requested_headers };
        request.actual(method, &config).is_some()
    };
    assert!(says("GET", None, None));
    assert!(!says("GET", Some("PUT"), None));
    assert!(says("PUT", Some("GET"), None));
    assert!(!says("PUT", None, None));
    assert!(!says("GET", None, Some("x-amz-request-payer")));
    assert!(CorsRequest::default().actual("GET", &config).is_none());
}

fn a_rule() -> impl Strategy<Value = CorsRule> {
    let pattern = "[^\0]{0,12}".prop_filter_map("stars", |text| Pattern::new(text).ok());
    let name = "[a-zA-Z0-9-]{1,9}";
    (
        prop::option::of("[^\0]{0,20}"),
        prop::collection::vec(pattern, 1..4),
        prop::collection::vec(prop::sample::select(CorsMethod::ALL.to_vec()), 1..6),
        prop::collection::vec(name.prop_map(|text| Pattern::new(format!("{text}*")).unwrap()), 0..3),
        prop::collection::vec(name, 0..3),
        prop::option::of(0..=i32::MAX as u32),
    )
        .prop_map(
            |(id, allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_seconds)| {
                CorsRule {
                    id,
                    allowed_origins,
                    allowed_methods,
                    allowed_headers,
                    expose_headers,
                    max_age_seconds,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read_back(rules in prop::collection::vec(a_rule(), 1..5)) {
        let config = CorsConfiguration { rules };
        prop_assert_eq!(CorsConfiguration::parse(&config.to_xml()), Ok(config));
    }

    #[test]
    fn what_matches_is_told_to_its_origin_alone(
        rules in prop::collection::vec(a_rule(), 1..4),
        origin in "[^\0]{0,12}",
        headers in prop::option::of("[a-z,* -]{0,20}"),
    ) {
        let config = CorsConfiguration { rules };
        if let Some(answer) = config.preflight(&origin, "GET", headers.as_deref()) {
            let told = answer.headers();
            prop_assert!(told[0].1 == "*" || told[0].1 == *origin);
            let credentials = told.iter().any(|(name, _)| name.ends_with("Credentials"));
            prop_assert_eq!(credentials, told[0].1 != "*" || !answer.rule().allowed_origins.iter().any(Pattern::is_any));
        }
    }

    #[test]
    fn any_markup_is_read_or_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("<CORSConfiguration>"), Just("</CORSConfiguration>"), Just("<CORSRule>"), Just("</CORSRule>"),
                Just("<AllowedOrigin>"), Just("</AllowedOrigin>"), Just("<AllowedMethod>GET</AllowedMethod>"), Just("*"),
                Just("<MaxAgeSeconds>"), Just("9"), Just("&"), Just("<"), Just("<!DOCTYPE x>"), Just("<![CDATA["), Just("]]>"),
            ],
            0..20,
        ),
    ) {
        let _ = CorsConfiguration::parse(pieces.concat().as_bytes());
    }
}
