//! Getting what the tests need beyond Rust: a Chromium for the console, Python's `submitit` for the Slurm commands,
//! PostgreSQL for servers that share a store, valgrind for instruction counts, a Slurm for its engine.
//!
//! As root on Debian or Ubuntu the packages are installed; otherwise the command to type is printed and the run goes
//! on, and the tests that need the missing thing say that they were skipped.
use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs that drive a browser without a screen, by the names they are installed under.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// What Python needs to have; a release that the tests are written for.
const PACKAGES: [&str; 1] = ["submitit==1.5.4"];

/// Slurm's daemons and commands, which tests start by themselves; Debian's have a longer name than others'.
const SLURM: [&[&str]; 4] = [&["munged"], &["slurmctld-wlm", "slurmctld"], &["slurmd-wlm", "slurmd"], &["sbatch"]];

/// What tests find in their environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The browser: `MADANG_CHROMIUM`.
    pub browser: Option<PathBuf>,
    /// What drives it: `MADANG_CHROMEDRIVER`.
    pub driver: Option<PathBuf>,
    /// A Python that has the packages; its folder goes first on the path.
    pub python: Option<PathBuf>,
    /// What is missing, for the summary.
    pub missing: Vec<String>,
}

impl Prepared {
    /// Tells a command where things are.
    pub fn tell(&self, command: &mut Command) {
        if let Some(browser) = &self.browser {
            command.env("MADANG_CHROMIUM", browser);
        }
        if let Some(driver) = &self.driver {
            command.env("MADANG_CHROMEDRIVER", driver);
        }
        // First on the path: `python3` is then the one that has the packages.
        if let Some(bin) = self.python.as_deref().and_then(Path::parent) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(folders) {
                command.env("PATH", path);
            }
        }
    }
}

/// Finds or installs everything; never fails, says what is missing instead.
pub fn everything(root: &Path) -> Prepared {
    let mut prepared = look(root);
    let mut wanted = Vec::new();
    if prepared.browser.is_none() || prepared.driver.is_none() {
        wanted.extend(["chromium", "chromium-driver"]);
    }
    if prepared.python.is_none() && !can_make_venv() {
        wanted.extend(["python3", "python3-venv"]);
    }
    if shell::find(&["valgrind"]).is_none() {
        wanted.push("valgrind");
    }
    if !has_postgres() {
        wanted.push("postgresql");
    }
    if !has_slurm() {
        wanted.extend(["munge", "slurmctld", "slurmd", "slurm-client"]);
    }
    if !wanted.is_empty()
        && let Err(error) = install(&wanted)
    {
        eprintln!("prepare: {error:#}");
    }
    if prepared.python.is_none()
        && let Err(error) = make_venv(root)
    {
        eprintln!("prepare: {error:#}");
    }
    prepared = look(root);
    if prepared.browser.is_none() || prepared.driver.is_none() {
        prepared.missing.push("chromium and chromedriver: the console's tests in a browser are skipped".into());
    }
    if prepared.python.is_none() {
        prepared.missing.push("submitit: its tests are skipped".into());
    }
    if shell::find(&["valgrind"]).is_none() {
        prepared.missing.push("valgrind: instruction counts are skipped".into());
    }
    if !has_postgres() {
        prepared.missing.push("postgresql: tests of servers that share a store are skipped".into());
    }
    if !has_slurm() {
        prepared.missing.push("munge, slurmctld, slurmd, slurm-client: the Slurm engine's tests are skipped".into());
    }
    prepared
}

/// True where a test can start a Slurm. Its daemons are often not on a user's own path.
fn has_slurm() -> bool {
    let beside = |name: &&str| Path::new("/usr/sbin").join(name).is_file();
    SLURM.iter().all(|names| shell::find(names).is_some() || names.iter().any(beside))
}

/// What is there without doing anything.
fn look(root: &Path) -> Prepared {
    let python = venv(root).join("bin/python");
    let python = has_packages(&python).then_some(python);
    Prepared { browser: shell::find(&BROWSERS), driver: shell::find(&["chromedriver"]), python, missing: Vec::new() }
}

/// Debian keeps PostgreSQL's own programs off the path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let is_there = |version: std::fs::DirEntry| version.path().join("bin/initdb").is_file();
    versions.into_iter().any(is_there) || shell::find(&["initdb"]).is_some()
}

fn venv(root: &Path) -> PathBuf {
    shell::target(root).join("venv")
}

fn has_packages(python: &Path) -> bool {
    quiet(Command::new(python).args(["-c", "import submitit"]))
}

fn can_make_venv() -> bool {
    quiet(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn make_venv(root: &Path) -> Result<()> {
    let folder = venv(root);
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = folder.join("bin/python");
    shell::run(
        Command::new(pip).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES),
    )
    .context("failed to install Python's submitit")
}

fn install(packages: &[&str]) -> Result<()> {
    let line = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if shell::find(&["apt-get"]).is_none() {
        bail!("install by your system's own means: {}", packages.join(" "));
    }
    if !is_root() {
        bail!("not root; to run all tests type: sudo {line}");
    }
    eprintln!("prepare: {line}");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        shell::run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
    };
    apt(&["update", "-q"])?;
    apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.starts_with(b"0") && output.stdout.trim_ascii() == b"0")
}

fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
