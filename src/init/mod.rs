//! Initializers: from a tensor's fans and a nonlinearity's gain to a distribution with one scale.
//!
//! A layer `y = W x` with independent weights of variance `v` and `fan_in` inputs has
//! `Var(y) = fan_in * v * E[x^2]`. A signal that neither vanishes nor explodes with depth needs
//! `fan_in * v * gain^-2 = 1`, a gradient that does neither needs the same of `fan_out`; each scheme
//! here is one way to choose between the two.
//!
//! These are formulas alone: nothing in this module draws a number or names a device.

mod fans;
mod mup;
mod parse;
mod scheme;

pub use fans::{FanMode, Fans, Geometry};
pub use mup::Role;
pub use parse::{Entry, catalogue};
pub use scheme::{Family, Init, TRUNCATED_STD, TransformerPart, deepnorm};
