//! The theory of signal propagation against closed forms, mpmath and published numbers.

use fanin::Activation;
use fanin::theory::{Course, GaussianMoments, Scales, backward_gain, forward_gain, moments};

use crate::cli::{fails, succeeds};

fn close(found: f64, wanted: f64, place: &str) {
    // Quadrature to 12 digits, and sums near 0 that are.
    assert!(
        (found - wanted).abs() <= 1e-12 * (1.0 + wanted.abs()),
        "{place}: {found}, not {wanted}"
    );
}

#[test]
fn moments_are_the_closed_forms() {
    for q in [1e-6, 0.01, 1.0, 7.5, 400.0] {
        let half = 0.5 * q;
        let scale = (q / (2.0 * std::f64::consts::PI)).sqrt();
        let cases = [
            (Activation::Identity, [0.0, q, 1.0]),
            (Activation::Relu, [scale, half, 0.5]),
            (Activation::LeakyRelu { slope: 0.2 }, [0.8 * scale, half * 1.04, 0.5 * 1.04]),
            // E[cos(2x)] = exp(-2q).
            (
                Activation::Sin { omega: 1.0 },
                [0.0, 0.5 * (1.0 - (-2.0 * q).exp()), 0.5 * (1.0 + (-2.0 * q).exp())],
            ),
            (
                Activation::Sin { omega: 3.0 },
                [0.0, 0.5 * (1.0 - (-18.0 * q).exp()), 4.5 * (1.0 + (-18.0 * q).exp())],
            ),
        ];
        for (activation, [mean, square, slope]) in cases {
            let found = moments(&activation, q).unwrap();
            close(found.mean, mean, &format!("{activation}, {q}: mean"));
            close(found.square, square, &format!("{activation}, {q}: square"));
            close(found.slope, slope, &format!("{activation}, {q}: slope"));
        }
    }
    assert!(
        moments(&Activation::Relu, 0.0).is_err() && moments(&Activation::Relu, f64::NAN).is_err()
    );
}

/// By mpmath's quadrature at 30 digits: mean, square, slope.
#[test]
fn moments_are_mpmaths() {
    #[rustfmt::skip]
    let cases = [
        ("sigmoid", 1.0, 0.5, 0.293379035858093, 0.0448362413501944),
        ("tanh", 1.0, 0.0, 0.394294490397841, 0.464402902448268),
        ("gelu", 1.0, 0.282094791773878, 0.425221482570299, 0.455850865649287),
        ("silu", 1.0, 0.206620964141907, 0.355775519817352, 0.379482351632829),
        ("softplus", 1.0, 0.80605918334744, 0.9212459088593, 0.293379035858093),
        ("mish", 1.0, 0.240403888374791, 0.452342192375883, 0.47908375837397),
        ("softsign", 1.0, 0.0, 0.183014021266547, 0.227671340422182),
        ("sigmoid", 10.0, 0.5, 0.38970535757266, 0.0198067502119371),
        ("tanh", 10.0, 0.0, 0.757266276921318, 0.165572420769709),
        ("gelu", 10.0, 1.20285623372755, 4.94757457545505, 0.511295769879859),
        ("silu", 10.0, 1.1029464242734, 4.75163946015479, 0.497163448800301),
        ("softplus", 10.0, 1.45033786627091, 5.25044001331023, 0.38970535757266),
        ("mish", 10.0, 1.14784550336794, 4.95880763579794, 0.515823186402681),
        ("softsign", 10.0, 0.0, 0.428626497168265, 0.0816454277495734),
    ];
    for (name, q, mean, square, slope) in cases {
        let found = moments(&name.parse().unwrap(), q).unwrap();
        close(found.mean, mean, name);
        close(found.square, square, name);
        close(found.slope, slope, name);
    }
}

#[test]
fn gains_that_no_framework_fixes_are_the_theorys() {
    // PyTorch's conventions are conventions: where theory says otherwise, by how much.
    for activation in Activation::ALL {
        let forward = forward_gain(&activation);
        let differs =
            matches!(activation, Activation::Sigmoid | Activation::Tanh | Activation::Selu);
        let same = (forward / activation.gain() - 1.0).abs() < 1e-10;
        assert_eq!(same, !differs, "{activation}: {forward}, {}", activation.gain());
    }
    let relu = Activation::Relu;
    close(forward_gain(&relu), 2f64.sqrt(), "forward");
    close(backward_gain(&relu), 2f64.sqrt(), "backward");
}

#[test]
fn he_holds_every_variance_for_relu_and_nothing_else_does() {
    let he = Scales { weight: 2.0, bias: 0.0 };
    let relu = Activation::Relu;
    for q in [1e-3, 1.0, 50.0] {
        close(he.variance(&relu, q).unwrap(), q, "next variance");
        close(he.chi(&relu, q).unwrap(), 1.0, "chi");
        assert_eq!(Scales::critical(&relu, q).unwrap().map(|found| found.bias), Some(0.0));
    }
    // It holds them all, and attracts none.
    assert_eq!((he.course(&relu), he.fixed_point(&relu)), (Course::Stays, None));
    let course = |weight| Scales { weight, bias: 0.0 }.course(&relu);
    assert_eq!(course(1.9), Course::Vanishes { slowly: false });
    assert_eq!(course(2.1), Course::Explodes);
    // With biases a smaller weight settles: q = w q / 2 + b.
    close(Scales { weight: 1.0, bias: 0.3 }.fixed_point(&relu).unwrap(), 0.6, "with biases");
}

#[test]
fn tanh_has_the_published_edge_of_chaos() {
    // Schoenholz et al. 2017, and Pennington et al. 2017: sigma_b^2 = 0.05 goes with sigma_w^2 = 1.76.
    let tanh = Activation::Tanh;
    let bias = |q: f64| Scales::critical(&tanh, q).unwrap().unwrap().bias;
    let (mut low, mut high) = (1e-3, 5.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if bias(middle) < 0.05 { low = middle } else { high = middle }
    }
    let found = Scales::critical(&tanh, low).unwrap().unwrap();
    assert!((found.weight - 1.76).abs() < 0.005, "{found:?}");
    // And it is critical: variances settle where it was asked for, and chi is 1 there.
    let q = found.fixed_point(&tanh).unwrap();
    assert!((q / low - 1.0).abs() < 1e-6, "{q}, not {low}");
    assert!((found.chi(&tanh, q).unwrap() - 1.0).abs() < 1e-6);
    // The sigmoid's slope is a quarter at most: a sixteenth of the gradient's variance a layer.
    let GaussianMoments { slope, .. } = moments(&Activation::Sigmoid, 1e-6).unwrap();
    assert!((slope - 1.0 / 16.0).abs() < 1e-6);
}

/// What a course says is what iterating the map from either side of 1 does.
#[test]
fn variances_go_where_their_course_says() {
    for activation in Activation::ALL {
        for weight in [activation.gain().powi(2), forward_gain(&activation).powi(2), 1.0] {
            let scales = Scales { weight, bias: 0.0 };
            let after = |start: f64, layers: usize| {
                let next = |q: f64, _| match (1e-60..1e60).contains(&q) {
                    true => scales.variance(&activation, q).unwrap(),
                    false => q,
                };
                (0..layers).fold(start, next)
            };
            let (below, above) = (after(0.8, 400), after(1.25, 400));
            let near = |q: f64, wanted: f64| (q / wanted).ln().abs() < 0.02;
            let course = scales.course(&activation);
            let holds = match course {
                Course::Attracts(q) => near(below, q) && near(above, q),
                Course::Stays => near(below, 0.8) && near(above, 1.25),
                Course::Repels(q) => below < 0.5 * q || above > 2.0 * q,
                Course::Vanishes { slowly: false } => above < 1e-12,
                Course::Vanishes { slowly: true } => (1e-12..0.2).contains(&above),
                Course::Explodes => below > 1e12,
            };
            assert!(holds, "{activation}, {weight}: {course:?}, {below} and {above}");
        }
    }
    let own = |activation: Activation| {
        Scales { weight: forward_gain(&activation).powi(2), bias: 0.0 }.course(&activation)
    };
    for activation in [Activation::Gelu, Activation::Silu, Activation::Mish] {
        assert_eq!(own(activation), Course::Repels(1.0), "{activation}");
    }
    assert_eq!(own(Activation::Tanh), Course::Attracts(1.0));
    let slowly = Scales { weight: 1.0, bias: 0.0 }.course(&Activation::Tanh);
    assert_eq!(slowly, Course::Vanishes { slowly: true });
}

#[test]
fn gain_prints_what_theory_says() {
    let all = succeeds(&["gain"]);
    assert!(Activation::ALL.iter().all(|activation| all.contains(activation.name())));
    // Where lines end is the terminal's.
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let one = words(succeeds(&["gain", "relu"]));
    assert!(one.contains("1.414214") && one.contains("every variance stays as it is"), "{one}");
    for repels in ["gelu", "silu", "mish"] {
        let text = words(succeeds(&["gain", repels]));
        assert!(!text.contains("variances settle at") && text.contains("leave it"), "{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(&["gain", "gelu", "--json"])).unwrap();
    let gelu = &json["activations"][0];
    assert_eq!(gelu["activation"], "gelu");
    close(gelu["square"].as_f64().unwrap(), 0.425221482570299, "gelu");
    fails(2, &["gain", "rleu"], &["nearest: relu"]);
}
