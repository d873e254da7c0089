//! Philox4x32-10: a counter and a key to four words, by integer products alone.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011);
//! constants and known answers as in Random123.

/// What words 0 and 2 are multiplied by.
pub const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];

/// What each half of the key grows by from a round to the next, modulo 2^32.
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// How many rounds.
pub const ROUNDS: u32 = 10;

/// `philox4x32_10(counter, key)`: four uniform words.
///
/// ```
/// // Random123's known answer for the all-zero counter and key.
/// assert_eq!(
///     fanin::random::philox::philox4x32_10([0; 4], [0; 2]),
///     [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
/// );
/// ```
#[inline]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    for round in 0..ROUNDS {
        let [k0, k1] = round_key(key, round);
        let p0 = u64::from(c0) * u64::from(MULTIPLIERS[0]);
        let p1 = u64::from(c2) * u64::from(MULTIPLIERS[1]);
        c0 = (p1 >> 32) as u32 ^ c1 ^ k0;
        c1 = p1 as u32;
        c2 = (p0 >> 32) as u32 ^ c3 ^ k1;
        c3 = p0 as u32;
    }
    [c0, c1, c2, c3]
}

/// The key of a round, the first being 0.
#[inline(always)]
pub(crate) fn round_key(key: [u32; 2], round: u32) -> [u32; 2] {
    [0, 1].map(|at| key[at].wrapping_add(round.wrapping_mul(WEYL[at])))
}
