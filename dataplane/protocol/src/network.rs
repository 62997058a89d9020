//! Ranges of addresses: in the conditions of policies, and of the proxies that are trusted.

use core::net::IpAddr;

/// A range of addresses, `203.0.113.0/24` or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// `None`: it is neither an address nor a range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            None => most,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok()?
            }
            Some(_) => return None,
        };
        // Clients of a dual-stack socket are compared as what they are, and so are ranges of them.
        match address.to_canonical() {
            _ if prefix_bits > most => None,
            mapped if mapped.is_ipv4() && most == 128 && prefix_bits >= 96 => {
                Some(Self { address: mapped, prefix_bits: prefix_bits - 96 })
            }
            mapped if mapped.is_ipv4() != address.is_ipv4() => None,
            _ => Some(Self { address, prefix_bits }),
        }
    }

    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(32 - u32::from(self.prefix_bits)).unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits())
                    .checked_shr(128 - u32::from(self.prefix_bits))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// Broader than `/8` of IPv4 or `/32` of IPv6: AWS calls a policy public that lets in so many. (The private ranges of
    /// RFC 1918 that it excepts are no broader than that.) As a range of proxies it would trust strangers.
    #[must_use]
    pub fn is_broad(self) -> bool {
        self.prefix_bits < if self.address.is_ipv4() { 8 } else { 32 }
    }
}
