//! tmp
use crate::random::Distribution;
/// t
pub struct Test {
    /// n
    pub name: &'static str,
    /// s
    pub statistic: f64,
    /// p
    pub p_value: f64,
}
/// b
pub fn battery(_d: &Distribution, _s: &[f32]) -> Vec<Test> {
    vec![]
}
