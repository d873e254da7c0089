//! What is timed: every case runs on every engine, and the roofline's arithmetic.

use fanin::bench::{Ceilings, Unit, Work, cases, ceilings};

use crate::devices::contexts;

#[test]
fn every_quick_case_runs_on_both_engines() {
    // The kernels have tests on every adapter; SwiftShader would take a minute for these.
    for context in [None, contexts().first()] {
        for case in ceilings(true).into_iter().chain(cases(true)) {
            let name = format!("{} {} {}", case.op, case.dtype, case.size);
            match case.prepare(context) {
                Ok(mut timed) => {
                    let seconds = timed.once().unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert!(seconds > 0.0 && seconds < 120.0, "{name}: {seconds} s");
                    timed.check().unwrap_or_else(|error| panic!("{name}: {error}"));
                }
                Err(error) => {
                    // The CPU engine multiplies f32 alone, and says so.
                    let refused = context.is_none() && case.dtype.name() == "f16";
                    assert!(refused && error.to_string().contains("f32"), "{name}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_longer_of_bytes_and_operations_is_the_ideal() {
    let limits = Ceilings { write: 10.0, copy: 8.0, multiply_add: 100.0 };
    let work = |read, written, flops| Work { amount: 1.0, unit: Unit::Flops, read, written, flops };
    assert_eq!(work(0, 20, 0).ideal(&limits), Some(2.0));
    assert_eq!(work(8, 8, 0).ideal(&limits), Some(2.0));
    assert_eq!(work(8, 8, 100).ideal(&limits), Some(2.0));
    assert_eq!(work(8, 8, 1000).ideal(&limits), Some(10.0));
    assert_eq!(work(0, 0, 0).ideal(&limits), None);
    assert_eq!(work(8, 8, 32).intensity(), 2.0);
}
