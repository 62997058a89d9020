"""CORS: the configuration of a bucket, preflights as browsers send them, and the headers on every other answer."""

from clients import boto
from raw import answered, checksummed, send
from semantics import bucket, refused

VARY = {"origin", "access-control-request-headers", "access-control-request-method"}
ORIGIN = "https://app.example.com"


def configured(s3, word, *rules):
    name = bucket(s3, word)
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": list(rules)})
    s3.put_object(Bucket=name, Key="k", Body=b"body")
    return name


def rule(origins, methods, **more):
    return {"AllowedOrigins": origins, "AllowedMethods": methods, **more}


def preflight(system, name, origin=ORIGIN, method="GET", headers=None, key="k"):
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return send(system, "OPTIONS", f"/{name}/{key}", headers={k: v for k, v in asked.items() if v is not None}, signed=False)


def allowed(answer, origin, methods, **more):
    """The answer's CORS headers are these and no others."""
    wanted = {"access-control-allow-origin": origin, "access-control-allow-methods": methods,
              **{f"access-control-{name.replace('_', '-')}": value for name, value in more.items()}}
    if origin != "*":
        wanted["access-control-allow-credentials"] = "true"
    got = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert answer.status < 300 and got == wanted, (wanted, answer)
    assert {word.strip().lower() for word in answer.headers["vary"].split(",")} == VARY, answer


def silent(answer, status=200):
    found = [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.status == status and not found, answer


def configurations(system, home):
    s3 = boto(system)
    name = bucket(s3, "config")
    refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=name)
    rules = [rule(["https://a.example", "http://b.example:80"], ["GET", "PUT", "HEAD", "POST", "DELETE"], ID="one",
                  AllowedHeaders=["x-amz-*", "Content-Type"], ExposeHeaders=["ETag"], MaxAgeSeconds=3000),
             rule(["*"], ["GET"])]
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=name)["CORSRules"] == rules
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules[1:]})
    assert s3.get_bucket_cors(Bucket=name)["CORSRules"] == rules[1:]
    for code, wrong in [
        ("InvalidRequest", [rule(["*"], ["PATCH"])]), ("InvalidRequest", [rule(["*"], ["get"])]),
        ("InvalidRequest", [rule(["http://*.a.*"], ["GET"])]), ("InvalidRequest", [rule(["*"], ["GET"], AllowedHeaders=["x-*-*"])]),
        ("InvalidRequest", [rule(["*"], ["GET"], ExposeHeaders=["x-*"])]), ("MalformedXML", []),
        ("MalformedXML", [rule([], ["GET"])]), ("MalformedXML", [rule(["*"], [])]),
    ]:
        refused(code, 400, s3.put_bucket_cors, Bucket=name, CORSConfiguration={"CORSRules": wrong})
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule(["*"], ["GET"])] * 100})
    too_many = send(system, "PUT", f"/{name}?cors", **xml([rule_xml("*", "GET")] * 101))
    assert too_many.status == 400 and too_many.code in ("InvalidRequest", "MalformedXML"), too_many
    for body in ([b"<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>"], [rule_xml("*", "GET", "<MaxAgeSeconds>x</MaxAgeSeconds>")],
                 [rule_xml("*", "GET", "<Unknown/>")]):
        answered(send(system, "PUT", f"/{name}?cors", **xml(body)), 400, "MalformedXML")
    for _ in range(2):
        assert s3.delete_bucket_cors(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket=name)
    refused("NoSuchBucket", 404, s3.get_bucket_cors, Bucket=name + "-none")


def rule_xml(origin, method, more=""):
    text = f"<CORSRule><AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{method}</AllowedMethod>{more}</CORSRule>"
    return text.encode()


def xml(rules):
    return checksummed(b"<CORSConfiguration>" + b"".join(rules) + b"</CORSConfiguration>")


def preflights_without_a_configuration(system, home):
    s3 = boto(system)
    name = bucket(s3, "none")
    s3.put_object(Bucket=name, Key="k", Body=b"body")
    answered(preflight(system, name, origin=None), 400, "BadRequest")
    answered(preflight(system, name), 403, "AccessForbidden")
    answered(preflight(system, name, method=None), 403, "AccessForbidden")
    answered(preflight(system, name + "-none"), 403, "AccessForbidden")
    silent(send(system, "GET", f"/{name}/k", headers={"Origin": ORIGIN}))


def origins(system, home):
    s3 = boto(system)
    name = configured(s3, "origins", rule([ORIGIN, "http://*.example.org", "https://a*z.example"], ["GET", "PUT"], MaxAgeSeconds=3000))
    for origin in (ORIGIN, "http://one.example.org", "http://one.two.example.org", "https://az.example", "https://a.b.z.example"):
        allowed(preflight(system, name, origin), origin, "GET, PUT", max_age="3000")
        allowed(send(system, "GET", f"/{name}/k", headers={"Origin": origin}), origin, "GET, PUT", max_age="3000")
        allowed(preflight(system, name, origin, key=""), origin, "GET, PUT", max_age="3000")
    for origin in ("https://other.example.com", "http://app.example.com", "http://example.org", "https://app.example.com:8443",
                   "HTTPS://APP.EXAMPLE.COM", "null", "*"):
        answered(preflight(system, name, origin), 403, "AccessForbidden")
        silent(send(system, "GET", f"/{name}/k", headers={"Origin": origin}))
    answered(preflight(system, name, None), 400, "BadRequest")
    silent(send(system, "GET", f"/{name}/k"))
    anyone = configured(s3, "anyone", rule(["*"], ["GET", "PUT"]))
    allowed(preflight(system, anyone, "https://whoever"), "*", "GET, PUT")
    allowed(send(system, "GET", f"/{anyone}/k", headers={"Origin": "https://whoever"}), "*", "GET, PUT")


def methods(system, home):
    s3 = boto(system)
    name = configured(s3, "methods", rule([ORIGIN], ["GET"]), rule(["*"], ["DELETE"]))
    allowed(preflight(system, name), ORIGIN, "GET")
    allowed(preflight(system, name, method="DELETE"), "*", "DELETE")
    for method in ("PUT", "HEAD", "POST"):
        answered(preflight(system, name, method=method), 403, "AccessForbidden")
    for none in ("OPTIONS", "get"):
        answered(preflight(system, name, method=none), 400, "BadRequest")
    allowed(send(system, "GET", f"/{name}/k", headers={"Origin": ORIGIN}), ORIGIN, "GET")
    silent(send(system, "PUT", f"/{name}/k2", headers={"Origin": ORIGIN}, body=b"x"))
    allowed(send(system, "DELETE", f"/{name}/k2", headers={"Origin": "https://x"}), "*", "DELETE")


def asked_headers(system, home):
    s3 = boto(system)
    name = configured(s3, "headers", rule([ORIGIN], ["GET"], AllowedHeaders=["x-amz-meta-*", "Content-Type", "x-AMZ-acl"]))
    for asked, answered_with in (
        ("content-type", "content-type"), ("Content-Type, X-Amz-Meta-A", "content-type, x-amz-meta-a"), ("X-AMZ-ACL", "x-amz-acl"),
        ("x-amz-meta-", "x-amz-meta-"),
    ):
        allowed(preflight(system, name, headers=asked), ORIGIN, "GET", allow_headers=answered_with)
    for asked in ("authorization", "content-type, authorization", "x-amz-metaphor"):
        answered(preflight(system, name, headers=asked), 403, "AccessForbidden")
    allowed(preflight(system, name), ORIGIN, "GET")
    every = configured(s3, "every", rule([ORIGIN], ["GET"], AllowedHeaders=["*"]))
    allowed(preflight(system, every, headers="authorization,x-anything"), ORIGIN, "GET", allow_headers="authorization, x-anything")
    none = configured(s3, "none", rule(["*"], ["GET"]))
    answered(preflight(system, none, headers="x-amz-date"), 403, "AccessForbidden")


def exposed_headers(system, home):
    s3 = boto(system)
    name = configured(s3, "expose", rule(["*"], ["GET"], ExposeHeaders=["x-amz-request-id", "ETag"]))
    exposed = {"expose_headers": "x-amz-request-id, ETag"}
    allowed(preflight(system, name), "*", "GET", **exposed)
    allowed(send(system, "GET", f"/{name}/k", headers={"Origin": ORIGIN}), "*", "GET", **exposed)


def errors_carry_the_headers_too(system, home):
    s3 = boto(system)
    name = configured(s3, "errors", rule([ORIGIN], ["GET", "PUT"]))
    for target, status in ((f"/{name}/none", 404), (f"/{name}?max-keys=-1", 400)):
        answer = send(system, "GET", target, headers={"Origin": ORIGIN})
        assert answer.status == status and answer.headers["access-control-allow-origin"] == ORIGIN, answer
    denied = send(system, "GET", f"/{name}/k", headers={"Origin": ORIGIN}, signed=False)
    assert denied.status == 403 and denied.headers["access-control-allow-origin"] == ORIGIN, denied
    put = send(system, "PUT", f"/{name}/new", headers={"Origin": ORIGIN}, body=b"x")
    allowed(put, ORIGIN, "GET, PUT")


ALL = [
    configurations, preflights_without_a_configuration, origins, methods, asked_headers, exposed_headers,
    errors_carry_the_headers_too,
]
