use sha2::{Digest, Sha256};

use super::philox::philox4x32_10;

/// `(seed, id)`: an endless sequence of words, each computable alone.
///
/// Two tensors of a model share the seed and differ in the id, so neither the order in which they
/// are made nor the machine that makes them matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The key of the generator: one a model.
    pub seed: u64,
    /// The upper half of the counter: one a tensor.
    pub id: u64,
}

impl Stream {
    /// The stream `(seed, id)`.
    pub const fn new(seed: u64, id: u64) -> Self {
        Stream { seed, id }
    }

    /// The stream of a named tensor: `id` is the first 8 bytes, little-endian, of SHA-256 of the
    /// UTF-8 name.
    ///
    /// ```
    /// use fanin::random::Stream;
    /// assert_eq!(Stream::named(7, "abc").id, u64::from_le_bytes(*b"\xba\x78\x16\xbf\x8f\x01\xcf\xea"));
    /// ```
    pub fn named(seed: u64, name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Stream { seed, id: u64::from_le_bytes(first) }
    }

    /// The four words of elements `4 * block .. 4 * block + 4`.
    pub fn block(&self, block: u64) -> [u32; 4] {
        philox4x32_10(self.counter(block), self.key())
    }

    /// The word of element `index`.
    pub fn word(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    pub(crate) fn counter(&self, block: u64) -> [u32; 4] {
        let [id_low, id_high] = self.id_words();
        [block as u32, (block >> 32) as u32, id_low, id_high]
    }

    pub(crate) fn id_words(&self) -> [u32; 2] {
        [self.id as u32, (self.id >> 32) as u32]
    }

    pub(crate) fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }
}
