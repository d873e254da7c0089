//! Expectations under a standard normal.

/// The nodes and weights of Gauss and Legendre's rule of 16 points on -1..1, the positive half.
const RULE: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_6),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_87),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_894),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// Beyond it the normal density is below 1e-38: nothing that f32 could hold is left out.
const REACH: f64 = 13.0;

/// Points `z` and weights whose sum `sum weight g(z)` is `E[g(z)]`, `z` standard normal: Gauss and
/// Legendre's rule on panels that end at `kinks`, where `g` may break off, each at most as wide as
/// `width` says of its middle; exact to about 1e-14 for what is smooth between them.
pub(super) fn nodes(kinks: &[f64], width: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut ends: Vec<f64> =
        kinks.iter().copied().filter(|kink| kink.abs() < REACH).chain([-REACH, REACH]).collect();
    ends.sort_by(f64::total_cmp);
    let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mut nodes = Vec::new();
    for stretch in ends.windows(2) {
        let length = stretch[1] - stretch[0];
        let panels = (length / width(0.5 * (stretch[0] + stretch[1]))).ceil().max(1.0) as usize;
        let half = 0.5 * length / panels as f64;
        for panel in 0..panels {
            let middle = stretch[0] + half * (2 * panel + 1) as f64;
            for (node, weight) in RULE {
                for z in [middle - half * node, middle + half * node] {
                    nodes.push((z, half * weight * density(z)));
                }
            }
        }
    }
    nodes
}
