//! Philox4x32-10: a counter and a key to four words, by integer products alone.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011);
//! constants and known answers as in Random123.

const M0: u32 = 0xD251_1F53;
const M1: u32 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;
const ROUNDS: usize = 10;

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
    let [[a], [b], [c], [d]] = blocks(counter.map(|word| [word]), key);
    [a, b, c, d]
}

/// `L` blocks at once, word-major, in a shape that compilers turn into vector code.
#[inline(always)]
pub(crate) fn blocks<const L: usize>(
    [mut c0, mut c1, mut c2, mut c3]: [[u32; L]; 4],
    [mut k0, mut k1]: [u32; 2],
) -> [[u32; L]; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            k0 = k0.wrapping_add(W0);
            k1 = k1.wrapping_add(W1);
        }
        for lane in 0..L {
            let p0 = u64::from(c0[lane]) * u64::from(M0);
            let p1 = u64::from(c2[lane]) * u64::from(M1);
            c0[lane] = (p1 >> 32) as u32 ^ c1[lane] ^ k0;
            c1[lane] = p1 as u32;
            c2[lane] = (p0 >> 32) as u32 ^ c3[lane] ^ k1;
            c3[lane] = p0 as u32;
        }
    }
    [c0, c1, c2, c3]
}
