//! The node's own certificate.

use holdfast_common::certificate::{Role, Subject};

use super::super::{PeerIdentity, trust};
use super::rig::{CLUSTER, Ca, node_id};
use crate::enrol::Identity;

#[test]
fn new_connections_get_the_renewed_certificate() {
    let (dir, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let subject = Subject { cluster: CLUSTER, role: Role::Node(node_id(1)) };
    let read = |last_year| Identity::read(&ca.write(dir.path(), subject, last_year)).unwrap();
    let identity = PeerIdentity::new(&read(2100)).unwrap();
    assert_eq!((identity.cluster, identity.node), (CLUSTER, node_id(1)));
    let before = identity.sides();
    identity.renew(&read(2101)).unwrap();
    let after = identity.sides();
    assert!(!std::sync::Arc::ptr_eq(&after.server, &before.server));
    assert!(!std::sync::Arc::ptr_eq(&after.client, &before.client));
}

#[test]
fn whoever_shows_no_certificate_is_nobody() {
    assert!(trust(None, CLUSTER).is_err() && trust(Some(b"no certificate"), CLUSTER).is_err());
}
