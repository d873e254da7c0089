//! Training in a browser: all that training asks of a device natively is asked of Chromium's, and what comes of
//! it is the CPU engine's, to the bit.

use std::collections::BTreeMap;
use std::time::Instant;

use fanin::gpu::{Choice, Context, ContextOptions, Event, Stretch, Trace};
use fanin::model::data::Generated;
use fanin::model::{Network, TrainOptions, Trainer};
use fanin::op::{Arithmetic, Operands};
use fanin::shaders::Access;
use fanin::{Device, Shape, wgpu};
use serde_json::{Value, json};

use super::browser::{browser, result_of};
use crate::devices::{SEED, forms};

/// A training, and whether its kernels are those of a GPU.
struct Case {
    set: Generated,
    rows: usize,
    network: &'static str,
    optimizer: &'static str,
    clip: Option<f64>,
    operands: Operands,
    steps: u64,
    as_gpu: bool,
}

const ROWS_A_STEP: usize = 64;

/// Two hundred steps of everything; the last batch of an epoch may be short.
const CASES: [Case; 4] = [
    Case {
        set: Generated::Digits,
        rows: 640,
        network: "dense:64 relu dense",
        optimizer: "adamw",
        clip: None,
        operands: Operands::Short,
        steps: 200,
        as_gpu: true,
    },
    Case {
        set: Generated::Spirals,
        rows: 300,
        network: "dense:32 norm tanh dense:32 norm tanh dense",
        optimizer: "adam",
        clip: None,
        operands: Operands::Short,
        steps: 200,
        as_gpu: false,
    },
    Case {
        set: Generated::Spirals,
        rows: 300,
        network: "dense:32 relu dropout:0.1 dense:32 relu dropout:0.1 dense",
        optimizer: "sgd:0.9",
        clip: Some(0.5),
        operands: Operands::Short,
        steps: 200,
        as_gpu: true,
    },
    Case {
        set: Generated::Digits,
        rows: 640,
        network: "dense:64 relu dense",
        optimizer: "adamw",
        clip: None,
        operands: Operands::Full,
        steps: 20,
        as_gpu: false,
    },
];

impl Case {
    fn train(&self, device: &Device) -> Trainer {
        let set = self.set.generate(SEED, Some(self.rows)).unwrap();
        let input = Shape::new([set.columns() as u64]).unwrap();
        let outputs = if self.set == Generated::Digits { 10 } else { 3 };
        let network = Network::parse(input, outputs, self.network).unwrap();
        let options = TrainOptions {
            optimizer: self.optimizer.parse().unwrap(),
            lr: 0.01,
            batch: Some(ROWS_A_STEP),
            epochs: self.steps / self.rows.div_ceil(ROWS_A_STEP) as u64,
            seed: SEED,
            clip: self.clip,
            arithmetic: Arithmetic::Exact(self.operands),
            ..TrainOptions::default()
        };
        let mut trainer = Trainer::new(device, &network, &options, &set, None).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        assert_eq!((trainer.step(), trainer.diverged()), (self.steps, false));
        trainer
    }

    /// The CPU's digest, and what an adapter was asked for that has it too; the last that it was asked are
    /// the bytes that are digested.
    fn trace(&self) -> (String, Trace) {
        // A software adapter has the kernels of either kind.
        let infos = || forms().iter().map(Context::adapter_info);
        let software = infos().find(|info| info.device_type == wgpu::DeviceType::Cpu);
        let info = software.or_else(|| infos().next()).unwrap();
        let choice: Choice = format!("{}:{}", info.backend.to_str(), info.name).parse().unwrap();
        // What a browser has, and what a context of a browser would make.
        let options = ContextOptions {
            int64: false,
            longs: false,
            subgroups: false,
            tuned: false,
            as_gpu: self.as_gpu,
            ..ContextOptions::default()
        };
        let context = Context::open(&choice, options).unwrap().with_guard().with_trace();
        let digest = self.train(&Device::Cpu).digest().unwrap();
        let found = self.train(&Device::Gpu(context.clone())).digest().unwrap();
        assert_eq!(found, digest, "{} {}", self.network, context.name());
        (digest, context.trace().unwrap())
    }
}

/// What the page is given, of several traces: each source and pipeline once.
#[derive(Default)]
struct Work {
    sources: Vec<String>,
    pipelines: Vec<Value>,
    replays: Vec<Value>,
}

/// The place of a value, which is added where it is new.
fn place<T: PartialEq>(all: &mut Vec<T>, value: T) -> usize {
    all.iter().position(|own| *own == value).unwrap_or_else(|| {
        all.push(value);
        all.len() - 1
    })
}

impl Work {
    fn replay(&mut self, trace: &Trace) {
        let mut dispatches = Vec::new();
        for dispatch in &trace.dispatches {
            // Those of one index are alternatives of one access.
            let layout: BTreeMap<u32, Value> =
                dispatch.module.bindings.iter().map(|own| (own.index, entry(own.access))).collect();
            let constants: BTreeMap<&str, u32> = dispatch.constants.iter().copied().collect();
            let source = place(&mut self.sources, dispatch.module.source_of(&dispatch.variant));
            let pipeline = json!({
                "source": source,
                "entry": dispatch.entry,
                "constants": constants,
                "layout": layout.into_values().collect::<Vec<_>>(),
            });
            dispatches.push(json!({
                "pipeline": place(&mut self.pipelines, pipeline),
                "bound": dispatch.bound.iter().map(stretch).collect::<Vec<_>>(),
                "grid": dispatch.grid,
            }));
        }
        // What is read before is the library's own to know.
        let read = |event: &&Event| matches!(event, Event::Read(_));
        let last = trace.events.iter().rev().take_while(read).count();
        let before = trace.events.len() - last;
        let events = trace.events.iter().enumerate().filter_map(|(at, event)| match event {
            Event::Write(to, bytes) => {
                let words: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
                Some(json!({ "write": stretch(to), "words": words }))
            }
            Event::Dispatch(dispatch, offset) => {
                Some(json!({ "dispatch": dispatch, "offsets": offset.as_slice() }))
            }
            Event::Read(from) => (at >= before).then(|| json!({ "read": stretch(from) })),
        });
        let buffers = trace.buffers.iter().map(|(size, usage)| {
            json!({ "size": size, "uniform": usage.contains(wgpu::BufferUsages::UNIFORM) })
        });
        self.replays.push(json!({
            "buffers": buffers.collect::<Vec<_>>(),
            "dispatches": dispatches,
            "events": events.collect::<Vec<_>>(),
        }));
    }

    fn json(&self) -> Value {
        json!({
            "features": [],
            "sources": self.sources,
            "pipelines": self.pipelines,
            "draws": [],
            "table": [],
            "replays": self.replays,
        })
    }
}

fn stretch(own: &Stretch) -> Value {
    json!([own.buffer, own.offset, own.size])
}

/// A binding's layout, as JavaScript has it.
fn entry(access: Access) -> Value {
    let kind = match access {
        Access::Uniform | Access::Step => "uniform",
        Access::Read => "read-only-storage",
        Access::ReadWrite => "storage",
    };
    json!({ "type": kind, "hasDynamicOffset": access == Access::Step })
}

#[test]
fn exact_training_in_a_browser_has_the_cpus_bits() {
    let Some(name) = browser() else {
        println!("FANIN_TEST_CHROMIUM=none: no browser");
        return;
    };
    let start = Instant::now();
    let mut work = Work::default();
    let digests = CASES.each_ref().map(|case| {
        let (digest, trace) = case.trace();
        work.replay(&trace);
        digest
    });
    let traced = start.elapsed().as_secs_f64();
    let result = result_of(&name, &work.json());
    let took = start.elapsed().as_secs_f64() - traced;
    println!(
        "{name}: {} sources, {} pipelines on {} in {took:.1} s after {traced:.1}, of which {} ms of replays",
        work.sources.len(),
        work.pipelines.len(),
        result["adapter"],
        result["replayed"],
    );
    for what in ["sources", "pipelines"] {
        let failed: Vec<&Value> =
            result[what].as_array().unwrap().iter().filter(|own| own.is_string()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
    for (index, (case, digest)) in CASES.iter().zip(&digests).enumerate() {
        let Case { set, network, operands, as_gpu, .. } = case;
        let place = format!("{set}, {network}, operands of {operands}, as a GPU: {as_gpu}");
        assert_eq!(result["replays"][index], digest.as_str(), "{place}");
    }
}
