//! The library speaks of its own options: here is what the command line calls them.

use fanin::Error;
use fanin::probe::{Change, Run};

/// The subjects of errors, and the flags that they come from.
const FLAGS: [(&str, &str); 13] = [
    ("data", "--data"),
    ("learning rate", "--lr"),
    ("clip", "--clip"),
    ("epochs", "--epochs"),
    ("batch", "--batch"),
    ("dropout", "--dropout"),
    ("weight decay", "--weight-decay"),
    ("target", "--target"),
    ("targets", "--target"),
    ("separator", "--separator"),
    ("decimal mark", "--decimal"),
    ("feature column", "--columns"),
    ("one-hot column", "--one-hot"),
];

/// What else an error asks for, in its words, and the flags that do it.
const NEEDS: [(&str, &str); 7] = [
    ("may be dropped or one-hot", "--drop, --one-hot"),
    ("may be dropped or filled", "--missing drop, mean, median or zero"),
    ("whose target is missing may be dropped", "--missing drop"),
    ("identifiers may be dropped", "--drop"),
    ("with a decimal comma", "--decimal ,"),
    ("missing values as 0", "--missing zero"),
    ("parted by the separator", "--separator"),
];

/// The words of advice, and what they come to here.
const WORDS: [(&str, &str); 7] = [
    ("learning rate", "--lr"),
    ("gradients clipped", "--clip"),
    ("weight decay", "--weight-decay"),
    ("dropout", "--dropout"),
    ("layer norm", "--layer-norm"),
    ("residual connections", "--residual"),
    ("keep it alive", "`fanin probe` shows which"),
];

/// An error, and the flag that is about it.
pub fn told(error: &Error) -> String {
    let flag = match error {
        Error::Exists { .. } => Some("--force"),
        Error::NoAdapter { present, .. } if present.starts_with("none") => Some("--device cpu"),
        Error::Invalid { what, needed, .. } => {
            // Behind the place that it is found in.
            let subject = what.rsplit(": ").next().unwrap_or(what);
            let is =
                |own: &str| own == subject || subject.starts_with(&format!("{own}, to resume"));
            let of_subject = FLAGS.iter().find(|(own, _)| is(own));
            let of_need = || NEEDS.iter().find(|(words, _)| needed.contains(words));
            of_subject.or_else(of_need).map(|(_, flag)| *flag)
        }
        _ => None,
    };
    let text = error.to_string();
    // LSUV's, where there are no data.
    let data =
        text.ends_with("training and probes make them").then_some("`fanin train`, `fanin probe`");
    match flag.or(data) {
        Some(flag) => format!("{text} ({flag})"),
        None => text,
    }
}

/// Advice, with the flag beside each thing that it speaks of.
pub fn advised(advice: &str) -> String {
    let mut text = advice.to_owned();
    for (words, flag) in WORDS {
        if let Some(at) = text.find(words).filter(|_| !text.contains(flag)) {
            text.insert_str(at + words.len(), &format!(" ({flag})"));
        }
    }
    text
}

/// The flags of `fanin probe` that make the changed network of a run, all that it is made of, in place of
/// those of their names and beside the others. `--depth` and `--width` are together what `--widths` is,
/// and each stands in place of the other.
pub fn changed(change: &Change, run: &Run) -> String {
    let widths = change.widths.as_ref().unwrap_or(&run.widths);
    let mut flags = match widths.split_first() {
        Some((first, rest)) if rest.iter().all(|width| width == first) => {
            format!("--depth {} --width {first}", rest.len())
        }
        _ => {
            let widths: Vec<String> = widths.iter().map(u64::to_string).collect();
            format!("--widths {}", widths.join(","))
        }
    };
    flags += &format!(
        " --activation {} --init {} --bias {}",
        change.activation.unwrap_or(run.activation),
        change.init,
        change.bias.as_ref().unwrap_or(&run.bias)
    );
    flags += if change.layer_norm || run.layer_norm { " --layer-norm" } else { "" };
    flags += if change.residual || run.residual { " --residual" } else { "" };
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_by_their_flags() {
        let invalid = |what: &str| Error::Invalid {
            what: what.into(),
            given: "0".into(),
            needed: "more".into(),
        };
        assert_eq!(told(&invalid("clip")), "clip: got 0, needed more (--clip)");
        assert_eq!(told(&invalid("t.csv: target")), "t.csv: target: got 0, needed more (--target)");
        assert_eq!(told(&invalid("tensor `clip`")), "tensor `clip`: got 0, needed more");
        let exists = Error::Exists { path: "m".into() };
        assert_eq!(told(&exists), "m exists; give another name, or have it replaced (--force)");
        assert_eq!(
            advised("a smaller learning rate, or layer norm; a learning rate"),
            "a smaller learning rate (--lr), or layer norm (--layer-norm); a learning rate"
        );
    }
}
