//! What layers record, one operation each, made into few: elementwise operations join what makes their
//! values, and buffers that are no longer needed are used again.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{Access, Nonlinearity, Op, Parts, Slot, TARGETS, View};
use crate::Activation;

/// Operations with what they belong to.
type Tagged<T> = (T, Op);

/// The slots from here on are written once, by one operation.
const FREE: Slot = TARGETS + 1;

/// The operations with every [`Op::Map`] in what makes its values, where nothing else needs them, or
/// where they can be stored on the way. `observed` are slots that someone looks at. What is joined keeps
/// the tag of the maker.
pub(crate) fn fused<T>(ops: Vec<Tagged<T>>, observed: &[Slot]) -> Vec<Tagged<T>> {
    let mut list = List::new(ops, observed);
    // A norm's way back takes the derivative and the mask of what follows the norm; the values that the
    // derivative is of are then not needed on the way back.
    for at in 0..list.ops.len() {
        while list.absorb(at).is_some() {}
    }
    for at in 0..list.ops.len() {
        let Some((_, Op::Map { values, out, epilogue })) = list.ops[at] else { continue };
        let Some(maker) = list.made[values.slot] else { continue };
        // What it reads beside its values must be there when these are made.
        let ready = reads(epilogue).all(|view| list.made[view.slot].is_none_or(|own| own < maker));
        let needed = list.used[values.slot] > 1;
        let Some((_, op)) = &mut list.ops[maker] else { continue };
        if ready && join(op, values, &epilogue, out, needed) {
            list.made[out.slot] = Some(maker);
            if let Some(raw) = epilogue.raw {
                list.made[raw.slot] = Some(maker);
            }
            list.used[values.slot] -= 1;
            list.ops[at] = None;
        }
    }
    list.ops.into_iter().flatten().collect()
}

/// Operations, of which some are gone, with what makes each slot and how many need it.
struct List<T> {
    ops: Vec<Option<Tagged<T>>>,
    /// None for those that are written from outside, or again and again.
    made: Vec<Option<usize>>,
    /// By operations, and by whoever looks.
    used: Vec<usize>,
}

impl<T> List<T> {
    fn new(mut ops: Vec<Tagged<T>>, observed: &[Slot]) -> List<T> {
        let mut slots = FREE + 1;
        for (_, op) in &mut ops {
            op.each(&mut |view, _| slots = slots.max(view.slot + 1));
        }
        slots = observed.iter().fold(slots, |slots, slot| slots.max(slot + 1));
        let (mut made, mut used) = (vec![None; slots], vec![0; slots]);
        for (at, (_, op)) in ops.iter_mut().enumerate() {
            op.each(&mut |view, access| match access {
                Access::Write if view.slot >= FREE => made[view.slot] = Some(at),
                Access::Write => {}
                Access::Read => used[view.slot] += 1,
            });
        }
        observed.iter().for_each(|slot| used[*slot] += 1);
        List { ops: ops.into_iter().map(Some).collect(), made, used }
    }

    /// Takes what makes the gradient of a norm's way back into it, where it is of a kind that fits.
    fn absorb(&mut self, at: usize) -> Option<()> {
        let Some((_, Op::NormBackward { norm, gradient, .. })) = self.ops[at] else { return None };
        let maker = self.made[gradient.slot]?;
        let Some((_, Op::Map { values, out, epilogue })) = self.ops[maker] else { return None };
        let Parts { bias, before, raw, nonlinearity, dropout, after, row_sums } = epilogue;
        let own = out == gradient && values.columns == out.columns && self.used[out.slot] == 1;
        if !own || [bias, before, raw, after, row_sums].iter().any(Option::is_some) {
            return None;
        }
        let mut joined = norm;
        match (nonlinearity, norm.activation) {
            (Nonlinearity::None, _) => {}
            (Nonlinearity::Derivative(activation, z), Activation::Identity)
                if Some(z.slot) == self.normed(norm.normalized) && norm.dropout.is_none() =>
            {
                joined.activation = activation;
                self.used[z.slot] -= 1;
            }
            _ => return None,
        }
        if dropout.is_some() && norm.dropout.is_some() {
            return None;
        }
        joined.dropout = norm.dropout.or(dropout);
        if let Some((_, Op::NormBackward { norm, gradient, .. })) = &mut self.ops[at] {
            (*norm, *gradient) = (joined, values);
        }
        self.ops[maker] = None;
        Some(())
    }

    /// The slot of what a norm puts out, by that of its normalized rows.
    fn normed(&self, normalized: View) -> Option<Slot> {
        match self.ops[self.made[normalized.slot]?] {
            Some((_, Op::NormForward { out, .. })) => Some(out.slot),
            _ => None,
        }
    }
}

/// What an epilogue reads beside the values.
fn reads(parts: Parts) -> impl Iterator<Item = View> {
    let z = match parts.nonlinearity {
        Nonlinearity::Derivative(_, z) => Some(z),
        _ => None,
    };
    [parts.bias, parts.before, parts.after, z].into_iter().flatten()
}

/// Lets what makes `values` do what follows them too, and put out `out`; `needed` says that someone
/// else needs them. False where it cannot.
fn join(op: &mut Op, values: View, parts: &Parts, out: View, needed: bool) -> bool {
    match op {
        Op::Product { out: made, epilogue, .. } | Op::Map { out: made, epilogue, .. } => {
            if made.elements() != values.elements() {
                return false;
            }
            // A mask is of rows and columns.
            if parts.dropout.is_some() && made.columns != values.columns {
                return false;
            }
            let columns = made.columns;
            let own = View { columns, rows: made.rows, ..values };
            let Some(joined) = chained(epilogue, parts, own, needed) else { return false };
            let shaped = |view: Option<View>| view.map(|view| view.of_columns(columns));
            *epilogue = Parts {
                before: shaped(joined.before),
                raw: shaped(joined.raw),
                after: shaped(joined.after),
                nonlinearity: match joined.nonlinearity {
                    Nonlinearity::Derivative(f, z) => {
                        Nonlinearity::Derivative(f, z.of_columns(columns))
                    }
                    other => other,
                },
                ..joined
            };
            *made = out.of_columns(columns);
            true
        }
        Op::NormForward { norm, after, out: made, .. } => {
            let fits = *made == values && !needed && after.is_none() && norm.dropout.is_none();
            let plain = parts.before.is_none() && parts.raw.is_none() && parts.bias.is_none();
            let activation = match parts.nonlinearity {
                Nonlinearity::None => norm.activation,
                Nonlinearity::Value(activation) if norm.activation == Activation::Identity => {
                    activation
                }
                _ => return false,
            };
            if !(fits && plain && out.columns == made.columns) {
                return false;
            }
            (norm.activation, norm.dropout, *after, *made) =
                (activation, parts.dropout, parts.after, out);
            true
        }
        _ => false,
    }
}

/// One epilogue after another, as one; none where the order of their parts does not allow it. `values`
/// are what comes between them, to be stored where they are needed.
fn chained(first: &Parts, then: &Parts, values: View, needed: bool) -> Option<Parts> {
    let mut first = *first;
    let bent = !matches!(first.nonlinearity, Nonlinearity::None);
    if !bent && first.dropout.is_none() && first.before.is_none() && first.raw.is_none() {
        // With nothing between them the two sums are one.
        first.before = first.after.take();
    }
    if first.after.is_some() || then.bias.is_some() || then.row_sums.is_some() {
        return None;
    }
    let open = !bent && first.dropout.is_none() && first.raw.is_none();
    if needed && !(open && then.before.is_none() && then.raw.is_none() && first.row_sums.is_none())
    {
        return None;
    }
    if then.before.is_some() && !(open && first.before.is_none()) || then.raw.is_some() && !open {
        return None;
    }
    let nonlinearity = match (first.nonlinearity, then.nonlinearity) {
        (own, Nonlinearity::None) => own,
        // A slope and a mask are both factors.
        (Nonlinearity::None, Nonlinearity::Derivative(f, z)) => Nonlinearity::Derivative(f, z),
        (Nonlinearity::None, other) if first.dropout.is_none() => other,
        _ => return None,
    };
    if first.dropout.is_some() && then.dropout.is_some() {
        return None;
    }
    Some(Parts {
        before: first.before.or(then.before),
        raw: if needed { Some(values) } else { first.raw.or(then.raw) },
        nonlinearity,
        dropout: first.dropout.or(then.dropout),
        after: then.after,
        ..first
    })
}

/// Gives buffers to slots: those of `floats` long from [`FREE`] on share one where no two of them are
/// needed at once. `until` names slots that are looked at before the operation of that index, or at the
/// end. Returns the lengths of the buffers that are left, and the slot that each slot now has.
pub(crate) fn placed(
    ops: &mut [Op],
    floats: &[usize],
    until: &[(Slot, usize)],
) -> (Vec<usize>, Vec<Slot>) {
    let (first, mut last) = spans(ops, floats.len());
    for (slot, at) in until {
        last[*slot] = last[*slot].max(*at);
    }
    let mut lengths: Vec<usize> = floats[..FREE].to_vec();
    let mut names: Vec<Slot> = (0..floats.len()).collect();
    // Those in use, by when they are not; and those that are not, by their length.
    let mut busy = BinaryHeap::new();
    let mut free = BTreeSet::new();
    let mut order: Vec<Slot> = (FREE..floats.len()).collect();
    order.sort_by_key(|slot| first[*slot]);
    // What no operation touches is no buffer; whoever still knows of it does not look at it.
    let gone = order.split_off(order.partition_point(|slot| first[*slot] < usize::MAX));
    gone.into_iter().for_each(|slot| names[slot] = FREE);
    for slot in order {
        while let Some(Reverse((end, buffer))) = busy.peek().copied() {
            if end >= first[slot] {
                break;
            }
            busy.pop();
            free.insert((lengths[buffer], buffer));
        }
        // The shortest that is long enough, else the longest: no more memory than there has to be.
        let long = free.range((floats[slot], 0)..).next().or(free.last()).copied();
        let buffer = match long {
            Some(own) => {
                free.remove(&own);
                own.1
            }
            None => {
                lengths.push(0);
                lengths.len() - 1
            }
        };
        busy.push(Reverse((last[slot], buffer)));
        lengths[buffer] = lengths[buffer].max(floats[slot]);
        names[slot] = buffer;
    }
    for op in ops {
        op.each(&mut |view, _| view.slot = names[view.slot]);
    }
    (lengths, names)
}

/// The first and the last operation that touches each slot; of those that none touches the first is the
/// greatest number.
fn spans(ops: &mut [Op], slots: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut first, mut last) = (vec![usize::MAX; slots], vec![0; slots]);
    for (at, op) in ops.iter_mut().enumerate() {
        op.each(&mut |view, _| {
            first[view.slot] = first[view.slot].min(at);
            last[view.slot] = last[view.slot].max(at);
        });
    }
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(slot: Slot) -> View {
        View { slot, first: 0, rows: 1, columns: 8 }
    }

    fn map(values: Slot, out: Slot) -> Op {
        Op::Map { values: view(values), out: view(out), epilogue: Parts::default() }
    }

    /// A chain with a shortcut, of buffers of several lengths, and one that nobody touches.
    #[test]
    fn buffers_are_shared_only_where_nothing_is_lost() {
        let slots: Vec<Slot> = (FREE..FREE + 6).collect();
        let [a, b, c, d, e, gone] = slots[..] else { panic!("six slots") };
        let add = |values, before, out| {
            let epilogue = Parts { before: Some(view(before)), ..Parts::default() };
            Op::Map { values: view(values), out: view(out), epilogue }
        };
        let wanted = [map(super::super::BATCH, a), map(a, b), map(b, c), add(c, a, d), map(d, e)];
        let mut floats = vec![0; FREE];
        floats.extend([8, 16, 8, 16, 8, 1 << 20]);
        let mut ops = wanted;
        let (lengths, names) = placed(&mut ops, &floats, &[(b, 3)]);
        // In turn: each buffer holds what was written into it last.
        let mut holds = vec![None; lengths.len()];
        for (op, wanted) in ops.iter_mut().zip(wanted) {
            let mut seen = Vec::new();
            { wanted }.each(&mut |view, access| seen.push((view.slot, access)));
            let mut at = 0;
            op.each(&mut |view, access| {
                let (slot, own) = seen[at];
                at += 1;
                assert_eq!(own, access);
                match access {
                    Access::Read if slot >= FREE => assert_eq!(holds[view.slot], Some(slot)),
                    Access::Read => {}
                    Access::Write => holds[view.slot] = Some(slot),
                }
            });
        }
        // Looked at until the fourth operation.
        assert_ne!(names[b], names[d]);
        assert!(lengths.iter().sum::<usize>() <= 8 + 16 + 8 + 16, "{lengths:?}");
        assert!(names[gone] < lengths.len());
    }
}
