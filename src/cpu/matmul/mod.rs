mod product;
mod tile;

use gemm::Parallelism;

use crate::cpu::activation;
use crate::cpu::columns::column_sums;
use crate::cpu::dropout::drop_out;
use crate::cpu::operand::{as_many, matrix};
use crate::cpu::rounding::{Rounding, by};
use crate::cpu::rows::row_sums;
use crate::host::parallel::*;
use crate::op::{self, Arithmetic, Form, Nonlinearity, Strides};
use crate::{Error, Result, memory};

/// `out = A B`, with the factors as `form` reads them and sizes `[m, n, k]`, on all threads of the
/// current rayon pool, in the widest vector instructions of this machine.
///
/// # Errors
/// [`Error::Invalid`] where a slice has not the length that the sizes ask for.
pub fn matmul(form: Form, a: &[f32], b: &[f32], out: &mut [f32], sizes: [usize; 3]) -> Result<()> {
    matmul_by(Arithmetic::Native, form, a, b, out, sizes)
}

pub(super) fn matmul_by(
    arithmetic: Arithmetic,
    form: Form,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    [m, n, k]: [usize; 3],
) -> Result<()> {
    if let Arithmetic::Exact(operands) = arithmetic {
        return product::matmul(operands, form, a, b, out, [m, n, k]);
    }
    if is_empty(a, b, out, [m, n, k])? {
        return Ok(());
    }
    let sizes = [m, n, k];
    // Below, waking the threads takes longer than the product.
    let threads = match m * n * k < SMALL {
        #[cfg(not(target_arch = "wasm32"))]
        false => Parallelism::Rayon(0),
        _ => Parallelism::None,
    };
    // Where there is no memory for them the longer way does.
    let columns = by_columns(form, sizes)
        .then(|| memory::filled("a product's columns", m * n, 0.0).ok())
        .flatten();
    let Some(mut columns) = columns else {
        product(form.strides(sizes), a, b, out, sizes, Lie::Rows, threads);
        return Ok(());
    };
    product(form.strides(sizes), a, b, &mut columns, sizes, Lie::Columns, threads);
    // As many rows at once as a line of the cache has of a column.
    out.par_chunks_mut(LINE * n).enumerate().for_each(|(group, rows)| {
        let first = group * LINE;
        let count = rows.len() / n;
        for (column, values) in columns.chunks_exact(m).enumerate() {
            for (row, value) in values[first..first + count].iter().enumerate() {
                rows[row * n + column] = *value;
            }
        }
    });
    Ok(())
}

/// Whether there is nothing to multiply; the result is 0 then.
///
/// # Errors
/// [`Error::Invalid`] where a slice has not the length that the sizes ask for.
fn is_empty(a: &[f32], b: &[f32], out: &mut [f32], [m, n, k]: [usize; 3]) -> Result<bool> {
    let sizes = [("A", a.len(), m, k), ("B", b.len(), n, k), ("out", out.len(), m, n)];
    for (name, length, rows, columns) in sizes {
        matrix(&format!("matmul: {name}"), length, [rows, columns])?;
    }
    if k == 0 {
        out.fill(0.0);
    }
    Ok(out.is_empty() || k == 0)
}

/// Products below which threads are not worth their waking.
const SMALL: usize = 1 << 18;

/// Floats of a line of the cache.
const LINE: usize = 16;

/// Whether a product is better made column by column. The crate reads lines that lie along the depth as
/// they are in one factor, and packs them in the other, which costs as much as some dozen products of
/// each element: the other is to be the smaller one.
fn by_columns(form: Form, [m, n, k]: [usize; 3]) -> bool {
    form == Form::Nt && m > 1 && m <= n / 2 && m * n * k >= SMALL
}

/// How a result lies in memory.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// Row by row.
    Rows,
    /// Column by column.
    Columns,
}

/// `out = A B`, where the lengths fit the sizes and none is 0.
fn product(
    strides: Strides,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    [m, n, k]: [usize; 3],
    lie: Lie,
    threads: Parallelism,
) {
    let [out_row, out_column] = if lie == Lie::Rows { [n, 1] } else { [1, m] };
    let last = |[first, other]: [usize; 2], [rows, columns]: [usize; 2]| {
        (rows - 1) * first + (columns - 1) * other
    };
    assert!(last([strides.a_row, strides.a_depth], [m, k]) < a.len());
    assert!(last([strides.b_column, strides.b_depth], [n, k]) < b.len());
    assert_eq!(m * n, out.len());
    let Strides { a_row, a_depth, b_column, b_depth } = strides;
    let [a_row, a_depth, b_column, b_depth, out_row, out_column] =
        [a_row, a_depth, b_column, b_depth, out_row, out_column].map(|stride| stride as isize);
    // SAFETY: the last element of each matrix is within its slice, as was asserted, whose length fits
    // isize; the result is borrowed mutably and overlaps nothing.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            out_column,
            out_row,
            false,
            a.as_ptr(),
            a_depth,
            a_row,
            b.as_ptr(),
            b_column,
            b_depth,
            0.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

/// `sums[m] = sum over depth of A[m, depth]`, with A as `form` reads it and sizes `[m, k]`: what
/// [`Epilogue::row_sums`] is of a product.
///
/// # Errors
/// [`Error::Invalid`] where a slice has not the length that the sizes ask for.
pub fn left_sums(form: Form, a: &[f32], sums: &mut [f32], sizes: [usize; 2]) -> Result<()> {
    left_sums_by(Arithmetic::Native, form, a, sums, sizes)
}

pub(super) fn left_sums_by(
    arithmetic: Arithmetic,
    form: Form,
    a: &[f32],
    sums: &mut [f32],
    [m, k]: [usize; 2],
) -> Result<()> {
    matrix("left_sums: A", a.len(), [m, k])?;
    matrix("left_sums: row_sums", sums.len(), [1, m])?;
    if let Arithmetic::Exact(operands) = arithmetic {
        // The product with a column of ones.
        let ones = memory::filled("a product's ones", k, 1.0)?;
        return product::matmul(operands, form, a, &ones, sums, [m, 1, k]);
    }
    match form {
        Form::Tn => column_sums(a, None, sums),
        _ => row_sums(a, None, sums),
    }
}

/// What happens to each element of a product; slices are row-major.
pub type Epilogue<'a> = op::Epilogue<&'a [f32], &'a mut [f32]>;

/// Elements a task: large enough to be worth a thread.
const TASK: usize = 1 << 13;

/// Applies an epilogue to a product of `columns` columns, in place; `step` is dropout's counter.
///
/// # Errors
/// [`Error::Invalid`] where a slice has not the length that `out` asks for, a dropout's probability is
/// off, or the sums of A's rows are asked for, which [`left_sums`] makes of A.
pub fn epilogue(out: &mut [f32], columns: usize, epilogue: Epilogue<'_>, step: u32) -> Result<()> {
    epilogue_by(Arithmetic::Native, out, columns, epilogue, step)
}

pub(super) fn epilogue_by(
    arithmetic: Arithmetic,
    out: &mut [f32],
    columns: usize,
    epilogue: Epilogue<'_>,
    step: u32,
) -> Result<()> {
    let apply = by!(arithmetic, apply);
    apply("epilogue", None, out, columns, epilogue, step)
}

/// `out = epilogue(values)`, element by element, of matrices of `columns` columns:
/// `out = after + dropout(f(values + bias + before))`, with what is left out of the epilogue left out,
/// and `raw` as it says. `step` is dropout's counter.
///
/// # Errors
/// As [`epilogue`], and where the lengths of `values` and `out` differ.
pub fn map(
    values: &[f32],
    out: &mut [f32],
    columns: usize,
    epilogue: Epilogue<'_>,
    step: u32,
) -> Result<()> {
    map_by(Arithmetic::Native, values, out, columns, epilogue, step)
}

pub(super) fn map_by(
    arithmetic: Arithmetic,
    values: &[f32],
    out: &mut [f32],
    columns: usize,
    epilogue: Epilogue<'_>,
    step: u32,
) -> Result<()> {
    as_many("map: out", out.len(), values.len(), "values")?;
    let apply = by!(arithmetic, apply);
    apply("map", Some(values), out, columns, epilogue, step)
}

/// The values are `out`'s own where there are no others.
fn apply<R: Rounding>(
    operation: &str,
    values: Option<&[f32]>,
    out: &mut [f32],
    columns: usize,
    epilogue: Epilogue<'_>,
    step: u32,
) -> Result<()> {
    let check = |name: &str, length, rows, columns| {
        matrix(&format!("{operation}: {name}"), length, [rows, columns])
    };
    let Epilogue { bias, before, raw, nonlinearity, dropout, after, row_sums } = epilogue;
    if row_sums.is_some() {
        let needed = "none: A is not there to add up; `cpu::left_sums` takes it";
        return Err(Error::invalid(format!("{operation}: row_sums"), "a slice", needed));
    }
    if out.is_empty() {
        return Ok(());
    }
    let rows = out.len() / columns.max(1);
    check("out", out.len(), rows, columns)?;
    let z = match nonlinearity {
        Nonlinearity::Derivative(_, z) => Some(z),
        _ => None,
    };
    if let Some(bias) = bias {
        check("bias", bias.len(), 1, columns)?;
    }
    let whole = [("before", before), ("raw", raw.as_deref()), ("z", z), ("after", after)];
    for (name, part) in whole {
        if let Some(part) = part {
            check(name, part.len(), rows, columns)?;
        }
    }
    if let Some(dropout) = &dropout {
        dropout.check().map_err(|error| error.at(operation))?;
    }

    let task = (TASK / columns).max(1);
    let work = |first: usize, out: &mut [f32], raw: Option<&mut [f32]>| {
        let here = first * columns..first * columns + out.len();
        if let Some(values) = values {
            out.copy_from_slice(&values[here.clone()]);
        }
        if let Some(bias) = bias {
            out.chunks_exact_mut(columns).for_each(|row| add::<R>(row, bias));
        }
        if let Some(before) = before {
            add::<R>(out, &before[here.clone()]);
        }
        if let Some(raw) = raw {
            raw.copy_from_slice(out);
        }
        match nonlinearity {
            Nonlinearity::None => {}
            Nonlinearity::Value(f) => activation::in_place::<R>(f, out),
            Nonlinearity::Derivative(f, z) => {
                activation::in_place_backward::<R>(f, &z[here.clone()], out);
            }
        }
        if let Some(dropout) = &dropout {
            drop_out::<R>(out, columns, dropout, first, step);
        }
        if let Some(after) = after {
            add::<R>(out, &after[here]);
        }
    };
    let outs = out.par_chunks_mut(task * columns).enumerate();
    match raw {
        Some(raw) => outs
            .zip(raw.par_chunks_mut(task * columns))
            .for_each(|((chunk, out), raw)| work(chunk * task, out, Some(raw))),
        None => outs.for_each(|(chunk, out)| work(chunk * task, out, None)),
    }
    Ok(())
}

fn add<R: Rounding>(out: &mut [f32], other: &[f32]) {
    out.iter_mut().zip(other).for_each(|(t, other)| *t = R::pin(*t + other));
}
