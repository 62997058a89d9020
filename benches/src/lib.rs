//! What Holdfast promises in numbers, and the instruments that measure it: [`s3bench`], a load generator for any S3
//! endpoint, [`compare`], which sets this system beside its peers, and criterion benches of each stage (`benches/benches`). How to run them: `benches/README.md`.

#![forbid(unsafe_code)]

pub mod compare;
pub mod limits;
pub mod s3bench;
pub mod served;
pub mod table;
