//! The maximal update parametrization (muP): how a network's initial weights and learning rates
//! follow from those of a narrower one.

use super::{Mlp, Optimizer};
use crate::init::Role;
use crate::{Error, Result};

impl Mlp {
    /// The network in the maximal update parametrization (muP: Yang et al. 2022, *Tensor Programs V*,
    /// table 3), relative to a base network with these hidden widths: one for each hidden layer, or
    /// one for all. With `ratio = width / base width` of what a layer's inputs (a first layer's
    /// outputs) are,
    ///
    /// | | std at first | Adam's, AdamW's rate | SGD's rate |
    /// |---|---|---|---|
    /// | first weights, biases, norms | base's | `lr` | `lr ratio` |
    /// | hidden weights | base's `/ sqrt(ratio)` | `lr / ratio` | `lr` |
    /// | output weights | base's `/ ratio` | `lr / ratio` | `lr / ratio` |
    ///
    /// where the base's std is what the initializer gives the base network's tensor (a constant has
    /// none, and stays): the hidden
    /// variances are 1 / fan_in still, the output's falls as 1 / fan_in^2, and at the base widths
    /// nothing differs from the standard parametrization. Steps then change the layers' outputs by
    /// as much at every width, so that the best learning rate of the base network is, to first
    /// order, that of a wide one; in the standard parametrization the change grows with the width.
    ///
    /// The weight decay is divided by the factor on the rate, as the authors' `mup` package has it:
    /// AdamW's decay `lr weight_decay` a step, and SGD's, is the same at every width. What
    /// [`Mlp::custom_init`] gives is taken as it is.
    ///
    /// [`Mlp::recipe`] says where base widths do not fit the network.
    ///
    /// ```
    /// use fanin::{init::Role, model::Mlp};
    /// let narrow = Mlp::new([784, 64, 64, 10])?.mup([64]);
    /// let wide = Mlp::new([784, 1024, 1024, 10])?.mup([64]);
    /// let std = |mlp: &Mlp, at: usize| Ok::<_, fanin::Error>(mlp.recipe()?.tensors[at].source.std());
    /// // The output's weights, the fifth tensor: a sixteenth, where 1 / sqrt(fan_in) has a fourth.
    /// assert!((std(&wide, 4)? * 16.0 / std(&narrow, 4)? - 1.0).abs() < 1e-12);
    /// assert_eq!(Role::Hidden.lr_multiplier_adam(16.0), 1.0 / 16.0);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn mup(mut self, base_widths: impl Into<Vec<u64>>) -> Self {
        self.mup_base = Some(base_widths.into());
        self
    }

    /// The base network's widths, input and output included; its own without muP.
    pub(super) fn base_widths(&self) -> Result<Vec<u64>> {
        let mut widths = self.widths().to_vec();
        let Some(base) = &self.mup_base else { return Ok(widths) };
        let layers = self.layers();
        let hidden = &mut widths[1..layers];
        if base.contains(&0) || !(base.len() == 1 || base.len() == hidden.len()) {
            let needed = match hidden.len() {
                0 | 1 => "one hidden width of 1 or more".to_owned(),
                hidden => format!("one hidden width of 1 or more, or {hidden}"),
            };
            return Err(Error::invalid("muP's base widths", format!("{base:?}"), needed));
        }
        for (width, base) in hidden.iter_mut().zip(base.iter().cycle()) {
            *width = *base;
        }
        Ok(widths)
    }

    /// The role of a layer's weights, or of its vectors, and the ratio that goes with it.
    pub(super) fn role(&self, layer: usize, vector: bool) -> Result<(Role, f64)> {
        let base = self.base_widths()?;
        let ratio = |at: usize| self.widths()[at] as f64 / base[at] as f64;
        Ok(match layer {
            _ if vector => (Role::Input, ratio(layer + 1)),
            _ if layer + 1 == self.layers() => (Role::Output, ratio(layer)),
            0 => (Role::Input, ratio(1)),
            _ => (Role::Hidden, ratio(layer)),
        })
    }

    /// The factor on the learning rate of a layer's weights, or of its vectors.
    pub(super) fn lr_multiplier(
        &self,
        layer: usize,
        vector: bool,
        optimizer: &Optimizer,
    ) -> Result<f64> {
        let (role, ratio) = self.role(layer, vector)?;
        Ok(match optimizer.normalizes() {
            false => role.lr_multiplier_sgd(ratio),
            true => role.lr_multiplier_adam(ratio),
        })
    }
}
