#[cfg(feature = "train")]
use super::{Epilogue, matmul};
use super::{LossSlices, Norm, UpdateSlices};
use super::{activation, columns, conv, dropout, loss, norm, pool, rows, unfold, update};
#[cfg(feature = "train")]
use crate::op::Form;
use crate::op::{Arithmetic, Conv2d, Dropout, Loss, Optimizer, Pool2d, Step};
use crate::{Activation, Result};

/// The kernels of this module in an arithmetic of the caller's choice: each is the function of its name,
/// with its errors, whose bits are then those of the contract
/// ([`arithmetic`](crate::op::arithmetic)) where it is [`Arithmetic::Exact`]. The twin of
/// [`Context::with_arithmetic`](crate::gpu::Context::with_arithmetic).
///
/// ```
/// use fanin::cpu::Kernels;
/// use fanin::op::{Arithmetic, Form};
///
/// let exact = Kernels::new(Arithmetic::EXACT);
/// let mut out = [0.0];
/// // 12 significant bits of each factor: 1.0003 is taken for 1.0004883.
/// exact.matmul(Form::Nt, &[1.0003], &[1.0], &mut out, [1, 1, 1])?;
/// assert_eq!(out, [1.0 + 2f32.powi(-11)]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernels {
    arithmetic: Arithmetic,
}

impl Kernels {
    /// Those of an arithmetic.
    pub fn new(arithmetic: Arithmetic) -> Kernels {
        Kernels { arithmetic }
    }

    /// [`cpu::activate`](super::activate).
    pub fn activate(&self, activation: Activation, x: &[f32], out: &mut [f32]) -> Result<()> {
        activation::activate_by(self.arithmetic, activation, x, out)
    }

    /// [`cpu::activate_backward`](super::activate_backward).
    pub fn activate_backward(
        &self,
        activation: Activation,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Result<()> {
        activation::activate_backward_by(self.arithmetic, activation, x, dy, dx)
    }

    /// [`cpu::matmul`](super::matmul()).
    #[cfg(feature = "train")]
    pub fn matmul(
        &self,
        form: Form,
        a: &[f32],
        b: &[f32],
        out: &mut [f32],
        sizes: [usize; 3],
    ) -> Result<()> {
        matmul::matmul_by(self.arithmetic, form, a, b, out, sizes)
    }

    /// [`cpu::left_sums`](super::left_sums).
    #[cfg(feature = "train")]
    pub fn left_sums(
        &self,
        form: Form,
        a: &[f32],
        sums: &mut [f32],
        sizes: [usize; 2],
    ) -> Result<()> {
        matmul::left_sums_by(self.arithmetic, form, a, sums, sizes)
    }

    /// [`cpu::epilogue`](super::epilogue).
    #[cfg(feature = "train")]
    pub fn epilogue(
        &self,
        out: &mut [f32],
        columns: usize,
        epilogue: Epilogue<'_>,
        step: u32,
    ) -> Result<()> {
        matmul::epilogue_by(self.arithmetic, out, columns, epilogue, step)
    }

    /// [`cpu::map`](super::map).
    #[cfg(feature = "train")]
    pub fn map(
        &self,
        values: &[f32],
        out: &mut [f32],
        columns: usize,
        epilogue: Epilogue<'_>,
        step: u32,
    ) -> Result<()> {
        matmul::map_by(self.arithmetic, values, out, columns, epilogue, step)
    }

    /// [`cpu::dropout`](super::dropout()).
    pub fn dropout(
        &self,
        dropout: &Dropout,
        step: u32,
        values: &[f32],
        columns: usize,
        result: &mut [f32],
    ) -> Result<()> {
        dropout::dropout_by(self.arithmetic, dropout, step, values, columns, result)
    }

    /// [`cpu::column_sums`](super::column_sums).
    pub fn column_sums(
        &self,
        values: &[f32],
        weights: Option<&[f32]>,
        sums: &mut [f32],
    ) -> Result<()> {
        columns::column_sums_by(self.arithmetic, values, weights, sums)
    }

    /// [`cpu::row_sums`](super::row_sums).
    pub fn row_sums(
        &self,
        values: &[f32],
        weights: Option<&[f32]>,
        sums: &mut [f32],
    ) -> Result<()> {
        rows::row_sums_by(self.arithmetic, values, weights, sums)
    }

    /// [`cpu::norm`](super::norm()).
    #[allow(clippy::too_many_arguments)] // Those of the function of its name.
    pub fn norm(
        &self,
        norm: &Norm<'_>,
        step: u32,
        values: &[f32],
        after: Option<&[f32]>,
        normalized: &mut [f32],
        inverse: &mut [f32],
        out: &mut [f32],
    ) -> Result<()> {
        norm::norm_by(self.arithmetic, norm, step, values, after, normalized, inverse, out)
    }

    /// [`cpu::norm_backward`](super::norm_backward).
    #[allow(clippy::too_many_arguments)] // Those of the function of its name.
    pub fn norm_backward(
        &self,
        norm: &Norm<'_>,
        step: u32,
        gradient: &[f32],
        normalized: &[f32],
        inverse: &[f32],
        inner: &mut [f32],
        out: &mut [f32],
    ) -> Result<()> {
        let arithmetic = self.arithmetic;
        norm::norm_backward_by(arithmetic, norm, step, gradient, normalized, inverse, inner, out)
    }

    /// [`cpu::loss`](super::loss()).
    pub fn loss(&self, kind: Loss, slices: LossSlices<'_>) -> Result<()> {
        let real = slices.results.len();
        self.loss_of(kind, real, slices)
    }

    /// The same of the first `real` rows: those from there on have a loss and a gradient of 0.
    pub(crate) fn loss_of(&self, kind: Loss, real: usize, slices: LossSlices<'_>) -> Result<()> {
        loss::loss_by(self.arithmetic, kind, real, slices)
    }

    /// [`cpu::squares`](super::squares).
    pub fn squares(
        &self,
        outputs: &[f32],
        targets: &[f32],
        columns: usize,
        sums: &mut [f32],
    ) -> Result<()> {
        let rows = super::operand::rows("outputs", outputs.len(), columns)?;
        self.squares_of(outputs, targets, rows, columns, sums)
    }

    /// The same of the first `real` rows: to the others' sums nothing is added.
    pub(crate) fn squares_of(
        &self,
        outputs: &[f32],
        targets: &[f32],
        real: usize,
        columns: usize,
        sums: &mut [f32],
    ) -> Result<()> {
        loss::squares_by(self.arithmetic, outputs, targets, real, columns, sums)
    }

    /// [`cpu::clip`](super::clip).
    pub fn clip(&self, gradients: &[f32], bound: f64) -> Result<[f32; 2]> {
        update::clip_by(self.arithmetic, gradients, bound)
    }

    /// [`cpu::update`](super::update()).
    pub fn update(
        &self,
        optimizer: &Optimizer,
        lr: f64,
        t: u64,
        slices: UpdateSlices<'_>,
    ) -> Result<()> {
        self.update_of(optimizer, &optimizer.checked_step(lr, t)?, 1.0, slices)
    }

    /// The same at a step of training, whose learning rate is multiplied by `rate`.
    pub(crate) fn update_of(
        &self,
        optimizer: &Optimizer,
        step: &Step,
        rate: f32,
        slices: UpdateSlices<'_>,
    ) -> Result<()> {
        update::update_by(self.arithmetic, optimizer, step, rate, slices)
    }

    /// [`cpu::fold`](super::fold).
    pub fn fold(&self, conv: &Conv2d, values: &[f32], out: &mut [f32]) -> Result<()> {
        unfold::fold_by(self.arithmetic, conv, values, out)
    }

    /// [`cpu::conv`](super::conv()).
    pub fn conv(
        &self,
        conv: &Conv2d,
        values: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) -> Result<()> {
        conv::conv_by(self.arithmetic, conv, values, weight, bias, out)
    }

    /// [`cpu::conv_input`](super::conv_input).
    pub fn conv_input(
        &self,
        conv: &Conv2d,
        gradient: &[f32],
        weight: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        conv::conv_input_by(self.arithmetic, conv, gradient, weight, out)
    }

    /// [`cpu::conv_weight`](super::conv_weight).
    pub fn conv_weight(
        &self,
        conv: &Conv2d,
        values: &[f32],
        gradient: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        conv::conv_weight_by(self.arithmetic, conv, values, gradient, out)
    }

    /// [`cpu::pool`](super::pool()).
    pub fn pool(&self, pool: &Pool2d, values: &[f32], out: &mut [f32]) -> Result<()> {
        pool::pool_by(self.arithmetic, pool, values, out)
    }

    /// [`cpu::pool_backward`](super::pool_backward).
    pub fn pool_backward(
        &self,
        pool: &Pool2d,
        values: &[f32],
        pooled: &[f32],
        gradient: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        pool::pool_backward_by(self.arithmetic, pool, values, pooled, gradient, out)
    }
}
