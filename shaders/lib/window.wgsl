// Windows that slide over signals with their channels last: what unfolding, convolution and pooling
// share. Of each pair [0] is of the height, [1] of the width.

struct Params {
    // Of the signal, and of windows on it.
    size: vec2<u32>,
    places: vec2<u32>,
    kernel: vec2<u32>,
    stride: vec2<u32>,
    padding: vec2<u32>,
    dilation: vec2<u32>,
    // Of the taps that read one place of the signal each is `period` after the last, of a window `drop`
    // places before the last's.
    period: vec2<u32>,
    drop: vec2<u32>,
    batch: u32,
    channels: u32,
    outputs: u32,
    // Of a group.
    group_channels: u32,
    group_outputs: u32,
    slices: u32,
    places_of_slice: u32,
    share: f32,
    // 0, which no compiler knows.
    zero: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

// An element of a batch of signals.
struct Element {
    image: u32,
    at: vec2<u32>,
    channel: u32,
}

fn element_at(index: u32, sides: vec2<u32>, channels: u32) -> Element {
    let pixel = index / channels;
    let line = pixel / sides[1];
    let image = line / sides[0];
    let at = vec2<u32>(line - image * sides[0], pixel - line * sides[1]);
    return Element(image, at, index - pixel * channels);
}

// The first channel of a place of the signal.
fn pixel_of(image: u32, at: vec2<u32>) -> u32 {
    return ((image * params.size[0] + at[0]) * params.size[1] + at[1]) * params.channels;
}

// The first output of a window.
fn window_of(image: u32, place: vec2<u32>) -> u32 {
    return ((image * params.places[0] + place[0]) * params.places[1] + place[1]) * params.outputs;
}

// Where a tap of a window lies on the signal; not `inside` where it lies beyond.
fn source_of(place: vec2<u32>, tap: vec2<u32>) -> vec2<u32> {
    return place * params.stride + tap * params.dilation - params.padding;
}

fn inside(at: vec2<u32>) -> bool {
    return all(at < params.size);
}

// The taps that read a place of the signal, and of which windows. The window of a tap may lie beyond the
// last.
struct Readers {
    // The place, of the padded signal.
    at: vec2<u32>,
    // The first of the taps; beyond the kernel where there is none.
    tap: vec2<u32>,
    place: vec2<u32>,
}

fn first_tap(at: u32, kernel: u32, stride: u32, dilation: u32, period: u32) -> u32 {
    for (var tap = 0u; tap < min(period, kernel) && tap * dilation <= at; tap++) {
        if (at - tap * dilation) % stride == 0u {
            return tap;
        }
    }
    return kernel;
}

fn readers_of(on_signal: vec2<u32>) -> Readers {
    let at = on_signal + params.padding;
    let tap = vec2<u32>(
        first_tap(at[0], params.kernel[0], params.stride[0], params.dilation[0], params.period[0]),
        first_tap(at[1], params.kernel[1], params.stride[1], params.dilation[1], params.period[1]),
    );
    return Readers(at, tap, (at - tap * params.dilation) / params.stride);
}

// Whether a tap, one of those from the first on, reads the place.
fn reads(readers: Readers, axis: u32, tap: u32) -> bool {
    return tap < params.kernel[axis] && tap * params.dilation[axis] <= readers.at[axis];
}
