//! What is timed: every case runs on every engine, and the roofline's arithmetic.

use fanin::bench::{Ceilings, Gauge, Limit, Share, Unit, Work, cases};

use crate::devices::everywhere;

#[test]
fn every_quick_case_runs_on_both_engines() {
    // The kernels have tests on every adapter; SwiftShader would take a minute for these.
    for device in &everywhere()[..2] {
        for case in cases(true) {
            let name = format!("{} {} {}", case.op, case.dtype, case.size);
            match case.prepare(device) {
                Ok(mut timed) => {
                    let seconds = timed.once().unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert!(seconds > 0.0 && seconds < 120.0, "{name}: {seconds} s");
                    timed.check().unwrap_or_else(|error| panic!("{name}: {error}"));
                }
                Err(error) => {
                    // The CPU engine multiplies f32 alone, and says so.
                    let refused = device.context().is_none() && case.dtype.name() == "f16";
                    assert!(refused && error.to_string().contains("f32"), "{name}: {error}");
                }
            }
        }
    }
}

#[test]
fn ceilings_are_measured_on_both_engines() {
    for device in [&everywhere()[0], &everywhere()[1], &everywhere()[everywhere().len() - 1]] {
        let mut gauge = Gauge::new(device, true).unwrap();
        for _ in 0..2 {
            let Ceilings { write, read, copy, multiply_add } = gauge.measure().unwrap();
            // From a crowded machine to one that there is not yet: nothing was left undone.
            for rate in [write, read, copy, multiply_add] {
                assert!((1e7..1e16).contains(&rate), "{rate:e} a second");
            }
        }
    }
}

const LIMITS: Ceilings = Ceilings { write: 10.0, read: 5.0, copy: 8.0, multiply_add: 100.0 };

fn work(read: u64, written: u64, flops: u64) -> Work {
    Work { amount: 1.0, unit: Unit::Flops, read, written, flops }
}

#[test]
fn the_longer_of_bytes_and_operations_is_the_ideal() {
    let ideal = |read, written, flops| work(read, written, flops).ideal(&LIMITS);
    assert_eq!(ideal(0, 20, 0), Some((2.0, Limit::Memory)));
    assert_eq!(ideal(20, 0, 0), Some((4.0, Limit::Memory)));
    // Copies, and what is left by its own rate.
    assert_eq!(ideal(8, 8, 0), Some((2.0, Limit::Memory)));
    assert_eq!(ideal(13, 8, 0), Some((3.0, Limit::Memory)));
    assert_eq!(ideal(8, 18, 0), Some((3.0, Limit::Memory)));
    assert_eq!(ideal(8, 8, 100), Some((2.0, Limit::Memory)));
    assert_eq!(ideal(8, 8, 1000), Some((10.0, Limit::MultiplyAdd)));
    assert_eq!(ideal(0, 0, 0), None);
    assert_eq!(work(8, 8, 32).intensity(), 2.0);
}

#[test]
fn no_share_is_above_one() {
    let share = |work: Work, seconds| work.share(&LIMITS, seconds);
    let some = |limit, fraction| Some(Share { limit, fraction });
    assert_eq!(share(work(8, 8, 0), 4.0), some(Limit::Memory, Some(0.5)));
    assert_eq!(share(work(8, 8, 1000), 20.0), some(Limit::MultiplyAdd, Some(0.5)));
    // Few bytes, sooner than memory brings them.
    assert_eq!(share(work(8, 8, 0), 1.9), some(Limit::Cache, None));
    // Too many for a cache, or no bytes: the case is the most that was seen, up to noise.
    let long = work(0, 1 << 30, 0);
    let ideal = long.ideal(&LIMITS).unwrap().0;
    assert_eq!(share(long, ideal / 1.05), some(Limit::Memory, Some(1.0)));
    assert_eq!(share(long, ideal / 2.0), some(Limit::Unsteady, None));
    assert_eq!(share(work(8, 8, 1000), 9.5), some(Limit::MultiplyAdd, Some(1.0)));
    assert_eq!(share(work(8, 8, 1000), 0.5), some(Limit::Unsteady, None));
    assert_eq!(share(work(0, 0, 0), 1.0), None);
}
