//! The nonlinearities as kernels, on the CPU and every adapter, against their definitions in f64.

use fanin::gpu::{Context, Tensor};
use fanin::random::Dtype;
use fanin::{Activation, Custom, Error, Shape, cpu};

use crate::devices::contexts;
use crate::guarded::{Guarded, read, tensor, write};

/// `x^2`, of which this crate knows nothing.
const SQUARE: Activation = Activation::Custom(Custom {
    name: "square",
    value: |x| x * x,
    derivative: |x| 2.0 * x,
    gain: 0.577_350_269_189_625_8,
    wgsl: "fn custom_value(x: f32) -> f32 { return custom_product(x, x); }
           fn custom_derivative(x: f32) -> f32 { return custom_product(2.0, x); }
           fn custom_product(a: f32, b: f32) -> f32 { return a * b; }",
});

fn every() -> impl Iterator<Item = Activation> {
    let more = [
        Activation::LeakyRelu { slope: -0.3 },
        Activation::Elu { alpha: 1.7 },
        Activation::Sin { omega: 30.0 },
        Activation::Sin { omega: 0.1 },
        SQUARE,
    ];
    Activation::ALL.into_iter().chain(more)
}

/// A dense grid about 0, powers of two far out and close in, both signs; the ends apart.
fn inputs() -> Vec<f32> {
    let dense = (-40_000..=40_000).map(|i| i as f32 * 6.1e-4);
    let spread = (0..2000).flat_map(|i| {
        let size = 2f32.powf(-40.0 + i as f32 * 0.03);
        [size, -size]
    });
    let kinks = [-6.0, -3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0, 15.0, 20.0, 87.0, 88.0, 100.0, 104.0];
    let far = [1e2, 1e4, 3.2e4, 1e20, 1e30, 1e38, f32::MAX, f32::INFINITY];
    let tiny = [f32::MIN_POSITIVE, f32::MIN_POSITIVE / 2.0, 1e-45, 1e-40];
    let both = kinks.into_iter().chain(far).chain(tiny).flat_map(|x| [x, -x]);
    dense.chain(spread).chain(both).chain([f32::NAN, -f32::NAN]).collect()
}

/// The largest error in units of `max(1, |f|)`, over inputs with finite results; the others are as
/// they should be, or this fails. The sine of `omega x` may be off by the rounding of its argument
/// more, and far out is only held to -1..1; its slope likewise, times omega.
fn worst(activation: Activation, slope: bool, name: &str, x: &[f32], found: &[f32]) -> f64 {
    let want = |x: f64| if slope { activation.derivative(x) } else { activation.value(x) };
    let what = format!("{name}: {activation}{}", if slope { "'" } else { "" });
    let (omega, most) = match activation {
        Activation::Sin { omega } => (omega, if slope { omega } else { 1.0 }),
        _ => (0.0, 1.0),
    };
    let mut worst = 0.0f64;
    for (&x, &found) in x.iter().zip(found) {
        // What is subnormal may be taken for 0.
        let off = |want: f64| (f64::from(found) - want).abs();
        let (exact, flushed) = (want(f64::from(x)), want(0.0));
        let want = if x.is_subnormal() && off(flushed) < off(exact) { flushed } else { exact };
        // Products beyond f32 are infinite; those of a software driver too.
        let want = if want.abs() > f64::from(f32::MAX) { want * f64::INFINITY } else { want };
        let turned = if omega > 0.0 { (omega * f64::from(x)).abs() } else { 0.0 };
        if x.is_finite() && turned > 32768.0 {
            assert!(f64::from(found).abs() <= 1.000001 * most, "{what}({x:e}): {found:e}");
            continue;
        }
        if want.is_finite() {
            assert!(found.is_finite(), "{what}({x:e}): {found:e}, not {want:e}");
            let rounded = if omega == 1.0 { 0.0 } else { 2f64.powi(-23) * turned };
            let error = (f64::from(found) - want).abs() / want.abs().max(most);
            let bound = BOUND + rounded;
            assert!(error <= bound, "{what}({x:e}): {found:e}, not {want:e}, off by {error:e}");
            worst = worst.max(error - rounded);
            // A limit is what it is.
            let limit = x.is_finite() || found == want as f32;
            assert!(limit, "{what}({x:e}): {found:e}, not {want:e}");
        } else {
            let same = f64::from(found) == want || found.is_nan() && want.is_nan();
            assert!(same, "{what}({x:e}): {found:e}, not {want:e}");
        }
    }
    worst
}

/// As `Pass::activate` says.
const BOUND: f64 = 1e-6;

/// The ends of what a nonlinearity and its slope may be, where they are reached.
fn ends(activation: Activation) -> [[f32; 2]; 2] {
    let any = [f32::NEG_INFINITY, f32::INFINITY];
    let (part, above) = ([0.0, 1.0], [0.0, f32::INFINITY]);
    match activation {
        Activation::Sigmoid => [part, [0.0, 0.25]],
        Activation::Tanh | Activation::Softsign | Activation::HardTanh => [[-1.0, 1.0], part],
        Activation::Relu => [above, part],
        Activation::Elu { alpha } => [[-alpha as f32, f32::INFINITY], [0.0, alpha.max(1.0) as f32]],
        Activation::Selu => [[-1.758_099_3, f32::INFINITY], [0.0, 1.758_099_3]],
        Activation::Softplus => [above, part],
        Activation::HardSigmoid => [part, part],
        Activation::Relu6 => [[0.0, 6.0], part],
        _ => [any, any],
    }
}

/// What a nonlinearity and its slope are to the bit, where they are flat or straight, in f32 at least.
fn exact(activation: Activation, x: f32) -> Option<[f32; 2]> {
    let (below, above) = match activation {
        Activation::Relu | Activation::HardSigmoid | Activation::HardSwish | Activation::Relu6 => {
            ([0.0, 0.0], [x, 1.0])
        }
        Activation::Sigmoid => ([0.0, 0.0], [1.0, 0.0]),
        Activation::Tanh | Activation::HardTanh => ([-1.0, 0.0], [1.0, 0.0]),
        Activation::Gelu | Activation::GeluTanh | Activation::Silu | Activation::Mish => {
            ([0.0, 0.0], [x, 1.0])
        }
        _ => return None,
    };
    let above = match activation {
        Activation::HardSigmoid => [1.0, 0.0],
        Activation::Relu6 => [6.0, 0.0],
        _ => above,
    };
    let far = match activation {
        Activation::Relu => 0.0,
        Activation::HardTanh => 1.0,
        Activation::HardSigmoid | Activation::HardSwish => 3.0,
        Activation::Relu6 => 6.0,
        _ => 100.0,
    };
    let low = if activation == Activation::Relu6 { 0.0 } else { -far };
    let above = (x >= far && x > 0.0).then_some(above);
    (x <= low).then_some(below).or(above)
}

/// Both hold to the bit, whatever a device makes of a quotient.
fn bounded(activation: Activation, name: &str, x: &[f32], [value, slope]: &[Vec<f32>; 2]) {
    let [values, slopes] = ends(activation);
    for ((&x, &value), &slope) in x.iter().zip(value).zip(slope) {
        // What is subnormal may be taken for 0.
        if x.is_nan() || x.is_subnormal() {
            continue;
        }
        let what = format!("{name}: {activation}({x:e}) is {value:e}, its slope {slope:e}");
        let inside = |[low, high]: [f32; 2], own: f32| {
            let free = low == f32::NEG_INFINITY && high == f32::INFINITY;
            free || low <= own && own <= high
        };
        assert!(inside(values, value) && inside(slopes, slope), "{what}: {values:?} {slopes:?}");
        if let Some(wanted) = exact(activation, x) {
            assert_eq!([value, slope], wanted, "{what}");
        }
    }
}

fn on_gpu(context: &Context, activation: Activation, x: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
    let (from, above) = (Guarded::new(context, x), Guarded::new(context, dy));
    let poison = vec![f32::NAN; x.len()];
    let (out, dx) = (Guarded::new(context, &poison), Guarded::new(context, &poison));
    context
        .run(|pass| {
            pass.activate(activation, &from.tensor, &out.tensor)?;
            pass.activate_backward(activation, &from.tensor, &above.tensor, &dx.tensor)
        })
        .unwrap();
    [out.read(context), dx.read(context)]
}

#[test]
fn values_and_slopes_are_f64s() {
    let x = inputs();
    let ones = vec![1.0; x.len()];
    for activation in every() {
        let mut report = format!("{activation}:");
        let mut check = |name: &str, found: [Vec<f32>; 2]| {
            bounded(activation, name, &x, &found);
            let value = worst(activation, false, name, &x, &found[0]);
            let slope = worst(activation, true, name, &x, &found[1]);
            report += &format!("  {name} {value:.1e} {slope:.1e}");
        };
        let (mut out, mut dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        cpu::activate(activation, &x, &mut out).unwrap();
        cpu::activate_backward(activation, &x, &ones, &mut dx).unwrap();
        check("cpu", [out, dx]);
        for context in contexts() {
            check(&context.name(), on_gpu(context, activation, &x, &ones));
        }
        println!("{report}");
    }
}

/// WGSL lets a quotient be 2.5 ulp off, and GPUs make use of it: `x / 6` is a product with a rounded
/// sixth there. So the same is asked of sources in which each quotient is a product with a reciprocal
/// that is one ulp too large, or too small.
#[test]
fn quotients_may_be_as_loose_as_gpus_have_them() {
    // One adapter will do: the looseness is in the source.
    let context = &contexts()[0];
    let x = inputs();
    let ones = vec![1.0; x.len()];
    for (way, off) in [("up", "1u"), ("down", "0xFFFFFFFFu")] {
        for activation in every().filter(|own| *own != SQUARE) {
            let name = format!("{}, quotients {way}", context.name());
            let loose = Activation::Custom(loose(activation, way, off));
            let found = on_gpu(context, loose, &x, &ones);
            bounded(activation, &name, &x, &found);
            worst(activation, false, &name, &x, &found[0]);
            worst(activation, true, &name, &x, &found[1]);
        }
    }
}

/// The nonlinearity's own WGSL as that of a custom one, with loose quotients.
fn loose(activation: Activation, way: &str, off: &str) -> Custom {
    let libraries = fanin::shaders::ACTIVATION.libraries;
    let own = |text: &&&str| text.contains("fn sigmoid_of(") || text.contains("fn hard_sigmoid(");
    let lines = libraries.iter().filter(own).flat_map(|text| text.lines());
    let text: String =
        lines.flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"]).collect();
    // What it calls by default is not its own.
    let text = text.replace("custom_value(x)", "x").replace("custom_derivative(x)", "1.0");
    let named = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("fn ").or(line.strip_prefix("const "))?;
        rest.split([' ', '(', ':']).next()
    });
    let named: Vec<&str> = named.collect();
    let text = renamed(&reciprocals(&text), &named);
    assert!(text.matches("loose_reciprocal(").count() > 10 && !text.contains('/'), "{text}");
    let (code, parameter) = (activation.code(), activation.parameter());
    let name: String = format!("{activation} {way}");
    let wgsl = format!(
        "{text}
        fn loose_reciprocal(x: f32) -> f32 {{
            return bitcast<f32>(bitcast<u32>(1.0 / x) + {off});
        }}
        fn custom_value(x: f32) -> f32 {{
            return loose_activation_value({code}u, f32({parameter:?}), x);
        }}
        fn custom_derivative(x: f32) -> f32 {{
            return loose_activation_derivative({code}u, f32({parameter:?}), x);
        }}"
    );
    Custom { name: name.leak(), value: |x| x, derivative: |_| 1.0, gain: 1.0, wgsl: wgsl.leak() }
}

/// `a / b` as `a * loose_reciprocal(b)`, `b` being all that binds tighter than a quotient.
fn reciprocals(text: &str) -> String {
    let Some((before, after)) = text.split_once('/') else { return text.into() };
    let mut depth = 0;
    let end = after.char_indices().skip_while(|(_, c)| *c == ' ').find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth < 0 || depth == 0 && !(c.is_alphanumeric() || "_.)".contains(*c))
    });
    let (divisor, rest) = after.split_at(end.map_or(after.len(), |(at, _)| at));
    let divisor = reciprocals(divisor.trim());
    format!("{before}* loose_reciprocal({divisor}){}", reciprocals(rest))
}

/// The same with `loose_` before each of these names.
fn renamed(text: &str, names: &[&str]) -> String {
    let parts = text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_'));
    let rename = |part: &str| {
        let name = part.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
        if names.contains(&name) { format!("loose_{part}") } else { part.into() }
    };
    parts.map(rename).collect()
}

#[test]
fn every_size_is_covered_and_nothing_beyond() {
    for elements in [1usize, 2, 3, 4, 5, 63, 64, 65, 257, 1023, 1024, 1025, 4095, 4097, 1_000_003] {
        let x: Vec<f32> = (0..elements).map(|i| (i % 1013) as f32 * 0.01 - 5.0).collect();
        let dy: Vec<f32> = (0..elements).map(|i| (i % 911) as f32 * 0.01 - 4.0).collect();
        for activation in [Activation::Relu, Activation::Mish] {
            let check = |name: &str, [value, slope]: [Vec<f32>; 2]| {
                assert_eq!((value.len(), slope.len()), (elements, elements));
                for i in 0..elements {
                    let (at, above) = (f64::from(x[i]), f64::from(dy[i]));
                    let (f, d) = (activation.value(at), above * activation.derivative(at));
                    let off = (f64::from(value[i]) - f).abs().max((f64::from(slope[i]) - d).abs());
                    // |f| and |dy| are below 5.2, |f'| below 1.1.
                    assert!(off <= 6e-6, "{name}: {activation} x {elements}, {i}: off by {off:e}");
                }
            };
            let (mut out, mut dx) = (vec![f32::NAN; elements], vec![f32::NAN; elements]);
            cpu::activate(activation, &x, &mut out).unwrap();
            cpu::activate_backward(activation, &x, &dy, &mut dx).unwrap();
            check("cpu", [out, dx]);
            for context in contexts() {
                check(&context.name(), on_gpu(context, activation, &x, &dy));
            }
        }
    }
    cpu::activate(Activation::Tanh, &[], &mut []).unwrap();
}

/// More than one window, and a rest after the last.
#[test]
fn what_a_binding_cannot_hold_goes_in_parts() {
    let context = &contexts()[0];
    let elements = (1usize << 25) + 5;
    let (x, out) = (tensor(context, elements), tensor(context, elements));
    let values: Vec<f32> = (0..elements).map(|i| (i % 4099) as f32 - 2000.0).collect();
    write(context, &x, &values);
    write(context, &out, &vec![f32::NAN; elements]);
    context.run(|pass| pass.activate(Activation::Relu, &x, &out)).unwrap();
    assert!(read(context, &out).iter().zip(&values).all(|(out, x)| *out == x.max(0.0)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut short = [0.0; 2];
    let error = cpu::activate(Activation::Relu, &[1.0; 3], &mut short).unwrap_err().to_string();
    assert_eq!(error, "out: got 2 elements, needed 3, as many as `x` has");
    for context in contexts() {
        let (x, out) = (tensor(context, 8), tensor(context, 8));
        let part = |offset| {
            let shape = Shape::new([4]).unwrap();
            x.within(offset, shape, Dtype::F32).unwrap()
        };
        let half = Tensor::new(context, Shape::new([8]).unwrap(), Dtype::Bf16).unwrap();
        for (x, out, part) in [
            (&x, &x, "the buffer of `x`"),
            (&x, &tensor(context, 7), "needed 8 elements"),
            (&x, &half, "needed f32"),
            (&part(4), &tensor(context, 4), "an offset of 4 bytes, needed a multiple of"),
        ] {
            let error = context.run(|pass| pass.activate(Activation::Relu, x, out)).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(part), "{error}");
        }
        let error = context
            .run(|pass| pass.activate_backward(Activation::Relu, &x, &out, &out))
            .unwrap_err();
        assert!(error.to_string().contains("the buffer of `dy`"), "{error}");
    }
}

#[test]
fn wgsl_that_does_not_compile_is_an_error_each_time() {
    let broken = Activation::Custom(Custom {
        name: "broken",
        value: |x| x,
        derivative: |_| 1.0,
        gain: 1.0,
        wgsl: "fn custom_value(x: f32) -> f32 { return y; }",
    });
    for context in contexts() {
        let (x, out) = (tensor(context, 8), tensor(context, 8));
        for _ in 0..2 {
            let error = context.run(|pass| pass.activate(broken, &x, &out)).unwrap_err();
            assert!(matches!(error, Error::Device { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("`broken`") && text.contains("custom_value"), "{text}");
        }
        // The device works on.
        context.run(|pass| pass.activate(SQUARE, &x, &out)).unwrap();
    }
}

#[test]
fn a_custom_one_is_known_by_its_name_and_wgsl() {
    assert_eq!(SQUARE, SQUARE);
    assert_ne!(SQUARE, Activation::Identity);
    assert_eq!(
        (SQUARE.code(), SQUARE.parameter(), SQUARE.to_string()),
        (255, 0.0, "square".into())
    );
    assert_eq!(SQUARE.gain(), 0.577_350_269_189_625_8);
    assert!("square".parse::<Activation>().is_err());
    for (code, activation) in (0..).zip(Activation::ALL) {
        assert_eq!(activation.code(), code, "{activation}");
    }
}
