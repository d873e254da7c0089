//! Fans, gains and schemes against other frameworks' numbers.

use fanin::init::{Family, FanMode, Geometry, Init, TRUNCATED_STD, catalogue};
use fanin::random::{Distribution, Source};
use fanin::{Activation, Layout, Shape};

fn shape(dims: &[u64]) -> Shape {
    Shape::new(dims).unwrap()
}

fn fans(dims: &[u64], geometry: Geometry) -> (f64, f64) {
    let shape = shape(dims);
    let fan = |mode| geometry.fan(&shape, mode).unwrap();
    (fan(FanMode::FanIn), fan(FanMode::FanOut))
}

/// PyTorch 2.15's `_calculate_fan_in_and_fan_out`, run on these shapes.
#[test]
fn fans_are_pytorchs() {
    for (dims, expected) in [
        (&[512u64, 784][..], (784.0, 512.0)),
        (&[64, 3, 7, 7], (147.0, 3136.0)),
        (&[32, 16, 5], (80.0, 160.0)),
        (&[8, 4, 3, 3, 3], (108.0, 216.0)),
        (&[50257, 768], (768.0, 50257.0)),
    ] {
        assert_eq!(fans(dims, Layout::OutIn.into()), expected, "{dims:?}");
    }
}

/// Keras's `compute_fans`: the last axis is the output, the one before it the input.
#[test]
fn fans_are_kerass_in_its_layout() {
    for (dims, expected) in [
        (&[784u64, 512][..], (784.0, 512.0)),
        (&[7, 7, 3, 64], (147.0, 3136.0)),
        (&[5, 16, 32], (80.0, 160.0)),
        (&[3, 3, 3, 4, 8], (108.0, 216.0)),
        (&[50257, 768], (50257.0, 768.0)),
    ] {
        assert_eq!(fans(dims, Layout::InOut.into()), expected, "{dims:?}");
    }
}

/// Counted by hand: 8 channels to 12 in 4 groups, a 3 x 3 kernel. Each output sums 2 channels of 9;
/// each input goes to 3 outputs by 9 ways.
#[test]
fn groups_and_transposes_are_counted_as_they_sum() {
    let grouped =
        |layout, transposed| Geometry { layout, groups: 4, transposed, ..Geometry::default() };
    assert_eq!(fans(&[12, 2, 3, 3], grouped(Layout::OutIn, false)), (18.0, 27.0));
    assert_eq!(fans(&[3, 3, 2, 12], grouped(Layout::InOut, false)), (18.0, 27.0));
    assert_eq!(fans(&[8, 3, 3, 3], grouped(Layout::OutIn, true)), (18.0, 27.0));
    assert_eq!(fans(&[3, 3, 3, 8], grouped(Layout::InOut, true)), (18.0, 27.0));
    // Depthwise: one group a channel.
    let depthwise = Geometry { groups: 32, ..Geometry::default() };
    assert_eq!(fans(&[32, 1, 3, 3], depthwise), (9.0, 9.0));
}

#[test]
fn shapes_that_tell_no_fan_need_one_given() {
    let bias = shape(&[512]);
    let torch = Init::torch_default();
    let error = torch.distribution(&bias, &Geometry::default()).unwrap_err().to_string();
    assert!(error.contains("shape [512]") && error.contains("fan_in and fan_out given"), "{error}");
    let given = Geometry { fan_in: Some(784), ..Geometry::default() };
    let drawn = torch.distribution(&bias, &given).unwrap();
    assert_eq!(drawn, Distribution::symmetric((3.0f64 * (1.0 / 3.0) / 784.0).sqrt()));
    // An average needs both.
    let glorot = Init::xavier(1.0, Family::Uniform);
    assert!(glorot.distribution(&bias, &given).is_err());
    let both = Geometry { fan_out: Some(512), ..given };
    assert!(glorot.distribution(&bias, &both).is_ok());
    let zero = Geometry { fan_in: Some(0), ..Geometry::default() };
    assert!(torch.distribution(&bias, &zero).unwrap_err().to_string().contains("at least 1"));
    let odd = Geometry { groups: 5, ..Geometry::default() };
    let error = torch.distribution(&shape(&[12, 2]), &odd).unwrap_err().to_string();
    assert!(error.contains("groups: got 5") && error.contains("divisor of the 12"), "{error}");
}

fn drawn(init: &str, dims: &[u64], layout: Layout) -> Distribution {
    let init: Init = init.parse().unwrap_or_else(|error| panic!("{init}: {error}"));
    init.distribution(&shape(dims), &layout.into()).unwrap()
}

fn close(found: f64, expected: f64) {
    // The same real number by another order of f64 operations.
    assert!((found / expected - 1.0).abs() < 1e-14, "{found} for {expected}");
}

/// What PyTorch 2.15's own functions pass to `uniform_` and `normal_` for a [64, 3, 7, 7] tensor,
/// and `nn.Linear(784, 512)` for its weight.
#[test]
fn bounds_and_stds_are_pytorchs() {
    for (init, expected) in [
        ("xavier_uniform", 0.04275040011889855),
        ("glorot_uniform:gain=tanh", 0.07125066686483092),
        ("kaiming_uniform", 0.20203050891044216),
        ("torch_default", 0.08247860988423224),
    ] {
        let Distribution::Uniform { low, high } = drawn(init, &[64, 3, 7, 7], Layout::OutIn) else {
            panic!("{init} is uniform");
        };
        assert_eq!(low, -high);
        close(high, expected);
    }
    for (init, expected) in [
        ("xavier_normal", 0.024681955016610288),
        ("kaiming_normal:mode=fan_out,nonlinearity=relu", 0.02525381361380527),
        ("he_normal:nonlinearity=leaky_relu,slope=0.2", 0.11437725271791938),
        ("he_normal:fan_in,selu", 0.06185895741317419),
    ] {
        let Distribution::Normal { mean, std } = drawn(init, &[64, 3, 7, 7], Layout::OutIn) else {
            panic!("{init} is normal");
        };
        assert_eq!(mean, 0.0);
        close(std, expected);
    }
    let linear = drawn("torch_linear", &[512, 784], Layout::OutIn);
    let Distribution::Uniform { high, .. } = linear else { panic!("uniform") };
    close(high, 0.03571428571428571);
}

/// Formulas of JAX's and Keras's `VarianceScaling`, evaluated apart for a [784, 512] kernel.
#[test]
fn variance_scaling_is_jaxs_and_kerass() {
    for (init, variance) in [
        ("variance_scaling", 1.0 / 784.0),
        ("variance_scaling:scale=2,mode=fan_out", 2.0 / 512.0),
        ("variance_scaling:scale=1,mode=fan_avg,distribution=uniform", 2.0 / 1296.0),
        ("variance_scaling:mode=fan_geo_avg,distribution=normal", 1.0 / (784f64 * 512.0).sqrt()),
        ("lecun_normal", 1.0 / 784.0),
        ("lecun_uniform", 1.0 / 784.0),
        ("he_truncated_normal", 2.0 / 784.0),
        ("xavier_fan_in_normal", 1.0 / 784.0),
        ("xavier_fan_in_uniform", 1.0 / 784.0),
        ("xavier_normal:gain=2", 8.0 / 1296.0),
    ] {
        let drawn = drawn(init, &[784, 512], Layout::InOut);
        assert!((drawn.std() / variance.sqrt() - 1.0).abs() < 1e-12, "{init}: {}", drawn.std());
    }
    let truncated = drawn("variance_scaling", &[784, 512], Layout::InOut);
    let Distribution::TruncatedNormal { std, cut, .. } = truncated else { panic!("truncated") };
    // Both divide by scipy.stats.truncnorm.std(-2, 2) = 0.87962566103423978.
    close(std, (1.0f64 / 784.0).sqrt() / 0.879_625_661_034_239_8);
    assert_eq!(cut, 2.0);
}

#[test]
fn the_two_conventions_of_truncation_differ_by_the_lost_spread() {
    let parents = drawn("truncated_normal:0.02", &[4, 4], Layout::OutIn);
    let corrected = drawn("truncated_normal_corrected:0.02", &[4, 4], Layout::OutIn);
    assert!((parents.std() - 0.02 * TRUNCATED_STD).abs() < 1e-15);
    assert!((corrected.std() - 0.02).abs() < 1e-15);
}

#[test]
fn gains_are_pytorchs() {
    for (activation, gain) in [
        ("identity", 1.0),
        ("linear", 1.0),
        ("sigmoid", 1.0),
        ("tanh", 5.0 / 3.0),
        ("relu", 2f64.sqrt()),
        ("leaky_relu", (2.0f64 / 1.0001).sqrt()),
        ("selu", 0.75),
    ] {
        close(activation.parse::<Activation>().unwrap().gain(), gain);
    }
}

/// What a name may be followed by, of which the first is taken that does.
const SUFFIXES: [&str; 4] = ["", ":0.5", ":12", ":tanh"];

/// An entry under one of its names, and what a small tensor is drawn from.
pub fn drawn_by_name(name: &str) -> (Init, Source) {
    let drawn = |suffix: &str| {
        let init: Init = format!("{name}{suffix}").parse().ok()?;
        let source = |dims: &[u64]| init.source(&shape(dims), &Geometry::default()).ok();
        Some((init, source(&[6, 4]).or_else(|| source(&[6, 4, 3])).or_else(|| source(&[6]))?))
    };
    let found = SUFFIXES.into_iter().find_map(drawn);
    found.unwrap_or_else(|| panic!("{name} with any of {SUFFIXES:?}"))
}

#[test]
fn every_initializer_has_a_name_that_parses() {
    for entry in catalogue() {
        let (init, _) = drawn_by_name(entry.name);
        // What is displayed reads back.
        assert_eq!(init.to_string().parse::<Init>().unwrap(), init, "{}", entry.name);
        for name in [entry.name].iter().chain(entry.aliases) {
            let (own, source) = drawn_by_name(name);
            assert!(own == init && source.std().is_finite() && source.mean().is_finite(), "{name}");
        }
        if let Err(error) = entry.name.parse::<Init>() {
            let needed = ["no parameters", "no activation"];
            assert!(needed.iter().any(|part| error.to_string().contains(part)), "{error}");
        }
        assert!(!entry.formula.is_empty());
    }
    assert_eq!("zeros".parse::<Init>().unwrap(), Init::zeros());
    assert_eq!("uniform:-1,2".parse::<Init>().unwrap(), Init::uniform(-1.0, 2.0));
    assert_eq!("uniform:0.5".parse::<Init>().unwrap(), Init::uniform(-0.5, 0.5));
    assert_eq!("uniform:bound=0.5".parse::<Init>().unwrap(), Init::uniform(-0.5, 0.5));
    assert_eq!("normal: mean=1, std=2".parse::<Init>().unwrap(), Init::normal(1.0, 2.0));
}

/// The defaults that the list states, each written out.
#[test]
fn defaults_are_as_they_are_listed() {
    for entry in catalogue() {
        let stated: Vec<&str> =
            entry.parameters.split(", ").filter(|part| part.contains('=')).collect();
        let (init, _) = drawn_by_name(entry.name);
        for part in stated {
            // A slope is leaky ReLU's alone.
            let leaky = if part.starts_with("slope") { "nonlinearity=leaky_relu," } else { "" };
            let found = SUFFIXES.iter().find_map(|suffix| {
                let joint = if suffix.is_empty() { ":" } else { "," };
                let bare = format!("{}{suffix}{joint}{leaky}", entry.name);
                let bare = bare.trim_end_matches([':', ',']).to_owned();
                let joint = if bare.contains(':') { "," } else { ":" };
                let own: Init = format!("{bare}{joint}{part}").parse().ok()?;
                Some((own, bare.parse::<Init>().ok()?))
            });
            let (own, bare) = found.unwrap_or_else(|| panic!("{} with {part}", entry.name));
            assert_eq!(own, bare, "{} with {part}", entry.name);
            assert!(!leaky.is_empty() || own == init, "{} with {part}", entry.name);
        }
    }
}

#[test]
fn initializers_that_make_no_sense_say_why() {
    for (text, parts) in [
        ("he_norml", &["unknown initializer `he_norml`", "nearest: he_normal"] as &[&str]),
        ("normal:abc", &["std", "abc", "a finite number"]),
        ("normal:1,2,3", &["`3`", "only the parameters std, mean=0"]),
        ("normal:std=1,std=2", &["std", "once"]),
        ("normal:mean=1,2", &["`2`", "before"]),
        ("normal:sdt=1", &["`sdt`"]),
        ("zeros:1", &["`1`", "no parameters"]),
        ("xavier_uniform:gain=NaN", &["NaN"]),
        ("xavier_uniform:-1", &["gain", "-1", "above 0"]),
        ("xavier_uniform:tanhh", &["unknown nonlinearity `tanhh`", "nearest: tanh"]),
        ("he_normal:fan_avg", &["fan_in or fan_out"]),
        ("he_normal:fan_inn", &["unknown mode `fan_inn`", "nearest: fan_in"]),
        ("he_normal:nonlinearity=relu,slope=0.1", &["`slope`"]),
        ("variance_scaling:distribution=cauchy", &["unknown distribution `cauchy`", "normal"]),
        ("", &["unknown initializer"]),
    ] {
        let error = text.parse::<Init>().unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: no `{part}` in {error}");
        }
    }
    let scale: Init = "variance_scaling:scale=-1".parse().unwrap();
    let error = scale.distribution(&shape(&[4, 4]), &Geometry::default()).unwrap_err().to_string();
    assert!(error.contains("scale: got -1"), "{error}");
}

#[test]
fn shapes_are_checked() {
    for (dims, part) in [
        (vec![2, 0, 3], "dimensions of at least 1"),
        (vec![1 << 32, 1 << 31], "at most 2^63 - 1 elements"),
        (vec![u64::MAX, u64::MAX], "at most 2^63 - 1 elements"),
    ] {
        let error = Shape::new(dims).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(shape(&[]).elements(), 1);
    assert_eq!(shape(&[768, 2304]).to_string(), "[768, 2304]");
}
