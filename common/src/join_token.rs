//! The line of text that an operator carries from the control plane to a new node: where to ask, a secret that is good once
//! and for a while, and the hash of the one authority whose word counts.
//!
//! `hfj1-` and base64url without padding of: cluster id 16, token id 16, secret 32, SHA-256 of the authority's certificate 32,
//! expiry 8 (unix seconds, big-endian), number of URLs 1, each URL's length 2 and text, CRC-32 of all that 4. The hash pins
//! the authority before the first byte is believed; the CRC tells a token that was cut off from one that is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::secret::Secret;

/// What every token of this shape begins with; another shape gets another number.
const PREFIX: &str = "hfj1-";
/// URLs of control planes in a token; three control planes under two names each.
pub const URLS_MAX: usize = 6;
/// Bytes of such a URL.
pub const URL_BYTES_MAX: usize = 255;
/// Bytes of a token's text: all URLs at their longest, in base64.
pub const TEXT_BYTES_MAX: usize = 4096;

/// A token, as it is printed and read.
#[derive(Clone, Debug)]
pub struct JoinToken {
    pub cluster: Uuid,
    pub token_id: [u8; 16],
    /// 32 bytes.
    pub secret: Secret,
    /// SHA-256 of the certificate (DER) of the cluster's authority.
    pub ca_sha256: [u8; 32],
    pub expires_unix: u64,
    /// `https://host:port`, to be tried in turn.
    pub control: Vec<String>,
}

/// Why a text is no token; each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    #[error("this is no join token: one begins with `{PREFIX}`; print one with `holdfast admin node invite`")]
    Foreign,
    #[error(
        "the join token is of a newer kind than this program knows; use the release that the control plane runs"
    )]
    Newer,
    #[error(
        "the join token is cut off or was changed on its way; copy the whole line that `holdfast admin node invite` printed"
    )]
    Damaged,
}

impl JoinToken {
    /// One line of text.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes.extend_from_slice(&self.token_id);
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend_from_slice(&self.ca_sha256);
        bytes.extend_from_slice(&self.expires_unix.to_be_bytes());
        let urls = self.control.iter().filter(|url| url.len() <= URL_BYTES_MAX).take(URLS_MAX);
        let urls: Vec<&String> = urls.collect();
        bytes.push(u8::try_from(urls.len()).unwrap_or(0));
        for url in urls {
            bytes.extend_from_slice(&u16::try_from(url.len()).unwrap_or(0).to_be_bytes());
            bytes.extend_from_slice(url.as_bytes());
        }
        bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
        let bytes = Secret::new(bytes);
        Secret::from(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.expose())))
    }

    /// Reads a token; white space anywhere in it is of the terminal that it was copied from.
    ///
    /// # Errors
    /// [`NoToken`].
    pub fn parse(text: &str) -> Result<Self, NoToken> {
        let text = Secret::from(text.split_ascii_whitespace().collect::<String>());
        let text = text.expose_str().unwrap_or_default();
        if text.len() > TEXT_BYTES_MAX {
            return Err(NoToken::Foreign);
        }
        let Some(body) = text.strip_prefix(PREFIX) else {
            let number = text.strip_prefix("hfj").and_then(|rest| rest.split_once('-'));
            let newer = number.is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            return Err(if newer { NoToken::Newer } else { NoToken::Foreign });
        };
        let bytes = Secret::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| NoToken::Damaged)?);
        let (body, crc) = bytes.expose().split_last_chunk::<4>().ok_or(NoToken::Damaged)?;
        if crc32(body) != u32::from_be_bytes(*crc) {
            return Err(NoToken::Damaged);
        }
        read(body).ok_or(NoToken::Damaged)
    }
}

fn read(mut rest: &[u8]) -> Option<JoinToken> {
    let cluster = Uuid::from_bytes(*take(&mut rest)?);
    let token_id = *take(&mut rest)?;
    let secret = Secret::new(take::<32>(&mut rest)?.to_vec());
    let ca_sha256 = *take(&mut rest)?;
    let expires_unix = u64::from_be_bytes(*take(&mut rest)?);
    let [count] = *take(&mut rest)?;
    let mut control = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(*take(&mut rest)?));
        let (url, more) = rest.split_at_checked(length)?;
        rest = more;
        control.push(std::str::from_utf8(url).ok()?.to_owned());
    }
    let whole = rest.is_empty() && control.len() <= URLS_MAX;
    whole.then_some(JoinToken { cluster, token_id, secret, ca_sha256, expires_unix, control })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, more) = rest.split_first_chunk()?;
    *rest = more;
    Some(first)
}

/// CRC-32 (ISO-HDLC) bit by bit: a token has some 200 bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

#[cfg(test)]
mod tests {
    use super::{JoinToken, NoToken, crc32};
    use crate::secret::Secret;

    fn token() -> JoinToken {
        JoinToken {
            cluster: uuid::Uuid::from_u128(5),
            token_id: [1; 16],
            secret: Secret::new(vec![2; 32]),
            ca_sha256: [3; 32],
            expires_unix: 1_800_000_000,
            control: vec!["https://10.0.0.1:9100".to_owned(), "https://control.example:9100".to_owned()],
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_printed() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let text = token().to_text();
        let text = text.expose_str().expect("text");
        assert!(text.starts_with("hfj1-") && !text.contains(char::is_whitespace));
        for copied in [text.to_owned(), format!(" {text}\n"), text.replace('A', "\nA")] {
            let read = JoinToken::parse(&copied).expect("a token");
            assert_eq!(read.secret.expose(), token().secret.expose());
            assert_eq!((read.cluster, read.token_id), (token().cluster, token().token_id));
            assert_eq!((read.ca_sha256, read.expires_unix), (token().ca_sha256, token().expires_unix));
            assert_eq!(read.control, token().control);
        }
    }

    #[test]
    fn a_token_that_was_cut_off_anywhere_is_told_from_one_that_is_none() {
        let text = token().to_text();
        let text = text.expose_str().expect("text");
        for end in 5..text.len() {
            assert_eq!(JoinToken::parse(&text[..end]).err(), Some(NoToken::Damaged), "{end}");
        }
        for at in 5..text.len() - 1 {
            let other = if &text[at..=at] == "x" { "y" } else { "x" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(JoinToken::parse(&changed).err(), Some(NoToken::Damaged), "{at}");
        }
        for foreign in ["", "hfj", "hfa_0123", "hfjx-AAAA", &"A".repeat(10_000)] {
            assert_eq!(JoinToken::parse(foreign).err(), Some(NoToken::Foreign), "{foreign}");
        }
        assert_eq!(JoinToken::parse("hfj2-AAAA").err(), Some(NoToken::Newer));
    }

    #[test]
    fn the_secret_is_not_printed_by_accident() {
        assert!(!format!("{:?}", token()).contains("2, 2"));
        assert!(format!("{:?}", token()).contains("Secret(..)"));
    }
}
