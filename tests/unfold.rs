//! Windows unfolded and folded, on the CPU and every adapter, against the definition.

use fanin::gpu::Context;
use fanin::op::Conv2d;
use fanin::{Error, cpu, wgpu};

use crate::conv::{CASES, close, places};
use crate::devices::{forms, own_adapters, own_device};
use crate::guarded::{Guarded, normals};

/// Each element of the unfolded matrix, and the element of the signal that it reads; none beyond it.
fn unfolded(conv: &Conv2d, batch: usize) -> Vec<Option<usize>> {
    let [height, width, channels] = conv.input;
    let [down, across, _] = conv.output().unwrap();
    let mut sources = Vec::new();
    for image in 0..batch {
        for (y, x) in places(down, across) {
            for c in 0..channels {
                for (i, j) in places(conv.kernel[0], conv.kernel[1]) {
                    let row = (y * conv.stride[0] + i * conv.dilation[0]) as isize;
                    let column = (x * conv.stride[1] + j * conv.dilation[1]) as isize;
                    let row = row - conv.padding[0] as isize;
                    let column = column - conv.padding[1] as isize;
                    let on = (0..height as isize).contains(&row)
                        && (0..width as isize).contains(&column);
                    sources.push(on.then(|| {
                        let line = image * height + row as usize;
                        (line * width + column as usize) * channels + c
                    }));
                }
            }
        }
    }
    sources
}

fn unfold(context: Option<&Context>, conv: &Conv2d, batch: usize, values: &[f32]) -> Vec<f32> {
    let [down, across, _] = conv.output().unwrap();
    let rows = batch * down * across;
    let Some(context) = context else {
        let mut out = vec![f32::NAN; rows * conv.depth()];
        cpu::unfold(conv, values, &mut out).unwrap();
        return out;
    };
    let values = Guarded::shaped(context, &[batch as u64, (values.len() / batch) as u64], values);
    let out = Guarded::poisoned(context, &[rows as u64, conv.depth() as u64]);
    context.run(|pass| pass.unfold(conv, &values.tensor, &out.tensor)).unwrap();
    out.read(context)
}

fn fold(context: Option<&Context>, conv: &Conv2d, batch: usize, values: &[f32]) -> Vec<f32> {
    let each: usize = conv.input.iter().product();
    let Some(context) = context else {
        let mut out = vec![f32::NAN; batch * each];
        cpu::fold(conv, values, &mut out).unwrap();
        return out;
    };
    let rows = (values.len() / conv.depth()) as u64;
    let values = Guarded::shaped(context, &[rows, conv.depth() as u64], values);
    let [height, width, channels] = conv.input.map(|side| side as u64);
    let out = Guarded::poisoned(context, &[batch as u64, height, width, channels]);
    context.run(|pass| pass.fold(conv, &values.tensor, &out.tensor)).unwrap();
    out.read(context)
}

#[test]
fn every_window_is_a_row_and_comes_back() {
    for (batch, conv) in CASES {
        let sources = unfolded(&conv, batch);
        let each: usize = conv.input.iter().product();
        let values = normals("values", batch * each);
        let wanted: Vec<f32> =
            sources.iter().map(|source| source.map_or(0.0, |source| values[source])).collect();
        let rows = normals("rows", sources.len());
        let mut sums = vec![(0.0, 0.0, 0); batch * each];
        for (source, value) in sources.iter().zip(&rows) {
            if let Some(source) = source {
                let (sum, size, terms) = &mut sums[*source];
                *sum += f64::from(*value);
                *size += f64::from(*value).abs();
                *terms += 1;
            }
        }
        for context in std::iter::once(None).chain(forms().iter().map(Some)) {
            let place = format!(
                "{batch} of {conv:?} on {}",
                context.map_or("the CPU".into(), Context::name)
            );
            assert_eq!(unfold(context, &conv, batch, &values), wanted, "{place}");
            close(&fold(context, &conv, batch, &rows), &sums, &place);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let conv = Conv2d::new([4, 5, 2], 3, [3, 3]);
    let refused = |error: Result<(), Error>| {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    let none = &mut [0.0; 0];
    assert!(
        refused(cpu::unfold(&conv, &[0.0; 39], none))
            .starts_with("values: got 39 elements, needed a multiple of 4 x 5 x 2")
    );
    assert!(
        refused(cpu::unfold(&conv, &[0.0; 40], none))
            .starts_with("out: got 0 elements, needed 1 x 108")
    );
    assert!(refused(cpu::fold(&conv, &[0.0; 107], &mut [0.0; 40])).starts_with("values: got 107"));
    let context = &forms()[0];
    let tensor = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let run = |values: &[u64], out: &[u64]| {
        let (values, out) = (tensor(values), tensor(out));
        refused(context.run(|pass| pass.unfold(&conv, &values, &out)))
    };
    assert!(
        run(&[2, 39], &[12, 18])
            .starts_with("values: got shape [2, 39], needed [batch, 4 x 5 x 2]")
    );
    assert!(run(&[80], &[12, 18]).starts_with("values: got shape [80]"));
    assert!(run(&[2, 40], &[12, 17]).starts_with("out: got shape [12, 17]"));
    let both = tensor(&[18, 40]);
    let square = Conv2d::new([4, 5, 2], 1, [1, 1]);
    let error = refused(context.run(|pass| pass.unfold(&square, &both, &both)));
    assert!(error.contains("a buffer of its own"), "{error}");
    // What no binding holds is told by the batch that one does.
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 16, ..Default::default() };
    let (device, queue) = own_device(&own_adapters()[0], limits);
    let context = &Context::from_device(device, queue).unwrap();
    let [values, out] =
        [[152, 40], [152, 108]].map(|dims| Guarded::poisoned(context, &dims).tensor);
    let error = refused(context.run(|pass| pass.unfold(&conv, &values, &out)));
    let wanted = "out: got a batch of 152, needed at most 151, of 432 bytes each: ";
    assert!(error.starts_with(wanted) && error.ends_with(" binds 65536"), "{error}");
}
