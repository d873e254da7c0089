use std::hint::black_box;

/// Multiply-adds of one call of [`multiply_add`].
pub(crate) const MULTIPLY_ADDS: u64 = (STEPS * CHAINS * LANES) as u64;

const STEPS: usize = 1 << 20;
/// Enough to hide the latency of one, few enough for the registers.
const CHAINS: usize = 12;
/// The widest vector there is, in f32s.
const LANES: usize = 16;

/// Multiplies and adds in registers on one thread, in the widest vectors of this machine: the ceiling
/// that products are held against.
#[allow(unsafe_code)]
pub(crate) fn multiply_add() {
    #[cfg(target_arch = "x86_64")]
    {
        if super::fill::avx512() {
            // SAFETY: the features were detected.
            return unsafe { x86::wide() };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the features were detected.
            return unsafe { x86::narrow() };
        }
    }
    #[cfg(target_arch = "aarch64")]
    neon::multiply_add();
    #[cfg(not(target_arch = "aarch64"))]
    portable();
}

/// What the compiler makes vectors of: twice rounded on x86 without the instruction.
#[cfg(not(target_arch = "aarch64"))]
fn portable() {
    let (factor, addend) = (black_box(0.999f32), black_box(0.001f32));
    let mut sums = [1.0f32; CHAINS * LANES];
    for _ in 0..STEPS {
        sums.iter_mut().for_each(|sum| *sum = *sum * factor + addend);
    }
    black_box(sums);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{CHAINS, STEPS, black_box};

    #[target_feature(enable = "avx512f")]
    pub fn wide() {
        let (factor, addend) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
        let mut sums = [_mm512_set1_ps(black_box(1.0)); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, addend);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn narrow() {
        let (factor, addend) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
        let mut sums = [_mm256_set1_ps(black_box(1.0)); CHAINS];
        // Half as wide.
        for _ in 0..2 * STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, addend);
            }
        }
        black_box(sums);
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{CHAINS, STEPS, black_box};

    #[allow(unsafe_code)]
    pub fn multiply_add() {
        // SAFETY: every aarch64 has the instructions.
        unsafe {
            let (a, b) = (vdupq_n_f32(black_box(0.999)), vdupq_n_f32(black_box(0.001)));
            // A quarter as wide; up to four units of four cycles each want 16 chains or more.
            let mut sums = [vdupq_n_f32(black_box(1.0)); 2 * CHAINS];
            for _ in 0..2 * STEPS {
                for sum in &mut sums {
                    // It adds to the sum: to multiply it would take a move as well.
                    *sum = vfmaq_f32(*sum, a, b);
                }
            }
            black_box(sums);
        }
    }
}
