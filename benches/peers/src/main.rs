//! fanin beside its peers, in one run: Burn (wgpu on the same adapter, and its CPU backend), rand_distr,
//! and through `peers.py` PyTorch, NumPy and JAX.
//!
//! ```text
//! pip install torch numpy jax safetensors
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- matmul training_step
//! ```
//!
//! In each round each has its turn: the work once, not counted, so that threads are awake and the
//! last one's no longer spin, then again and again for a while. A ratio is theirs over ours within a
//! round, and the median over rounds is printed.

mod burned;
mod python;

use std::process::Command;
use std::time::Instant;

use fanin::Device;
use fanin::bench::{Case, cases};
use fanin::gpu::{Choice, Context, ContextOptions};
use rand::Rng;
use rand_distr::{Distribution as _, Normal, Uniform};

/// Rounds of a row.
const ROUNDS: usize = 11;

/// Seconds of a turn, where the work is shorter.
const TURN: f64 = 0.2;

/// What is done, unless the command line names some of it.
const WORK: [&str; 6] = ["normal", "uniform", "truncated_normal", "matmul", "training_step", "init"];

/// Elements of a fill, rows of a square product: those of `peers.py`.
pub const COUNT: usize = 1 << 24;
pub const SIZE: usize = 1024;

/// A peer's work: seconds it took, or none where the peer has no such thing.
pub type Work<'a> = (String, Box<dyn FnMut() -> Option<f64> + 'a>);

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let Some(other) = named.iter().find(|name| !WORK.contains(&name.as_str())) {
        eprintln!("`{other}` is none of: {}", WORK.join(", "));
        std::process::exit(2);
    }
    let wanted = |op: &&str| named.is_empty() || named.iter().any(|name| name == op);
    let python = python::Python::start();
    // A software driver where there is no GPU; Burn is given the same one.
    let context = Context::open(&Choice::Gpu, ContextOptions::default()).ok();
    println!("CPU engine: {}", Device::Cpu);
    if let Some(context) = &context {
        println!("adapter: {}", context.name());
    }
    println!("\n{:<18} {:<11} {:>12} {:<18} {:>12} {:>8}", "work", "ours on", "ours", "peer", "theirs", "ratio");
    for op in WORK.into_iter().filter(wanted) {
        if op == "init" {
            init();
            continue;
        }
        let mut peers: Vec<Work> = ["torch", "numpy", "jax"]
            .into_iter()
            .map(|library| -> Work {
                let python = &python;
                (library.into(), Box::new(move || python.as_ref()?.once(library, op)))
            })
            .collect();
        peers.extend(rand_distr(op));
        peers.extend(burned::on_cpu(op));
        rows(op, "CPU", &Device::Cpu, peers);
        if let Some(context) = &context {
            rows(op, "adapter", &context.clone().into(), burned::on_adapter(op, context));
        }
    }
}

/// The case of `fanin bench` that does this work.
fn case(op: &str) -> Case {
    let wanted = |case: &Case| match op {
        "matmul" => case.op == "matmul_nn" && case.size == "1024 x 1024 x 1024",
        "training_step" => case.op == op,
        _ => case.op == op && case.size == COUNT.to_string() && case.dtype.name() == "f32",
    };
    cases(false).into_iter().find(wanted).expect("fanin bench has it")
}

fn rows(op: &str, engine: &str, device: &Device, mut peers: Vec<Work>) {
    let case = case(op);
    // By the wall's clock, as the peers.
    let mut timed = match case.prepare(device) {
        Ok(timed) => timed,
        Err(error) => return println!("{op:<18} {engine:<11} {error}"),
    };
    let mut ours = || {
        let start = Instant::now();
        let own = timed.once().expect("the device answers");
        // A step is one of many in a submission.
        Some(if op == "training_step" { own } else { start.elapsed().as_secs_f64() })
    };
    peers.retain_mut(|(_, work)| work().is_some());
    let mut times: Vec<Vec<[f64; 2]>> = vec![Vec::new(); peers.len()];
    for _ in 0..ROUNDS {
        let Some(own) = turn(&mut ours) else { continue };
        for ((_, work), times) in peers.iter_mut().zip(&mut times) {
            if let Some(mut theirs) = turn(work) {
                if op == "training_step" {
                    theirs /= f64::from(burned::STEPS);
                }
                times.push([own, theirs]);
            }
        }
    }
    for ((name, _), times) in peers.iter().zip(times) {
        print_row(op, engine, name, &times, case.work.amount, case.work.unit.name());
    }
}

/// The mean seconds of a turn's work.
fn turn(work: &mut dyn FnMut() -> Option<f64>) -> Option<f64> {
    work()?;
    let (mut total, mut count) = (0.0, 0.0);
    while total < TURN {
        total += work()?;
        count += 1.0;
    }
    Some(total / count)
}

fn print_row(op: &str, engine: &str, peer: &str, times: &[[f64; 2]], amount: f64, unit: &str) {
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = times.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate = |seconds: f64| match amount / seconds {
        rate if rate >= 1e9 => format!("{:.2} G", rate / 1e9),
        rate if rate >= 1e6 => format!("{:.0} M", rate / 1e6),
        rate => format!("{rate:.1} "),
    };
    println!(
        "{op:<18} {engine:<11} {:>12} {peer:<18} {:>12} {:>8.2}   {unit}",
        rate(median(&|pair| pair[0])),
        rate(median(&|pair| pair[1])),
        median(&|pair| pair[1] / pair[0])
    );
}

/// One thread, as the crate is used.
fn rand_distr(op: &str) -> Option<Work<'static>> {
    let mut rng = rand::rng();
    let mut out = vec![0f32; COUNT];
    let normal = Normal::new(0f32, 0.02).ok()?;
    let uniform = Uniform::new(-0.05f32, 0.05).ok()?;
    let mut fill: Box<dyn FnMut(&mut dyn Rng) -> f32> = match op {
        "normal" => Box::new(move |mut rng| normal.sample(&mut rng)),
        "uniform" => Box::new(move |mut rng| uniform.sample(&mut rng)),
        _ => return None,
    };
    let work = move || {
        let start = Instant::now();
        out.iter_mut().for_each(|slot| *slot = fill(&mut rng));
        std::hint::black_box(&out);
        Some(start.elapsed().as_secs_f64())
    };
    Some(("rand_distr, 1 thread".into(), Box::new(work)))
}

/// Whole processes: `fanin init gpt2` and a script in PyTorch that makes and saves the same tensors.
fn init() {
    let recipe = fanin::recipe::Recipe::builtin("gpt2").expect("a built-in recipe");
    let shapes: Vec<_> = recipe
        .tensors
        .iter()
        .map(|tensor| {
            let source = &tensor.source;
            let drawn = source.std() > 0.0;
            let value = if drawn { source.std() } else { source.mean() };
            serde_json::json!([tensor.name, tensor.shape.dims(), if drawn { "normal" } else { "fill" }, value])
        })
        .collect();
    let folder = std::env::temp_dir().join("fanin-peers");
    std::fs::create_dir_all(&folder).expect("a folder");
    let list = folder.join("gpt2.json");
    std::fs::write(&list, serde_json::Value::from(shapes).to_string()).expect("a file");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let built = Command::new("cargo").args(["build", "--release", "--quiet"]).current_dir(root).status();
    assert!(built.is_ok_and(|status| status.success()), "fanin does not build");
    let binary = format!("{root}/target/release/fanin");
    let out = folder.join("gpt2.safetensors");
    let run = |command: &mut Command| {
        let start = Instant::now();
        let output = command.output().ok()?;
        output.status.success().then(|| start.elapsed().as_secs_f64())
    };
    let mut times = Vec::new();
    for round in 0..6 {
        let mut ours = Command::new(&binary);
        ours.args(["init", "gpt2", "--device", "cpu", "--force", "--out"]).arg(&out);
        let own = run(&mut ours);
        let theirs = run(Command::new(python::interpreter()).arg(python::SCRIPT).arg(&list));
        if let (true, Some(own), Some(theirs)) = (round > 0, own, theirs) {
            times.push([own, theirs]);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    if !times.is_empty() {
        print_row("init gpt2", "CPU", "torch script", &times, recipe.elements() as f64, "elements/s");
    }
}
