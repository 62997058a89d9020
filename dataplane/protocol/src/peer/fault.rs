//! Why a request was not done: its drive could not, or the node would not.

use holdfast_common::ticket::TicketError;

use super::codec::{Fields, Malformed, Out};

/// What a drive of the asked node could not do; numbers are on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    NotFound,
    Rotten(String),
    Io { step: String, error: String },
    Full,
    ReadOnly,
    Failed,
    Busy,
}

impl Fault {
    pub(super) fn put(&self, out: &mut Out) {
        match self {
            Self::NotFound => out.u8(1),
            Self::Rotten(why) => out.u8(2).text(why),
            Self::Io { step, error } => out.u8(3).text(step).text(error),
            Self::Full => out.u8(4),
            Self::ReadOnly => out.u8(5),
            Self::Failed => out.u8(6),
            Self::Busy => out.u8(7),
        };
    }

    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(match fields.u8()? {
            1 => Self::NotFound,
            2 => Self::Rotten(fields.text()?),
            3 => Self::Io { step: fields.text()?, error: fields.text()? },
            4 => Self::Full,
            5 => Self::ReadOnly,
            6 => Self::Failed,
            7 => Self::Busy,
            _ => return Err(Malformed),
        })
    }
}

/// Declares the denials: variant, number on the wire, sentence.
macro_rules! denials {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $sentence:literal;)*) => {
        /// Why a node will not do what it was asked; numbers are on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[repr(u8)]
        pub enum Denial {
            $($(#[$doc])* #[error($sentence)] $name = $number,)*
        }

        impl Denial {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

denials! {
    OtherCluster = 1, "the certificate is of another cluster";
    WrongRole = 2, "the certificate names no node";
    UnknownNode = 3, "the control plane knows no such node";
    RevokedNode = 4, "the node is revoked";
    /// Of the frames.
    OtherVersion = 5, "another version of the protocol";
    Malformed = 6, "a malformed message";
    TooLong = 7, "a frame beyond the limit";
    Checksum = 8, "a checksum does not hold";
    /// A request before the greeting, or a second greeting.
    OutOfPlace = 9, "a message out of place";
    NoTicket = 10, "a ticket is needed";
    TicketMalformed = 11, "the ticket is malformed";
    TicketForged = 12, "the ticket was not made by the authority for this node";
    TicketOtherPeer = 13, "the ticket is for another node's drives";
    TicketOtherAsker = 14, "the ticket was given to another node";
    TicketExpired = 15, "the ticket has expired";
    TicketOtherBlob = 16, "the ticket does not name the blob";
    TicketTooLittle = 17, "the ticket does not allow as much";
    /// This node has not heard from its control plane yet.
    NotReady = 18, "the node has no session with the control plane";
    CertificateExpired = 19, "the certificate has expired";
    OtherNode = 20, "the certificate is of another node";
    Taken = 21, "a piece of that name is there already";
}

impl Denial {
    pub(super) fn from_wire(number: u8) -> Result<Self, Malformed> {
        Self::ALL.iter().find(|denial| **denial as u8 == number).copied().ok_or(Malformed)
    }
}

impl From<TicketError> for Denial {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Malformed => Self::TicketMalformed,
            TicketError::Forged => Self::TicketForged,
            TicketError::OtherPeer => Self::TicketOtherPeer,
            TicketError::OtherAsker => Self::TicketOtherAsker,
            TicketError::Expired => Self::TicketExpired,
            TicketError::OtherBlob => Self::TicketOtherBlob,
            TicketError::TooLittle => Self::TicketTooLittle,
        }
    }
}
