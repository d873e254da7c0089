//! The runs of one initializer, of several seeds: what they have in the middle, and how far apart they are.

use fanin::counted;
use fanin::model::{Epoch, Score};
use serde_json::{Value, json};

use super::Ended;

/// The runs of one initializer.
pub(super) struct Runs<'a> {
    pub(super) init: &'a str,
    pub(super) ended: Vec<&'a Ended>,
}

/// What one number comes to over the seeds.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Spread {
    /// Of those numbers that are finite; none where none is.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = [values[(values.len() - 1) / 2], values[values.len() / 2]];
        Some(Spread { median: middle[0] / 2.0 + middle[1] / 2.0, least, greatest })
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "greatest": self.greatest })
    }
}

/// By initializer, in the order in which they were asked for.
pub(super) fn grouped(ended: &[Ended]) -> Vec<Runs<'_>> {
    let mut groups: Vec<Runs> = Vec::new();
    for own in ended {
        match groups.iter_mut().find(|group| group.init == own.init) {
            Some(group) => group.ended.push(own),
            None => groups.push(Runs { init: &own.init, ended: vec![own] }),
        }
    }
    groups
}

impl Runs<'_> {
    fn over(&self, value: impl Fn(&Ended) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.ended.iter().filter_map(|own| value(own)))
    }

    pub(super) fn first_loss(&self) -> Option<Spread> {
        self.over(|own| own.history.first().map(|epoch| epoch.train.loss))
    }

    pub(super) fn last_loss(&self) -> Option<Spread> {
        self.over(|own| own.history.last().map(|epoch| epoch.train.loss))
    }

    /// Accuracy, or R2, after the last epoch; of the training rows or the test rows.
    pub(super) fn score(&self, of: fn(&Epoch) -> Option<&Score>) -> Option<Spread> {
        self.over(|own| {
            let score = of(own.history.last()?)?;
            score.accuracy.or(score.r2)
        })
    }

    /// How many came to each verdict, the most first.
    pub(super) fn verdicts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for own in &self.ended {
            let name = own.outcome.name();
            match counts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// The middle of the loss after each epoch that some run has; of the training rows or the test rows.
    pub(super) fn losses(&self, of: fn(&Epoch) -> Option<&Score>) -> Vec<(f64, Spread)> {
        let epochs = self.ended.iter().map(|own| own.history.len()).max().unwrap_or(0);
        let at = |epoch: usize| {
            let spread = self.over(|own| Some(of(own.history.get(epoch)?)?.loss))?;
            let number = self.ended.iter().find_map(|own| own.history.get(epoch))?.epoch;
            Some((number as f64, spread))
        };
        (0..epochs).filter_map(at).collect()
    }

    pub(super) fn json(&self) -> Value {
        let spread = |own: Option<Spread>| own.map(Spread::json);
        let verdicts =
            self.verdicts().into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
        json!({
            "init": self.init,
            "seeds": self.ended.len(),
            "last_loss": spread(self.last_loss()),
            "train_score": spread(self.score(|epoch| Some(&epoch.train))),
            "test_score": spread(self.score(|epoch| epoch.test.as_ref())),
            "verdicts": verdicts.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// `all 20 seeds`, `3 of 20 seeds`.
    pub(super) fn part(&self, count: usize) -> String {
        let all = counted(self.ended.len(), "seed");
        if count == self.ended.len() { format!("all {all}") } else { format!("{count} of {all}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_its_middle_and_its_ends() {
        let of = |values: &[f64]| {
            let Spread { median, least, greatest } = Spread::of(values.iter().copied())?;
            Some((median, least, greatest))
        };
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(of(&[4.0, 1.0, f64::NAN, 2.0, 3.0, f64::INFINITY]), Some((2.5, 1.0, 4.0)));
        assert_eq!(of(&[f64::NAN]), None);
    }
}
