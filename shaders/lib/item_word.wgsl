// What rows are taken in, an element at a time: rows of any length.

alias Item = f32;
alias Value = f32;
alias Places = u32;

// Elements an item.
const SIDES = 1u;

fn value_of(item: Item) -> Value {
    return item;
}

fn item_of(value: Value) -> Item {
    return value;
}

// An element of an item.
fn side(value: Value, at: u32) -> f32 {
    return value;
}

fn place_side(places: Places, at: u32) -> u32 {
    return places;
}

fn of_sides(first: f32, second: f32, third: f32, fourth: f32) -> Value {
    return first;
}

// The columns of an item.
fn places(item: u32) -> Places {
    return item;
}

// Of the words of the four columns that an item is among, its own.
fn words_of(words: vec4<u32>, item: u32) -> Places {
    return words[item % 4u];
}

fn total(value: Value) -> f32 {
    return value;
}

fn pins(x: Value) -> Value {
    return pin(x);
}

fn quotients(a: Value, b: Value) -> Value {
    return quotient(a, b);
}

fn exp_negatives(x: Value) -> Value {
    return exp_negative(x);
}

fn log1p_units(x: Value) -> Value {
    return log1p_unit(x);
}
