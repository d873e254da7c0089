//! `name`, `name:0.02`, `name:mode=fan_out,nonlinearity=relu`: an initializer in text.

use std::str::FromStr;

use super::{Family, FanMode, Init, Role, TransformerPart, deepnorm};
use crate::random::Formula;
use crate::{Activation, Error, Result};

/// One initializer of the [`catalogue`].
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name in recipes and on the command line.
    pub name: &'static str,
    /// Other frameworks' names for the same.
    pub aliases: &'static [&'static str],
    /// Its parameters, in the order in which they may be given without their names; `name=value`
    /// where there is a default, which is the one that is taken.
    pub parameters: &'static str,
    /// The formula.
    pub formula: &'static str,
    make: fn(&mut Parameters) -> Result<Init>,
}

/// Every initializer that has a name.
pub fn catalogue() -> &'static [Entry] {
    CATALOGUE
}

const PARTS: [(&str, TransformerPart); 3] = [
    ("encoder", TransformerPart::Encoder),
    ("decoder", TransformerPart::Decoder),
    ("embedding", TransformerPart::Embedding),
];

const ROLES: [(&str, Role); 3] =
    [("input", Role::Input), ("hidden", Role::Hidden), ("output", Role::Output)];

const HE: &str = "mode=fan_in, nonlinearity=relu, slope=0.01";

static CATALOGUE: &[Entry] = &[
    Entry {
        name: "zeros",
        aliases: &["zero"],
        parameters: "",
        formula: "0",
        make: |_| Ok(Init::zeros()),
    },
    Entry {
        name: "ones",
        aliases: &["one"],
        parameters: "",
        formula: "1",
        make: |_| Ok(Init::ones()),
    },
    Entry {
        name: "constant",
        aliases: &[],
        parameters: "value",
        formula: "value",
        make: |p| Ok(Init::constant(p.number("value")?)),
    },
    Entry {
        name: "uniform",
        aliases: &[],
        parameters: "low, high (or bound alone)",
        formula: "U(low, high), or U(-bound, bound)",
        make: |p| {
            if let Some(bound) = p.given_number("bound")? {
                return Ok(Init::uniform(-bound, bound));
            }
            let low = p.number("low")?;
            Ok(match p.given_number("high")? {
                Some(high) => Init::uniform(low, high),
                None => Init::uniform(-low, low),
            })
        },
    },
    Entry {
        name: "normal",
        aliases: &["random_normal"],
        parameters: "std, mean=0",
        formula: "N(mean, std^2)",
        make: |p| {
            let std = p.number("std")?;
            Ok(Init::normal(p.number("mean")?, std))
        },
    },
    Entry {
        name: "truncated_normal",
        aliases: &["trunc_normal"],
        parameters: "std, mean=0, cut=2",
        formula: "N(mean, std^2) cut at mean +- cut * std; std is the parent's (PyTorch)",
        make: |p| {
            let std = p.number("std")?;
            let mean = p.number("mean")?;
            Ok(Init::truncated_normal(mean, std, p.number("cut")?))
        },
    },
    Entry {
        name: "truncated_normal_corrected",
        aliases: &[],
        parameters: "std, mean=0",
        formula: "the same cut at 2, with std / 0.8796 as the parent's (JAX, Keras)",
        make: |p| {
            let std = p.number("std")?;
            Ok(Init::truncated_normal_corrected(p.number("mean")?, std))
        },
    },
    Entry {
        name: "variance_scaling",
        aliases: &[],
        parameters: "scale=1, mode=fan_in, distribution=truncated_normal, power=1",
        formula: "variance scale / fan^power",
        make: |p| {
            let scale = p.number("scale")?;
            let mode = p.one_of("mode", &FanMode::NAMES)?;
            let family = p.one_of("distribution", &Family::NAMES)?;
            let power = p.number("power")?;
            Ok(Init::VarianceScaling { scale, power, mode, family })
        },
    },
    Entry {
        name: "xavier_uniform",
        aliases: &["glorot_uniform"],
        parameters: "gain=1",
        formula: "U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out))",
        make: |p| Ok(Init::xavier(p.gain()?, Family::Uniform)),
    },
    Entry {
        name: "xavier_normal",
        aliases: &["glorot_normal"],
        parameters: "gain=1",
        formula: "N(0, gain^2 * 2 / (fan_in + fan_out))",
        make: |p| Ok(Init::xavier(p.gain()?, Family::Normal)),
    },
    Entry {
        name: "xavier_fan_in_uniform",
        aliases: &[],
        parameters: "",
        formula: "U(-b, b), b = sqrt(3 / fan_in): the 1/n form that many texts call Xavier",
        make: |_| Ok(Init::xavier_fan_in(Family::Uniform)),
    },
    Entry {
        name: "xavier_fan_in_normal",
        aliases: &[],
        parameters: "",
        formula: "N(0, 1 / fan_in): the 1/n form that many texts call Xavier",
        make: |_| Ok(Init::xavier_fan_in(Family::Normal)),
    },
    Entry {
        name: "he_uniform",
        aliases: &["kaiming_uniform"],
        parameters: HE,
        formula: "U(-b, b), b = gain * sqrt(3 / fan)",
        make: |p| p.he(Family::Uniform),
    },
    Entry {
        name: "he_normal",
        aliases: &["kaiming_normal"],
        parameters: HE,
        formula: "N(0, gain^2 / fan)",
        make: |p| p.he(Family::Normal),
    },
    Entry {
        name: "he_truncated_normal",
        aliases: &[],
        parameters: HE,
        formula: "variance gain^2 / fan, cut at 2 (what JAX and Keras call he_normal)",
        make: |p| p.he(Family::TruncatedNormal),
    },
    Entry {
        name: "lecun_uniform",
        aliases: &[],
        parameters: "",
        formula: "U(-b, b), b = sqrt(3 / fan_in)",
        make: |_| Ok(Init::lecun(Family::Uniform)),
    },
    Entry {
        name: "lecun_normal",
        aliases: &[],
        parameters: "",
        formula: "N(0, 1 / fan_in)",
        make: |_| Ok(Init::lecun(Family::Normal)),
    },
    Entry {
        name: "torch_default",
        aliases: &["torch_linear", "torch_conv"],
        parameters: "",
        formula: "U(-b, b), b = 1 / sqrt(fan_in): nn.Linear's and nn.Conv*d's weight and bias",
        make: |_| Ok(Init::torch_default()),
    },
    Entry {
        name: "identity",
        aliases: &["eye"],
        parameters: "gain=1",
        formula: "gain on the diagonal of a matrix, else 0",
        make: |p| Ok(Init::Identity { gain: p.gain()? }),
    },
    Entry {
        name: "dirac",
        aliases: &[],
        parameters: "gain=1",
        formula: "gain from each channel to itself at a kernel's centre, else 0",
        make: |p| Ok(Init::Dirac { gain: p.gain()? }),
    },
    Entry {
        name: "orthogonal",
        aliases: &[],
        parameters: "gain=1",
        formula: "gain Q, Q orthogonal, uniform (Saxe et al. 2014)",
        make: |p| Ok(Init::Orthogonal { gain: p.gain()? }),
    },
    Entry {
        name: "delta_orthogonal",
        aliases: &[],
        parameters: "gain=1",
        formula: "gain Q at a kernel's centre, else 0 (Xiao et al. 2018)",
        make: |p| Ok(Init::DeltaOrthogonal { gain: p.gain()? }),
    },
    Entry {
        name: "sparse",
        aliases: &[],
        parameters: "sparsity, std=0.01",
        formula: "ceil(sparsity rows) zeros a column, else N(0, std^2) (Martens 2010)",
        make: |p| {
            let sparsity = p.number("sparsity")?;
            if !(0.0..=1.0).contains(&sparsity) {
                let what = format!("initializer `{}`: sparsity", p.text);
                return Err(Error::invalid(what, sparsity, "a share from 0 to 1"));
            }
            Ok(Init::Sparse { sparsity, std: p.number("std")? })
        },
    },
    Entry {
        name: "siren",
        aliases: &[],
        parameters: "omega=30",
        formula: "U(-b, b), b = sqrt(6 / fan_in) / omega (Sitzmann et al. 2020)",
        make: |p| Ok(Init::siren(p.number("omega")?)),
    },
    Entry {
        name: "siren_first",
        aliases: &[],
        parameters: "",
        formula: "U(-1 / fan_in, 1 / fan_in) (Sitzmann et al. 2020)",
        make: |_| Ok(Init::siren_first()),
    },
    Entry {
        name: "fixup",
        aliases: &[],
        parameters: "blocks, layers=2",
        formula: "He's normal, std times blocks^(-1 / (2 layers - 2)) (Zhang et al. 2019)",
        make: |p| Init::fixup(p.number("blocks")?, p.number("layers")?),
    },
    Entry {
        name: "t_fixup",
        aliases: &["tfixup"],
        parameters: "layers, part=encoder",
        formula: "Xavier times 0.67 layers^(-1/4) or (9 layers)^(-1/4) (Huang et al. 2020)",
        make: |p| {
            let layers = p.number("layers")?;
            Init::t_fixup(p.one_of("part", &PARTS)?, layers)
        },
    },
    Entry {
        name: "deepnorm",
        aliases: &[],
        parameters: "layers, part=encoder, other=none",
        formula: "Xavier's normal, gain (8 layers)^(-1/4) for one stack (Wang et al. 2022)",
        make: |p| {
            let layers = p.number("layers")?;
            let part = p.one_of("part", &PARTS)?;
            let other = p.optional("other")?;
            Ok(Init::deepnorm(deepnorm(part, layers, other)?.1))
        },
    },
    Entry {
        name: "gpt2_residual",
        aliases: &[],
        parameters: "layers, std=0.02",
        formula: "N(0, std^2 / (2 layers)) (Radford et al. 2019)",
        make: |p| Init::gpt2_residual(p.number("layers")?, p.number("std")?),
    },
    Entry {
        name: "rezero",
        aliases: &["skipinit"],
        parameters: "",
        formula: "0 for the scalar that multiplies a residual branch (Bachlechner et al. 2021)",
        make: |_| Ok(Init::zeros()),
    },
    Entry {
        name: "zero_gamma",
        aliases: &[],
        parameters: "",
        formula: "0 for the scale of a residual branch's last norm (Goyal et al. 2017)",
        make: |_| Ok(Init::zeros()),
    },
    Entry {
        name: "mup",
        aliases: &[],
        parameters: "role=hidden, base (of the output alone), gain=1",
        formula: "gain^2 / fan_in; of the output gain^2 base / fan_in^2 (Yang et al. 2022)",
        make: |p| {
            let role = p.one_of("role", &ROLES)?;
            let base = match role {
                Role::Output => p.number("base")?,
                Role::Input | Role::Hidden => p.given_number("base")?.unwrap_or(1.0),
            };
            Init::mup(role, base, p.gain()?)
        },
    },
    Entry {
        name: "critical",
        aliases: &["edge_of_chaos"],
        parameters: "activation, q=1",
        formula: "N(0, sigma_w^2 / fan_in), sigma_w^2 = 1 / E[f'(sqrt(q) z)^2] (Schoenholz et al. 2017)",
        make: |p| Init::critical(&p.activation()?, p.number("q")?),
    },
    Entry {
        name: "critical_bias",
        aliases: &[],
        parameters: "activation, q=1",
        formula: "N(0, sigma_b^2), sigma_b^2 = q - sigma_w^2 E[f(sqrt(q) z)^2]: critical's biases",
        make: |p| Init::critical_bias(&p.activation()?, p.number("q")?),
    },
    Entry {
        name: "lsuv",
        aliases: &[],
        parameters: "tolerance=0.1, iterations=10",
        formula: "orthogonal, scaled layer by layer to Var(z) = 1 on a batch of data (in train and probe)",
        make: |p| {
            let tolerance = p.number("tolerance")?;
            let iterations = p.number("iterations")?;
            if iterations.fract() != 0.0 || !(0.0..=1e9).contains(&iterations) {
                let needed = "a whole number";
                return Err(Error::invalid("LSUV's iterations", iterations, needed));
            }
            Ok(Init::Lsuv { tolerance, iterations: iterations as u32 })
        },
    },
    Entry {
        name: "small",
        aliases: &["small_init"],
        parameters: "width=none",
        formula: "N(0, 2 / (5 d)), d = width, or fan_in (Nguyen and Salazar 2019)",
        make: |p| Init::small(p.optional("width")?),
    },
    Entry {
        name: "wang",
        aliases: &["wang_init"],
        parameters: "layers, width=none",
        formula: "N(0, 4 / (layers^2 d)), d = width, or fan_in (GPT-NeoX)",
        make: |p| {
            let layers = p.number("layers")?;
            Init::wang(layers, p.optional("width")?)
        },
    },
    Entry {
        name: "prior_probability",
        aliases: &[],
        parameters: "p",
        formula: "-ln((1 - p) / p): a bias whose sigmoid is p (Lin et al. 2017)",
        make: |p| Init::prior_probability(p.number("p")?),
    },
    Entry {
        name: "arange",
        aliases: &[],
        parameters: "start=0, step=1",
        formula: "start + step k in column k; in integer dtypes too",
        make: |p| {
            let start = p.number("start")?;
            table(Formula::Arange { start, step: p.number("step")? })
        },
    },
    Entry {
        name: "sinusoidal",
        aliases: &[],
        parameters: "base=10000, layout=interleaved, ends=open",
        formula: "sin and cos of p base^(-2i / d) in row p (Vaswani et al. 2017); layout=halves: sines \
                  first; ends=closed: base^(-i / (d/2 - 1)) (Whisper, fairseq)",
        make: |p| {
            let base = p.number("base")?;
            let halves = p.one_of("layout", &[("interleaved", false), ("halves", true)])?;
            let closed = p.one_of("ends", &[("open", false), ("closed", true)])?;
            table(Formula::Sinusoidal { base, halves, closed })
        },
    },
    Entry {
        name: "alibi",
        aliases: &[],
        parameters: "",
        formula: "2^(-8 (k + 1) / n) for head k of n (Press et al. 2022)",
        make: |_| table(Formula::Alibi),
    },
    Entry {
        name: "log_arange",
        aliases: &["mamba_a_log"],
        parameters: "",
        formula: "ln(k + 1) in column k: Mamba's A_log (Gu and Dao 2023)",
        make: |_| table(Formula::LogArange),
    },
    Entry {
        name: "dt_bias",
        aliases: &["mamba_dt_bias"],
        parameters: "min=0.001, max=0.1, floor=0.0001",
        formula: "softplus^-1 of a log-uniform from min to max, at least floor (Gu and Dao 2023)",
        make: |p| {
            let min = p.number("min")?;
            let max = p.number("max")?;
            table(Formula::DtBias { min, max, floor: p.number("floor")? })
        },
    },
];

fn table(formula: Formula) -> Result<Init> {
    formula.check().map(|()| Init::Table(formula))
}

/// The parameters as written, taken out one by one; what is left over is a mistake.
struct Parameters {
    entry: &'static Entry,
    text: String,
    positional: std::collections::VecDeque<String>,
    named: Vec<(String, String)>,
}

impl Parameters {
    fn take(&mut self, name: &str) -> Option<String> {
        if let Some(at) = self.named.iter().position(|(key, _)| key == name) {
            return Some(self.named.swap_remove(at).1);
        }
        // `bound` is known by its name alone: a lone number is `low`, which stands for both ends.
        if name == "bound" { None } else { self.positional.pop_front() }
    }

    fn parse_number(&self, name: &str, value: &str) -> Result<f64> {
        let number: Option<f64> = value.parse().ok();
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            Error::invalid(format!("initializer `{}`: {name}", self.text), value, "a finite number")
        })
    }

    fn given_number(&mut self, name: &str) -> Result<Option<f64>> {
        self.take(name).map(|value| self.parse_number(name, &value)).transpose()
    }

    /// A number that may be `none`.
    fn optional(&mut self, name: &str) -> Result<Option<f64>> {
        match self.text(name)?.as_str() {
            "none" => Ok(None),
            number => self.parse_number(name, number).map(Some),
        }
    }

    fn number(&mut self, name: &str) -> Result<f64> {
        let value = self.text(name)?;
        self.parse_number(name, &value)
    }

    /// What was given, or else the default that the entry states.
    fn text(&mut self, name: &str) -> Result<String> {
        if let Some(value) = self.take(name) {
            return Ok(value);
        }
        let default = |part: &'static str| part.strip_prefix(name)?.strip_prefix('=');
        let default = self.entry.parameters.split(", ").find_map(default);
        default.map(str::to_owned).ok_or_else(|| {
            Error::invalid(
                format!("initializer `{}`", self.text),
                match self.named.first() {
                    Some((other, _)) => format!("`{other}` and no {name}"),
                    None => "no parameters".into(),
                },
                format!("{name}, as in `{}:0.02`", self.text.split(':').next().unwrap_or("")),
            )
        })
    }

    fn one_of<T: Copy>(&mut self, name: &'static str, names: &[(&'static str, T)]) -> Result<T> {
        let value = self.text(name)?;
        names
            .iter()
            .find(|(known, _)| *known == value)
            .map(|(_, found)| *found)
            .ok_or_else(|| Error::unknown(name, &value, names.iter().map(|(known, _)| *known)))
    }

    fn gain(&mut self) -> Result<f64> {
        // `xavier_uniform:tanh` and `xavier_uniform:gain=tanh` are as good as the number.
        let value = self.text("gain")?;
        if value.starts_with(|c: char| c.is_ascii_alphabetic()) && value.parse::<f64>().is_err() {
            return Ok(value.parse::<Activation>()?.gain());
        }
        let gain = self.parse_number("gain", &value)?;
        if gain > 0.0 {
            return Ok(gain);
        }
        Err(Error::invalid(format!("initializer `{}`: gain", self.text), value, "a number above 0"))
    }

    fn activation(&mut self) -> Result<Activation> {
        let needed = || {
            Error::invalid(
                format!("initializer `{}`", self.text),
                "no activation",
                "one, as in `critical:tanh`",
            )
        };
        let missing = needed();
        self.take("activation").ok_or(missing)?.parse()
    }

    fn he(&mut self, family: Family) -> Result<Init> {
        let mode = self.one_of("mode", &FanMode::NAMES)?;
        if !matches!(mode, FanMode::FanIn | FanMode::FanOut) {
            return Err(Error::invalid(
                format!("initializer `{}`: mode", self.text),
                "an average",
                "fan_in or fan_out (variance_scaling has the averages)",
            ));
        }
        let mut nonlinearity: Activation = self.text("nonlinearity")?.parse()?;
        // A slope by itself stands for the one that the name was given.
        if let Activation::LeakyRelu { slope } = &mut nonlinearity {
            *slope = self.given_number("slope")?.unwrap_or(*slope);
        }
        Ok(Init::he(mode, nonlinearity, family))
    }
}

/// More than any initializer takes.
const MOST_PARAMETERS: usize = 16;

/// Reads `name`, `name:0.02`, `name:0.02,0.5` or `name:std=0.02,mean=0.5`.
///
/// ```
/// use fanin::init::{FanMode, Family, Init};
/// let init: Init = "he_normal:mode=fan_out,nonlinearity=relu".parse()?;
/// assert_eq!(init, Init::variance_scaling(2.0, FanMode::FanOut, Family::Normal));
/// # Ok::<(), fanin::Error>(())
/// ```
impl FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let entry = CATALOGUE
            .iter()
            .find(|entry| entry.name == name || entry.aliases.contains(&name))
            .ok_or_else(|| {
                if name.parse::<f64>().is_ok() {
                    let needed = format!("a name, as in `constant:{name}`");
                    return Error::invalid("initializer", format!("`{text}`"), needed);
                }
                let names = CATALOGUE.iter().map(|entry| entry.name);
                let aliases = CATALOGUE.iter().flat_map(|entry| entry.aliases.iter().copied());
                Error::unknown("initializer", name, names.chain(aliases))
            })?;
        let mut given = Parameters {
            entry,
            text: text.into(),
            positional: Default::default(),
            named: Vec::new(),
        };
        for part in parameters.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let what = || format!("initializer `{text}`");
            // Each is compared with those before it.
            if given.positional.len() + given.named.len() == MOST_PARAMETERS {
                let more = format!("more than {MOST_PARAMETERS} parameters");
                return Err(Error::invalid(what(), more, "as many as it takes"));
            }
            match part.split_once('=') {
                Some((key, value)) => {
                    let key = key.trim();
                    if given.named.iter().any(|(known, _)| known == key) {
                        return Err(Error::invalid(what(), format!("{key} twice"), "it once"));
                    }
                    given.named.push((key.into(), value.trim().into()));
                }
                None if given.named.is_empty() => given.positional.push_back(part.into()),
                None => {
                    let needed = "parameters without a name before those with one";
                    return Err(Error::invalid(what(), format!("`{part}` after a name"), needed));
                }
            }
        }
        let init = (entry.make)(&mut given)?;
        let left = given.named.first().map(|(key, _)| key).or(given.positional.front());
        match left {
            None => Ok(init),
            Some(left) => Err(Error::invalid(
                format!("initializer `{text}`"),
                format!("`{left}`"),
                match entry.parameters {
                    "" => format!("no parameters for {}", entry.name),
                    known => format!("only the parameters {known}"),
                },
            )),
        }
    }
}
