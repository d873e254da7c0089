//! The nonlinearities: values at points known from elsewhere, derivatives by differences, gains by
//! quadrature.

use fanin::Activation;

fn named(text: &str) -> Activation {
    text.parse().unwrap()
}

/// PyTorch 2.15's functions in f64 at -1.5 and 0.7.
#[test]
fn values_are_pytorchs() {
    let cases = [
        ("identity", -1.5, 0.7),
        ("sigmoid", 0.18242552380635635, 0.6681877721681662),
        ("tanh", -0.9051482536448664, 0.6043677771171635),
        ("relu", 0.0, 0.7),
        ("leaky_relu", -0.015, 0.7),
        ("elu", -0.7768698398515702, 0.7),
        ("selu", -1.3658143533672527, 0.7354906911488363),
        ("gelu", -0.10021080190328704, 0.5306254434438489),
        ("gelu_tanh", -0.10042842301976707, 0.5305701347051167),
        ("silu", -0.2736382857095345, 0.46773144051771626),
        ("softplus", 0.2014132779827524, 1.103186048885458),
        ("softsign", -0.6, 0.4117647058823529),
        ("mish", -0.29809974216680674, 0.5611483776438518),
        ("hard_tanh", -1.0, 0.7),
        ("hard_sigmoid", 0.25, 0.6166666666666667),
        ("hard_swish", -0.375, 0.43166666666666664),
        ("relu6", 0.0, 0.7),
        ("sin", -0.9974949866040544, 0.644217687237691),
        // NumPy's sin(-45) and sin(21).
        ("sin:30", -0.8509035245341184, 0.8366556385360561),
    ];
    for activation in Activation::ALL {
        assert!(cases.iter().any(|(name, ..)| *name == activation.name()), "{activation}");
    }
    for (name, left, right) in cases {
        for (x, expected) in [(-1.5, left), (0.7, right)] {
            let found: f64 = named(name).value(x);
            assert!(
                (found - expected).abs() <= 4e-16 * (1.0 + expected.abs()),
                "{name}({x}): {found}"
            );
        }
    }
}

#[test]
fn derivatives_are_the_values_differences() {
    let step = 1e-5;
    for activation in Activation::ALL {
        for tenths in -79..80 {
            // Off every kink: those are whole numbers.
            let x = f64::from(tenths) * 0.1 + 0.037;
            let (above, below) = (activation.value(x + step), activation.value(x - step));
            let difference = (above - below) / (2.0 * step);
            // f''' / 6 * step^2 is below 1e-10 here, rounding 8 * 2^-53 / step below 1e-10.
            let found = activation.derivative(x);
            assert!(
                (found - difference).abs() < 4e-10,
                "{activation}'({x}): {found}, {difference}"
            );
        }
    }
}

#[test]
fn a_fast_sines_derivative_is_its_difference() {
    // (30 step)^2 / 6 is below 2e-10 of the slope's 30, rounding 2^-53 / step 1e-9.
    let (sine, step) = (named("sin:30"), 1e-6);
    for tenths in -79..80 {
        let x = f64::from(tenths) * 0.1 + 0.037;
        let difference = (sine.value(x + step) - sine.value(x - step)) / (2.0 * step);
        assert!((sine.derivative(x) - difference).abs() < 1e-8, "{x}: {difference}");
    }
}

#[test]
fn far_out_and_not_a_number() {
    for activation in Activation::ALL {
        assert!(activation.value(f64::NAN).is_nan(), "{activation}");
        assert!(activation.derivative(f64::NAN).is_nan(), "{activation}");
        if matches!(activation, Activation::Sin { .. }) {
            continue;
        }
        for x in [-1e300, -1e4, -40.0, 40.0, 1e4, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
            let (value, slope) = (activation.value(x), activation.derivative(x));
            assert!(!value.is_nan() && slope.is_finite(), "{activation}({x}): {value}, {slope}");
            // All are level or straight by then.
            let straight = [0.0, 0.01, 1.0, 1.050_700_987_355_480_5];
            let level = |s: f64| (slope - s).abs() < 1e-3;
            assert!(straight.into_iter().any(level), "{activation}'({x}): {slope}");
        }
    }
    assert_eq!(named("silu").value(f64::NEG_INFINITY), 0.0);
    assert_eq!(named("relu").derivative(0.0), 0.0);
    assert_eq!(named("relu").derivative(f64::INFINITY), 1.0);
}

/// `E[f(z)^2]` by Simpson's rule between the kinks, which are whole numbers: 1000 steps a unit leave
/// `h^4 f'''' / 180`, below 1e-12.
fn second_moment(activation: Activation) -> f64 {
    let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let integrand = |z: f64| activation.value(z).powi(2) * density(z);
    let (units, steps) = (-38..38, 1000);
    units
        .map(|unit| {
            let h = 1.0 / f64::from(steps);
            let at = |i: i32| integrand(f64::from(unit) + f64::from(i) * h);
            let inner: f64 =
                (1..steps).map(|i| if i % 2 == 1 { 4.0 * at(i) } else { 2.0 * at(i) }).sum();
            (at(0) + inner + at(steps)) * h / 3.0
        })
        .sum()
}

#[test]
fn gains_keep_the_second_moment() {
    let conventions = ["identity", "sigmoid", "tanh", "selu"];
    let others =
        Activation::ALL.into_iter().chain(["elu:0.5", "leaky_relu:0.2", "sin:2"].map(named));
    for activation in others {
        let kept = activation.gain().powi(2) * second_moment(activation);
        if conventions.contains(&activation.name()) && activation != Activation::Identity {
            assert!((kept - 1.0).abs() > 0.01, "{activation} needs no convention");
        } else {
            assert!((kept - 1.0).abs() < 1e-12, "{activation}: {kept}");
        }
    }
}

#[test]
fn names_read_back() {
    for activation in Activation::ALL {
        assert_eq!(named(activation.name()), activation);
        assert_eq!(named(&activation.to_string()), activation);
    }
    assert_eq!(named("leaky_relu:0.2"), Activation::LeakyRelu { slope: 0.2 });
    assert_eq!(named("elu:0.5").to_string(), "elu:0.5");
    assert_eq!(named("sin:30"), Activation::Sin { omega: 30.0 });
    assert_eq!((named("sin:30").to_string(), named("sin:1")), ("sin:30".into(), named("sin")));
    // The weights' bits depend on it.
    assert_eq!(named("sin").gain(), 1.520_866_623_178_814_9);
    assert_eq!((named("swish"), named("linear")), (named("silu"), named("identity")));
    for (text, part) in [
        ("rellu", "nearest: relu"),
        ("relu:1", "no parameter for relu"),
        ("elu:x", "a finite number"),
        ("elu:inf", "a finite number"),
        ("elu:", "alpha: got nothing, needed a finite number"),
        ("elu:1,2", "got 2 numbers, needed at most 1: alpha"),
        ("sin:0", "omega: got 0, needed a finite number above 0"),
        ("sin:-30", "a finite number above 0"),
    ] {
        let error = text.parse::<Activation>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
