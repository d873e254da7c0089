//! What is to be said of a network at initialization.

/// What became of the signal or of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both keep their scale.
    Healthy,
    /// One of them shrinks from layer to layer.
    Vanishing,
    /// One of them grows from layer to layer.
    Exploding,
    /// All units of a layer are equal, and stay so however long one trains.
    Symmetric,
    /// Units whose slope is 0 whatever the input: nothing reaches the weights before them.
    Dead,
    /// Pre-activations so large that the nonlinearity is flat there.
    Saturated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Healthy,
        Kind::Vanishing,
        Kind::Exploding,
        Kind::Symmetric,
        Kind::Dead,
        Kind::Saturated,
    ];

    /// `healthy`, `vanishing`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Healthy => "healthy",
            Kind::Vanishing => "vanishing",
            Kind::Exploding => "exploding",
            Kind::Symmetric => "symmetric",
            Kind::Dead => "dead",
            Kind::Saturated => "saturated",
        }
    }
}

/// Where numbers leave the range of float32 (normal numbers, 1.2e-38 to 3.4e38).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Whether they became too large.
    pub overflow: bool,
    /// Layers from where they start: from the input for the signal, from the output for the gradient.
    pub depth: usize,
    /// Whether it was seen; else it is where the rate of the last layers leads.
    pub seen: bool,
}

/// A verdict, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// In a word.
    pub kind: Kind,
    /// Why, in a sentence, with the numbers that decided.
    pub reason: String,
    /// Where the signal leaves float32, if it does within a thousand layers.
    pub signal_limit: Option<Limit>,
    /// Where the gradient does.
    pub gradient_limit: Option<Limit>,
    /// What to use instead, as it is written on the command line; none where it is healthy.
    pub instead: Option<String>,
}
