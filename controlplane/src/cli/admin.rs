//! `holdfast admin`: tenants, keys and state over the REST API, as tables for people or `--json` for programs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use holdfast_common::secret::Secret;
use serde_json::{Value, json};

use super::drive::{DriveCommand, redundancy};
use super::node::{NodeCommand, seconds};
use super::table::{bytes, render, time};
use super::{CliError, print};
use crate::api::ErrorBody;
use crate::api::client::{Target, request_with};
use crate::dev::AdminFile;

#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// Data directory of a running `holdfast dev`. Else HOLDFAST_ADMIN_URL and HOLDFAST_ADMIN_TOKEN name the server.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make a tenant.
    CreateTenant {
        #[arg(long)]
        name: String,
    },
    /// Show all tenants.
    ListTenants,
    /// Make an access key. Its secret is shown this once.
    CreateKey {
        /// What the key is for.
        #[arg(long)]
        name: String,
        /// Whose key; the root tenant's unless said.
        #[arg(long)]
        tenant: Option<String>,
        /// Bucket the key is confined to; may be repeated. Without it: every bucket of the tenant.
        #[arg(long = "bucket", value_name = "BUCKET")]
        buckets: Vec<String>,
        /// What the key may do; may be repeated; admin contains read and write. Without it: read and write, and admin where
        /// the key is not confined to buckets.
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<PermissionFlag>,
    },
    /// Show all keys, without secrets.
    ListKeys,
    /// End a key. Returns when no node accepts it any more.
    RevokeKey {
        #[arg(long, value_name = "ID")]
        access_key_id: String,
    },
    /// End what a key signed on days before this one: presigned URLs that got about, signing keys that a stolen node held.
    /// Returns when no node accepts it any more.
    RevokeSignatures {
        #[arg(long, value_name = "ID")]
        access_key_id: String,
        /// First day whose signatures count, YYYY-MM-DD (UTC); no later than the day after tomorrow, of which nobody holds
        /// signing keys yet: until then the key is mute.
        #[arg(long, value_name = "DATE")]
        before: String,
    },
    /// Show all buckets.
    ListBuckets,
    /// Let nodes that cannot ask the control plane show what they have cached of a bucket, with its age, while their access
    /// leases run (`access_lease_ms`).
    StaleReads {
        #[arg(long)]
        bucket: String,
        /// How old it may be: 90s, 30m, 1h; 0s: they show nothing (the default).
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        seconds: u32,
    },
    /// Show leadership, nodes and drives.
    Status,
    /// After `ROWS WERE LOST`: show what the fragments on the nodes' drives can bring back.
    Recover {
        /// Bring it back.
        #[arg(long, conflicts_with = "accept")]
        apply: bool,
        /// Accept what the database has then, and delete again what nothing names.
        #[arg(long)]
        accept: bool,
    },
    /// What drives hold, how far scrubs and drains are; drain one, or declare one gone.
    #[command(subcommand)]
    Drive(DriveCommand),
    /// Invite machines to become nodes; list nodes, empty one, throw one out.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Show how many fragments an object has, and how many it should have.
    ObjectRedundancy {
        #[arg(long)]
        bucket: String,
        #[arg(long)]
        key: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PermissionFlag {
    Read,
    Write,
    Admin,
}

/// A server and the token for it.
struct Server {
    target: Target,
    token: Secret,
}

pub(super) async fn run(args: AdminArgs) -> Result<(), CliError> {
    let server = Server::find(args.data_dir.as_deref())?;
    let (method, path, body) = wire(&args.command);
    let mut answer = server.ask(method, &path, body).await?;
    if matches!(args.command, AdminCommand::Recover { apply: true, .. }) {
        // Each request goes on for a while; what it refuses no longer counts as proposed, so this ends.
        while answer["proposed"].as_u64().unwrap_or(0) > 0 {
            answer = server.ask(method, &path, Some(json!({ "action": "apply", "more": true }))).await?;
        }
    }
    if args.json {
        print(&format!("{answer:#}\n"));
    } else {
        print(&human(&args.command, &answer));
        if let AdminCommand::Node(command) = &args.command
            && let Some(note) = command.note(&answer)
        {
            eprintln!("{note}");
        }
    }
    Ok(())
}

/// The request a command is.
fn wire(command: &AdminCommand) -> (&'static str, String, Option<Value>) {
    let path = |text: &str| text.to_owned();
    match command {
        AdminCommand::CreateTenant { name } => ("POST", path("/v1/tenants"), Some(json!({ "name": name }))),
        AdminCommand::ListTenants => ("GET", path("/v1/tenants"), None),
        AdminCommand::CreateKey { name, tenant, buckets, permissions } => {
            let permissions: Vec<_> =
                permissions.iter().map(|flag| format!("{flag:?}").to_lowercase()).collect();
            let buckets = if buckets.is_empty() { Value::Null } else { json!(buckets) };
            let body =
                json!({ "name": name, "tenant": tenant, "buckets": buckets, "permissions": permissions });
            ("POST", path("/v1/keys"), Some(body))
        }
        AdminCommand::ListKeys => ("GET", path("/v1/keys"), None),
        AdminCommand::RevokeKey { access_key_id } => {
            ("DELETE", format!("/v1/keys/{}", escaped(access_key_id)), None)
        }
        AdminCommand::RevokeSignatures { access_key_id, before } => {
            let path = format!("/v1/keys/{}/revoke-signatures", escaped(access_key_id));
            ("POST", path, Some(json!({ "before": before })))
        }
        AdminCommand::ListBuckets => ("GET", path("/v1/buckets"), None),
        AdminCommand::StaleReads { bucket, seconds } => {
            let path = format!("/v1/buckets/{}/stale-reads", escaped(bucket));
            ("POST", path, Some(json!({ "seconds": seconds })))
        }
        AdminCommand::Status => ("GET", path("/v1/status"), None),
        AdminCommand::Recover { apply: true, .. } => {
            ("POST", path("/v1/recover"), Some(json!({ "action": "apply" })))
        }
        AdminCommand::Recover { accept: true, .. } => {
            ("POST", path("/v1/recover"), Some(json!({ "action": "accept" })))
        }
        AdminCommand::Recover { .. } => ("GET", path("/v1/recover"), None),
        AdminCommand::Drive(command) => command.wire(),
        AdminCommand::Node(command) => command.wire(),
        AdminCommand::ObjectRedundancy { bucket, key } => {
            ("GET", format!("/v1/objects/redundancy?bucket={}&key={}", escaped(bucket), escaped(key)), None)
        }
    }
}

/// A path segment that holds nothing but what it means.
pub(super) fn escaped(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

impl Server {
    /// What the flag names wins over the environment.
    fn find(data_dir: Option<&Path>) -> Result<Self, CliError> {
        if let Some(directory) = data_dir {
            let file = AdminFile::read(&directory.join("admin.json"))?;
            let target = Target::parse(&file.url, file.ca_file.as_deref())?;
            return Ok(Self { target, token: Secret::from(file.token) });
        }
        let var = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
        let (Some(url), Some(token)) = (var("HOLDFAST_ADMIN_URL"), var("HOLDFAST_ADMIN_TOKEN")) else {
            return Err(CliError::NoServer);
        };
        let ca = var("HOLDFAST_ADMIN_CA").map(PathBuf::from);
        Ok(Self { target: Target::parse(&url, ca.as_deref())?, token: Secret::from(token) })
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, CliError> {
        let body = body.map(|body| body.to_string().into()).unwrap_or_default();
        let token = self.token.expose_str();
        let answer = request_with(&self.target, method, path, token, body).await?;
        let strange =
            |cause: String| CliError::Strange { authority: self.target.authority().to_owned(), cause };
        match answer.status {
            200..300 => serde_json::from_slice(&answer.body).map_err(|error| strange(error.to_string())),
            401 => Err(CliError::Unauthorized),
            status => match serde_json::from_slice::<ErrorBody>(&answer.body) {
                Ok(refused) => Err(CliError::Refused(refused.message)),
                Err(_) => Err(strange(format!("status {status}"))),
            },
        }
    }
}

/// What a person wants to see of an answer.
fn human(command: &AdminCommand, answer: &Value) -> String {
    match command {
        AdminCommand::CreateTenant { .. } => {
            format!("tenant {} (id {})\n", text(answer, "name"), text(answer, "tenant_id"))
        }
        AdminCommand::ListTenants => list(answer, &["tenant_id", "name", "canonical_id", "created_ms"]),
        AdminCommand::CreateKey { .. } => format!(
            "access_key_id      {}\nsecret_access_key  {}\nThe secret is not shown again.\n",
            text(answer, "access_key_id"),
            text(answer, "secret_access_key")
        ),
        AdminCommand::ListKeys => list(
            answer,
            &[
                "access_key_id",
                "name",
                "tenant",
                "buckets",
                "permissions",
                "signed_not_before",
                "created_ms",
                "revoked_ms",
            ],
        ),
        AdminCommand::RevokeKey { .. } => revoked(answer, ""),
        AdminCommand::RevokeSignatures { before, .. } => {
            revoked(answer, &format!(" for what it signed before {before}"))
        }
        AdminCommand::ListBuckets => {
            list(answer, &["bucket_id", "name", "tenant_id", "region", "created_ms", "stale_reads_seconds"])
        }
        AdminCommand::StaleReads { .. } => format!(
            "{} is read for {} seconds where the control plane cannot be asked\n",
            text(answer, "name"),
            text(answer, "stale_reads_seconds")
        ),
        AdminCommand::Status => status(answer),
        AdminCommand::Recover { .. } => recovery(answer),
        AdminCommand::Drive(command) => command.human(answer),
        AdminCommand::Node(command) => command.human(answer),
        AdminCommand::ObjectRedundancy { .. } => redundancy(answer),
    }
}

fn revoked(answer: &Value, what: &str) -> String {
    format!(
        "{} is revoked{what}: {} nodes acknowledged, {} leases ran out, after {} ms\n",
        text(answer, "access_key_id"),
        text(answer, "acknowledged"),
        text(answer, "expired"),
        text(answer, "waited_ms")
    )
}

fn status(answer: &Value) -> String {
    let mut out = String::new();
    for field in ["cluster_id", "leader", "holder", "epoch", "watermark", "tenants", "keys", "buckets"] {
        out += &format!("{field:<12}{}\n", text(answer, field));
    }
    for field in ["repairs_open", "repairs_failed", "freed_backlog"] {
        out += &format!("{field:<16}{}\n", text(answer, field));
    }
    if answer["repairs_failed"].as_u64().unwrap_or(0) > 0 {
        out += "\nBYTES ARE LOST: some blobs have fewer fragments than their code needs; bring back the drives that held them\n";
    }
    if answer["history_lost"] == true {
        out += "\nROWS WERE LOST: the database lacks commits that nodes had acknowledged; restore it to a later state,\n\
                or see with `holdfast admin recover` what the drives can bring back; nothing is deleted until then\n";
    }
    out += "\n";
    out += &list(
        &answer["nodes"],
        &["node_id", "name", "region", "connected", "lease_live", "access_live", "build"],
    );
    out += "\n";
    out +=
        &list(&answer["backends"], &["backend_id", "kind", "state", "free_bytes", "capacity_bytes", "label"]);
    out
}

fn recovery(answer: &Value) -> String {
    let mut out = String::new();
    if answer["history_lost"] != true {
        out += "No history is lost.\n";
        return out;
    }
    out += &format!(
        "{} of {} nodes have looked through their drives.\n\n",
        text(answer, "nodes_walked"),
        text(answer, "nodes")
    );
    for field in ["proposed", "recovered", "skipped", "refused", "forged"] {
        out += &format!("{field:<12}{}\n", text(answer, field));
    }
    if answer["objects"].as_array().is_some_and(|objects| !objects.is_empty()) {
        out += "\n";
        out += &list(&answer["objects"], &["bucket", "key", "size_bytes", "written_ms", "state", "reason"]);
    }
    out += "\nBring back what is proposed with `holdfast admin recover --apply`. Empty objects, uploads in parts, deletions and\n\
            changes of buckets, tags and keys do not come back. When that is all: `holdfast admin recover --accept`.\n";
    out
}

/// An array of objects as a table of some fields; `_ms` are times, `_bytes` sizes.
pub(super) fn list(items: &Value, fields: &[&str]) -> String {
    let rows: Vec<Vec<String>> = items
        .as_array()
        .map(|items| {
            items.iter().map(|item| fields.iter().map(|field| text(item, field)).collect()).collect()
        })
        .unwrap_or_default();
    let titles: Vec<&str> =
        fields.iter().map(|field| field.trim_end_matches("_ms").trim_end_matches("_bytes")).collect();
    render(&titles, &rows)
}

pub(super) fn text(item: &Value, field: &str) -> String {
    match &item[field] {
        Value::Null if field == "buckets" => "(all)".to_owned(),
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if field.ends_with("_ms") && field != "waited_ms" => {
            time(number.as_u64().unwrap_or(0))
        }
        Value::Number(number) if field.ends_with("_bytes") => bytes(number.as_u64().unwrap_or(0)),
        Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().unwrap_or("?")).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, list};
    use serde_json::json;

    #[test]
    fn an_id_cannot_leave_its_segment() {
        assert_eq!(escaped("AK-1_2.~"), "AK-1_2.~");
        assert_eq!(escaped("../x?y"), "..%2Fx%3Fy");
    }

    #[test]
    fn keys_as_a_table() {
        let keys = json!([{ "access_key_id": "A", "buckets": null, "revoked_ms": null, "created_ms": 0 },
                          { "access_key_id": "B", "buckets": [], "permissions": ["read", "write"] }]);
        let table = list(&keys, &["access_key_id", "buckets", "permissions", "created_ms"]);
        assert!(table.contains("A              (all)    -            1970-01-01T00:00:00Z"), "{table}");
        assert!(table.contains("(none)   read,write"), "{table}");
    }
}
