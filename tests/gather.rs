//! Rows picked from a matrix: the CPU and every adapter, bit for bit.

use fanin::gpu::{Context, Tensor};
use fanin::random::Dtype;
use fanin::{Device, Result, cpu, wgpu};

use crate::devices::{every_form, forms, own_adapters, own_device};
use crate::guarded::{Guarded, normals};

/// Of `values`, `columns` a row.
fn gathered(device: &Device, values: &[f32], columns: usize, order: &[u32]) -> Result<Vec<f32>> {
    match device {
        Device::Cpu => {
            let mut out = vec![f32::NAN; order.len() * columns];
            cpu::gather(values, columns, order, &mut out)?;
            Ok(out)
        }
        Device::Gpu(context) => {
            let dims = [(values.len() / columns) as u64, columns as u64];
            let values = Guarded::shaped(context, &dims, values);
            let rows = order.len() as u64;
            let order = Guarded::of(context, &[rows], order, Dtype::U32);
            let out = Guarded::poisoned(context, &[rows, dims[1]]);
            context.run(|pass| pass.gather(&values.tensor, &order.tensor, &out.tensor))?;
            Ok(out.read(context))
        }
    }
}

fn wanted(values: &[f32], columns: usize, order: &[u32]) -> Vec<f32> {
    let rows = order.iter().map(|row| &values[*row as usize * columns..][..columns]);
    rows.flatten().copied().collect()
}

/// Some rows of so many, in no order, some more than once, the first and the last among them.
fn order(rows: usize, picked: usize) -> Vec<u32> {
    let place = |index: usize| (index * 7919 + index * index) % rows;
    let mut order: Vec<u32> = (0..picked).map(|index| place(index) as u32).collect();
    order[picked / 2] = 0;
    order[picked - 1] = rows as u32 - 1;
    order
}

#[test]
fn every_row_is_the_one_that_was_asked_for() {
    for (rows, columns, picked) in
        [(1, 1, 1), (5, 3, 11), (100, 64, 33), (7, 1000, 3), (9001, 1, 20_000), (300, 17, 257)]
    {
        let (values, order) = (normals("values", rows * columns), order(rows, picked));
        let wanted = wanted(&values, columns, &order);
        for device in every_form() {
            let found = gathered(device, &values, columns, &order).unwrap();
            assert_eq!(found, wanted, "{device}: {picked} of {rows} x {columns}");
        }
    }
}

/// A table longer than a binding goes in runs, of whole rows that start where the device binds.
#[test]
fn a_table_longer_than_a_binding_is_read_in_runs() {
    let limits =
        wgpu::Limits { max_storage_buffer_binding_size: 1 << 16, ..wgpu::Limits::default() };
    let (device, queue) = own_device(&own_adapters()[0], limits);
    let device = Device::Gpu(Context::from_device(device, queue).unwrap());
    for columns in [1, 3, 64, 100] {
        let rows = 150_000 / columns;
        let (values, order) = (normals("values", rows * columns), order(rows, 101));
        let found = gathered(&device, &values, columns, &order).unwrap();
        assert_eq!(found, wanted(&values, columns, &order), "{columns} columns");
    }
    let wide = (1 << 14) - 1;
    let error = gathered(&device, &vec![0.0; 2 * wide], wide, &[0]).unwrap_err().to_string();
    assert!(error.starts_with("values: got 16383 columns, needed rows of which"), "{error}");
}

/// A shader cannot tell; the CPU can.
#[test]
fn an_index_of_no_row_leaves_its_row() {
    for device in every_form() {
        let found = gathered(device, &[1.0, 2.0, 3.0, 4.0], 2, &[1, 2, 0]);
        match device {
            Device::Cpu => {
                let error = found.unwrap_err().to_string();
                assert_eq!(error, "order: got row 2 at index 1, needed rows of the 2 there are");
            }
            Device::Gpu(_) => {
                let found = found.unwrap();
                assert!(found[2..4].iter().all(|x| x.is_nan()), "{device}: {found:?}");
                assert_eq!([&found[..2], &found[4..]].concat(), [3.0, 4.0, 1.0, 2.0], "{device}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let context = &forms()[0];
    let floats = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let (values, out) = (floats(&[4, 3]), floats(&[2, 3]));
    let order = Guarded::of(context, &[2], &[0; 2], Dtype::U32).tensor;
    let refused = |values: &Tensor, order: &Tensor, out: &Tensor| {
        let run = context.run(|pass| pass.gather(values, order, out));
        run.unwrap_err().to_string()
    };
    assert!(refused(&floats(&[12]), &order, &out).contains("needed a matrix"));
    assert!(refused(&values, &floats(&[2]), &out).starts_with("order: got f32, needed u32"));
    assert!(refused(&values, &order, &floats(&[3, 3])).starts_with("out: got shape [3, 3]"));
    assert!(refused(&values, &order, &order).starts_with("out: got u32, needed f32"));
    let same = values.within(values.offset(), out.shape().clone(), Dtype::F32).unwrap();
    assert!(refused(&values, &order, &same).contains("a buffer of its own"));
    let twin = |values: &[f32], columns, order: &[u32], out: &mut [f32]| {
        cpu::gather(values, columns, order, out).unwrap_err().to_string()
    };
    for columns in [0, 3] {
        let error = twin(&[0.0; 4], columns, &[0], &mut [0.0; 3]);
        assert!(error.starts_with("values: got 4 elements, needed whole rows"), "{error}");
    }
    let error = twin(&[0.0; 4], 2, &[0, 1], &mut [0.0; 3]);
    assert!(error.starts_with("out: got 3 elements, needed 2 x 2"), "{error}");
    cpu::gather(&[], 2, &[], &mut []).unwrap();
}
