// Tiles that are done at about the same time stand in bands of so many rows of tiles: what they read is
// read by many of them, and stays in the cache.
const BAND = 8u;

// The first row and column of a workgroup's tile, and its split, of a product's rows from one to another
// and all its columns; a split beyond the last is all of a workgroup's that is beyond the grid's last.
fn tile_at(
    index: u32,
    first_row: u32,
    end_row: u32,
    columns: u32,
    tile_rows: u32,
    tile_columns: u32,
) -> vec3<u32> {
    let across = (columns + tile_columns - 1u) / tile_columns;
    let down = (end_row - first_row + tile_rows - 1u) / tile_rows;
    let place = index % (across * down);
    let first = place / (BAND * across) * BAND;
    let tall = min(BAND, down - first);
    let within = place - first * across;
    let row = first_row + (first + within % tall) * tile_rows;
    return vec3<u32>(row, within / tall * tile_columns, index / (across * down));
}
