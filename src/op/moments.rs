/// Count, mean and spread of a run of elements, in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many elements.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared deviations from the mean.
    pub square: f64,
}

impl Moments {
    /// `sqrt(square / count)`: the standard deviation, the elements being the whole population.
    pub fn std(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.square / self.count as f64).sqrt() }
    }

    /// The moments of both runs together (Chan, Golub, LeVeque 1979).
    pub fn merge(self, other: Moments) -> Moments {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let apart = other.mean - self.mean;
        Moments {
            count: self.count + other.count,
            mean: self.mean + apart * (b / (a + b)),
            square: self.square + other.square + apart * apart * (a * (b / (a + b))),
        }
    }
}
