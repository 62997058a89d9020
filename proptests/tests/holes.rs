//! Holes that others in this field had, each as an attack on the running system that must fail (DESIGN, section 5).
//!
//! An attack says what is tried, what is answered, and that nothing has changed. Everything goes through the socket of a real
//! node on real drives under the real authority; only the attacker is ours.

#[path = "holes/bodies.rs"]
mod bodies;
#[path = "holes/client.rs"]
mod client;
#[path = "holes/denies.rs"]
mod denies;
#[path = "holes/forms.rs"]
mod forms;
#[path = "holes/framing.rs"]
mod framing;
#[path = "holes/inputs.rs"]
mod inputs;
#[path = "holes/inside.rs"]
mod inside;
#[path = "holes/probing.rs"]
mod probing;
#[path = "holes/proxies.rs"]
mod proxies;
#[path = "holes/rig.rs"]
mod rig;
#[path = "holes/signatures.rs"]
mod signatures;
#[path = "holes/strangers.rs"]
mod strangers;

/// A policy of one bucket, from `(effect, action, resource behind the bucket's name, what else the statement says)`.
fn policy(bucket: &str, statements: &[(&str, &str, &str, &str)]) -> String {
    let statement = |(effect, action, resource, more): &(&str, &str, &str, &str)| {
        let principal = if more.contains("\"Principal\"") { "" } else { r#""Principal":"*","# };
        let more = if more.is_empty() { String::new() } else { format!(",{more}") };
        format!(
            r#"{{"Effect":"{effect}",{principal}"Action":"{action}","Resource":"arn:aws:s3:::{bucket}{resource}"{more}}}"#
        )
    };
    let statements: Vec<String> = statements.iter().map(statement).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

/// Puts it, as the bucket's owner.
fn put_policy(bucket: &str, statements: &[(&str, &str, &str, &str)]) {
    let ask = client::Ask::put(&format!("/{bucket}?policy")).document(policy(bucket, statements));
    ask.by(&rig::rig().owner).send().is(204, "");
}

/// Puts an object as the bucket's owner.
fn put(bucket: &str, key: &str, body: &str) -> client::Answer {
    client::Ask::put(&format!("/{bucket}/{key}")).body(body).by(&rig::rig().owner).send().is(200, "")
}
