//! A cluster in a seeded world: the real sessions, leases, caches, link, leader and commit path of both planes.
//!
//! Every process (node or control plane) has a tokio runtime of its own whose clock stands still until [`process`] moves it,
//! all on one thread. So a process can be paused (it is not polled while the world's time goes on), killed (its runtime is
//! dropped with everything in it) or have a wrong clock. They speak the real gRPC over [`wire`]s, whose bytes take their
//! time, stand still while a partition lasts, one way or both, and are lost with their connection. PostgreSQL is a model
//! ([`database`]) behind the seam `app::truth`: its answers take time and are lost too, before or after they were carried
//! out. Bytes of objects are not the subject: they have none, and no drives.
//!
//! A seed is one history, the same one each time: nothing on the way asks another source of chance. Wake-ups come in order
//! (`app::sessions::signal`), no `select!` is unbiased, and what differs between two runs (the order in which a killed
//! runtime drops its tasks, the order of a hash map) decides nothing.
//!
//! A third of the seeds have a plot ([`run::Plot`]): trouble that chance seldom puts together, directed at one node.
//!
//! What clients saw is a [`crate::history`], which is checked.

pub mod client;
pub mod control;
pub mod database;
mod drives;
mod machine;
pub mod node;
pub(crate) mod process;
pub mod run;
mod truth;
mod wire;
pub mod world;
