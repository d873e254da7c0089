//! The arguments, and the network and options that they come to.

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use fanin::init::Init;
use fanin::model::data::Task;
use fanin::model::layers::ENTRIES;
use fanin::model::{Decay, Loss, Mlp, Network, Optimizer, Schedule, TrainOptions};
use fanin::op::{Arithmetic, Operands};
use fanin::{Activation, Result, Shape, counted};

use crate::cli::catalogue::{formulas, learning_rates, one_of};
use crate::cli::columns::ColumnArgs;
use crate::cli::{DeviceArgs, given};

/// What `fanin train` alone shows.
pub(super) const DEMONSTRATION: &str = "the demonstration: 30 layers of 64, plain SGD (--data, \
                                        --hidden or --optimizer ask for another)";

/// What says, beside [`ColumnArgs`], that another network is to be trained than that of the demonstration, or
/// that it is to be kept.
const OWN: [&str; 11] = [
    "data",
    "task",
    "hidden",
    "network",
    "input_shape",
    "mup",
    "optimizer",
    "resume",
    "out",
    "save_initial",
    "print_recipe",
];

/// In 80 columns: what is wrapped by hand is not to be wrapped again.
const HELP: &str = "\
Where no option says which data, network or optimizer to take, nor which file to
write or to read, a network of 30 layers of 64 units goes through the spirals
for 15 epochs by plain SGD (--lr 0.015, --schedule cosine, --batch 16), from
he_normal, xavier_normal and normal:0.01: one of them lets it learn. All other
options hold for it too. With one of those, the defaults are those above.

Examples:
  fanin train
  fanin train --init he_normal,orthogonal:gain=relu,zeros --seeds 10
  fanin train --residual --layer-norm
  fanin train --data digits --hidden 256,256 --activation gelu --epochs 20
  fanin train --data houses.csv --target price --out houses.safetensors
  fanin train --data survey.csv --target income,rent --drop id --one-hot town \\
      --missing median
  fanin train --data mnist/ --batch 256 --device gpu
  fanin train --network 'dense:64 relu residual(norm dense:64 gelu) dense'
  fanin train --data digits --hidden 256 --exact
  fanin train --resume houses.safetensors --epochs 60 --out more.safetensors

Verdicts compare the training loss (the last epoch's, or that of the final
network on all training rows, whichever is less) with that of the best constant
answer:
  learned     more than 10 % below it
  overfitted  the same, but on 20 test rows or more accuracy or R2 is lower by
              0.1 or more, and what it is a mean of differs by more than three
              standard errors
  learning    1 to 10 % below it; or it still falls, the last epoch's being
              more than 1 % below every earlier one's; or the run has fewer than
              two epochs; or accuracy is 0.1 or more above that answer's
  stuck       none of these, or the weights cannot learn; why is said
  diverged    something became infinite or not a number; what, where and when

Accuracy is the share of rows whose class has the largest output, with bce too.
Of several targets from 0 to 1 a row with bce (labels that may come together) it
is the share of single ones whose output is on the target's side of 1/2. R2 is
1 - (mean squared error) / variance over the rows; of several targets the mean
over them, as scikit-learn's r2_score has it.";

/// The formulas, the layers, and the rest.
fn long_help() -> String {
    let entries = ENTRIES.iter().map(|entry| (entry.form.to_owned(), entry.help.to_owned()));
    let others = [
        ("NONLINEARITY", "element by element, by its name: relu, leaky_relu:0.2"),
        (
            "residual(LAYERS)",
            "x + LAYERS(x): what goes in is added to what comes out, of the same shape",
        ),
    ];
    let others = others.map(|(form, help)| (form.to_owned(), help.to_owned()));
    [
        formulas(
            "Nonlinearities; numbers may be left out and are then as said",
            Activation::help(),
        ),
        formulas("Losses, z being an output and t its target", Loss::help()),
        formulas("Optimizers, g being a gradient and w its parameter", Optimizer::help()),
        formulas(
            "Layers of --network, one after the other with spaces between them",
            entries.chain(others).collect(),
        ),
        HELP.to_owned(),
    ]
    .join("\n")
}

#[derive(Args)]
#[command(after_help = HELP, after_long_help = long_help())]
pub struct TrainArgs {
    /// A generated set (spirals, moons, rings, teacher, digits), or a file: CSV with a header, a
    /// folder of MNIST's IDX files (gzipped or not), .npy, .npz or .safetensors
    #[arg(long, default_value = "spirals", value_name = "SET")]
    pub(super) data: String,

    #[command(flatten)]
    pub(super) columns: ColumnArgs,

    /// classify or regress; guessed from the target, and said, where it is not given
    #[arg(long)]
    pub(super) task: Option<Task>,

    /// Widths of the hidden layers
    #[arg(long, value_delimiter = ',', default_value = "64,64,64,64", value_name = "WIDTHS")]
    pub(super) hidden: Vec<u64>,

    /// The network, layer by layer, in place of --hidden and what goes with it: dense[:N],
    /// a nonlinearity's name, norm, dropout:P, residual(...); all below
    #[arg(
        long,
        value_name = "LAYERS",
        conflicts_with_all = [
            "hidden", "activation", "dropout", "residual", "layer_norm", "norm_init", "mup",
        ]
    )]
    pub(super) network: Option<String>,

    /// What a row is to --network, channels last [default: a vector, or a square picture of one
    /// channel where the first layer takes pictures]
    #[arg(long, value_delimiter = ',', value_name = "H,W,C", requires = "network")]
    pub(super) input_shape: Vec<u64>,

    #[arg(
        long,
        default_value = "relu",
        help = one_of("The nonlinearity of the hidden layers", Activation::help())
    )]
    pub(super) activation: Activation,

    /// Initializers of the weights; each trains a network of its own
    #[arg(long, default_value = "he_normal", value_name = "INIT,...")]
    pub(super) init: String,

    /// The initializer of the biases
    #[arg(long, default_value = "zeros")]
    pub(super) bias: Init,

    #[arg(
        long,
        help = one_of("The loss", Loss::help())
            + "; by the task where none is given. Targets that are numbers stay as they are with bce, \
               which needs 0 to 1"
    )]
    pub(super) loss: Option<Loss>,

    #[arg(long, default_value = "adam", help = one_of("The optimizer", Optimizer::help()))]
    pub(super) optimizer: Optimizer,

    #[arg(long, allow_negative_numbers = true, help = learning_rates())]
    pub(super) lr: Option<f64>,

    /// constant, step:EPOCHS,FACTOR, cosine or cosine:FLOOR
    #[arg(long, default_value = "constant")]
    pub(super) schedule: Schedule,

    /// Steps over which the learning rate rises to its height
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    pub(super) warmup: u64,

    /// Passes over the training rows
    #[arg(long, default_value_t = 40)]
    pub(super) epochs: u64,

    /// Rows a step, or `full` [default: 64, or all training rows where there are fewer]
    #[arg(long, value_parser = parse_batch)]
    pub(super) batch: Option<Batch>,

    /// The share of rows kept for testing; a set that comes with test rows keeps its own
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", allow_negative_numbers = true)]
    pub(super) test_split: f64,

    /// Leave features (and values to predict) as they are; else each column gets mean 0 and
    /// variance 1 over the training rows
    #[arg(long)]
    pub(super) no_standardize: bool,

    /// Take the rows in their own order in each epoch
    #[arg(long)]
    pub(super) no_shuffle: bool,

    /// The probability with which a hidden unit falls in training
    #[arg(long, default_value_t = 0.0, value_name = "P", allow_negative_numbers = true)]
    pub(super) dropout: f64,

    /// Weight decay: in the gradient, but apart from it for adamw (where 0.01 is the default)
    #[arg(long, allow_negative_numbers = true)]
    pub(super) weight_decay: Option<f64>,

    /// Bring the norm of all gradients together down to this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pub(super) clip: Option<f64>,

    /// Residual connections: h + f(W h + b) in place of f(W h + b), in each hidden layer but the first
    /// whose input h is as wide as its output
    #[arg(long)]
    pub(super) residual: bool,

    /// Normalize what goes into each nonlinearity
    #[arg(long)]
    pub(super) layer_norm: bool,

    /// The initializer of layer norm's scale in layers with a residual connection: with zeros they
    /// start as the identity (needs --layer-norm, --residual, and a nonlinearity with a slope at 0)
    #[arg(long, value_name = "INIT")]
    pub(super) norm_init: Option<Init>,

    /// The maximal update parametrization: initial weights and learning rates for these hidden widths,
    /// one for all or one each, carried over to those of --hidden, so that a --lr found at the base
    /// width fits
    #[arg(long, value_delimiter = ',', value_name = "BASE_WIDTH")]
    pub(super) mup: Option<Vec<u64>>,

    /// The seed of the weights, the split, the order of rows and dropout, and of generated data
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,

    /// Train from so many seeds, --seed being the first, each as it would be alone: the table has
    /// medians and how far apart they are, --json every run
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub(super) seeds: u64,

    /// Write the trained parameters and the optimizer's state to a .safetensors file, at the end or
    /// when interrupted; with several initializers, one file each (run.he_normal.safetensors)
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,

    /// Write the initial weights to a .safetensors file (with several initializers, one each): those
    /// that `fanin init` draws from the recipe of --print-recipe
    #[arg(long, value_name = "FILE")]
    pub(super) save_initial: Option<PathBuf>,

    /// Go on from a file that --out wrote; what is not said again is as the run had it
    #[arg(long, value_name = "FILE")]
    pub(super) resume: Option<PathBuf>,

    /// Write the loss curves as an SVG picture; fanin-train.svg where neither this nor --no-plot nor
    /// --json is given
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,

    /// Write no picture
    #[arg(long, conflicts_with = "plot")]
    pub(super) no_plot: bool,

    /// Write one JSON line for each epoch of each run
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,

    /// Replace files that exist
    #[arg(long, short)]
    pub(super) force: bool,

    /// One JSON document on stdout in place of the tables
    #[arg(long)]
    pub(super) json: bool,

    /// Train in the exact arithmetic: the same trained weights, bit for bit, on every device, and their
    /// digest at the end. Products take factors of 12 significant bits, or of all 24 with --exact=24,
    /// which takes longer
    #[arg(
        long,
        value_name = "BITS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "12"
    )]
    pub(super) exact: Option<Operands>,

    /// Print the recipe of the network's initial weights (of the first initializer), for
    /// `fanin init`, and stop
    #[arg(long)]
    pub(super) print_recipe: bool,

    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// Whether nobody asked for another network than the demonstration's.
    #[arg(skip)]
    pub(super) demonstration: bool,
}

impl TrainArgs {
    /// With the settings of the demonstration where nothing that was `given` asks for others.
    pub(super) fn settled(mut self, matches: &ArgMatches) -> TrainArgs {
        let given = |id: &str| given(matches, id);
        let own = |id: &&clap::Id| OWN.contains(&id.as_str()) || ColumnArgs::has(id.as_str());
        self.demonstration = !matches.ids().filter(own).any(|id| given(id.as_str()));
        if self.demonstration {
            self.hidden = vec![64; 29];
            self.optimizer = Optimizer::sgd();
            self.lr = self.lr.or(Some(0.015));
            if !given("schedule") {
                self.schedule = Schedule { decay: Decay::Cosine { floor: 0.0 }, ..self.schedule };
            }
            if !given("init") {
                self.init = "he_normal,xavier_normal,normal:0.01".into();
            }
            if !given("batch") {
                self.batch = Some(Batch::Rows(16));
            }
            if !given("epochs") {
                self.epochs = 15;
            }
        }
        self
    }
}

#[derive(Clone, Copy)]
pub(super) enum Batch {
    Full,
    Rows(usize),
}

fn parse_batch(text: &str) -> std::result::Result<Batch, String> {
    match text {
        "full" => Ok(Batch::Full),
        _ => text.parse().map(Batch::Rows).map_err(|_| "needed a number of rows, or `full`".into()),
    }
}

pub(super) fn network(
    args: &TrainArgs,
    inputs: usize,
    outputs: u64,
    init: Init,
) -> Result<Network> {
    if let Some(text) = &args.network {
        let input = match &args.input_shape[..] {
            [] => Shape::new([inputs as u64])?,
            dims => Shape::new(dims)?,
        };
        return Ok(Network::parse(input, outputs, text)?.init(init).bias(args.bias));
    }
    // `--hidden 0` and the like are told apart from no hidden layer at all.
    let widths = [&[inputs as u64][..], &args.hidden, &[outputs]].concat();
    let mut mlp = Mlp::new(widths)?
        .activation(args.activation)
        .init(init)
        .bias(args.bias)
        .dropout(args.dropout)
        .residual(args.residual)
        .layer_norm(args.layer_norm);
    if let Some(init) = args.norm_init {
        mlp = mlp.norms(init);
    }
    if let Some(base) = &args.mup {
        mlp = mlp.mup(base.clone());
    }
    mlp.network()
}

/// Rows a step where nobody says how many.
const BATCH: usize = 64;

/// What is to be said where there are fewer rows than that.
pub(super) fn fewer_rows(args: &TrainArgs, rows: usize) -> Option<String> {
    let fewer = args.batch.is_none() && rows < BATCH;
    fewer
        .then(|| format!("steps of {}: there are no more (--batch: {BATCH})", counted(rows, "row")))
}

/// For so many training rows.
pub(super) fn options(args: &TrainArgs, rows: usize) -> TrainOptions {
    let optimizer = match args.weight_decay {
        Some(decay) => args.optimizer.with_weight_decay(decay),
        None => args.optimizer,
    };
    TrainOptions {
        loss: args.loss,
        optimizer,
        lr: args.lr.unwrap_or(optimizer.default_lr()),
        schedule: Schedule { warmup: args.warmup, ..args.schedule },
        batch: match args.batch {
            Some(Batch::Full) => None,
            Some(Batch::Rows(rows)) => Some(rows),
            None => Some(rows.min(BATCH)),
        },
        epochs: args.epochs,
        seed: args.seed,
        shuffle: !args.no_shuffle,
        clip: args.clip,
        arithmetic: args.exact.map_or(Arithmetic::Native, Arithmetic::Exact),
    }
}
