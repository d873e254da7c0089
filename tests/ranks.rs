//! A model by several processes: whole files shared out, parts of tensors by a plan, manifests joined.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use fanin::device::Draw;
use fanin::recipe::{
    DryRun, Finding, Launcher, Plan, Rank, Recipe, WriteOptions, WriteReport, check, merge, write,
};
use fanin::{Device, Error, Result};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::cli::{Folder, fails, succeeds, text};
use crate::devices::contexts;
use crate::write::MIXED;

const SEED: u64 = 11;

fn recipe(text: &str) -> Recipe {
    Recipe::parse(text, "test").unwrap()
}

fn written(
    recipe: &Recipe,
    out: &Path,
    size: Option<u64>,
    rank: Option<Rank>,
) -> Result<WriteReport> {
    let options =
        WriteOptions { seed: SEED, max_shard_bytes: size, rank, ..WriteOptions::new(out) };
    write(recipe, &Device::Cpu, options)
}

fn by_plan(recipe: &Recipe, out: &Path, plan: &Plan, rank: u32) -> Result<WriteReport> {
    let rank = Some(Rank::new(rank, plan.world())?);
    let plan = Some(plan);
    write(recipe, &Device::Cpu, WriteOptions { seed: SEED, plan, rank, ..WriteOptions::new(out) })
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

/// Shape and bytes of each tensor of a file.
fn tensors(path: &Path) -> HashMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let pairs = tensors
        .iter()
        .map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), view.data().to_vec())));
    pairs.collect()
}

#[test]
fn ranks_of_any_number_write_the_files_of_one_process() {
    let recipe = recipe(MIXED);
    let one = Folder::new();
    written(&recipe, &one.path("m.safetensors"), Some(9_000), None).unwrap();
    let wanted = files(one.0.path());
    assert!(wanted.len() > 6, "{:?}", wanted.keys());
    for world in [1, 2, 3, 7, 8, 50] {
        let folder = Folder::new();
        let out = folder.path("m.safetensors");
        // In any order.
        for rank in (0..world).rev() {
            assert!(!folder.path("m.safetensors.index.json").exists());
            let rank = Rank::new(rank, world).unwrap();
            written(&recipe, &out, Some(9_000), Some(rank)).unwrap();
        }
        let joined = merge(&[out]).unwrap();
        assert!(!joined.is_wrong(), "{joined:?}");
        assert_eq!(joined.world, world);
        // The index is there already.
        assert_eq!(joined.write(false).unwrap(), [folder.path("m.manifest.json")]);
        let mut found = files(folder.0.path());
        found.retain(|name, _| !name.contains("-rank-"));
        assert!(found == wanted, "{world}: {:?}", found.keys());
        assert!(joined.write(false).unwrap().is_empty());
    }
}

#[test]
fn files_are_shared_out_evenly() {
    let recipe = Recipe::builtin("llama-3.2-1b").unwrap();
    for world in [2, 3, 7, 8] {
        let rank = Some(Rank::new(0, world).unwrap());
        let out = Path::new("m.safetensors");
        let dry = DryRun::new(&recipe, &WriteOptions { rank, ..WriteOptions::new(out) }).unwrap();
        let mut loads = vec![0; world as usize];
        dry.files.iter().for_each(|file| loads[file.rank as usize] += file.bytes);
        assert_eq!(loads.iter().sum::<u64>(), recipe.bytes());
        // The embedding is one tensor of 525 MB.
        let best = (recipe.bytes() / u64::from(world)).max(525_336_576);
        assert!(*loads.iter().max().unwrap() <= best + best / 4, "{world}: {loads:?}");
        assert_eq!(dry.files.iter().map(|file| file.tensors).sum::<u64>(), 146);
    }
}

#[test]
fn a_rank_goes_on_where_it_was_stopped() {
    let recipe = recipe(MIXED);
    let folder = Folder::new();
    let out = folder.path("m.safetensors");
    let rank = |rank| Some(Rank::new(rank, 2).unwrap());
    let first = written(&recipe, &out, Some(9_000), rank(0)).unwrap();
    let second = written(&recipe, &out, Some(9_000), rank(1)).unwrap();
    let before = files(folder.0.path());
    let was_there =
        |report: &WriteReport| report.files.iter().filter(|file| file.was_there).count();
    assert_eq!((was_there(&first), was_there(&second)), (0, 0));

    // All of it is there.
    let again = written(&recipe, &out, Some(9_000), rank(1)).unwrap();
    assert_eq!(was_there(&again), again.files.len());
    let digests = |report: &WriteReport| {
        report.tensors.iter().map(|own| own.sha256.clone()).collect::<Vec<_>>()
    };
    assert_eq!(digests(&again), digests(&second));
    assert_eq!(again.tensors[0].moments, second.tensors[0].moments);

    // A file and the rank's manifest are not.
    let lost = &second.files[1].path;
    fs::remove_file(lost).unwrap();
    fs::remove_file(folder.path("m-rank-00001-of-00002.manifest.json")).unwrap();
    let again = written(&recipe, &out, Some(9_000), rank(1)).unwrap();
    assert_eq!(was_there(&again), again.files.len() - 2);
    assert_eq!(files(folder.0.path()), before);

    // With the joint manifest there, which says the same.
    merge(std::slice::from_ref(&out)).unwrap().write(false).unwrap();
    fs::remove_file(lost).unwrap();
    written(&recipe, &out, Some(9_000), rank(1)).unwrap();

    // A wrong one is not replaced unasked.
    let mut bytes = fs::read(lost).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(lost, &bytes).unwrap();
    let error = written(&recipe, &out, Some(9_000), rank(1)).unwrap_err();
    assert!(matches!(&error, Error::Exists { path } if path == lost), "{error}");
    assert_eq!(fs::read(lost).unwrap(), bytes);
    let force = WriteOptions {
        seed: SEED,
        max_shard_bytes: Some(9_000),
        rank: rank(1),
        force: true,
        ..WriteOptions::new(&out)
    };
    write(&recipe, &Device::Cpu, force).unwrap();
    let mut now = files(folder.0.path());
    now.remove("m.manifest.json");
    assert_eq!(now, before);
}

#[test]
fn what_another_model_left_is_not_mixed_in() {
    let recipe = recipe(MIXED);
    let folder = Folder::new();
    let out = folder.path("m.safetensors");
    written(&recipe, &out, None, None).unwrap();
    let rank = Rank::new(0, 2).unwrap();
    let error = written(&recipe, &out, Some(9_000), Some(rank)).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    let options = |rank, seed| WriteOptions {
        seed,
        max_shard_bytes: Some(9_000),
        rank: Some(Rank::new(rank, 2).unwrap()),
        force: true,
        ..WriteOptions::new(&out)
    };
    for rank in [0, 1] {
        write(&recipe, &Device::Cpu, options(rank, 5)).unwrap();
    }
    assert!(!out.exists() && !folder.path("m.manifest.json").exists());
    assert!(!merge(std::slice::from_ref(&out)).unwrap().is_wrong());
    // Another seed: half of it is no model, and says so, nor does an index say otherwise.
    let index = folder.path("m.safetensors.index.json");
    assert!(index.exists());
    write(&recipe, &Device::Cpu, options(1, 6)).unwrap();
    assert!(!index.exists());
    let error = merge(std::slice::from_ref(&out)).unwrap_err().to_string();
    assert!(error.contains("seed") && error.contains("got 6, needed 5"), "{error}");
    let error = written(&recipe, &out, Some(9_000), Some(rank)).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
}

/// Elements of a tensor by their indices along each dimension, 0 beyond it: plainly.
fn taken(whole: &[u8], of: &[usize], axes: &[Vec<usize>]) -> Vec<u8> {
    let size = whole.len() / of.iter().product::<usize>();
    let mut found = vec![Some(0)];
    for (dim, indices) in of.iter().zip(axes) {
        let mut next = Vec::new();
        for before in found {
            for &index in indices {
                next.push(before.filter(|_| index < *dim).map(|before| before * dim + index));
            }
        }
        found = next;
    }
    let element = |at: Option<usize>| match at {
        Some(at) => whole[at * size..][..size].to_vec(),
        None => vec![0; size],
    };
    found.into_iter().flat_map(element).collect()
}

fn span(ranges: &[Range<usize>]) -> Vec<usize> {
    ranges.iter().cloned().flatten().collect()
}

pub const MODEL: &str = r#"
name = "parallel"

[[tensor]]
name = "embed"
shape = [30, 12]
dtype = "bf16"
init = "normal:0.02"

[[tensor]]
name = "layers.{0..4}.qkv"
shape = [24, 10]
init = "xavier_uniform"

[[tensor]]
name = "layers.{0..4}.out"
shape = [10, 8]
dtype = "f16"
init = "truncated_normal:0.02"

[[tensor]]
name = "layers.{0..4}.turn"
shape = [12, 8]
init = "orthogonal"

[[tensor]]
name = "layers.{0..4}.stack"
shape = [3, 8, 6]
init = "orthogonal"
batch_dims = 1

[[tensor]]
name = "layers.{0..4}.norm"
shape = [10]
init = "ones"

[[tensor]]
name = "layers.{0..4}.experts"
shape = [4, 6, 5]
dtype = "f8_e4m3"
init = "uniform:1"

[[rule]]
match = "embed"
rows = "28.."
init = "zeros"

[[tensor]]
name = "steps"
shape = [6]
dtype = "i64"
init = "constant:7"
"#;

pub const PLAN: &str = r#"
mesh = [2, 2]
axes = ["pipeline", "tensor"]

[[split]]
match = "embed"
dim = 0
pad = 16

# 12 queries, 6 keys, 6 values.
[[split]]
match = "*.qkv"
dim = 0
fused = [12, 6, 6]

[[split]]
match = "*.{out,turn,stack}"
dim = -1

[[split]]
match = "*.experts"
dim = 1
order = ["3..6", "0..3"]

[[split]]
match = "steps"
dim = 0
uneven = true

[[stage]]
match = "layers.{0,1}.*"
stage = 0

[[stage]]
match = "layers.*"
stage = 1

[[stage]]
match = "embed"
stage = [0, 1]

[[stage]]
match = "*"
stage = "all"
"#;

#[test]
fn what_ranks_hold_is_the_whole_s() {
    let recipe = recipe(MODEL);
    let plan = Plan::parse(PLAN, "plan").unwrap();
    assert_eq!(plan.world(), 4);
    let folder = Folder::new();
    let whole = folder.path("whole.safetensors");
    written(&recipe, &whole, None, None).unwrap();
    let whole = tensors(&whole);
    let out = folder.path("m.safetensors");
    for rank in 0..4 {
        by_plan(&recipe, &out, &plan, rank).unwrap();
        let (stage, part) = (rank as usize / 2, rank as usize % 2);
        let path = folder.path(&format!("m-rank-{rank:05}-of-00004.safetensors"));
        let mut held = tensors(&path);
        let mut holds = |name: &str, axes: &[Vec<usize>]| {
            let (of, bytes) = &whole[name];
            let (shape, found) = held.remove(name).unwrap();
            let lengths: Vec<usize> = axes.iter().map(Vec::len).collect();
            assert_eq!(shape, lengths, "{name} at {rank}");
            assert!(found == taken(bytes, of, axes), "{name} at {rank}");
        };
        let all = |dim: usize| (0..dim).collect::<Vec<_>>();
        holds("embed", &[(part * 16..part * 16 + 16).collect(), all(12)]);
        holds("steps", &[(part * 3..part * 3 + 3).collect()]);
        for layer in [2 * stage, 2 * stage + 1] {
            let name = |end: &str| format!("layers.{layer}.{end}");
            let rows = span(&[
                part * 6..part * 6 + 6,
                12 + part * 3..15 + part * 3,
                18 + part * 3..21 + part * 3,
            ]);
            holds(&name("qkv"), &[rows, all(10)]);
            holds(&name("out"), &[all(10), (part * 4..part * 4 + 4).collect()]);
            holds(&name("turn"), &[all(12), (part * 4..part * 4 + 4).collect()]);
            holds(&name("stack"), &[all(3), all(8), (part * 3..part * 3 + 3).collect()]);
            holds(&name("norm"), &[all(10)]);
            let places = if part == 0 { 3..6 } else { 0..3 };
            holds(&name("experts"), &[all(4), (places).collect(), all(5)]);
        }
        assert!(held.is_empty(), "{:?}", held.keys());
        // What it says of itself is what it is.
        let report = check(&path, &Default::default()).unwrap();
        assert!(!report.is_wrong(), "{report:?}");
        assert!(
            report
                .tensors
                .iter()
                .all(|own| own.drawn == Some(Finding::Same) && own.manifest == Some(Finding::Same))
        );
    }
    // Whatever draws them, in whatever pieces.
    let wanted = files(folder.0.path());
    let engines = contexts().iter().map(|context| Device::from(context.clone()).in_chunks(4096));
    for engine in engines.chain([Device::Cpu.in_chunks(4096)]) {
        let other = Folder::new();
        for rank in 0..4 {
            let rank = Some(Rank::new(rank, 4).unwrap());
            let out = other.path("m.safetensors");
            let plan = Some(&plan);
            let options = WriteOptions { seed: SEED, plan, rank, ..WriteOptions::new(&out) };
            write(&recipe, &engine, options).unwrap();
        }
        let found = files(other.0.path());
        assert!(found.iter().all(|(name, bytes)| wanted[name] == *bytes), "{}", engine.device());
        assert_eq!(found.len(), 8);
    }
    let joined = merge(&[out]).unwrap();
    assert!(!joined.is_wrong(), "{joined:?}");
    let of = |name: &str| joined.tensors.iter().find(|own| own.name == name).unwrap();
    assert_eq!((of("embed").parts, &of("embed").ranks[..]), (2, &[0, 1, 2, 3][..]));
    assert_eq!((of("layers.3.norm").parts, &of("layers.3.norm").ranks[..]), (1, &[2, 3][..]));
    let error = joined.write(false).unwrap_err().to_string();
    assert!(error.contains("needed whole files"), "{error}");
}

/// Every number of ranks, of every dimension: the parts put together are the whole.
#[test]
fn slices_of_any_number_of_ranks_are_the_whole() {
    let recipe = recipe(
        "[[tensor]]\nname = 'w'\nshape = [50, 61]\ninit = 'normal:0.02'\n\
         [[tensor]]\nname = 'q'\nshape = [29, 34]\ninit = 'orthogonal'\n",
    );
    let folder = Folder::new();
    let whole = folder.path("whole.safetensors");
    written(&recipe, &whole, None, None).unwrap();
    let whole = tensors(&whole);
    for world in [1, 2, 3, 7, 8] {
        for dim in [0, 1] {
            let plan =
                format!("mesh = [{world}]\n[[split]]\nmatch = '*'\ndim = {dim}\nuneven = true\n");
            let plan = Plan::parse(&plan, "plan").unwrap();
            let folder = Folder::new();
            let out = folder.path("m.safetensors");
            let mut rows: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
            for rank in 0..world {
                by_plan(&recipe, &out, &plan, rank).unwrap();
                let path = folder.path(&format!("m-rank-{rank:05}-of-{world:05}.safetensors"));
                for (name, (shape, bytes)) in tensors(&path) {
                    let rows = rows.entry(name).or_default();
                    let width = shape[1] * 4;
                    for (at, row) in bytes.chunks(width.max(1)).enumerate() {
                        match dim {
                            0 => rows.push(row.to_vec()),
                            _ if rows.len() <= at => rows.push(row.to_vec()),
                            _ => rows[at].extend_from_slice(row),
                        }
                    }
                }
            }
            for (name, (_, bytes)) in &whole {
                assert!(rows[name].concat() == *bytes, "{name} of {world} along {dim}");
            }
            assert!(!merge(&[out]).unwrap().is_wrong());
        }
    }
}

#[test]
fn megatrons_order_is_group_by_group() {
    // 4 heads of 2 in 2 groups: each has 2 heads' queries, then its key and its value.
    let recipe = recipe("[[tensor]]\nname = 'qkv'\nshape = [16, 3]\ninit = 'normal:1'\n");
    let plan = "mesh = [1]\n[[split]]\nmatch = 'qkv'\ndim = 0\nfused = [8, 4, 4]\ngroups = 2\n";
    let plan = Plan::parse(plan, "plan").unwrap();
    let folder = Folder::new();
    let whole = folder.path("whole.safetensors");
    written(&recipe, &whole, None, None).unwrap();
    by_plan(&recipe, &folder.path("m.safetensors"), &plan, 0).unwrap();
    let found = tensors(&folder.path("m-rank-00000-of-00001.safetensors"));
    let (of, bytes) = &tensors(&whole)["qkv"];
    let rows = span(&[0..4, 8..10, 12..14, 4..8, 10..12, 14..16]);
    assert!(found["qkv"].1 == taken(bytes, of, &[rows, (0..3).collect()]));
}

#[test]
fn neighbours_share_what_is_in_fewer_parts() {
    let recipe = recipe("[[tensor]]\nname = 'k'\nshape = [6, 4]\ninit = 'normal:1'\n");
    let plan = "mesh = [4]\n[[split]]\nmatch = 'k'\ndim = 0\nparts = 2\n";
    let plan = Plan::parse(plan, "plan").unwrap();
    let folder = Folder::new();
    let out = folder.path("m.safetensors");
    let digests: Vec<String> = (0..4)
        .map(|rank| by_plan(&recipe, &out, &plan, rank).unwrap().tensors[0].sha256.clone())
        .collect();
    assert!(digests[0] == digests[1] && digests[2] == digests[3] && digests[0] != digests[2]);
    let joined = merge(std::slice::from_ref(&out)).unwrap();
    assert_eq!((joined.tensors[0].parts, joined.is_wrong()), (2, false));

    // One of the two is not what the other is.
    let path = folder.path("m-rank-00003-of-00004.manifest.json");
    let other = fs::read_to_string(&path).unwrap().replace(&digests[3], &digests[0]);
    fs::write(&path, other).unwrap();
    let joined = merge(std::slice::from_ref(&out)).unwrap();
    let finding = &joined.tensors[0].finding;
    assert_eq!(finding, &Finding::Wrong("ranks 2 and 3 have it, and not the same".into()));

    // And without those there is half of it.
    let paths: Vec<_> = (0..2)
        .map(|rank| folder.path(&format!("m-rank-0000{rank}-of-00004.manifest.json")))
        .collect();
    let joined = merge(&paths).unwrap();
    assert_eq!(joined.missing_ranks, [2, 3]);
    assert_eq!(joined.tensors[0].finding, Finding::Wrong("12 of 24 elements in no part".into()));
}

#[test]
fn axes_of_a_mesh_cut_one_tensor_together() {
    let recipe = recipe("[[tensor]]\nname = 'w'\nshape = [8, 6]\ninit = 'normal:1'\n");
    let folder = Folder::new();
    let whole = folder.path("whole.safetensors");
    written(&recipe, &whole, None, None).unwrap();
    let (of, bytes) = tensors(&whole).remove("w").unwrap();
    type Parts = fn(usize) -> [Vec<usize>; 2];
    let cases: [((i64, i64), Parts); 2] = [
        // Tensor parallel along the columns, then sharded along the rows.
        ((0, 1), |rank: usize| {
            [(rank / 2 * 4..rank / 2 * 4 + 4).collect(), (rank % 2 * 3..rank % 2 * 3 + 3).collect()]
        }),
        // Both along the rows.
        ((0, 0), |rank: usize| [(rank * 2..rank * 2 + 2).collect(), (0..6).collect()]),
    ];
    for (dims, parts) in cases {
        let plan = format!(
            "mesh = [2, 2]\naxes = ['data', 'tensor']\n\
             [[split]]\nmatch = 'w'\ndim = {}\nover = 'data'\n\
             [[split]]\nmatch = 'w'\ndim = {}\n",
            dims.0, dims.1
        );
        let plan = Plan::parse(&plan, "plan").unwrap();
        let folder = Folder::new();
        let out = folder.path("m.safetensors");
        for rank in 0..4 {
            by_plan(&recipe, &out, &plan, rank).unwrap();
            let path = folder.path(&format!("m-rank-{rank:05}-of-00004.safetensors"));
            let found = tensors(&path);
            assert!(found["w"].1 == taken(&bytes, &of, &parts(rank as usize)), "{rank}");
        }
        assert!(!merge(&[out]).unwrap().is_wrong());
    }
}

/// As FSDP2 shards what tensor parallelism has cut: the split that stands first cuts first.
#[test]
fn the_plans_order_is_that_of_the_cuts() {
    let recipe = recipe("[[tensor]]\nname = 'w'\nshape = [8, 3]\ninit = 'normal:1'\n");
    let folder = Folder::new();
    let whole = folder.path("whole.safetensors");
    written(&recipe, &whole, None, None).unwrap();
    let (of, bytes) = tensors(&whole).remove("w").unwrap();
    let plan = "mesh = [2, 2]\naxes = ['data', 'tensor']\n\
                [[split]]\nmatch = 'w'\ndim = 0\nover = 'tensor'\n\
                [[split]]\nmatch = 'w'\ndim = 0\nover = 'data'\n";
    let plan = Plan::parse(plan, "plan").unwrap();
    let out = folder.path("m.safetensors");
    for rank in 0..4 {
        by_plan(&recipe, &out, &plan, rank).unwrap();
        let found = tensors(&folder.path(&format!("m-rank-{rank:05}-of-00004.safetensors")));
        let (data, tensor) = (rank as usize / 2, rank as usize % 2);
        let first = tensor * 4 + data * 2;
        let rows = (first..first + 2).collect();
        assert!(found["w"].1 == taken(&bytes, &of, &[rows, (0..3).collect()]), "{rank}");
    }
}

/// Experts that are tensors, by stages over an axis of their own, beside pipeline and tensor parallelism.
#[test]
fn stages_of_several_axes_hold_together() {
    let recipe = recipe(
        "[[tensor]]\nname = 'l.{0..2}.e.{0..4}.w'\nshape = [6, 5]\ninit = 'normal:1'\n\
         [[tensor]]\nname = 'l.{0..2}.n'\nshape = [5]\ninit = 'ones'\n",
    );
    let plan = "mesh = [2, 2]\naxes = ['pipeline', 'expert']\n\
                [[stage]]\nmatch = 'l.0.*'\nstage = 0\n\
                [[stage]]\nmatch = 'l.1.*'\nstage = 1\n\
                [[stage]]\nmatch = '*.e.{0,1}.w'\nstage = 0\nover = 'expert'\n\
                [[stage]]\nmatch = '*.e.*'\nstage = 1\nover = 'expert'\n\
                [[stage]]\nmatch = '*'\nstage = 'all'\nover = 'expert'\n";
    let plan = Plan::parse(plan, "plan").unwrap();
    let folder = Folder::new();
    let out = folder.path("m.safetensors");
    for rank in 0..4 {
        let report = by_plan(&recipe, &out, &plan, rank).unwrap();
        let (layer, expert) = (rank / 2, rank % 2 * 2);
        let names: Vec<&str> =
            report.tensors.iter().map(|own| recipe.tensors[own.tensor].name.as_str()).collect();
        let wanted = [
            format!("l.{layer}.e.{expert}.w"),
            format!("l.{layer}.e.{}.w", expert + 1),
            format!("l.{layer}.n"),
        ];
        assert_eq!(names, wanted);
    }
    assert!(!merge(&[out]).unwrap().is_wrong());
}

#[test]
fn a_rank_that_holds_nothing_is_right() {
    let recipe = recipe("[[tensor]]\nname = 'w'\nshape = [6]\ninit = 'normal:1'\n");
    let plan = "mesh = [2]\n[[stage]]\nmatch = '*'\nstage = 0\n";
    let plan = Plan::parse(plan, "plan").unwrap();
    let folder = Folder::new();
    let out = folder.path("m.safetensors");
    (0..2).for_each(|rank| drop(by_plan(&recipe, &out, &plan, rank).unwrap()));
    assert!(!merge(&[out]).unwrap().is_wrong());
    let path = folder.path("m-rank-00001-of-00002.safetensors");
    let report = check(&path, &Default::default()).unwrap();
    assert!(report.tensors.is_empty() && !report.is_wrong());
}

#[test]
fn plans_that_cannot_be_are_refused_by_place() {
    let recipe = recipe(MODEL);
    for (plan, expected) in [
        ("mesh = [2]\n", "no [[split]] and no [[stage]]"),
        ("mesh = []\n[[split]]\nmatch = '*'\ndim = 0\n", "plan:1:8: mesh of []"),
        ("mesh = [0]\n[[split]]\nmatch = '*'\ndim = 0\n", "plan:1:9: "),
        (
            "mesh = [400, 400]\naxes = ['a', 'b']\n[[split]]\nmatch = '*'\ndim = 0\n",
            "1 to 100000 ranks",
        ),
        ("mesh = [2, 2]\n[[split]]\nmatch = '*'\ndim = 0\n", "needed their names in `axes`"),
        (
            "mesh = [2, 2]\naxes = ['a', 'a']\n[[split]]\nmatch = '*'\ndim = 0\n",
            "a name of its own",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*'\ndim = 0\nover = 'tensr'\n",
            "unknown axis of the mesh `tensr` (nearest: tensor)",
        ),
        ("mesh = [2]\n[[split]]\nmatch = '*'\ndim = 0\nsize = 3\n", "unknown field `size`"),
        (
            "mesh = [2]\n[[split]]\nmatch = 'nothing'\ndim = 0\n",
            "plan:3:9: `nothing` matches no tensor",
        ),
        ("mesh = [2]\n[[split]]\nmatch = '{a'\ndim = 0\n", "unbalanced braces"),
        (
            "mesh = [4]\n[[split]]\nmatch = 'embed'\ndim = 0\n",
            "tensor `embed` of shape [30, 12]: dimension 0, 30 indices, in 4 parts; needed a multiple",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*'\ndim = 1\n",
            "tensor `layers.0.norm` of shape [10]: dim = 1, which it has not",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = 'embed'\ndim = -3\n",
            "dim = -3, which it has not; needed -2 to 1",
        ),
        (
            "mesh = [4]\n[[split]]\nmatch = 'embed'\ndim = 1\nparts = 3\n",
            "parts = 3; needed a divisor of the axis' 4 ranks",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\nfused = [12, 12]\npad = 2\n",
            "pad and fused at once",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\nfused = [12, 6, 4]\n",
            "24 long, fused of [12, 6, 4]; needed sizes that sum up to it",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\nfused = [12, 7, 5]\n",
            "7 of fused in 2 parts; needed a multiple",
        ),
        ("mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\ngroups = 2\n", "groups without fused"),
        (
            "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\norder = ['0..12', '13..24']\n",
            "needed ranges that hold each index once",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\norder = ['12..12']\n",
            "`12..12`; needed a range with something in it",
        ),
        (
            "mesh = [2]\n[[split]]\nmatch = 'embed'\ndim = 0\npad = 9223372036854775807\n",
            "padded to 9223372036854775807; needed a smaller one",
        ),
        ("mesh = [2]\n[[stage]]\nmatch = 'layers.*'\nstage = 0\n", "tensor `embed` is on no stage"),
        (
            "mesh = [2]\n[[stage]]\nmatch = '*'\nstage = 2\n",
            "stage 2; needed one below 2, as `tensor` has",
        ),
        ("mesh = [2]\n[[stage]]\nmatch = '*'\nstage = 'none'\n", "stage `none`; needed a number"),
        ("mesh = [2]\n[[stage]]\nmatch = '*'\nstage = []\n", "no stage; needed a number"),
        (
            "mesh = [2]\n[[stage]]\nmatch = '*'\nstage = 1.5\n",
            "stage: needed a number, a list of numbers",
        ),
    ] {
        let out = Path::new("nowhere/m.safetensors");
        let made = Plan::parse(plan, "plan").and_then(|plan| {
            DryRun::new(&recipe, &WriteOptions { plan: Some(&plan), ..WriteOptions::new(out) })
        });
        let error = made.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{plan}\n  {error}");
    }
    // What is told beside it.
    let plan = Plan::parse(PLAN, "plan").unwrap();
    let out = Path::new("nowhere/m.safetensors");
    let options = WriteOptions { plan: Some(&plan), ..WriteOptions::new(out) };
    for (options, expected) in [
        (
            WriteOptions { rank: Rank::new(0, 8).ok(), ..options },
            "world: got 8, needed 4, as the plan's mesh has it",
        ),
        (
            WriteOptions { max_shard_bytes: Some(9), plan: Some(&plan), ..WriteOptions::new(out) },
            "max shard size: got 9, needed none with a plan",
        ),
    ] {
        let error = DryRun::new(&recipe, &options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn manifests_of_different_models_are_not_joined() {
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    let manifest = |folder: &Folder, rank: u32, world: u32| {
        folder.path(&format!("m-rank-{rank:05}-of-{world:05}.manifest.json"))
    };
    let (one, other) = (recipe(MODEL), recipe(&MODEL.replace("ones", "zeros")));
    let rank = |rank, world| Some(Rank::new(rank, world).unwrap());
    let out = |folder: &Folder| folder.path("m.safetensors");
    written(&one, &out(&folders[0]), None, rank(0, 2)).unwrap();
    written(&other, &out(&folders[1]), None, rank(1, 2)).unwrap();
    written(&one, &out(&folders[2]), None, rank(1, 3)).unwrap();
    written(&one, &out(&folders[2]), None, rank(0, 2)).unwrap_err();
    written(&one, &out(&folders[3]), Some(2000), rank(1, 2)).unwrap();
    let first = manifest(&folders[0], 0, 2);
    for (second, expected) in [
        (manifest(&folders[1], 1, 2), "a recipe of other tensors or initializers"),
        (manifest(&folders[2], 1, 3), "world: got 3, needed 2"),
        (manifest(&folders[3], 1, 2), "files of other sizes"),
        (first.clone(), "rank 0, as"),
    ] {
        let error = merge(&[first.clone(), second]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let folder = Folder::new();
    written(&one, &out(&folder), None, None).unwrap();
    let error = merge(&[first.clone(), folder.path("m.manifest.json")]).unwrap_err().to_string();
    assert!(error.contains("got a manifest of the whole, needed a rank's"), "{error}");
    let error = merge(&[out(&folder)]).unwrap_err().to_string();
    assert!(error.contains("no manifests of ranks beside it"), "{error}");

    // One rank alone is not the model.
    let joined = merge(std::slice::from_ref(&first)).unwrap();
    assert_eq!(joined.missing_ranks, [1]);
    assert_eq!(joined.missing_tensors + joined.tensors.len() as u64, one.tensors.len() as u64);
    assert!(joined.write(true).is_err());
    // Nor is one without its files.
    let lost = fs::read_dir(folders[0].0.path()).unwrap().map(|entry| entry.unwrap().path());
    let lost = lost.filter(|path| path.extension().unwrap() == "safetensors").min().unwrap();
    fs::remove_file(&lost).unwrap();
    let joined = merge(&[first]).unwrap();
    let wrong: Vec<_> = joined.files.iter().filter(|file| file.finding.is_wrong()).collect();
    assert_eq!((wrong.len(), &wrong[0].path), (1, &lost));
}

#[test]
fn launchers_say_which_rank_it_is_or_nothing_is_guessed() {
    let of = |launcher: Option<Launcher>, variables: &str| {
        let variables: HashMap<&str, &str> =
            variables.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect();
        let get = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        Rank::from_vars(launcher, None, get).map(|rank| (rank.rank(), rank.world()))
    };
    for (variables, rank) in [
        ("RANK=3 WORLD_SIZE=8 LOCAL_RANK=1", (3, 8)),
        ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 PMIX_RANK=0", (0, 2)),
        ("PMI_RANK=5 PMI_SIZE=6", (5, 6)),
        ("SLURM_PROCID=7 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=8", (7, 8)),
        // srun with PMIx.
        ("SLURM_PROCID=7 SLURM_STEP_NUM_TASKS=8 PMIX_RANK=7", (7, 8)),
        // torchrun in a batch script, outside of a step.
        ("SLURM_PROCID=0 SLURM_NTASKS=4 RANK=2 WORLD_SIZE=8", (2, 8)),
        // A step's tasks are counted in every process of a batch script.
        ("SLURM_STEP_NUM_TASKS=4 RANK=2 WORLD_SIZE=8", (2, 8)),
        ("RANK= OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", (1, 2)),
    ] {
        assert_eq!(of(None, variables).unwrap(), rank, "{variables}");
    }
    for (variables, expected) in [
        ("", "rank: got nothing in the environment, needed RANK and WORLD_SIZE, or"),
        ("RANK=3", "torchrun: got RANK alone, needed WORLD_SIZE too"),
        ("WORLD_SIZE=3", "torchrun: got WORLD_SIZE alone, needed RANK too"),
        ("RANK=3 WORLD_SIZE=", "needed WORLD_SIZE too"),
        ("OMPI_COMM_WORLD_RANK=3", "needed OMPI_COMM_WORLD_SIZE too"),
        ("PMIX_RANK=3", "pmix: got rank 3 alone"),
        ("SLURM_PROCID=0 SLURM_NTASKS=4", "slurm: got SLURM_PROCID alone"),
        ("RANK=3 WORLD_SIZE=3", "torchrun: rank: got 3, needed 0 to 2"),
        ("RANK=-1 WORLD_SIZE=3", "RANK: got -1, needed a whole number"),
        ("RANK=0 WORLD_SIZE=0", "torchrun: world: got 0"),
        ("RANK=0 WORLD_SIZE=two", "WORLD_SIZE: got two"),
        (
            "RANK=1 WORLD_SIZE=8 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2",
            "torchrun says rank 1 of 8, slurm says rank 0 of 2",
        ),
        ("RANK=1 WORLD_SIZE=8 PMIX_RANK=2", "torchrun says rank 1 of 8, pmix says rank 2"),
    ] {
        let error = of(None, variables).unwrap_err().to_string();
        assert!(error.contains(expected), "{variables}: {error}");
    }
    // What is known of the world besides.
    let of_world = |variables: &[(&str, &str)], world| {
        let get =
            |name: &str| variables.iter().find(|own| own.0 == name).map(|own| own.1.to_owned());
        let rank = Rank::from_vars(None, Some(world), get);
        rank.map(|rank| (rank.rank(), rank.world())).map_err(|error| error.to_string())
    };
    assert_eq!(of_world(&[("PMIX_RANK", "1")], 4), Ok((1, 4)));
    let pair = [("RANK", "1"), ("WORLD_SIZE", "4")];
    assert_eq!(of_world(&pair, 4), Ok((1, 4)));
    assert!(
        of_world(&pair, 5).unwrap_err().contains("world: got 5, where torchrun says rank 1 of 4")
    );
    // Who is named is believed.
    let both = "RANK=1 WORLD_SIZE=8 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2";
    assert_eq!(of(Some(Launcher::Torchrun), both).unwrap(), (1, 8));
    assert_eq!(of(Some(Launcher::Slurm), both).unwrap(), (0, 2));
    assert!(of(Some(Launcher::Pmi), both).is_err());
    assert!("mpich".parse::<Launcher>().unwrap_err().to_string().contains("openmpi, pmi"));
}

/// Processes at the same time, as a launcher starts them.
#[test]
fn processes_share_a_model_without_a_word_to_each_other() {
    let folder = Folder::new();
    let whole = folder.name("whole.safetensors");
    succeeds(&["init", "mlp", "--seed", "4", "--device", "cpu", "--out", &whole]);
    let out = folder.name("m.safetensors");
    let start = |rank: u32| {
        Command::new(env!("CARGO_BIN_EXE_fanin"))
            .args(["init", "mlp", "--seed", "4", "--device", "cpu", "--rank", "auto"])
            .args(["--max-shard-size", "100kB", "--out", &out])
            .envs([("RANK", rank.to_string()), ("WORLD_SIZE", "5".into())])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let processes: Vec<_> = (0..5).map(start).collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let index = folder.path("m.safetensors.index.json");
    let index: Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    let whole = tensors(Path::new(&whole));
    assert_eq!(index["weight_map"].as_object().unwrap().len(), whole.len());
    for (name, file) in index["weight_map"].as_object().unwrap() {
        let found = tensors(&folder.path(file.as_str().unwrap()));
        assert!(found[name] == whole[name], "{name}");
    }
    let said = succeeds(&["check", "--merge", &out, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["right"], &said["world"]), (&true.into(), &5.into()));
    // All of one name.
    let said = succeeds(&["check", "--merge", "--write", &out]);
    assert!(said.contains("whole"), "{said}");
    succeeds(&["check", &folder.name("m.safetensors.index.json")]);
}

/// A launcher that gives two processes one rank: the first wins, and nothing is lost.
#[test]
fn two_processes_of_one_rank_spoil_nothing() {
    let folder = Folder::new();
    let whole = folder.name("whole.safetensors");
    let arguments = ["init", "mlp", "--seed", "4", "--device", "cpu", "--max-shard-size", "100kB"];
    succeeds(&[&arguments[..], &["--out", &whole]].concat());
    let parts = Folder::new();
    let out = parts.name("whole.safetensors");
    for round in 0..4 {
        let start = |_| {
            Command::new(env!("CARGO_BIN_EXE_fanin"))
                .args(arguments)
                .args(["--rank", "0", "--world", "1", "--out", &out])
                .stderr(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let processes: Vec<_> = (0..3).map(start).collect();
        let mut done = 0;
        for process in processes {
            let output = process.wait_with_output().unwrap();
            done += usize::from(output.status.success());
            let said = text(&output.stderr);
            assert!(output.status.success() || said.contains("exists"), "{round}: {said}");
        }
        assert!(done > 0);
        let mut found = files(parts.0.path());
        assert!(found.remove("whole-rank-00000-of-00001.manifest.json").is_some());
        let mut wanted = files(folder.0.path());
        wanted.remove("whole.manifest.json");
        assert!(found == wanted, "{round}: {:?}", found.keys());
        fs::remove_file(parts.path("whole-00001-of-00004.safetensors")).unwrap_or_default();
    }
}

#[test]
fn the_command_line_says_what_ranks_lack() {
    let folder = Folder::new();
    let out = folder.name("m.safetensors");
    let init = |more: &[&str], parts: &[&str]| {
        let arguments = ["init", "mlp", "--device", "cpu", "--out", &out];
        fails(2, &[&arguments, more].concat(), parts);
    };
    init(&["--rank", "0"], &["--rank: got 0, needed --world too"]);
    init(&["--world", "3"], &["--rank"]);
    init(&["--rank", "3", "--world", "3"], &["rank: got 3, needed 0 to 2"]);
    init(
        &["--rank", "torch", "--world", "3"],
        &["--rank: got torch, needed a number, auto, or a launcher"],
    );
    let plan = folder.write("plan.toml", "mesh = [2]\n[[split]]\nmatch = '*.weight'\ndim = 0\n");
    init(&["--plan", &plan, "--rank", "0", "--world", "3"], &["world: got 3, needed 2"]);
    init(&["--plan", &plan, "--max-shard-size", "1MB"], &["--max-shard-size"]);
    let none = folder.name("none.toml");
    let arguments = ["init", "mlp", "--out", &out, "--plan", &none];
    fails(1, &arguments, &["cannot read", "none.toml"]);
    assert_eq!(crate::cli::left_in(folder.0.path()), 1);
    // Others may have replaced it by then.
    succeeds(&["init", "mlp", "--device", "cpu", "--out", &out]);
    let keep = ["init", &out, "--rule", "*=keep", "--force", "--rank", "0", "--world", "2"];
    fails(2, &[&keep[..], &["--out", &out]].concat(), &["ranks would copy from it"]);
    succeeds(&[&keep[..], &["--out", &folder.name("new.safetensors")]].concat());
}

#[test]
fn a_trillion_parameters_are_planned_at_once() {
    let text = r#"
name = "trillion"
dtype = "bf16"

[[tensor]]
name = "model.embed_tokens.weight"
shape = [163840, 7168]

[[tensor]]
name = "model.layers.{0..61}.self_attn.{q,o}_proj.weight"
shape = [7168, 7168]

[[tensor]]
name = "model.layers.{0..61}.mlp.experts.{0..384}.{gate,up}_proj.weight"
shape = [2048, 7168]

[[tensor]]
name = "model.layers.{0..61}.mlp.experts.{0..384}.down_proj.weight"
shape = [7168, 2048]

[[rule]]
match = "*"
init = "normal:0.02"
"#;
    let (embedding, attention) = (163_840u64 * 7168, 61 * 2 * 7168 * 7168u64);
    let experts = 61 * 384 * 3 * 2048 * 7168u64;
    let parameters = embedding + attention + experts;
    let folder = Folder::new();
    let model = folder.write("trillion.toml", text);
    let said = succeeds(&["init", &model, "--dry-run", "--rank", "3", "--world", "512", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["parameters"], parameters);
    assert_eq!(said["tensors"].as_array().unwrap().len(), 1 + 61 * (2 + 384 * 3));
    let plan = "mesh = [8, 64]\naxes = ['pipeline', 'expert']\n\
                [[split]]\nmatch = '*.experts.*'\ndim = 0\n\
                [[stage]]\nmatch = 'model.layers.{0..30}.*'\nstage = [0, 1, 2, 3]\n\
                [[stage]]\nmatch = '*'\nstage = 'all'\n";
    let plan = folder.write("plan.toml", plan);
    let said = succeeds(&["init", &model, "--dry-run", "--plan", &plan, "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    let ranks = said["ranks"].as_array().unwrap();
    let layers = |count: u64| count * (attention / 61 + experts / 61 / 64);
    assert_eq!(ranks.len(), 512);
    assert_eq!(ranks[0]["bytes"], 2 * (embedding + layers(61)));
    assert_eq!(ranks[511]["bytes"], 2 * (embedding + layers(31)));
}

#[test]
fn the_chapters_plan_is_one_for_its_model() {
    let chapter = include_str!("../src/recipe/large.md");
    let start = chapter.find("```toml\n").unwrap() + "```toml\n".len();
    let plan = &chapter[start..][..chapter[start..].find("```").unwrap()];
    let plan = Plan::parse(plan, "large.md").unwrap();
    let recipe = Recipe::builtin("llama-3.2-1b").unwrap();
    let out = Path::new("m.safetensors");
    let options = WriteOptions { plan: Some(&plan), ..WriteOptions::new(out) };
    let dry = DryRun::new(&recipe, &options).unwrap();
    // A quarter of 8 layers' weights and of the embedding, padded from 128,256 rows; whole norms, and the
    // last norm on the second stage.
    let layer = 2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 8192 * 2048;
    let first = 2 * (8 * layer / 4 + 128_512 / 4 * 2048 + 8 * 2 * 2048);
    let bytes: Vec<u64> = dry.files.iter().map(|file| file.bytes).collect();
    let second = first + 2 * 2048;
    assert_eq!(bytes, [first, first, first, first, second, second, second, second]);
}
