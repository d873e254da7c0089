//! Whether files of weights are what is said of them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::header::{self, Header, Stored};
use super::made::{self, Made};
use super::manifest::{Manifest, TensorEntry};
use super::{Drawer, Selection, TensorSpec};
use crate::file::{file_name, hex, manifest_of};
use crate::host::parallel::*;
use crate::random::{CONTRACT, Dtype};
use crate::{Error, Result, Shape, memory};

/// What files are held against, and how.
#[derive(Default)]
pub struct CheckOptions<'a> {
    /// A manifest in place of the one beside the files: another machine's, say.
    pub manifest: Option<&'a Path>,
    /// Ends the check where it becomes true.
    pub stop: Option<&'a AtomicBool>,
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The manifest that was held against the files, if there is one.
    pub manifest: Option<PathBuf>,
    /// Every tensor that is there, then those that are not and should be.
    pub tensors: Vec<TensorCheck>,
    /// Every file that was to be looked at.
    pub files: Vec<FileCheck>,
}

/// What is to be said of a tensor.
#[derive(Clone, Debug)]
pub struct TensorCheck {
    /// The name.
    pub name: String,
    /// The name of the file that holds it.
    pub file: String,
    /// The shape there.
    pub shape: Option<Shape>,
    /// The dtype there.
    pub dtype: Option<Dtype>,
    /// The seed that the file says it was drawn from.
    pub seed: Option<u64>,
    /// The initializer that the file says it was drawn by.
    pub init: Option<String>,
    /// SHA-256 of the bytes that are there, in hexadecimal.
    pub sha256: Option<String>,
    /// Beside the manifest, where there is one.
    pub manifest: Option<Finding>,
    /// Beside what its seed and initializer draw, where the file names them.
    pub drawn: Option<Finding>,
}

/// What is to be said of a file.
#[derive(Clone, Debug)]
pub struct FileCheck {
    /// The file.
    pub path: PathBuf,
    /// Whether it can be read; and where a manifest has a digest of the whole, whether that is it.
    pub finding: Finding,
}

/// How something stands beside what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is that.
    Same,
    /// That cannot be told, and why.
    Untold(String),
    /// It is not, and how.
    Wrong(String),
}

impl Finding {
    /// Whether it is [`Finding::Wrong`].
    pub fn is_wrong(&self) -> bool {
        matches!(self, Finding::Wrong(_))
    }
}

impl TensorCheck {
    /// Whether anything said of it does not hold.
    pub fn is_wrong(&self) -> bool {
        self.manifest.iter().chain(&self.drawn).any(Finding::is_wrong)
    }
}

impl CheckReport {
    /// Whether anything said of the files does not hold.
    pub fn is_wrong(&self) -> bool {
        self.tensors.iter().any(TensorCheck::is_wrong)
            || self.files.iter().any(|file| file.finding.is_wrong())
    }
}

/// Bytes that are read, digested and drawn at a time.
const CHUNK: u64 = 4 << 20;

/// Whether files of weights are what their manifest says, by digest, and what their own metadata say, by
/// drawing every tensor anew: tensor by tensor.
///
/// `path` is a `.safetensors` file that [`write`](super::write()) made, one of a model's shards, the
/// `.safetensors.index.json` of all of them, or the `.manifest.json`. Of a shard alone the manifest's
/// tensors of its name are wanted, else all of them. Tensors of a model that was written by an earlier
/// version, or by another program, have no metadata of the kind, and a manifest alone to stand beside.
///
/// # Errors
/// [`Error::File`] where `path` is not there or cannot be read; [`Error::Invalid`] where nothing says what
/// it should be, or the manifest is none; [`Error::Safetensors`] for an index that is none;
/// [`Error::Interrupted`]. What is wrong with the files themselves is in the report.
pub fn check(path: &Path, options: &CheckOptions<'_>) -> Result<CheckReport> {
    let name = file_name(path).to_ascii_lowercase();
    let is_manifest = name.ends_with(".manifest.json");
    let manifest_path = match options.manifest {
        Some(path) => Some(path.to_owned()),
        None if is_manifest => Some(path.to_owned()),
        None => manifest_of(path).filter(|path| path.exists()),
    };
    let manifest = manifest_path.as_deref().map(Manifest::read).transpose()?;
    let listed = |manifest: &Manifest<'_>| {
        let names: HashSet<&str> = manifest.tensors.iter().map(|tensor| &*tensor.file).collect();
        let mut files: Vec<PathBuf> =
            names.into_iter().map(|name| path.with_file_name(name)).collect();
        files.sort();
        files
    };
    let (files, is_whole) = match &manifest {
        Some(manifest) if is_manifest => (listed(manifest), true),
        _ if name.ends_with(".json") => {
            let shards = header::shards(path)?;
            (shards.into_iter().map(|(file, _)| file).collect(), true)
        }
        _ => {
            // Before anything is said of it: that it is not there is the caller's mistake.
            std::fs::metadata(path).map_err(|error| Error::file("open", path, error))?;
            (vec![path.to_owned()], is_one_file(path))
        }
    };
    let mut check =
        Checking { stop: options.stop, wanted: HashMap::new(), has_manifest: manifest.is_some() };
    let given: HashSet<String> = files.iter().map(|file| file_name(file)).collect();
    for tensor in manifest.iter().flat_map(|manifest| &manifest.tensors) {
        if is_whole || given.contains(&*tensor.file) {
            check.wanted.insert(&tensor.name, tensor);
        }
    }
    let mut report =
        CheckReport { manifest: manifest_path, tensors: Vec::new(), files: Vec::new() };
    for file in &files {
        let digest = manifest.iter().flat_map(|manifest| &manifest.files);
        let digest = digest.filter(|entry| entry.file == file_name(file));
        let digest = digest.filter_map(|entry| entry.sha256.as_deref()).next();
        let (finding, tensors) = match header::header(file) {
            Ok(header) => {
                let tensors = check.file(file, &header)?;
                (check.digest(file, digest)?, tensors)
            }
            // The report has its name.
            Err(Error::Safetensors { message, .. }) => (Finding::Wrong(message), Vec::new()),
            Err(Error::File { source, .. }) => (Finding::Wrong(source.to_string()), Vec::new()),
            Err(error) => (Finding::Wrong(error.to_string()), Vec::new()),
        };
        report.files.push(FileCheck { path: file.clone(), finding });
        report.tensors.extend(tensors);
    }
    let found: HashSet<&str> = report.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let missing = manifest.iter().flat_map(|manifest| &manifest.tensors).filter(|tensor| {
        check.wanted.contains_key(&*tensor.name) && !found.contains(&*tensor.name)
    });
    let missing: Vec<TensorCheck> = missing.map(missing_of).collect();
    report.tensors.extend(missing);
    // A rank may hold nothing, and its manifest says so.
    let said = report.manifest.is_some() || report.tensors.iter().any(|own| own.drawn.is_some());
    if !said && report.files.iter().all(|file| !file.finding.is_wrong()) {
        let given = "no manifest beside it, and nothing in it that says how it was made";
        let needed = "a file that `fanin init` wrote, or a manifest of its tensors (--manifest)";
        return Err(Error::invalid(path.display().to_string(), given, needed));
    }
    Ok(report)
}

/// Whether a model's file is the whole of it, and not one of its shards.
fn is_one_file(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    manifest_of(path).is_none_or(|manifest| file_name(&manifest) == stem + ".manifest.json")
}

fn missing_of(entry: &TensorEntry<'_>) -> TensorCheck {
    TensorCheck {
        name: entry.name.to_string(),
        file: entry.file.to_string(),
        shape: None,
        dtype: None,
        seed: None,
        init: None,
        sha256: None,
        manifest: Some(Finding::Wrong("not there".into())),
        drawn: None,
    }
}

struct Checking<'a> {
    stop: Option<&'a AtomicBool>,
    /// The manifest's tensors that should be there, by name.
    wanted: HashMap<&'a str, &'a TensorEntry<'a>>,
    has_manifest: bool,
}

impl Checking<'_> {
    fn go_on(&self) -> Result<()> {
        match self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }

    /// The tensors of a file.
    fn file(&self, path: &Path, header: &Header) -> Result<Vec<TensorCheck>> {
        let made = header.metadata.get(made::KEY);
        // What is there and says nothing that can be read says so at each tensor.
        let made: Option<Result<Made, _>> = made.map(|text| serde_json::from_str(text));
        let tensors = header.tensors.par_iter();
        tensors.map(|stored| self.tensor(path, stored, made.as_ref())).collect()
    }

    fn tensor(
        &self,
        path: &Path,
        stored: &Stored,
        made: Option<&Result<Made, serde_json::Error>>,
    ) -> Result<TensorCheck> {
        let (told, seed, init) = match made {
            None => (None, None, None),
            Some(Err(error)) => {
                (Some(Told::Not(Finding::Wrong(format!("metadata: {error}")))), None, None)
            }
            Some(Ok(made)) => {
                let own = made.tensors.get(&stored.name);
                (Some(told(made, stored)), Some(made.seed), own.map(|own| own.init.clone()))
            }
        };
        let drawn = match &told {
            Some(Told::Drawn(spec, part, seed)) => Some((spec.drawer(*seed)?, part.as_ref())),
            _ => None,
        };
        let (sha256, different) = self.read(stored, drawn)?;
        let drawn = told.map(|told| match told {
            Told::Not(finding) => finding,
            Told::Drawn(..) => match different {
                None => Finding::Same,
                Some((count, first)) => Finding::Wrong(format!(
                    "{count} of {} elements, from {first} on",
                    stored.shape.elements()
                )),
            },
        });
        let manifest = self.has_manifest.then(|| match self.wanted.get(stored.name.as_str()) {
            None => Finding::Wrong("not in it".into()),
            Some(entry) => beside(entry, stored, &sha256),
        });
        Ok(TensorCheck {
            name: stored.name.clone(),
            file: file_name(path),
            shape: Some(stored.shape.clone()),
            dtype: Some(stored.dtype),
            seed,
            init,
            sha256: Some(sha256),
            manifest,
            drawn,
        })
    }

    /// The digest of a tensor's bytes; how many of its elements are not those drawn, and the first.
    fn read(
        &self,
        stored: &Stored,
        drawer: Option<(Drawer<'_>, Option<&Selection>)>,
    ) -> Result<(String, Option<(u64, u64)>)> {
        let size = stored.dtype.size();
        let elements = stored.shape.elements();
        let longest = CHUNK / size as u64;
        let mut drawer = drawer.map(|(drawer, part)| match self.stop {
            Some(stop) => (drawer.until(stop), part),
            None => (drawer, part),
        });
        let room = if drawer.is_some() { longest.min(elements) as usize * size } else { 0 };
        let mut anew = memory::filled("a stretch of a tensor", room, 0)?;
        let mut digest = Sha256::new();
        let mut different: Option<(u64, u64)> = None;
        stored.kept.stretches(elements, longest, |first, bytes| {
            self.go_on()?;
            digest.update(bytes);
            let Some((drawer, part)) = &mut drawer else { return Ok(()) };
            let anew = &mut anew[..bytes.len()];
            match part {
                None => drawer.draw(first, anew)?,
                Some(part) => part.draw(drawer, size as u64, first, anew)?,
            }
            if anew == bytes {
                return Ok(());
            }
            let pairs = anew.chunks(size).zip(bytes.chunks(size));
            for (at, _) in pairs.enumerate().filter(|(_, (anew, own))| anew != own) {
                let (count, from) = different.unwrap_or((0, first + at as u64));
                different = Some((count + 1, from));
            }
            Ok(())
        })?;
        Ok((hex(&digest.finalize()), different))
    }

    /// Whether a file as a whole has that digest.
    fn digest(&self, path: &Path, sha256: Option<&str>) -> Result<Finding> {
        let Some(sha256) = sha256 else { return Ok(Finding::Same) };
        let failed = |error| Error::file("read", path, error);
        let mut file = File::open(path).map_err(failed)?;
        let mut bytes = memory::filled("a stretch of a file", CHUNK as usize, 0)?;
        let mut digest = Sha256::new();
        loop {
            self.go_on()?;
            match file.read(&mut bytes).map_err(failed)? {
                0 => break,
                count => digest.update(&bytes[..count]),
            }
        }
        let found = hex(&digest.finalize());
        Ok(match found == sha256 {
            true => Finding::Same,
            false => Finding::Wrong(format!("digest {}, {} there", head(&found), head(sha256))),
        })
    }
}

/// What a file's metadata say of a tensor.
enum Told {
    /// A tensor, or a part of it, of that seed.
    Drawn(Box<TensorSpec>, Option<Selection>, u64),
    Not(Finding),
}

fn told(made: &Made, stored: &Stored) -> Told {
    let untold = |why: String| Told::Not(Finding::Untold(why));
    if made.contract != CONTRACT {
        return untold(format!("contract {}, this is {CONTRACT}", made.contract));
    }
    let Some(own) = made.tensors.get(&stored.name) else {
        return Told::Not(Finding::Wrong("its initializer is not named".into()));
    };
    if stored.shape.elements() == 0 {
        return Told::Not(Finding::Same);
    }
    let part = match own.part(&stored.shape) {
        Ok(part) => part,
        Err(error) => return Told::Not(Finding::Wrong(error.to_string())),
    };
    let whole = part.as_ref().map(|(_, whole)| whole);
    match own.tensor(&stored.name, whole.unwrap_or(&stored.shape), stored.dtype) {
        Ok(None) => untold(own.copied().into()),
        Ok(Some(spec)) => Told::Drawn(Box::new(spec), part.map(|(part, _)| part), made.seed),
        Err(error) => Told::Not(Finding::Wrong(error.to_string())),
    }
}

/// As much of a digest as tells it from others.
fn head(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// A tensor beside the manifest's.
fn beside(entry: &TensorEntry<'_>, stored: &Stored, sha256: &str) -> Finding {
    if *entry.shape != *stored.shape.dims() {
        return Finding::Wrong(format!("shape {:?} there", entry.shape));
    }
    if entry.dtype != stored.dtype.name() {
        return Finding::Wrong(format!("dtype {} there", entry.dtype));
    }
    match entry.sha256 == sha256 {
        true => Finding::Same,
        false => Finding::Wrong(format!("digest {} there", head(&entry.sha256))),
    }
}
