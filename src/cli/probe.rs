use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use fanin::init::Init;
use fanin::model::Mlp;
use fanin::model::data::{self, LoadOptions, Standardizer};
use fanin::probe::{
    self, Advisor, Change, Kind, LayerReport, ProbeOptions, RangeLimit, Report, Run, Spread,
};
use fanin::{Activation, Error, Result, counted, file};
use serde_json::{Value, json};

use super::columns::ColumnArgs;
use super::inits::parse_inits;
use super::text::{page, paragraph};
use super::{DeviceArgs, flags, note, print, print_json, progress, report, seeds};

#[derive(Args)]
#[command(after_help = help())]
pub struct ProbeArgs {
    /// Layers of weights, the last one linear
    #[arg(long, value_delimiter = ',', default_value = "32", value_name = "DEPTH,...")]
    depth: Vec<usize>,

    /// Units of each layer, and inputs
    #[arg(long, value_delimiter = ',', default_value = "256", value_name = "WIDTH,...")]
    width: Vec<u64>,

    /// All widths of one network, inputs and outputs included, in place of --depth and --width
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["depth", "width"])]
    widths: Vec<u64>,

    /// The nonlinearities of the hidden layers: relu, tanh, sigmoid, gelu, leaky_relu:SLOPE,
    /// sin:OMEGA and so on (`fanin gain` lists them); a network for each
    #[arg(long, value_delimiter = ',', default_value = "relu", value_name = "ACTIVATION,...")]
    activation: Vec<Activation>,

    /// Initializers of the weights; a network for each
    #[arg(
        long,
        default_value = "zeros,normal:0.01,normal:0.1,xavier_normal,he_normal",
        value_name = "INIT,..."
    )]
    init: String,

    /// The initializer of the biases
    #[arg(long, default_value = "zeros")]
    bias: Init,

    /// Residual connections: h + f(W h + b) in place of f(W h + b), in each hidden layer but the first
    /// whose input h is as wide as its output
    #[arg(long)]
    residual: bool,

    /// Normalize what goes into each nonlinearity
    #[arg(long)]
    layer_norm: bool,

    /// Inputs
    #[arg(long, default_value_t = 256)]
    batch: usize,

    /// The cosine between the two inputs of each pair
    #[arg(long, default_value_t = 0.5, value_name = "COSINE", allow_negative_numbers = true)]
    correlation: f64,

    /// Rows of a set in place of normal inputs, standardized: a generated one (spirals, moons,
    /// rings, teacher, digits) or a file, as `fanin train` takes them
    #[arg(long, value_name = "SET")]
    data: Option<String>,

    #[command(flatten)]
    columns: ColumnArgs,

    /// Networks of each kind, each with a seed of its own, for the mean and the spread
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    seeds: u64,

    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Write everything as one HTML page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write each figure as an SVG file into this folder
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,

    /// Leave out the map of depth and scale, which takes most of a report's time
    #[arg(long)]
    no_heatmap: bool,

    /// Replace files that exist
    #[arg(long, short)]
    force: bool,

    /// One JSON document on stdout in place of the table and the chart
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

/// What the verdicts mean, and examples.
fn help() -> String {
    let rule = paragraph(&format!("{}.", probe::RULE), "  ", "  ", 80);
    format!("Verdicts:\n{rule}\n{EXAMPLES}")
}

const EXAMPLES: &str = "Examples:\n  \
    fanin probe --depth 50 --report probe.html \\\n      \
    --init zeros,normal:0.01,normal:0.1,xavier_normal,he_normal\n  \
    fanin probe --activation tanh,gelu --init xavier_normal,he_normal --seeds 5\n  \
    fanin probe --depth 10,50,200 --width 128,512 --init he_normal --json\n  \
    fanin probe --depth 50 --init he_normal --residual --layer-norm\n  \
    fanin probe --activation sin:30 --init siren --depth 10\n  \
    fanin probe --widths 784,512,512,10 --activation gelu --data mnist/";

pub fn run(args: ProbeArgs) -> Result<ExitCode> {
    let inits = parse_inits(&args.init)?;
    let networks = networks(&args)?;
    if let Some(path) = &args.report {
        file::check(path, args.force)?;
    }
    let seeds = seeds(args.seeds, args.seed)?;
    let device = args.device.open("measures")?;
    let options = ProbeOptions {
        seeds,
        batch: args.batch,
        correlation: args.correlation,
        inputs: inputs(&args, &networks)?,
        ..ProbeOptions::default()
    };
    let maps = !args.no_heatmap && (args.report.is_some() || args.svg.is_some());

    let length = (networks.len() * inits.len()) as u64;
    let bar = progress("{bar:20} {pos}/{len} {elapsed} {wide_msg}", length);
    let mut report = Report {
        engine: device.engine().into(),
        device: device.to_string(),
        input_correlation: args.correlation,
        runs: Vec::new(),
        heatmaps: Vec::new(),
    };
    for network in &networks {
        let mut marks = Vec::new();
        let mut advisor = Advisor::new(&device, &options);
        let mut measured = Vec::new();
        for (text, init) in &inits {
            bar.set_message(format!("{} {text}", network.nonlinearity()));
            let mlp = network.clone().init(*init);
            let mut run = probe::measure(&device, &mlp, &options)?;
            run.init = text.clone();
            run.bias = match args.bias == Init::zeros() {
                true => "zeros".into(),
                false => args.bias.to_string(),
            };
            marks.extend(scale(&mlp)?.map(|scale| (text.clone(), scale)));
            advisor.note(&mlp, &run);
            measured.push((mlp, run));
            bar.inc(1);
        }
        for (mlp, mut run) in measured {
            if run.verdict.kind != Kind::Healthy {
                bar.set_message(format!("instead of {}", run.init));
                run.advice = Some(advisor.advise(&mlp, &run)?);
            }
            report.runs.push(run);
        }
        let kind = |mlp: &Mlp| (mlp.nonlinearity(), mlp.widths().to_vec());
        let first = networks.iter().position(|other| kind(other) == kind(network));
        let first = first.is_some_and(|at| std::ptr::eq(&networks[at], network));
        if maps && first && network.layers() > 1 {
            bar.set_message(format!("{} at 25 scales", network.nonlinearity()));
            let mapped = mapped(&args, network)?;
            let at = |init: Init| mapped.clone().init(init).network();
            let mut map = probe::heatmap(&device, &at, args.seed, marks, &mut || bar.tick())?;
            // The theory's edge is that of networks without biases.
            map.critical = map.critical.filter(|_| args.bias == Init::zeros());
            report.heatmaps.push(map);
        }
    }
    bar.finish_and_clear();

    if let Some(path) = &args.report {
        let page = report::html(&report, &command());
        file::save(path, page.as_bytes(), args.force)?;
        note(&format!("report: {}", path.display()));
    }
    if let Some(folder) = &args.svg {
        save_figures(folder, &report, args.force)?;
    }
    if args.json {
        print_json(&document(&report))?;
    } else {
        print(&report::terminal(&report, page()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Weights of a network whose map takes a second or two: there are 25 such networks in one.
const MAPPED: u64 = 20_000_000;

/// The network itself, or where its map would take long a narrower one, of equal widths.
fn mapped(args: &ProbeArgs, network: &Mlp) -> Result<Mlp> {
    let widths = network.widths();
    let weights = widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
    if weights.fold(0, u64::saturating_add) <= MAPPED {
        return Ok(network.clone());
    }
    let width = (MAPPED / network.layers() as u64).isqrt().max(64).min(widths[1]);
    mlp(args, vec![width; widths.len()], network.nonlinearity())
}

/// The networks, but for their initializer.
fn networks(args: &ProbeArgs) -> Result<Vec<Mlp>> {
    let mut networks = Vec::new();
    for activation in &args.activation {
        let shapes: Vec<Vec<u64>> = if args.widths.is_empty() {
            let depths = args.depth.iter();
            depths
                .flat_map(|&depth| args.width.iter().map(move |&width| (depth, width)))
                .map(|(depth, width)| match depth {
                    0 | 100_001.. => Err(Error::Invalid {
                        what: "--depth".into(),
                        given: depth.to_string(),
                        needed: "1 to 100000 layers".into(),
                    }),
                    _ => Ok(vec![width; depth + 1]),
                })
                .collect::<Result<_>>()?
        } else {
            vec![args.widths.clone()]
        };
        for widths in shapes {
            networks.push(mlp(args, widths, *activation)?);
        }
    }
    Ok(networks)
}

fn mlp(args: &ProbeArgs, widths: Vec<u64>, activation: Activation) -> Result<Mlp> {
    let mlp = Mlp::new(widths)?.activation(activation).bias(args.bias);
    Ok(mlp.residual(args.residual).layer_norm(args.layer_norm))
}

/// The rows of a set, standardized; none where inputs are normal.
fn inputs(args: &ProbeArgs, networks: &[Mlp]) -> Result<Option<Vec<f32>>> {
    let options = args.columns.options(None);
    let Some(data) = &args.data else {
        return match options == LoadOptions::default() {
            true => Ok(None),
            false => Err(Error::Invalid {
                what: "--target and what else is said of data".into(),
                given: "no --data".into(),
                needed: "a set that it is about".into(),
            }),
        };
    };
    let loaded = data::load(data, &options, args.seed)?;
    loaded.notes.iter().for_each(|line| note(&format!("{}: {line}", loaded.train.name)));
    let (mut set, mut preparation) = (loaded.train, loaded.preparation);
    preparation.fill_by(&set)?;
    preparation.fill(&mut set)?;
    Standardizer::fit(&set).apply(&mut set)?;
    let columns = set.columns();
    let fits = |mlp: &&Mlp| mlp.widths()[0] as usize != columns;
    if let Some(mlp) = networks.iter().find(fits) {
        return Err(Error::Invalid {
            what: format!("{}, of {}", set.name, counted(columns, "feature")),
            given: format!("a network of {}", counted(mlp.widths()[0], "input")),
            needed: format!("--widths {columns},... or --width {columns}"),
        });
    }
    if set.rows() < args.batch {
        return Err(Error::Invalid {
            what: "--batch".into(),
            given: args.batch.to_string(),
            needed: format!("at most the {} of {}", counted(set.rows(), "row"), set.name),
        });
    }
    Ok(Some(set.features.to_f32()[..args.batch * columns].to_vec()))
}

/// `sigma_w = std * sqrt(fan_in)` of the last layer's weights; none where it is 0.
fn scale(mlp: &Mlp) -> Result<Option<f64>> {
    let name = format!("layers.{}.weight", mlp.layers() - 1);
    let fan_in = mlp.widths()[mlp.layers() - 1] as f64;
    let recipe = mlp.recipe()?;
    let found = recipe.tensors.iter().find(|tensor| tensor.name == name);
    let scale = found.map(|tensor| tensor.source.std() * fan_in.sqrt());
    Ok(scale.filter(|&scale| scale > 0.0))
}

/// The command line, as a shell reads it back.
fn command() -> String {
    let quoted = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/+".contains(c);
        match !argument.is_empty() && argument.chars().all(plain) {
            true => argument,
            false => format!("'{}'", argument.replace('\'', "'\\''")),
        }
    };
    let arguments = std::env::args_os().skip(1);
    let arguments = arguments.map(|argument| quoted(argument.to_string_lossy().into_owned()));
    ["fanin".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

fn save_figures(folder: &Path, report: &Report, force: bool) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|source| Error::File {
        action: "create",
        path: folder.into(),
        source,
    })?;
    let figures = report::figures(report);
    let path = |name: &str| folder.join(format!("{name}.svg"));
    if let Some(path) =
        figures.iter().map(|(name, _)| path(name)).find(|path| path.exists() && !force)
    {
        return Err(Error::Exists { path });
    }
    for (name, svg) in &figures {
        file::save(&path(name), svg.as_bytes(), force)?;
    }
    note(&format!("{} in {}", counted(figures.len(), "figure"), folder.display()));
    Ok(())
}

/// What is not finite is null in JSON: infinite variances, and the mean of nothing.
fn document(report: &Report) -> Value {
    let maps: Vec<Value> = report
        .heatmaps
        .iter()
        .map(|map| {
            json!({
                "activation": map.activation.to_string(),
                "width": map.width,
                "scales": map.scales,
                "activation_std": map.activation_std,
                "gradient_std": map.gradient_std,
                "critical_scale": map.critical,
                "marks": map.marks.iter()
                    .map(|(init, scale)| json!({ "init": init, "scale": scale }))
                    .collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "engine": report.engine,
        "device": report.device,
        "input_correlation": report.input_correlation,
        "runs": report.runs.iter().map(of_run).collect::<Vec<_>>(),
        "heatmaps": maps,
    })
}

fn of_run(run: &Run) -> Value {
    let limit = |limit: Option<RangeLimit>| {
        limit.map(|limit| {
            json!({
                "kind": if limit.overflow { "overflow" } else { "underflow" },
                "depth": limit.depth,
                "seen": limit.seen,
            })
        })
    };
    let instead = run.advice.as_ref().and_then(|advice| advice.instead.as_ref());
    json!({
        "init": run.init,
        "bias": run.bias,
        "activation": run.activation.to_string(),
        "widths": run.widths,
        "depth": run.depth(),
        "residual": run.residual,
        "layer_norm": run.layer_norm,
        "seeds": run.seeds,
        "batch": run.batch,
        "verdict": run.verdict.kind.name(),
        "reason": run.verdict.reason,
        "instead": instead.map(Change::to_string),
        "instead_flags": instead.map(|change| flags::changed(change, run)),
        "tried": run.advice.iter().flat_map(|advice| &advice.tried).map(Change::to_string)
            .collect::<Vec<_>>(),
        "signal_limit": limit(run.verdict.signal_limit),
        "gradient_limit": limit(run.verdict.gradient_limit),
        "lsuv": run.lsuv,
        "layers": run.layers.iter().map(of_layer).collect::<Vec<_>>(),
    })
}

fn of_layer(layer: &LayerReport) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("layer".into(), json!(layer.layer));
    fields.insert("width".into(), json!(layer.width));
    let spreads: [(&str, Spread); 11] = [
        ("preactivation_mean", layer.preactivation_mean),
        ("preactivation_var", layer.preactivation_var),
        ("activation_mean", layer.activation_mean),
        ("activation_var", layer.activation_var),
        ("gradient_var", layer.gradient_var),
        ("gradient_norm", layer.gradient_norm),
        ("weight_gradient_var", layer.weight_gradient_var),
        ("weight_gradient_norm", layer.weight_gradient_norm),
        ("dead", layer.dead),
        ("saturated", layer.saturated),
        ("correlation", layer.correlation),
    ];
    for (name, spread) in spreads {
        fields.insert(name.into(), json!(spread.mean));
        fields.insert(format!("{name}_range"), json!([spread.min, spread.max]));
    }
    fields.insert("equal_units".into(), json!(layer.equal_units));
    fields.insert("not_finite".into(), json!(layer.not_finite));
    let predicted = layer.predicted.as_ref();
    let predictions: [(&str, Option<f64>); 8] = [
        ("preactivation_var", predicted.map(|p| p.preactivation_var)),
        ("activation_mean", predicted.map(|p| p.activation_mean)),
        ("activation_var", predicted.map(|p| p.activation_var)),
        ("gradient_var", predicted.map(|p| p.gradient_var)),
        ("weight_gradient_var", predicted.map(|p| p.weight_gradient_var)),
        ("correlation", predicted.map(|p| p.correlation)),
        ("activation_band", predicted.map(|p| p.activation_band)),
        ("gradient_band", predicted.map(|p| p.gradient_band)),
    ];
    for (name, value) in predictions {
        fields.insert(format!("predicted_{name}"), json!(value));
    }
    if let Some(histogram) = &layer.histogram {
        let ends = [histogram.edges.first(), histogram.edges.last()];
        fields.insert("histogram".into(), json!({ "range": ends, "counts": histogram.counts }));
    }
    Value::Object(fields)
}
