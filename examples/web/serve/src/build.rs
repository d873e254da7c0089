//! The engine, compiled to a module; its glue; the page beside them.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";

/// A page, and the sizes of its files.
pub struct Built {
    pub folder: PathBuf,
    /// Name, bytes, and bytes as a server sends them.
    files: Vec<(String, usize, usize)>,
}

impl Built {
    /// Bytes of the whole page, compressed.
    pub fn compressed(&self) -> usize {
        self.files.iter().map(|(_, _, sent)| sent).sum()
    }
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes, sent) in &self.files {
            writeln!(f, "{bytes:9} bytes, {sent:7} compressed  {name}")?;
        }
        let folder = self.folder.display();
        write!(f, "{} kB compressed in {folder}", self.compressed().div_ceil(1000))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compiles the engine and puts the page together.
///
/// # Errors
/// Where the compiler, the target or a file is missing.
pub fn build() -> Result<Built> {
    let root = root().canonicalize().context("the sources of the page are gone")?;
    target()?;
    let module = compiled(&root)?;
    let folder = root.join("target/page");
    // What an earlier page had is not to stay.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    Bindgen::new()
        .input_path(&module)
        .out_name("fanin")
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&folder)
        .with_context(|| format!("{} cannot be made a module of a page", module.display()))?;
    for entry in fs::read_dir(root.join("page"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        fs::copy(&path, folder.join(name)).with_context(|| format!("{}", path.display()))?;
    }
    measured(folder)
}

/// Has the compiler's target at hand, or rustup fetch it.
fn target() -> Result<()> {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("rustc does not start: the page is compiled by it")?;
    if Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir() {
        return Ok(());
    }
    println!("rustup target add {TARGET}: the page is compiled for it");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`rustup target add {TARGET}` failed ({status})"),
        Err(error) => bail!(
            "this compiler has no libraries for {TARGET}, and rustup, which would fetch them, does not \
             start ({error}): install them as this compiler was installed"
        ),
    }
}

/// The engine's module.
fn compiled(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/engine");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--locked", "--package", "fanin-web", "--profile", "page"])
        .args(["--target", TARGET, "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&folder)
        // Every browser that can wait for a GPU has them.
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C target-feature=+simd128")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("the engine does not compile ({status})");
    }
    Ok(folder.join(TARGET).join("page/fanin_web.wasm"))
}

/// What a server would send of each file.
fn measured(folder: PathBuf) -> Result<Built> {
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let bytes = fs::read(entry.path())?;
        let mut sent = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 11, 24);
        sent.write_all(&bytes)?;
        let sent = sent.into_inner().len();
        files.push((entry.file_name().to_string_lossy().into_owned(), bytes.len(), sent));
    }
    files.sort();
    Ok(Built { folder, files })
}
