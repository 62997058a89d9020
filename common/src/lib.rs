//! Words both planes use: identifiers, secrets, names in certificates, join tokens, the wire contract, CRCs of what is put
//! together, how a process logs.
//!
//! Nothing here does I/O of its own accord, and nothing here knows what a data plane or a control plane is.

pub mod certificate;
pub mod crc;
pub mod id;
pub mod join_token;
pub mod mutant;
pub mod recovery;
pub mod secret;
pub mod telemetry;
pub mod ticket;
pub mod wire;
