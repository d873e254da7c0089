// What rows are taken in, four elements at a time: rows of whole fours.

alias Item = Four;
alias Value = vec4<f32>;
alias Places = vec4<u32>;

const SIDES = 4u;

fn value_of(item: Item) -> Value {
    return four_of(item);
}

fn item_of(value: Value) -> Item {
    return of_four(value);
}

fn side(value: Value, at: u32) -> f32 {
    return value[at];
}

fn place_side(places: Places, at: u32) -> u32 {
    return places[at];
}

fn of_sides(first: f32, second: f32, third: f32, fourth: f32) -> Value {
    return vec4<f32>(first, second, third, fourth);
}

fn places(item: u32) -> Places {
    return vec4<u32>(4u * item) + vec4<u32>(0u, 1u, 2u, 3u);
}

fn words_of(words: vec4<u32>, item: u32) -> Places {
    return words;
}

fn total(value: Value) -> f32 {
    if exact == 1u {
        return pin(pin(value.x + value.z) + pin(value.y + value.w));
    }
    return (value.x + value.y) + (value.z + value.w);
}

fn pins(x: Value) -> Value {
    return pin_four(x);
}

fn quotients(a: Value, b: Value) -> Value {
    return quotient_four(a, b);
}

fn exp_negatives(x: Value) -> Value {
    return vec4<f32>(
        exp_negative(x.x),
        exp_negative(x.y),
        exp_negative(x.z),
        exp_negative(x.w),
    );
}

fn log1p_units(x: Value) -> Value {
    return vec4<f32>(log1p_unit(x.x), log1p_unit(x.y), log1p_unit(x.z), log1p_unit(x.w));
}
