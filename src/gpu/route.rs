//! How a product of given sizes goes through a device. Knows no device.

use std::fmt;

use crate::shaders::Loads;

/// The kernel of a product, and its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Tiles of 128 x 128 through workgroup memory.
    Tiled128,
    /// Tiles of 64 x 64.
    Tiled64,
    /// Tiles of 32 x 32.
    Tiled32,
    /// Four rows at a time.
    Thin,
    /// Blocks of 32 x 32 in registers, without barriers: software adapters.
    Direct,
}

/// A route's kernel, as constants.
pub(super) struct Tile {
    pub(super) entry: &'static str,
    pub(super) rows: u64,
    pub(super) columns: u64,
    /// Quads of rows and of columns that an invocation takes.
    pub(super) quads: u32,
    /// Invocations a workgroup.
    pub(super) width: u32,
    /// Tiles a workgroup.
    pub(super) tiles: u64,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 5] =
        [Route::Tiled128, Route::Tiled64, Route::Tiled32, Route::Thin, Route::Direct];

    /// Tiles of a product.
    fn tiles(self, [m, n, _]: [u64; 3]) -> u64 {
        let tile = self.tile(false);
        m.div_ceil(tile.rows).saturating_mul(n.div_ceil(tile.columns)).max(1)
    }

    /// `columns_together` where B's columns lie side by side.
    pub(super) fn tile(self, columns_together: bool) -> Tile {
        let tile = |entry, rows, columns, quads, width, tiles| Tile {
            entry,
            rows,
            columns,
            quads,
            width,
            tiles,
        };
        match self {
            Route::Tiled128 => tile("matmul_tiled", 128, 128, 2, 256, 1),
            Route::Tiled64 => tile("matmul_tiled", 64, 64, 2, 64, 1),
            Route::Tiled32 => tile("matmul_tiled", 32, 32, 1, 64, 1),
            Route::Thin => tile("matmul_thin", 4, if columns_together { 64 } else { 16 }, 1, 64, 1),
            Route::Direct => tile("matmul_direct", 32, 32, 1, 64, 8),
        }
    }
}

/// A route, and how many workgroups share the depth of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Way {
    /// The kernel.
    pub route: Route,
    /// The parts of the depth that are summed apart and then added in their order; of a direct route 1.
    pub splits: u64,
}

/// Workgroups that fill a large GPU: about one a multiprocessor.
const FILL: u64 = 128;

/// The depth of a part is a multiple of the tiles'.
pub(super) const STEP: u64 = 16;

/// The shortest depth that is worth a part of its own.
const SHORTEST: u64 = 256;

/// What the sums of all parts may take, in bytes.
const SCRATCH: u64 = 1 << 26;

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = match self.route {
            Route::Tiled128 => "tiles of 128 x 128",
            Route::Tiled64 => "tiles of 64 x 64",
            Route::Tiled32 => "tiles of 32 x 32",
            Route::Thin => "four rows",
            Route::Direct => "blocks in registers",
        };
        match self.splits {
            1 => f.write_str(route),
            splits => write!(f, "{route}, depth in {splits}"),
        }
    }
}

impl Way {
    /// What is taken where nothing was measured: the largest tile that leaves no part of a large GPU
    /// idle, and the depth shared out where none does.
    pub fn usual(software: bool, [m, n, k]: [u64; 3]) -> Way {
        if software {
            return Way { route: Route::Direct, splits: 1 };
        }
        let sizes = [m, n, k];
        let large = [Route::Tiled128, Route::Tiled64];
        let route = match large.into_iter().find(|route| route.tiles(sizes) >= FILL) {
            _ if m <= 4 => Route::Thin,
            Some(route) => route,
            None => Route::Tiled32,
        };
        Way::filling(route, sizes)
    }

    /// A route, with the depth shared out where its tiles alone leave a large GPU idle.
    pub(super) fn filling(route: Route, sizes: [u64; 3]) -> Way {
        Way { route, splits: (FILL / route.tiles(sizes)).max(1) }.within(sizes)
    }

    /// The same with no more splits than the depth and the scratch memory allow, and one at least.
    pub fn within(self, [m, n, k]: [u64; 3]) -> Way {
        let sums = m.saturating_mul(n).saturating_mul(4).max(1);
        let most = (k / SHORTEST).min(SCRATCH / sums).max(1);
        let splits = if self.route == Route::Direct { 1 } else { self.splits.clamp(1, most) };
        Way { splits, ..self }
    }

    /// The depth of each part but the last.
    pub(super) fn split_depth(self, depth: u64) -> u64 {
        depth.div_ceil(self.splits.max(1)).next_multiple_of(STEP)
    }
}

/// How factors are read, whose lines in memory are so many elements long.
pub(super) fn loads(bytes: usize, lines: [u64; 2]) -> Loads {
    match lines.iter().all(|line| line.is_multiple_of(4)) {
        false => Loads::Words,
        true if bytes == 2 => Loads::Halves,
        true => Loads::Quads,
    }
}
