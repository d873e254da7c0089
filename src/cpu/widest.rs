//! Loops in the widest vectors of the machine.

use super::rounding::Rounding;
use crate::op;

/// Defines a function whose body is compiled once an instruction set, and which calls the widest that
/// the machine has: the compiler makes vectors of the loops. What the body calls is to be
/// `#[inline(always)]`, so that it is compiled along.
macro_rules! widest {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident $(<$generic:ident: $bound:ident>)?
            ($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        #[allow(unsafe_code)]
        $visibility fn $name $(<$generic: $bound>)? ($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn body $(<$generic: $bound>)? ($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
                fn avx512 $(<$generic: $bound>)? ($($argument: $kind),*) $(-> $result)? {
                    body $(::<$generic>)? ($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$generic: $bound>)? ($($argument: $kind),*) $(-> $result)? {
                    body $(::<$generic>)? ($($argument),*)
                }
                if $crate::cpu::fill::avx512() {
                    // SAFETY: the features were detected.
                    return unsafe { avx512 $(::<$generic>)? ($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was detected.
                    return unsafe { avx2 $(::<$generic>)? ($($argument),*) };
                }
            }
            body $(::<$generic>)? ($($argument),*)
        }
    };
}

pub(super) use widest;

/// Numbers side by side, so that none waits for the last.
pub(super) const LANES: usize = 16;

/// [`sum`] in the order of `R`: that of the exact arithmetic where it is the contract's.
#[inline(always)]
pub(super) fn sum_by<R: Rounding, const N: usize>(
    rows: [&[f32]; N],
    term: impl Fn([f32; N]) -> f32,
) -> f32 {
    if R::EXACT { lane_sum::<R, N>(rows, term) } else { sum(rows, term) }
}

/// The sum of the contract of the exact arithmetic: term `i` is added to lane `i % 32`, in ascending
/// order; then the lanes are folded.
#[inline(always)]
fn lane_sum<R: Rounding, const N: usize>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let length = rows[0].len();
    let parts = rows.map(|row| row[..length].as_chunks::<{ op::LANES }>());
    let mut sums = [0.0; op::LANES];
    for at in 0..length / op::LANES {
        let chunk = parts.map(|(chunks, _)| &chunks[at]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = R::pin(*sum + term(chunk.map(|chunk| chunk[lane])));
        }
    }
    for (at, sum) in sums.iter_mut().enumerate().take(length % op::LANES) {
        *sum = R::pin(*sum + term(parts.map(|(_, rest)| rest[at])));
    }
    folded::<R>(sums)
}

/// As [`lane_sum`], of terms by their number.
#[inline(always)]
pub(super) fn lane_sum_of<R: Rounding>(length: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0.0; op::LANES];
    for first in (0..length).step_by(op::LANES) {
        for (lane, sum) in sums.iter_mut().enumerate().take(length - first) {
            *sum = R::pin(*sum + term(first + lane));
        }
    }
    folded::<R>(sums)
}

#[inline(always)]
fn folded<R: Rounding>(mut sums: [f32; op::LANES]) -> f32 {
    for reach in op::FOLDS {
        for lane in (0..op::LANES - reach).filter(|lane| lane & reach == 0) {
            sums[lane] = R::pin(sums[lane] + sums[lane + reach]);
        }
    }
    sums[0]
}

/// The sum of what `term` makes of each place of some rows of one length, in an order that the length
/// alone decides.
#[inline(always)]
pub(super) fn sum<const N: usize, T>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> T) -> T
where
    T: Copy + Default + std::ops::AddAssign + std::iter::Sum,
{
    let length = rows[0].len();
    let parts = rows.map(|row| row[..length].as_chunks::<LANES>());
    let mut sums = [T::default(); LANES];
    for at in 0..length / LANES {
        let chunk = parts.map(|(chunks, _)| &chunks[at]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(chunk.map(|chunk| chunk[lane]));
        }
    }
    for (at, sum) in sums.iter_mut().enumerate().take(length % LANES) {
        *sum += term(parts.map(|(_, rest)| rest[at]));
    }
    sums.into_iter().sum()
}
