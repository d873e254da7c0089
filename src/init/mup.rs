/// What becomes of a parameter's two dimensions as a network grows wider: the maximal update
/// parametrization's (muP's) rows.
///
/// With `ratio = width / base_width` the factors on what is right at the base width, so that a
/// learning rate found there is right at every width (Yang et al. 2022, *Tensor Programs V*, table 3;
/// `n` is the width):
///
/// | role | std at first | Adam's rate | SGD's rate | what it is in the table |
/// |---|---|---|---|---|
/// | input weights, every bias and scale | 1 | 1 | `ratio` | variance 1/fan_in, `1`, `n` |
/// | hidden weights | `ratio^-1/2` | `1 / ratio` | 1 | variance 1/fan_in, `1/n`, `1` |
/// | output weights | `1 / ratio` | `1 / ratio` | `1 / ratio` | variance 1/fan_in^2, `1/n`, `1/n` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its inputs are the data's, its outputs as many as the network is wide. Biases, and the scales
    /// and shifts of normalizations, are weights of an input that is always 1.
    Input,
    /// Both grow with the width.
    Hidden,
    /// Its inputs grow with the width, its outputs are as many as the task has.
    Output,
}

impl Role {
    /// The factor on the standard deviation that the base width starts with.
    pub fn std_multiplier(self, ratio: f64) -> f64 {
        match self {
            Role::Input => 1.0,
            Role::Hidden => 1.0 / ratio.sqrt(),
            Role::Output => 1.0 / ratio,
        }
    }

    /// The factor on the learning rate of Adam, AdamW and others that take the sign of a gradient
    /// and leave its size.
    pub fn lr_multiplier_adam(self, ratio: f64) -> f64 {
        match self {
            Role::Input => 1.0,
            Role::Hidden | Role::Output => 1.0 / ratio,
        }
    }

    /// The factor on the learning rate of SGD, with momentum or without.
    pub fn lr_multiplier_sgd(self, ratio: f64) -> f64 {
        match self {
            Role::Input => ratio,
            Role::Hidden => 1.0,
            Role::Output => 1.0 / ratio,
        }
    }
}
