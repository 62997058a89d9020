//! `/openapi.json`: generated from the handlers, so that it cannot say what they do not.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{ErrorBody, buckets, drives, keys, nodes, ops, recovery, tenants};

#[derive(OpenApi)]
#[openapi(
    info(title = "Holdfast administration", description = "Tenants, access keys, nodes, drives, state. All but health needs the admin token."),
    paths(
        tenants::create, tenants::list, buckets::list, buckets::stale_reads, keys::create, keys::list, keys::revoke,
        keys::revoke_signatures,
        drives::list, drives::status, drives::drain, drives::replace, drives::redundancy,
        nodes::invite, nodes::list, nodes::show, nodes::drain, nodes::revoke,
        ops::status, recovery::show, recovery::recover, ops::livez, ops::readyz, ops::metrics,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Token),
    security(("token" = [])),
)]
struct Document;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use super::Document;
    use utoipa::OpenApi;

    #[test]
    fn every_route_is_described() {
        let document = serde_json::to_value(Document::openapi()).expect("JSON");
        let paths = document["paths"].as_object().expect("paths");
        for (path, method) in [
            ("/v1/tenants", "post"),
            ("/v1/keys", "get"),
            ("/v1/keys/{access_key_id}", "delete"),
            ("/v1/keys/{access_key_id}/revoke-signatures", "post"),
            ("/v1/buckets", "get"),
            ("/v1/buckets/{bucket}/stale-reads", "post"),
            ("/v1/status", "get"),
            ("/v1/recover", "get"),
            ("/v1/recover", "post"),
            ("/v1/drives", "get"),
            ("/v1/drives/{drive}", "get"),
            ("/v1/drives/{drive}/drain", "post"),
            ("/v1/drives/{drive}/replace", "post"),
            ("/v1/nodes", "get"),
            ("/v1/nodes/invitations", "post"),
            ("/v1/nodes/{node}", "get"),
            ("/v1/nodes/{node}", "delete"),
            ("/v1/nodes/{node}/drain", "post"),
            ("/v1/objects/redundancy", "get"),
        ] {
            assert!(paths[path][method].is_object(), "{method} {path}");
        }
        assert!(document["components"]["schemas"]["NewKey"].is_object());
    }
}
