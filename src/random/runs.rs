/// Where the elements of a box of a tensor stand among all of the tensor's, both in row-major order:
/// element `j` of the box is the tensor's `first + j / run * stride + j % run`.
///
/// One matrix of a stack is a single run; some of a matrix's columns are a run in each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    /// The box's first element.
    pub(crate) first: u64,
    /// How many stand beside one another.
    pub(crate) run: u64,
    /// From the start of a run to that of the next.
    pub(crate) stride: u64,
}

impl Runs {
    /// A tensor itself.
    pub(crate) const WHOLE: Runs = Runs { first: 0, run: u64::MAX, stride: u64::MAX };

    /// The tensor's element that is the box's `local`.
    pub(crate) fn at(&self, local: u64) -> u64 {
        self.first + local / self.run * self.stride + local % self.run
    }

    /// The box's element that is the tensor's `index`, which has to be in it.
    pub(crate) fn local(&self, index: u64) -> u64 {
        let from = index - self.first;
        from / self.stride * self.run + from % self.stride
    }

    /// The tensor's stretches that are the box's elements `first .. first + count`, in order: where each
    /// begins, and how long it is.
    pub(super) fn stretches(self, first: u64, count: u64) -> impl Iterator<Item = (u64, u64)> {
        let (mut local, end) = (first, first + count);
        std::iter::from_fn(move || {
            let length = (self.run - local % self.run).min(end - local);
            let at = (length > 0).then(|| (self.at(local), length));
            local += length;
            at
        })
    }
}
