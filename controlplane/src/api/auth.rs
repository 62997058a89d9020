//! Who may administer: the bearer of the token whose hash we hold.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Api, ApiError};
use crate::config::hash_token;

/// Lets a request through that carries the token.
pub(super) async fn require_token(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let token = match (values.next(), values.next()) {
        (Some(value), None) => bearer(value.as_bytes()),
        _ => None,
    };
    match token {
        Some(token) if equal(&hash_token(token), &api.token_hash) => next.run(request).await,
        _ => ApiError::unauthorized().into_response(),
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Looks at every byte. What is compared are hashes, so even a leak of time would tell nothing of the token.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
    differing == 0
}

#[cfg(test)]
mod tests {
    use super::{bearer, equal};

    #[test]
    fn only_a_bearer_has_a_token() {
        assert_eq!(bearer(b"Bearer abc"), Some(b"abc".as_slice()));
        assert_eq!(bearer(b"bearer  abc "), Some(b"abc".as_slice()));
        for none in [b"Bearer ".as_slice(), b"Bearer", b"Basic abc", b"abc", b""] {
            assert_eq!(bearer(none), None);
        }
    }

    #[test]
    fn one_bit_makes_a_difference() {
        let mut other = [7; 32];
        assert!(equal(&[7; 32], &other));
        other[31] ^= 0x80;
        assert!(!equal(&[7; 32], &other));
    }
}
