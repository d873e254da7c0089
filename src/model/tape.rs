use std::collections::HashMap;

use super::Parameter;
use crate::op::{
    BATCH, GRADIENTS, Op, PARAMETERS, Parts, SCALE, Slot, TARGETS, View, fused, placed,
};
use crate::random::Stream;
use crate::{Error, Result, Shape};

/// Parameters start at multiples of this many floats: any device binds at 256 bytes.
const ALIGNMENT: usize = 64;

/// Two tensors of one name, which would be drawn alike.
pub(super) fn two_of(name: &str) -> Error {
    Error::invalid(format!("tensor `{name}`"), "two of one name", "a name for each layer")
}

/// How much of a network is in memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// All of it: a step is one run of operations.
    Whole,
    /// All signals, but the parameters and their gradients of one [`Stage`] at a time, each stage's in
    /// the place of the last one's: whoever runs it draws a stage's parameters again when its turn
    /// comes, and takes what it wants of the gradients before they are gone.
    Stagewise,
}

/// What flows between layers: for each row of the batch the elements of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(usize);

/// A parameter's values, and its gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights {
    pub value: View,
    pub gradient: View,
}

/// A layer with weights and what follows it, up to the next layer with weights.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Of the layer with weights.
    pub name: String,
    /// What that layer puts out, `z`.
    pub values: View,
    /// What enters the nonlinearity: `z`, normalized where there is a norm (whose scale and shift are 1
    /// and 0 at first).
    pub entering: View,
    /// What the stage puts out, `h`, and its gradient.
    pub output: View,
    pub output_gradient: View,
}

/// Which way an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    /// Neither: what comes after the one and before the other.
    Between,
    Backward,
}

/// A signal on its way.
struct Flow {
    view: View,
    /// Per row.
    shape: Shape,
    /// Whether a parameter goes into it, so that its gradient is wanted.
    wanted: bool,
    /// What has come back to it, each from a stage; more than one where several layers take it.
    back: Vec<(usize, View)>,
}

/// Records what the layers of a network do: their operations forward, in order, and what each does on
/// the way back, which is played from the last to the first.
pub struct Tape {
    slots: Vec<usize>,
    batch: usize,
    seed: u64,
    memory: Memory,
    ops: Vec<((usize, Way), Op)>,
    flows: Vec<Flow>,
    back: Vec<(usize, Back)>,
    parameters: Vec<Parameter>,
    places: HashMap<String, usize>,
    /// The layer that is being recorded, and whether gradients are wanted of what it puts out.
    name: String,
    wanted: bool,
    stages: Vec<Open>,
    /// The stage that is recorded or played.
    stage: usize,
    way: Way,
    /// The floats that the parameters of this stage, or of all, have taken.
    taken: usize,
}

/// What a layer does on the way back.
type Back = Box<dyn FnOnce(&mut Tape)>;

/// A stage that is being recorded.
#[derive(Default)]
struct Open {
    name: Option<String>,
    values: Option<View>,
    entering: Option<View>,
    output: Option<Signal>,
}

/// A network as operations on buffers.
pub(crate) struct Wired {
    /// Floats in each buffer.
    pub slots: Vec<usize>,
    pub parameters: Vec<Parameter>,
    pub stages: Vec<Stage>,
    pub outputs: View,
    pub outputs_gradient: View,
    /// Of each stage, from the first to the last.
    pub forward: Vec<Vec<Op>>,
    /// What stands between the two ways.
    pub between: Vec<Op>,
    /// Of each stage, to be carried out from the last to the first.
    pub backward: Vec<Vec<Op>>,
}

impl Tape {
    pub(super) fn new(
        input: &Shape,
        batch: usize,
        seed: u64,
        target_columns: usize,
        memory: Memory,
    ) -> (Tape, Signal) {
        let mut slots = vec![0; TARGETS + 1];
        slots[SCALE] = ALIGNMENT;
        let columns = input.elements() as usize;
        slots[BATCH] = batch * columns;
        slots[TARGETS] = batch * target_columns;
        let view = View { slot: BATCH, first: 0, rows: batch, columns };
        let first = Flow { view, shape: input.clone(), wanted: false, back: Vec::new() };
        let tape = Tape {
            slots,
            batch,
            seed,
            memory,
            ops: Vec::new(),
            flows: vec![first],
            back: Vec::new(),
            parameters: Vec::new(),
            places: HashMap::new(),
            name: String::new(),
            wanted: false,
            stages: vec![Open::default()],
            stage: 0,
            way: Way::Forward,
            taken: 0,
        };
        (tape, Signal(0))
    }

    /// A layer's turn: `record` is given the tape, on which the layer's name and its parameters (the last
    /// part of each one's name, and its shape) are then known, and returns what the layer puts out. A
    /// layer that `weighs` begins a stage.
    pub(super) fn turn(
        &mut self,
        name: &str,
        weighs: bool,
        parameters: Vec<(&str, Shape)>,
        input: Signal,
        record: impl FnOnce(&mut Tape) -> Result<Signal>,
    ) -> Result<Signal> {
        if weighs && self.stages[self.stage].name.is_some() {
            self.stages[self.stage].output = Some(input);
            self.stages.push(Open::default());
            self.stage += 1;
            if self.memory == Memory::Stagewise {
                self.taken = 0;
            }
        }
        let wanted = !parameters.is_empty() || self.wants(input);
        for (part, shape) in parameters {
            self.place(format!("{name}.{part}"), shape)?;
        }
        let outer = (std::mem::replace(&mut self.name, name.to_owned()), self.wanted);
        self.wanted = wanted;
        let output = record(self);
        (self.name, self.wanted) = outer;
        let output = output?;
        if weighs {
            let values = self.view(output);
            let stage = &mut self.stages[self.stage];
            (stage.name, stage.values) = (Some(name.to_owned()), Some(values));
        }
        Ok(output)
    }

    fn place(&mut self, name: String, shape: Shape) -> Result<()> {
        let elements = shape.elements() as usize;
        let first = self.taken;
        self.taken += elements.next_multiple_of(ALIGNMENT);
        if self.taken > u32::MAX as usize {
            let given = format!("{} parameters", self.taken);
            return Err(Error::invalid("network", given, "below 2^32"));
        }
        for slot in [PARAMETERS, GRADIENTS] {
            self.slots[slot] = self.slots[slot].max(self.taken);
        }
        if self.places.insert(name.clone(), self.parameters.len()).is_some() {
            return Err(two_of(&name));
        }
        self.parameters.push(Parameter { name, shape, lr_multiplier: 1.0, first });
        Ok(())
    }

    /// A parameter of the layer that is being recorded.
    pub(super) fn parameter(&self, part: &str) -> Weights {
        let place = self.places[&format!("{}.{part}", self.name)];
        let parameter = &self.parameters[place];
        Weights { value: parameter.view(PARAMETERS), gradient: parameter.view(GRADIENTS) }
    }

    /// The stream of the layer that is being recorded: of its name.
    pub(super) fn stream(&self) -> Stream {
        Stream::named(self.seed, &self.name)
    }

    /// The shape of a signal, a row of the batch.
    pub(super) fn shape(&self, signal: Signal) -> &Shape {
        &self.flows[signal.0].shape
    }

    /// A signal's values: a row for each of the batch.
    pub(super) fn view(&self, signal: Signal) -> View {
        self.flows[signal.0].view
    }

    /// A buffer of its own.
    pub(super) fn buffer(&mut self, rows: usize, columns: usize) -> View {
        self.slots.push(rows * columns);
        View { slot: self.slots.len() - 1, first: 0, rows, columns }
    }

    /// A new signal: what the layer that is being recorded puts out.
    pub(super) fn signal(&mut self, shape: &Shape) -> Signal {
        let view = self.buffer(self.batch, shape.elements() as usize);
        self.flow(view, shape)
    }

    /// A new signal of the shape of `from`, into which goes what goes into it.
    pub(super) fn signal_after(&mut self, from: Signal) -> Signal {
        self.wanted |= self.wants(from);
        self.signal(&self.shape(from).clone())
    }

    /// A signal of the same values in another shape of as many elements.
    pub(super) fn reshaped(&mut self, signal: Signal, shape: &Shape) -> Signal {
        let view = self.view(signal);
        let reshaped = self.flow(view, shape);
        self.back(move |tape| {
            let gradient = tape.gradient(reshaped);
            tape.give(signal, gradient);
        });
        reshaped
    }

    fn flow(&mut self, view: View, shape: &Shape) -> Signal {
        let (shape, wanted) = (shape.clone(), self.wanted);
        self.flows.push(Flow { view, shape, wanted, back: Vec::new() });
        Signal(self.flows.len() - 1)
    }

    /// Says what enters the nonlinearity of this stage.
    pub(super) fn enters(&mut self, view: View) {
        self.stages[self.stage].entering = Some(view);
    }

    /// Records an operation: forward, or from [`Tape::back`] on the way back.
    pub(super) fn op(&mut self, op: Op) {
        self.ops.push(((self.stage, self.way), op));
    }

    /// Records what happens to the elements of a matrix, one by one.
    pub(super) fn map(&mut self, values: View, out: View, epilogue: Parts) {
        self.op(Op::Map { values, out, epilogue });
    }

    /// Leaves what is to be done on the way back, where anything has to.
    pub(super) fn back(&mut self, play: impl FnOnce(&mut Tape) + 'static) {
        if self.wanted {
            self.back.push((self.stage, Box::new(play)));
        }
    }

    /// Whether a signal's gradient is wanted: whether a parameter goes into it.
    pub(super) fn wants(&self, signal: Signal) -> bool {
        self.flows[signal.0].wanted
    }

    /// A buffer for a signal's gradient.
    pub(super) fn gradient_buffer(&mut self, signal: Signal) -> View {
        let View { rows, columns, .. } = self.view(signal);
        self.buffer(rows, columns)
    }

    /// Gives a part of a signal's gradient: all that comes from one of those that take it.
    pub(super) fn give(&mut self, signal: Signal, gradient: View) {
        let View { rows, columns, .. } = self.view(signal);
        self.flows[signal.0].back.push((self.stage, View { rows, columns, ..gradient }));
    }

    /// A signal's gradient: the sum of its parts, once all are given.
    pub(super) fn gradient(&mut self, signal: Signal) -> View {
        let mut parts = std::mem::take(&mut self.flows[signal.0].back);
        let (stage, mut sum) = parts.pop().expect("what is put out is taken, or is the output");
        while let Some((_, part)) = parts.pop() {
            let out = self.gradient_buffer(signal);
            let epilogue = Parts { before: Some(part), ..Parts::default() };
            // Of the stage that gave the last part, which is the first that has all.
            self.ops.push(((stage, Way::Backward), Op::Map { values: sum, out, epilogue }));
            sum = out;
        }
        self.flows[signal.0].back.push((stage, sum));
        sum
    }

    /// Plays the way back and makes few operations of many. `between` says what stands between the two
    /// ways, given the outputs and where their gradient goes.
    pub(crate) fn finish(
        mut self,
        outputs: Signal,
        between: impl FnOnce(View, View) -> Vec<Op>,
    ) -> Wired {
        let last = self.stage;
        self.stages[last].output = Some(outputs);
        let outputs_view = self.view(outputs);
        let outputs_gradient = self.gradient_buffer(outputs);
        self.way = Way::Between;
        for op in between(outputs_view, outputs_gradient) {
            self.op(op);
        }
        self.way = Way::Backward;
        self.give(outputs, outputs_gradient);
        let mut gradients: Vec<Option<View>> = vec![None; self.stages.len()];
        while let Some((stage, play)) = self.back.pop() {
            // What has come back to the stages above is known before it is spent.
            let last = self.stage + 1;
            for (above, gradient) in gradients[..last].iter_mut().enumerate().skip(stage) {
                let Some(output) = self.stages[above].output.filter(|_| gradient.is_none()) else {
                    continue;
                };
                if !self.flows[output.0].back.is_empty() {
                    *gradient = Some(self.gradient(output));
                }
            }
            self.stage = stage;
            play(&mut self);
        }
        let stages: Vec<Stage> = self
            .stages
            .iter()
            .zip(&gradients)
            .map(|(open, gradient)| {
                let values = open.values.unwrap_or(outputs_view);
                let output = open.output.map_or(outputs_view, |output| self.flows[output.0].view);
                Stage {
                    name: open.name.clone().unwrap_or_default(),
                    values,
                    entering: open.entering.unwrap_or(values),
                    output,
                    output_gradient: gradient.unwrap_or(outputs_gradient),
                }
            })
            .collect();
        self.wired(stages, outputs_view, outputs_gradient)
    }

    fn wired(self, mut stages: Vec<Stage>, mut outputs: View, mut outputs_gradient: View) -> Wired {
        let stagewise = self.memory == Memory::Stagewise;
        // Of a whole step only `z` is looked at.
        let mut observed = vec![outputs.slot];
        observed.extend(stages.iter().map(|stage| stage.values.slot));
        if stagewise {
            observed.extend(stages.iter().flat_map(|own| [own.entering.slot, own.output.slot]));
        }
        let gradients = stages.iter().map(|stage| stage.output_gradient.slot);
        let gradients: Vec<Slot> = gradients.filter(|_| stagewise).collect();
        let ops = fused(self.ops, &[&observed[..], &gradients].concat());
        let (tags, mut ops): (Vec<_>, Vec<_>) = ops.into_iter().unzip();
        // What is seen of the way forward stays; gradients until their stage is carried out.
        let mut until: Vec<(Slot, usize)> =
            observed.iter().map(|slot| (*slot, ops.len())).collect();
        let mut starts = vec![ops.len(); stages.len()];
        for (at, (stage, way)) in tags.iter().enumerate().rev() {
            if *way == Way::Backward {
                starts[*stage] = at;
            }
        }
        until.extend(gradients.into_iter().zip(starts));
        let (slots, names) = placed(&mut ops, &self.slots, &until);
        let rename = |view: &mut View| view.slot = names[view.slot];
        for stage in &mut stages {
            rename(&mut stage.values);
            rename(&mut stage.entering);
            rename(&mut stage.output);
            rename(&mut stage.output_gradient);
        }
        rename(&mut outputs);
        rename(&mut outputs_gradient);
        let (mut forward, mut backward) =
            (vec![Vec::new(); stages.len()], vec![Vec::new(); stages.len()]);
        let mut between = Vec::new();
        for ((stage, way), op) in tags.into_iter().zip(ops) {
            match way {
                Way::Forward => forward[stage].push(op),
                Way::Between => between.push(op),
                Way::Backward => backward[stage].push(op),
            }
        }
        Wired {
            slots,
            parameters: self.parameters,
            stages,
            outputs,
            outputs_gradient,
            forward,
            between,
            backward,
        }
    }
}
