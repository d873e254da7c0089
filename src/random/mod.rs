//! The drawn numbers: (seed, id, element index, distribution) to bits, and nothing else.
//!
//! Element `i` of the stream `(seed, id)` is
//!
//! | step | definition |
//! |---|---|
//! | word | `philox4x32_10(counter = [block_lo, block_hi, id_lo, id_hi], key = [seed_lo, seed_hi])[i % 4]`, `block = i / 4` |
//! | id of a named tensor | the first 8 bytes, little-endian, of SHA-256 of its UTF-8 name |
//! | unit uniform \[0, 1) | `(word >> 8) * 2^-24` |
//! | uniform (-bound, bound) | `v = 2 * (word >> 9) + 1 - 2^23`, value `f32(v) * s`, `s = f32(f64(bound) * 2^-23)` |
//! | standard normal | the 21-fractional-bit integer [`quantile::fixed`] of the word |
//! | normal(0, std) | `f32(z) * s`, `s = f32(f64(std) * 2^-21)` |
//! | truncated normal | the word mapped onto the words whose quantile lies inside, then as above |
//! | a mean or low bound | one more f32 addition, after the product has been rounded |
//! | bf16, f16 | the f32 value rounded to nearest even by integer operations |
//!
//! This is version [`CONTRACT`] of the contract. A change to any of it changes every weight ever
//! drawn, so it is a major version of the crate.
//!
//! Everything here is the truth that the shaders are tested against, and it names no device.

pub mod philox;
pub mod quantile;

mod dtype;
mod orthogonal;
mod rng;
mod sample;
mod stream;
mod table;
mod whole;

pub use dtype::{Dtype, bf16_from_f32, f16_from_f32, f32_from_f16};
pub use rng::PhiloxRng;
pub use sample::Distribution;
pub(crate) use sample::{Kind, Sampler, check_end, check_run};
pub use stream::Stream;
pub use whole::{Kernel, Source, Whole};

/// The version of the drawn-number contract that this crate implements.
pub const CONTRACT: u32 = 1;
