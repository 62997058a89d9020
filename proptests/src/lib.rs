//! Models, properties and simulation: they see everything, and nothing sees them.

pub mod cluster;
pub mod history;
pub mod sim;
