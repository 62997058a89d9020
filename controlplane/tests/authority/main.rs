//! The authority against a real PostgreSQL and over real gRPC: each test has a database of its own.

mod access;
mod buckets;
mod commits;
mod configuration;
mod database_tls;
mod drives;
mod emptying;
mod enrolment;
mod history;
mod keys;
mod leadership;
mod listings;
mod migrations;
mod multipart;
mod node;
mod peers;
mod race;
mod recovery;
mod rig;
mod rotation;
mod sessions;
mod settle;
mod strangers;
mod throughput;
mod versions;
mod work;
