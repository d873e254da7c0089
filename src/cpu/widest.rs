//! Loops in the widest vectors of the machine.

/// Defines a function whose body is compiled once an instruction set, and which calls the widest that
/// the machine has: the compiler makes vectors of the loops. What the body calls is to be
/// `#[inline(always)]`, so that it is compiled along.
macro_rules! widest {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        #[allow(unsafe_code)]
        $visibility fn $name($($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
                fn avx512($($argument: $kind),*) $(-> $result)? {
                    body($($argument),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $kind),*) $(-> $result)? {
                    body($($argument),*)
                }
                if $crate::cpu::fill::avx512() {
                    // SAFETY: the features were detected.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was detected.
                    return unsafe { avx2($($argument),*) };
                }
            }
            body($($argument),*)
        }
    };
}

pub(super) use widest;

/// Numbers side by side, so that none waits for the last.
pub(super) const LANES: usize = 16;

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
