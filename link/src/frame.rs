//! Frames as bytes. Pure.

/// The most bytes of a connection in one frame, so that none keeps the others waiting for long.
pub(crate) const MOST_DATA: u32 = 16 * 1024;
/// The length of what stands before the data.
pub(crate) const HEAD: usize = 9;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new connection; only the container's end, with numbers that grow.
    Open,
    /// Bytes; the value is how many follow.
    Data,
    /// The value is how many bytes more may be sent.
    Credit,
    /// No more bytes come this way.
    End,
    /// The connection is over, both ways.
    Reset,
    /// Is anybody there?
    Ping,
    /// Yes.
    Pong,
}

/// A frame without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    pub(crate) value: u32,
}

impl Head {
    pub(crate) fn new(kind: Kind, id: u32, value: u32) -> Self {
        Self { kind, id, value }
    }

    pub(crate) fn bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[0] = match self.kind {
            Kind::Open => 1,
            Kind::Data => 2,
            Kind::Credit => 3,
            Kind::End => 4,
            Kind::Reset => 5,
            Kind::Ping => 6,
            Kind::Pong => 7,
        };
        bytes[1..5].copy_from_slice(&self.id.to_be_bytes());
        bytes[5..].copy_from_slice(&self.value.to_be_bytes());
        bytes
    }

    /// The frame, if there is such a kind.
    pub(crate) fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let [kind, a, b, c, d, e, f, g, h] = bytes;
        let kind = match kind {
            1 => Kind::Open,
            2 => Kind::Data,
            3 => Kind::Credit,
            4 => Kind::End,
            5 => Kind::Reset,
            6 => Kind::Ping,
            7 => Kind::Pong,
            _ => return None,
        };
        Some(Self::new(kind, u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_can_be_read_is_what_was_written(bytes in any::<[u8; HEAD]>(), kind in 0u8..9) {
            let mut bytes = bytes;
            bytes[0] = kind;
            prop_assert_eq!(Head::read(bytes).map(Head::bytes), (1..=7).contains(&kind).then_some(bytes));
        }
    }
}
