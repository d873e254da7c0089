use std::convert::Infallible;

use rand_core::{SeedableRng, TryRng, utils};

use super::Stream;

/// The words of a [`Stream`] as a `rand_core` generator, with random access.
///
/// Word `n` that it yields is [`Stream::word`]`(n)`, so `rand` and its friends draw on the CPU from
/// the numbers that the shaders draw on the GPU. It is a statistical generator, not a
/// cryptographic one.
///
/// ```
/// use fanin::random::{PhiloxRng, Stream};
/// use rand::{Rng, RngExt};
///
/// let stream = Stream::named(7, "layers.0.weight");
/// let mut rng = PhiloxRng::new(stream);
/// rng.set_word_pos(1 << 40);
/// assert_eq!(rng.next_u32(), stream.word(1 << 40));
/// let die: u32 = rng.random_range(1..=6);
/// assert!((1..=6).contains(&die));
/// ```
#[derive(Clone, Debug)]
pub struct PhiloxRng {
    stream: Stream,
    position: u64,
    block: [u32; 4],
}

impl PhiloxRng {
    /// A generator that starts at word 0 of `stream`.
    pub fn new(stream: Stream) -> Self {
        PhiloxRng { stream, position: 0, block: stream.block(0) }
    }

    /// The stream whose words this yields.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The index of the next word.
    pub fn word_pos(&self) -> u64 {
        self.position
    }

    /// Makes `index` the index of the next word, in constant time.
    pub fn set_word_pos(&mut self, index: u64) {
        self.position = index;
        self.block = self.stream.block(index / 4);
    }
}

impl TryRng for PhiloxRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.block[(self.position % 4) as usize];
        // After 2^64 words the stream starts again: the counter has no more bits.
        self.position = self.position.wrapping_add(1);
        if self.position.is_multiple_of(4) {
            self.block = self.stream.block(self.position / 4);
        }
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// The 16 bytes are the stream's seed, then its id, little-endian.
impl SeedableRng for PhiloxRng {
    type Seed = [u8; 16];

    fn from_seed(bytes: [u8; 16]) -> Self {
        let [seed, id] = utils::read_words(&bytes);
        PhiloxRng::new(Stream { seed, id })
    }
}
