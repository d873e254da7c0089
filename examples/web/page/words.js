// What things are, in a sentence each.

/** Initializers that are offered; any other may be written. */
export const INITS = [
  ["he_normal", "Normal, with variance 2 / fan_in: what ReLU needs, which drops half of the squares (He et al. 2015)."],
  ["xavier_normal", "Normal, with variance 2 / (fan_in + fan_out): level for straight functions and tanh near 0 (Glorot and Bengio 2010)."],
  ["lecun_normal", "Normal, with variance 1 / fan_in: keeps a signal level where the nonlinearity takes nothing (LeCun et al. 1998)."],
  ["orthogonal", "A random rotation: keeps the length of every signal exactly, before the nonlinearity (Saxe et al. 2014)."],
  ["normal:0.01", "Normal, with a standard deviation of 0.01 whatever the width: an old habit, far too small for a deep net."],
  ["normal:0.3", "Normal, with a standard deviation of 0.3 whatever the width: too large for 64 units, right for 22."],
  ["he_uniform", "Uniform, with He's variance, 2 / fan_in."],
  ["xavier_uniform", "Uniform, with Xavier's variance, 2 / (fan_in + fan_out)."],
  ["torch_default", "Uniform, with variance 1 / (3 fan_in): what PyTorch's linear layers start from."],
  ["he_truncated_normal", "He's variance, 2 / fan_in, with no weight beyond two standard deviations: what JAX and Keras call he_normal."],
  ["siren", "Uniform, for sines of 30 times their input (Sitzmann et al. 2020)."],
  ["critical:tanh", "The variance at which tanh is on its edge of chaos, where gradients last longest (Schoenholz et al. 2017)."],
  ["lsuv", "Orthogonal, then each layer scaled until its signals have variance 1 on this very batch (Mishkin and Matas 2016)."],
  ["zeros", "All weights 0: every unit of a layer is alike and stays so, however long it trains."],
];

export const ABOUT = {
  depth: "layers",
  width: "units a layer",
  activation: "bends signals",
  bias: "is added",
  residual: "a way around each layer",
  norm: "brings signals to variance 1",
  seed: "of both networks",
};

export const DATA = {
  spirals: "Three arms wound around each other: no straight line parts them.",
  rings: "Three circles around one centre.",
  moons: "Two half circles, each around the other's end.",
  digits: "Pictures of digits, 8 by 8: train, then draw one.",
};

export const VERDICTS = {
  healthy: "Signal and gradient keep their size: it can learn.",
  vanishing: "It fades with depth: the layers at one end hear nothing.",
  exploding: "It grows with depth until numbers overflow.",
  symmetric: "All units of a layer are alike: it is one unit wide.",
  dead: "Units that are 0 for every input pass nothing on.",
  saturated: "Units sit where the nonlinearity is flat: no gradient gets through.",
};
