//! The way to PostgreSQL over a network: TLS against a CA and the host's name, SCRAM within it, and nothing else.

use std::path::PathBuf;

use holdfast_controlplane::server::{self, Database, DatabaseTls, Settings};

use crate::node::Node;
use crate::rig::{Db, HOST};

/// Why the authority does not start there.
async fn refusal(db: &Db, database: Database) -> String {
    let refused = server::start(Settings { database, ..db.settings(true) }).await;
    refused.err().expect("it does not start").to_string()
}

#[tokio::test]
async fn the_truth_is_reached_over_tls() {
    let db = Db::fresh().await;
    for more in ["", "sslmode=verify-full", "sslmode=require", "channel_binding=require"] {
        let database = db.address_over_tls(HOST, more);
        let running = db.start_as(Settings { database, ..db.settings(true) }).await;
        let node = Node::join(running.grpc_addr).await;
        let bucket = node.bucket(&format!("b{}", more.len())).await;
        node.put(bucket, "k", "e").await.expect("put");
        assert_eq!(node.lookup(bucket, "k").await.expect("a record").etag, "e");
        let of_holdfast = |ssl: bool| {
            format!(
                "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity a USING (pid)
                 WHERE a.datname = current_database() AND a.application_name = 'holdfast' AND ssl = {ssl}"
            )
        };
        assert!(db.number(&of_holdfast(true)).await > 0, "{more}");
        assert_eq!(db.number(&of_holdfast(false)).await, 0, "{more}");
        running.stop().await;
    }
}

#[tokio::test]
async fn no_other_server_is_believed() {
    let db = Db::fresh().await;
    // The server's certificate, and not the name that it is called by.
    let renamed = refusal(&db, db.address_over_tls("database.test", "")).await;
    assert!(renamed.contains("not valid for name"), "{renamed}");
    let strangers = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate").cert.pem();
    let directory = tempfile::tempdir().expect("a directory");
    let ca_file = Some(directory.path().join("ca.pem"));
    std::fs::write(ca_file.as_ref().expect("a path"), strangers).expect("a file");
    let stranger = refusal(&db, Database { ca_file, ..db.address_over_tls(HOST, "") }).await;
    assert!(stranger.contains("certificate"), "{stranger}");
    let ca_file = Some(PathBuf::from("/nowhere/ca.pem"));
    let missing = refusal(&db, Database { ca_file, ..db.address_over_tls(HOST, "") }).await;
    assert!(missing.contains("/nowhere/ca.pem") && missing.contains("database_ca_file"), "{missing}");
}

#[tokio::test]
async fn a_server_that_wants_tls_is_not_reached_without() {
    let db = Db::fresh().await;
    let plain = Database { tls: DatabaseTls::Disable, ..db.address_over_tls(HOST, "") };
    let refused = refusal(&db, plain).await;
    assert!(refused.contains("no encryption"), "{refused}");
    let impostor = refusal(&db, db.address_over_tls(HOST, "password=wrong")).await;
    assert!(impostor.contains("password"), "{impostor}");
}
