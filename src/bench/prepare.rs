use std::cell::RefCell;
use std::rc::Rc;

use super::cases::{BATCH, Case, Task, WIDTHS};
use crate::cpu;
use crate::device::{Device, Room};
use crate::gpu::{Context, Pass, Tensor};
use crate::host::Instant;
use crate::model::data::{Dataset, Targets};
use crate::model::{Network, TrainOptions, Trainer};
use crate::op::{
    self, Epilogue, FIRST, Form, GRADIENTS, Loss, Norm, Op, PARAMETERS, Phase, Program, Resident,
    SCALE, SECOND, Step, TARGETS, View,
};
use crate::random::{Distribution, Dtype, Slice, Stream, f32_from_f16};
use crate::recipe::{Recipe, WriteOptions, write};
use crate::{Activation, Error, Result, Shape, file, memory};

const STREAM: Stream = Stream::new(7, 1);

/// Elements of a fill that are held against their definition, at most.
const CHECKED: u64 = 1 << 20;

/// A case made ready on a device.
pub struct Timed {
    once: Box<dyn FnMut() -> Result<f64>>,
    check: Option<Box<dyn FnMut() -> Result<()>>>,
}

impl Timed {
    /// Does it once and says how many seconds it took: by the device's own clock where it has one
    /// ([`Context::pass_seconds`]), else by the wall's, the submission included. The first time makes
    /// pipelines and touches new memory, and is not one to go by.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn once(&mut self) -> Result<f64> {
        (self.once)()
    }

    /// Whether what it left, once done, is right: samples against their definition, elements of a
    /// product against f64. Other results have no check here; the tests hold them.
    ///
    /// # Errors
    /// [`Error::Device`] where something is wrong, and which.
    pub fn check(&mut self) -> Result<()> {
        self.check.as_mut().map_or(Ok(()), |check| check())
    }

    fn new(once: impl FnMut() -> Result<f64> + 'static) -> Timed {
        Timed { once: Box::new(once), check: None }
    }

    fn checked(self, check: impl FnMut() -> Result<()> + 'static) -> Timed {
        Timed { check: Some(Box::new(check)), ..self }
    }
}

impl Case {
    /// Whether it is a product that goes through the context's matrix units.
    pub fn takes_units(&self, context: &Context) -> bool {
        match self.task {
            Task::Product(form, sizes) => context.takes_units(self.dtype, form, sizes),
            _ => false,
        }
    }

    /// Makes it ready on a device.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the device cannot do it (products of f16 on the CPU, buffers larger than
    /// the device allows), [`Error::Device`] where the device fails.
    pub fn prepare(&self, device: &Device) -> Result<Timed> {
        match &self.task {
            Task::Step => step(device),
            Task::Init(name) => init(name, device),
            task => match (ops(task).filter(|_| self.dtype == Dtype::F32), device) {
                (Some(ops), _) => carried(ops, device),
                (None, Device::Gpu(context)) => self.on_gpu(context),
                (None, Device::Cpu) => self.on_cpu(),
            },
        }
    }

    fn on_cpu(&self) -> Result<Timed> {
        match self.task {
            Task::Fill(distribution, elements) => {
                let dtype = self.dtype;
                let out = Rc::new(RefCell::new(room::<u8>(elements * dtype.size() as u64)?));
                let own = out.clone();
                let timed = timed(&Device::Cpu, move || {
                    cpu::fill(&STREAM, &distribution, dtype, 0, &mut own.borrow_mut())
                });
                Ok(timed.checked(move || check_fill(&distribution, dtype, &out.borrow())))
            }
            Task::Slice(distribution, ref slice) => {
                let (dtype, slice) = (self.dtype, slice.clone());
                let out = room::<u8>(slice.elements() * dtype.size() as u64)?;
                let out = Rc::new(RefCell::new(out));
                let (own, same) = (out.clone(), slice.clone());
                let timed = timed(&Device::Cpu, move || {
                    let mut out = own.borrow_mut();
                    cpu::fill_slice(&STREAM, &distribution, dtype, &same, 0, &mut out)
                });
                Ok(timed.checked(move || check_slice(&distribution, dtype, &slice, &out.borrow())))
            }
            Task::Activate(activation, elements) => {
                let (x, mut out) = (normals(elements)?, room(elements)?);
                Ok(timed(&Device::Cpu, move || cpu::activate(activation, &x, &mut out)))
            }
            Task::Differentiate(activation, elements) => {
                let (x, dy) = (normals(elements)?, normals(elements)?);
                let mut dx = room(elements)?;
                Ok(timed(&Device::Cpu, move || {
                    cpu::activate_backward(activation, &x, &dy, &mut dx)
                }))
            }
            Task::Summary(elements) => {
                let x = normals(elements)?;
                Ok(timed(&Device::Cpu, move || {
                    std::hint::black_box(cpu::summary(&x));
                    Ok(())
                }))
            }
            _ => {
                Err(Error::invalid("dtype", self.dtype, "f32: the CPU engine multiplies no other"))
            }
        }
    }

    fn on_gpu(&self, context: &Context) -> Result<Timed> {
        let (context, dtype) = (context.clone(), self.dtype);
        let tensor = |dims: &[u64], dtype| Tensor::new(&context, Shape::new(dims)?, dtype);
        let normal = |dims: &[u64], dtype| -> Result<Tensor> {
            let tensor = tensor(dims, dtype)?;
            context.run(|pass| pass.fill(&tensor, &STREAM, &Distribution::normal(1.0)))?;
            Ok(tensor)
        };
        match self.task {
            Task::Fill(distribution, elements) => {
                let out = tensor(&[elements], dtype)?;
                let (own, device) = (out.clone(), context.clone());
                let timed = recorded(&context, move |pass| pass.fill(&own, &STREAM, &distribution));
                Ok(timed.checked(move || {
                    // What the host holds is bounded, whatever the device does.
                    let part = Shape::new([elements.min(CHECKED)])?;
                    let part = out.within(out.offset(), part, dtype)?;
                    check_fill(&distribution, dtype, &device.read(&part)?)
                }))
            }
            Task::Slice(distribution, ref slice) => {
                let (out, slice) = (tensor(&[slice.elements()], dtype)?, slice.clone());
                let (own, same, device) = (out.clone(), slice.clone(), context.clone());
                let timed = recorded(&context, move |pass| {
                    pass.fill_slice(&own, &STREAM, &distribution, &same)
                });
                Ok(timed.checked(move || {
                    let part = Shape::new([slice.elements().min(CHECKED)])?;
                    let part = out.within(out.offset(), part, dtype)?;
                    check_slice(&distribution, dtype, &slice, &device.read(&part)?)
                }))
            }
            Task::Product(form, [m, n, k]) => {
                let [a, b] = form.shapes([m, n, k]);
                let (a, b, out) =
                    (normal(&a, dtype)?, normal(&b, dtype)?, tensor(&[m, n], Dtype::F32)?);
                let (own, device) = (out.clone(), context.clone());
                let timed = recorded(&context, move |pass| {
                    pass.matmul(form, &a, &b, &own, &Epilogue::default(), 0)
                });
                Ok(timed.checked(move || {
                    let out = bytemuck::pod_collect_to_vec(&device.read(&out)?);
                    check_product(form, [m, n, k], dtype, &out)
                }))
            }
            Task::Activate(activation, elements) => {
                let (x, out) = (normal(&[elements], dtype)?, tensor(&[elements], dtype)?);
                Ok(recorded(&context, move |pass| pass.activate(activation, &x, &out)))
            }
            Task::Differentiate(activation, elements) => {
                let (x, dy) = (normal(&[elements], dtype)?, normal(&[elements], dtype)?);
                let dx = tensor(&[elements], dtype)?;
                Ok(recorded(&context, move |pass| pass.activate_backward(activation, &x, &dy, &dx)))
            }
            Task::Summary(elements) => {
                let x = normal(&[elements], dtype)?;
                Ok(timed(&context.clone().into(), move || context.summary(&x).map(drop)))
            }
            // Carried out by either engine.
            _ => Err(Error::invalid("dtype", dtype, "f32")),
        }
    }
}

/// The seconds of some work: on a device as [`Context::seconds`] has them, else by the wall's clock.
pub(super) fn seconds(device: &Device, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    if let Device::Gpu(context) = device {
        return context.seconds(work);
    }
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn timed(device: &Device, mut work: impl FnMut() -> Result<()> + 'static) -> Timed {
    let device = device.clone();
    Timed::new(move || seconds(&device, &mut work))
}

/// What is recorded into a pass, waited for.
fn recorded(
    context: &Context,
    record: impl Fn(&mut Pass<'_, '_>) -> Result<()> + 'static,
) -> Timed {
    let own = context.clone();
    timed(&context.clone().into(), move || {
        own.run(&record)?;
        own.wait()
    })
}

/// Zeros, if there is memory for them.
pub(super) fn room<T: Clone + Default>(length: u64) -> Result<Vec<T>> {
    memory::filled("a case", length as usize, T::default())
}

fn normals(elements: u64) -> Result<Vec<f32>> {
    let mut values: Vec<f32> = room(elements)?;
    let bytes = bytemuck::cast_slice_mut(&mut values);
    cpu::fill(&STREAM, &Distribution::normal(1.0), Dtype::F32, 0, bytes)?;
    Ok(values)
}

fn elements(sides: [usize; 3]) -> u64 {
    sides.iter().product::<usize>() as u64
}

/// The floats of each buffer, the rows of a batch, and what is done with them.
type Ops = (Vec<usize>, usize, Op);

/// The operation of a task, and the buffers that it works on: for those that both engines carry out.
fn ops(task: &Task) -> Option<Ops> {
    // The numbered buffers, and one more.
    const OUT: usize = TARGETS + 1;
    let mut slots = vec![0; OUT + 3];
    let mut view = |slot: usize, rows: u64, columns: u64| {
        slots[slot] = (rows * columns) as usize;
        View { slot, first: 0, rows: rows as usize, columns: columns as usize }
    };
    let mut batch = 1;
    let op = match *task {
        Task::Product(form, sizes) => {
            let [[am, an], [bm, bn]] = form.shapes(sizes);
            let (a, b) = (view(op::BATCH, am, an), view(PARAMETERS, bm, bn));
            Op::Product {
                form,
                a,
                b,
                out: view(OUT, sizes[0], sizes[1]),
                epilogue: Epilogue::default(),
            }
        }
        Task::Columns([m, n]) => {
            Op::Columns { values: view(op::BATCH, m, n), weights: None, out: view(OUT, 1, n) }
        }
        Task::Norm([m, n]) => Op::NormForward {
            norm: Norm {
                scale: view(PARAMETERS, 1, n),
                shift: view(GRADIENTS, 1, n),
                normalized: view(OUT, m, n),
                inverse: view(OUT + 1, m, 1),
                activation: Activation::Identity,
                dropout: None,
            },
            values: view(op::BATCH, m, n),
            after: None,
            out: view(OUT + 2, m, n),
        },
        Task::CrossEntropy([m, n]) => {
            batch = m as usize;
            Op::Loss {
                loss: Loss::CrossEntropy { smoothing: 0.0 },
                outputs: view(op::BATCH, m, n),
                targets: view(TARGETS, m, 1),
                gradient: view(OUT, m, n),
                wanted: true,
            }
        }
        Task::Unfold(conv, images) => {
            let [down, across, _] = conv.places_by_outputs();
            let [rows, depth] = [images * down * across, conv.depth()].map(|side| side as u64);
            let values = view(op::BATCH, images as u64, elements(conv.input));
            Op::Unfold { conv, values, out: view(OUT, rows, depth) }
        }
        Task::Conv(conv, images) => Op::Conv {
            conv,
            values: view(op::BATCH, images as u64, elements(conv.input)),
            weight: view(PARAMETERS, 1, conv.weight().iter().product::<usize>() as u64),
            bias: None,
            out: view(OUT, images as u64, elements(conv.places_by_outputs())),
        },
        Task::Pool(pool, images) => Op::Pool {
            pool,
            values: view(op::BATCH, images as u64, elements(pool.input)),
            out: view(OUT, images as u64, elements(pool.places_by_channels())),
        },
        Task::Clip(elements) => {
            view(GRADIENTS, 1, elements);
            view(SCALE, 1, 2);
            Op::Clip { bound: 1.0 }
        }
        Task::Update(optimizer, elements) => {
            let used = [PARAMETERS, GRADIENTS, FIRST, SECOND];
            for slot in &used[..2 + optimizer.moments()] {
                view(*slot, 1, elements);
            }
            let view = view(PARAMETERS, 1, elements);
            Op::Update { optimizer, clipped: false, view, rate: 1.0 }
        }
        _ => return None,
    };
    Some((slots, batch, op))
}

/// Through the interface of training, on either engine.
fn carried((slots, batch, op): Ops, device: &Device) -> Result<Timed> {
    let sizes = slots.clone();
    let program = Program::bare(slots, batch, vec![op]);
    let resident = Resident { features: &[], columns: 0, targets: &[], target_columns: 0 };
    let room = Room { steps: 1, rows: batch };
    let mut execution = device.execution(&program, &resident, room)?;
    for (slot, &floats) in
        sizes.iter().enumerate().filter(|(slot, _)| ![SECOND, TARGETS].contains(slot))
    {
        if floats > 0 {
            let view = View { slot, first: 0, rows: 1, columns: floats };
            execution.fill(view, &STREAM, &Distribution::normal(1.0))?;
        }
    }
    let step = Step {
        rows: batch as u32,
        lr: 1e-3,
        correction1: 1.0,
        correction2: 1.0,
        inverse: 1.0 / batch as f32,
        ..Step::default()
    };
    let execution = Rc::new(RefCell::new(execution));
    let own = execution.clone();
    let timed =
        timed(device, move || own.borrow_mut().run(&[], &[(Phase::Train, step)], false).map(drop));
    let Op::Product { form, a, out, .. } = op else { return Ok(timed) };
    let depth = if form == Form::Tn { a.rows } else { a.columns };
    let sizes = [out.rows, out.columns, depth].map(|size| size as u64);
    Ok(timed.checked(move || {
        check_product(form, sizes, Dtype::F32, &execution.borrow_mut().read(out)?)
    }))
}

/// Samples against their definition: of a long fill its first.
fn check_fill(distribution: &Distribution, dtype: Dtype, out: &[u8]) -> Result<()> {
    let whole = Shape::new([(out.len() / dtype.size()) as u64])?;
    check_slice(distribution, dtype, &Slice::whole(whole), out)
}

fn check_slice(distribution: &Distribution, dtype: Dtype, slice: &Slice, out: &[u8]) -> Result<()> {
    let out = &out[..out.len().min(dtype.size() * CHECKED as usize)];
    let mut defined = vec![0; out.len()];
    let mut rest = &mut defined[..];
    for run in slice.runs(0..(out.len() / dtype.size()) as u64) {
        let own;
        (own, rest) = rest.split_at_mut(run.count as usize * dtype.size());
        distribution.draw(&STREAM, dtype, run.first, own)?;
    }
    let wrong = out.iter().zip(&defined).position(|(got, want)| got != want);
    wrong.map_or(Ok(()), |at| {
        Err(unlike(format!("element {} of a fill is not what is defined", at / dtype.size())))
    })
}

/// Elements of a product of normals against f64, within Higham's bound of a sum: `gamma_k |A| |B|`.
fn check_product(form: Form, [m, n, k]: [u64; 3], dtype: Dtype, out: &[f32]) -> Result<()> {
    let factors = form.shapes([m, n, k]).map(|[rows, columns]| -> Result<Vec<f32>> {
        let mut bytes = room::<u8>(rows * columns * dtype.size() as u64)?;
        cpu::fill(&STREAM, &Distribution::normal(1.0), dtype, 0, &mut bytes)?;
        Ok(match dtype {
            Dtype::F16 => bytes
                .chunks_exact(2)
                .map(|half| f32_from_f16(u16::from_le_bytes([half[0], half[1]])))
                .collect(),
            _ => bytemuck::pod_collect_to_vec(&bytes),
        })
    });
    let [a, b] = factors;
    let (a, b) = (a?, b?);
    let [m, n, k] = [m, n, k].map(|size| size as usize);
    let strides = form.strides([m, n, k]);
    // Corners, and places that no tile's edge has in common.
    let places = (0..64).map(|at| (at * 7919 % m, at * 104_729 % n)).chain([(m - 1, n - 1)]);
    for (row, column) in places {
        let (mut sum, mut size) = (0.0, 0.0);
        for depth in 0..k {
            let of_a = a[row * strides.a_row + depth * strides.a_depth];
            let of_b = b[column * strides.b_column + depth * strides.b_depth];
            let product = f64::from(of_a) * f64::from(of_b);
            (sum, size) = (sum + product, size + product.abs());
        }
        let got = out[row * n + column];
        let bound = size * k as f64 * f64::from(f32::EPSILON) / 2.0 * 1.001;
        // Which no NaN is.
        let close = (f64::from(got) - sum).abs() <= bound;
        if !close {
            let place = format!("element [{row}, {column}] of {form:?} {m} x {n} x {k}");
            return Err(unlike(format!("{place} is {got}, not {sum}")));
        }
    }
    Ok(())
}

fn unlike(message: String) -> Error {
    Error::Device { device: "what is timed".into(), message }
}

/// A perceptron of these widths, of ReLUs.
fn network([inputs, hidden @ .., outputs]: [u64; 4]) -> Result<Network> {
    let layers = hidden.map(|width| format!("dense:{width} relu"));
    Network::parse(Shape::new([inputs])?, outputs, &format!("{} dense", layers.join(" ")))
}

/// Steps of training by the trainer itself, 64 at a time.
fn step(device: &Device) -> Result<Timed> {
    let (rows, columns) = (4 * BATCH, WIDTHS[0] as usize);
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let labels = (0..rows as u32).map(|row| row % 10).collect();
    let set = Dataset {
        name: "noise".into(),
        features: normals((rows * columns) as u64)?.into(),
        feature_names: names(columns),
        targets: Targets::Classes { labels, names: names(10) },
    };
    let options = TrainOptions { batch: Some(BATCH), epochs: 1 << 40, ..TrainOptions::default() };
    let mut trainer = Trainer::new(device, &network(WIDTHS)?, &options, &set, None)?;
    let device = device.clone();
    Ok(Timed::new(move || {
        let before = trainer.step();
        let passed = seconds(&device, || trainer.advance())?;
        Ok(passed / (trainer.step() - before) as f64)
    }))
}

/// A whole model into a file, written anew each time.
fn init(name: &str, device: &Device) -> Result<Timed> {
    let recipe = Recipe::builtin(name)?;
    let scratch = file::scratch()?;
    // The scratch is locked, and whoever writes into a folder locks it.
    let folder = scratch.path().join("model");
    std::fs::create_dir(&folder).map_err(|error| Error::file("create", &folder, error))?;
    let device = device.clone();
    Ok(timed(&Device::Cpu, move || {
        // Moved in here, so that it stays as long as the work.
        let _scratch = &scratch;
        let out = folder.join("model.safetensors");
        write(&recipe, &device, WriteOptions { force: true, ..WriteOptions::new(&out) }).map(drop)
    }))
}
