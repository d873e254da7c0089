use rand_core::Rng;

use crate::random::{PhiloxRng, Stream};

/// The numbers `0..count` in an order drawn from words `first..` of `stream`.
///
/// Fisher and Yates' shuffle from the back: for `i = count - 1, ..., 1`, the entries `i` and
/// `j = word * (i + 1) >> 32` change places, each step with the next word, so that
/// `count - 1` words are used. It is the same on every machine. No `j` is likelier than another by
/// more than 2^-32, so no order by more than about `count * 2^-32` of its probability.
pub fn permutation(stream: &Stream, first: u64, count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut words = PhiloxRng::new(*stream);
    words.set_word_pos(first);
    for i in (1..count).rev() {
        let j = (u64::from(words.next_u32()) * (u64::from(i) + 1)) >> 32;
        order.swap(i as usize, j as usize);
    }
    order
}
