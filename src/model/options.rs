use super::network::Network;
use super::{Adam, Loss, Optimizer, Schedule};
use crate::op::Arithmetic;
use crate::{Error, Result, counted};

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    /// The loss; for none, softmax cross-entropy for classes and mean squared error for values.
    pub loss: Option<Loss>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub lr: f64,
    /// How the learning rate goes over the steps.
    pub schedule: Schedule,
    /// Rows a step; for none, all. The last step of an epoch takes what is left.
    pub batch: Option<usize>,
    /// Passes over the training rows.
    pub epochs: u64,
    /// The seed of the parameters, of the order of rows, and of dropout.
    pub seed: u64,
    /// Whether each epoch has the rows in an order of its own.
    pub shuffle: bool,
    /// The Euclidean norm that all gradients together are brought down to where they exceed it.
    pub clip: Option<f64>,
    /// Whether the trained bits are the same on every device: the device's own arithmetic, or the exact one.
    pub arithmetic: Arithmetic,
}

/// Adam at 0.001, batches of 64, 30 epochs, seed 0.
impl Default for TrainOptions {
    fn default() -> Self {
        let optimizer = Optimizer::Adam(Adam::default());
        TrainOptions {
            loss: None,
            optimizer,
            lr: optimizer.default_lr(),
            schedule: Schedule::default(),
            batch: Some(64),
            epochs: 30,
            seed: 0,
            shuffle: true,
            clip: None,
            arithmetic: Arithmetic::Native,
        }
    }
}

impl TrainOptions {
    /// # Errors
    /// [`Error::Invalid`] where a number is outside its range, or does not fit a network or a set of so
    /// many rows.
    pub(super) fn check(&self, network: &Network, loss: &Loss, rows: usize) -> Result<()> {
        loss.check()?;
        self.optimizer.check()?;
        self.schedule.check()?;
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::invalid("learning rate", self.lr, "a finite number above 0"));
        }
        if self.epochs == 0 {
            return Err(Error::invalid("epochs", 0, "at least 1"));
        }
        self.clip.map_or(Ok(()), Optimizer::check_clip)?;
        match self.batch {
            Some(0) => return Err(Error::invalid("batch", 0, "at least 1 row")),
            Some(batch) if batch > rows => {
                let needed = format!("at most the training set's {}", counted(rows, "row"));
                return Err(Error::invalid("batch", counted(batch, "row"), needed));
            }
            _ => {}
        }
        let widest = network.widest()?;
        let batch = self.batch.unwrap_or(rows) as u64;
        if rows > 1 << 30 || widest.saturating_mul(batch) > 1 << 30 {
            let given = format!("{} of a layer {widest} wide", counted(batch, "row"));
            return Err(Error::invalid("batch", given, "at most 2^30 activations a layer"));
        }
        Ok(())
    }
}
