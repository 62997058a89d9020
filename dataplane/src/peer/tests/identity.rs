//! The node's own files.

use holdfast_common::certificate::{Role, Subject};
use uuid::Uuid;

use super::super::{PeerIdentity, trust};
use super::rig::{CLUSTER, Ca, node_id};

fn subject(n: u32) -> Subject {
    Subject { cluster: CLUSTER, role: Role::Node(node_id(n)) }
}

#[test]
fn a_certificate_of_another_is_not_shown_and_the_operator_learns_why() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let load = |files| PeerIdentity::load(files, CLUSTER, node_id(1));
    assert!(load(ca.write(dir.path(), subject(1), 2100)).is_ok());
    let control = Subject { cluster: CLUSTER, role: Role::ControlPlane };
    let other = Subject { cluster: Uuid::from_u128(1), role: Role::Node(node_id(1)) };
    for named in [subject(2), control, other] {
        let why = load(ca.write(dir.path(), named, 2100)).unwrap_err().to_string();
        assert!(why.contains(&named.to_string()) && why.contains("holdfast-dataplane join"), "{why}");
    }
    let mut missing = ca.write(dir.path(), subject(1), 2100);
    missing.ca = dir.path().join("nowhere.pem");
    assert!(load(missing).unwrap_err().to_string().contains("nowhere.pem"));
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let files = ca.write(dir.path(), subject(1), 2100);
    let identity = PeerIdentity::load(files.clone(), CLUSTER, node_id(1)).unwrap();
    let before = identity.sides();
    assert!(identity.reload_if_changed().is_none());
    let renewed = ca.write(dir.path(), subject(1), 2101);
    std::fs::rename(&renewed.key, &files.key).unwrap();
    assert!(identity.reload_if_changed().expect("the key is another").is_err());
    assert!(std::sync::Arc::ptr_eq(&identity.sides().server, &before.server));
    std::fs::rename(&renewed.cert, &files.cert).unwrap();
    identity.reload_if_changed().expect("the certificate is another").unwrap();
    assert!(!std::sync::Arc::ptr_eq(&identity.sides().server, &before.server));
    assert!(identity.reload_if_changed().is_none());
}

#[test]
fn whoever_shows_no_certificate_is_nobody() {
    assert!(trust(None, CLUSTER).is_err() && trust(Some(b"no certificate"), CLUSTER).is_err());
}
