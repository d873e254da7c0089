//! How a product of given sizes goes through a device, and what of a device decides that. Knows no
//! device itself.

use std::fmt;

use crate::op::STRETCH;
use crate::shaders::Loads;

/// The kernel of a product, and its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "tuning", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "tuning", serde(rename_all = "snake_case"))]
pub enum Route {
    /// Tiles of 128 x 128 through workgroup memory.
    Tiled128,
    /// Tiles of 64 x 64.
    Tiled64,
    /// Tiles of 64 x 32.
    Tiled64x32,
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
    pub(super) quads: [u64; 2],
    /// Invocations of a slice; of a route without slices, of a workgroup.
    pub(super) width: u64,
    /// Tiles a workgroup.
    pub(super) tiles: u64,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 6] = [
        Route::Tiled128,
        Route::Tiled64,
        Route::Tiled64x32,
        Route::Tiled32,
        Route::Thin,
        Route::Direct,
    ];

    /// Tiles of a product.
    fn tiles(self, [m, n, _]: [u64; 3]) -> u64 {
        let tile = self.tile(false);
        m.div_ceil(tile.rows).saturating_mul(n.div_ceil(tile.columns)).max(1)
    }

    /// `columns_together` where B's columns lie side by side.
    pub(super) fn tile(self, columns_together: bool) -> Tile {
        let tiled = |rows, columns, quads: [u64; 2]| Tile {
            entry: "matmul_tiled",
            rows,
            columns,
            quads,
            width: rows * columns / (16 * quads[0] * quads[1]),
            tiles: 1,
        };
        match self {
            Route::Tiled128 => tiled(128, 128, [2, 2]),
            Route::Tiled64 => tiled(64, 64, [2, 2]),
            Route::Tiled64x32 => tiled(64, 32, [2, 1]),
            Route::Tiled32 => tiled(32, 32, [1, 1]),
            Route::Thin => {
                let columns = if columns_together { 64 } else { 16 };
                Tile { entry: "matmul_thin", rows: 4, columns, quads: [1, 1], width: 64, tiles: 1 }
            }
            Route::Direct => {
                let (entry, tiles) = ("matmul_direct", 8);
                Tile { entry, rows: 32, columns: 32, quads: [1, 1], width: 64, tiles }
            }
        }
    }

    fn is_tiled(self) -> bool {
        !matches!(self, Route::Thin | Route::Direct)
    }
}

/// A route, and how many share the depth of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "tuning", derive(serde::Serialize, serde::Deserialize))]
pub struct Way {
    /// The kernel.
    pub route: Route,
    /// The parts of the depth that are summed by workgroups of their own, and then added in their order
    /// by another dispatch; of a direct route 1.
    pub splits: u64,
    /// The slices of a workgroup, of which each multiplies its part of every stage of the depth: their
    /// sums are added in their order at the end, in workgroup memory. 1, 2 or 4; of a route without tiles 1.
    pub slices: u64,
}

/// What of a device decides how a product goes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// Whether the device is a CPU.
    pub software: bool,
    /// Multiprocessors. No interface tells: see [`Hardware::LARGE`].
    pub units: u64,
    /// Bytes of memory that a workgroup may have.
    pub memory: u64,
    /// Invocations that a workgroup may have.
    pub invocations: u64,
}

impl Hardware {
    /// Units of a large card: what a device is taken for that does not say to be a small one. On one of
    /// fewer units the shapes that fill a large one are fast too; the other way round units stand idle.
    pub const LARGE: u64 = 132;

    /// Units of a GPU that shares the processor's memory.
    pub const INTEGRATED: u64 = 16;
}

/// How a stage of the depth lies in workgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Depths of a slice.
    pub(super) depth: u64,
    /// Quads between four depths and the next.
    pub(super) padding: u64,
}

impl Stage {
    /// Bytes of a workgroup's two stages, as `shaders/matmul.wgsl` has them.
    pub(super) fn bytes(self, tile: &Tile, slices: u64) -> u64 {
        16 * slices * self.depth / 2 * (tile.rows + tile.columns + 2 * self.padding)
    }
}

/// The depth of a part is a multiple of this: so its lines start at whole quads.
pub(super) const STEP: u64 = 16;

/// The depth that one dispatch adds up, where it is not shared out: an invocation has 65,535 iterations of
/// loops on llvmpipe, of which each takes one depth at least.
pub(super) const LONGEST: u64 = 1 << 14;

/// The shortest depth that is worth a part of its own.
const SHORTEST: u64 = 64;

/// What the sums of all parts may take, in bytes.
const SCRATCH: u64 = 1 << 26;

/// Parts of the depth that are thought of.
const SPLITS: [u64; 14] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/// Workgroups that fill a large GPU's matrix units: about one a multiprocessor.
const FILL: u64 = 128;

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.route {
            Route::Tiled128 => "tiles of 128 x 128",
            Route::Tiled64 => "tiles of 64 x 64",
            Route::Tiled64x32 => "tiles of 64 x 32",
            Route::Tiled32 => "tiles of 32 x 32",
            Route::Thin => "four rows",
            Route::Direct => "blocks in registers",
        })?;
        if self.slices > 1 {
            write!(f, ", {} slices", self.slices)?;
        }
        if self.splits > 1 {
            write!(f, ", depth in {}", self.splits)?;
        }
        Ok(())
    }
}

impl Way {
    /// A route, with the depth whole.
    pub fn whole(route: Route) -> Way {
        Way { route, splits: 1, slices: 1 }
    }

    /// What is taken where nothing was measured: blocks in registers on a CPU, else the fastest by
    /// [`Way::microseconds`].
    pub fn usual(hardware: &Hardware, sizes: [u64; 3]) -> Way {
        Way::ranked(hardware, sizes)[0].0
    }

    /// What can be taken, and its microseconds by the model, the fastest first (of one dispatch, if that
    /// is a tenth slower at most) and one at least. On a CPU there is nothing to choose.
    pub fn ranked(hardware: &Hardware, sizes: [u64; 3]) -> Vec<(Way, f64)> {
        if hardware.software {
            return vec![(Way::whole(Route::Direct), 0.0)];
        }
        let mut ranked = Vec::new();
        for route in Route::ALL {
            for slices in [1, 2, 4] {
                for splits in SPLITS {
                    let way = Way { route, splits, slices };
                    let fits = match route {
                        Route::Direct => false,
                        Route::Thin => sizes[0] <= 16,
                        _ => way.stage(hardware).is_some(),
                    };
                    if fits && way.within(hardware, sizes) == way {
                        ranked.push((way, way.microseconds(hardware, sizes)));
                    }
                }
            }
        }
        if ranked.is_empty() {
            // No tile fits: four rows do anywhere.
            ranked.push((Way::whole(Route::Thin), 0.0));
        }
        // Stable: of equals the one with the larger tile, fewer slices, fewer parts.
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        // The model is a tenth off; so little is not worth a dispatch more.
        let one = |(way, time): &(Way, f64)| way.splits == 1 && *time <= 1.1 * ranked[0].1;
        if let Some(at) = ranked.iter().position(one) {
            ranked[..=at].rotate_right(1);
        }
        ranked
    }

    /// How an exact product goes through a device, of which each stretch of the depth is a sum of its own:
    /// one dispatch a stretch, or a part for each, where there is memory for all of their sums. The route is the
    /// caller's where it is given and has an order of its own.
    pub(super) fn exact(wanted: Option<Way>, hardware: &Hardware, sizes: [u64; 3]) -> Way {
        let [m, n, k] = sizes;
        if hardware.software && wanted.is_none() {
            return Way::whole(Route::Direct);
        }
        let stretches = k.div_ceil(STRETCH as u64).max(1);
        let room = SCRATCH / m.saturating_mul(n).saturating_mul(4).max(1);
        let mut best = (Way::whole(Route::Direct), f64::INFINITY);
        for route in Route::ALL {
            for splits in [1, stretches] {
                let way = Way { route, splits, slices: 1 };
                let asked = wanted.is_none_or(|own| own.route == route)
                    && wanted.is_none_or(|own| (own.splits > 1) == (splits > 1) || stretches == 1);
                if way.stage(hardware).is_none() || !asked || splits > room.max(1) {
                    continue;
                }
                let result = 4.0 * m as f64 * n as f64 / (READ * hardware.units.max(1) as f64);
                let again = if splits == 1 { stretches as f64 - 1.0 } else { 0.0 };
                let time = way.microseconds(hardware, sizes) + again * (START + 2.0 * result);
                if time < best.1 {
                    best = (way, time);
                }
            }
        }
        best.0
    }

    /// A route, with the depth shared out where its tiles alone leave a large GPU idle: matrix units.
    pub(super) fn filling(route: Route, sizes: [u64; 3]) -> Way {
        let splits = FILL / route.tiles(sizes);
        Way { splits: splits.clamp(1, most_splits(sizes, 256)), ..Way::whole(route) }
    }

    /// The same with no more splits than the depth and the scratch memory allow (one where parts would
    /// be longer than a dispatch adds up), no more slices than a workgroup has invocations and memory
    /// for, and one at least of each.
    pub fn within(self, hardware: &Hardware, sizes: [u64; 3]) -> Way {
        let splits = match self.route {
            Route::Direct => 1,
            _ => self.splits.clamp(1, most_splits(sizes, SHORTEST)),
        };
        // Parts that are still too long for one dispatch: all of them one after the other.
        let splits = match (Way { splits, ..self }).split_depth(sizes[2]) {
            depth if depth > LONGEST => 1,
            _ => splits,
        };
        let fits = |slices: &u64| {
            *slices <= self.slices && Way { slices: *slices, ..self }.stage(hardware).is_some()
        };
        let slices = [4, 2].into_iter().find(fits).unwrap_or(1);
        Way { splits, slices, ..self }
    }

    /// How a stage lies in a workgroup's memory: the longest that there is room for; none where there
    /// is none, or too few invocations, or the route has no tiles.
    pub(super) fn stage(self, hardware: &Hardware) -> Option<Stage> {
        let tile = self.route.tile(false);
        if !self.route.is_tiled() || tile.width.saturating_mul(self.slices) > hardware.invocations {
            return None;
        }
        // Eight neighbours store at once, each a quad of some fours of depths: on banks of their own where
        // these lie so far apart.
        let padding = |depth: u64| match depth * self.slices {
            0..16 => 0,
            16..32 => 2,
            _ => 1,
        };
        let stages = [(16, padding(16)), (8, padding(8)), (8, 0)];
        let mut stages = stages.map(|(depth, padding)| Stage { depth, padding }).into_iter();
        stages.find(|stage| stage.bytes(&tile, self.slices) <= hardware.memory)
    }

    /// The depth of each part but the last.
    pub(super) fn split_depth(self, depth: u64) -> u64 {
        depth.div_ceil(self.splits.max(1)).next_multiple_of(STEP)
    }

    /// About how long a product takes this way on a GPU of so many units, each like one of an H200's 132:
    /// `t = 3 + max(c, s, r, q) + w`, and with splits `+ 3 + j`, in microseconds. What it is for is the
    /// order of the ways, on which a factor that all have in common has no say.
    ///
    /// - 3: from one dispatch to the next (2), and until the first factors are there;
    /// - `c`, multiply-adds: `ceil(workgroups / units)` workgroups on a unit, whole stages of whole tiles,
    ///   253,000 a microsecond, times what a kernel reaches with many warps (0.72, 0.57, 0.42 with 8 x 8,
    ///   8 x 4, 4 x 4 elements an invocation), times `b / (b + 57.6 / elements)` with `b` warps at once;
    /// - `s`, waiting: 0.5 a stage, of as many rounds as there are workgroups beyond those that a unit has
    ///   at once; of four rows 0.7 for 64 depths;
    /// - `r`, `q`: the factors from memory at 33,000 bytes and unit, what all tiles read from the cache at
    ///   42,000 (of four rows two thirds of that);
    /// - `w`: the result, or the sums of all splits, at 33,000 bytes; with slices 0.4 more;
    /// - `j`: the sums and the result once more.
    ///
    /// Fitted to kernels of these shapes on an H200: 4096^3 in 3,170 us, 1024^3 in 60; and, their joins not
    /// counted, 1024^3 by tiles of 128 with its depth in four in 56, 256 x 512 x 784 in seven in 9.5,
    /// 512 x 512 x 256 in four in 7.1.
    pub fn microseconds(self, hardware: &Hardware, [m, n, k]: [u64; 3]) -> f64 {
        let units = hardware.units.max(1) as f64;
        let tile = self.route.tile(false);
        let [tile_rows, tile_columns] = [tile.rows, tile.columns].map(|lines| lines as f64);
        let [rows, columns, depth] = [m, n, k].map(|size| size.max(1) as f64);
        let [down, across] = [(rows / tile_rows).ceil(), (columns / tile_columns).ceil()];
        let splits = self.splits.max(1) as f64;
        let share = (down * across * splits / units).ceil();
        let part = (depth / splits / STEP as f64).ceil() * STEP as f64;
        let elements = (16 * tile.quads[0] * tile.quads[1]) as f64;
        let warps = tile.width as f64 * self.slices as f64 / 32.0;
        // Those of 64 elements an invocation take half of the registers that it can have at most.
        let at_once = (16.0 * (64.0 / elements).sqrt() / warps).floor().max(1.0);
        let rounds = (share / at_once).ceil();
        let memory = 4.0 * (rows + columns) * depth / (READ * units);
        let tiles = tile_rows + tile_columns;
        let cache = 4.0 * down * across * tiles * depth / (CACHED * units);
        let work = if self.route.is_tiled() {
            let stage =
                self.stage(hardware).map_or(16, |stage| stage.depth) as f64 * self.slices as f64;
            let stages = (part / stage).ceil();
            let products = tile_rows * tile_columns * stages * stage;
            let reached = match tile.quads {
                [2, 2] => 0.72,
                [1, 1] => 0.42,
                _ => 0.57,
            };
            let busy = warps * share.min(at_once);
            let rate = PRODUCTS * reached * busy / (busy + 57.6 / elements);
            let joined = if self.slices > 1 { 0.4 } else { 0.0 };
            joined + (share * products / rate).max(0.5 * rounds * stages).max(memory).max(cache)
        } else {
            // Sixteen lanes of four depths each, whose loads are waited for: two thirds of the speed.
            (0.7 * rounds * (part / 64.0).ceil()).max(1.5 * memory).max(1.5 * cache)
        };
        let result = 4.0 * rows * columns / (READ * units);
        if self.splits > 1 {
            return START + work + splits * result + START + (splits + 1.0) * result;
        }
        START * (depth / LONGEST as f64).ceil() + work + result
    }
}

/// Microseconds from one dispatch to the next.
const START: f64 = 3.0;

/// Multiply-adds of a unit in a microsecond: 128 at 1.98 GHz.
const PRODUCTS: f64 = 253_000.0;

/// Bytes that a unit reads in a microsecond, from memory and from the cache.
const READ: f64 = 33_000.0;
const CACHED: f64 = 42_000.0;

/// The most parts of a depth that has `shortest` in each, whose sums fit into scratch memory.
fn most_splits([m, n, k]: [u64; 3], shortest: u64) -> u64 {
    let sums = m.saturating_mul(n).saturating_mul(4).max(1);
    (k / shortest).min(SCRATCH / sums).max(1)
}

/// How factors are read, whose lines in memory are so many elements long.
pub(super) fn loads(bytes: usize, lines: [u64; 2]) -> Loads {
    match lines.iter().all(|line| line.is_multiple_of(4)) {
        false => Loads::Words,
        true if bytes == 2 => Loads::Halves,
        true => Loads::Quads,
    }
}
