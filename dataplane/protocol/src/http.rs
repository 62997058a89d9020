//! HTTP/1.1 at the wire: request heads, body framing, the chunked coding, response heads.
//!
//! What a proxy in front of us could read differently is refused, never repaired (RFC 9112, section 11.2).

pub mod chunked;
pub mod framing;
pub mod head;
pub mod response;

pub use framing::BodyFraming;
pub use head::{HeadError, Method, RequestHead};
pub use response::ResponseHead;
