//! Input and output of a step's tasks: files by pattern, labels, lines kept whole, standard input to all.
use madang_engine::pattern::{Names, Task, expand};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Where a stream of all tasks goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To srun's own.
    Own,
    /// Nowhere.
    Nowhere,
    /// One task's to srun's own, the others' nowhere.
    One(u32),
    /// To files by pattern.
    Files(String),
}

/// Reads `--output`, `--error`: `all`, `none`, a rank, or a pattern.
pub fn target(text: Option<&str>) -> Target {
    match text {
        None | Some("all") => Target::Own,
        Some("none") => Target::Nowhere,
        Some(text) => text.parse().map_or_else(|_| Target::Files(text.to_owned()), Target::One),
    }
}

/// How output is written.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Width of the rank before each line; `None` for no labels.
    pub label: Option<usize>,
    /// Pieces as they come, not whole lines.
    pub unbuffered: bool,
    /// Append to files.
    pub append: bool,
}

/// Opens output files, each once, so that tasks which share one do not overwrite each other.
pub struct Outputs {
    manner: Manner,
    files: BTreeMap<String, File>,
}

/// Somewhere to write, shared by tasks.
pub type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

/// Where one task's stream goes.
pub enum Outlet {
    /// Straight to a file, or nowhere.
    Direct(Stdio),
    /// Through a thread of ours.
    Through(Sink),
}

impl Outputs {
    /// Nothing open yet.
    pub fn new(manner: Manner) -> Outputs {
        Outputs { manner, files: BTreeMap::new() }
    }

    /// Where the task of this rank writes.
    pub fn outlet(&mut self, target: &Target, names: &Names, own: &Sink) -> Result<Outlet, String> {
        let rank = names.task.map_or(0, |task| task.rank);
        match target {
            Target::Own => Ok(Outlet::Through(own.clone())),
            Target::One(wanted) if *wanted == rank => Ok(Outlet::Through(own.clone())),
            Target::Nowhere | Target::One(_) => Ok(Outlet::Direct(Stdio::null())),
            Target::Files(pattern) => {
                let file = self.open(&expand(pattern, names))?;
                match self.manner.label {
                    Some(_) => Ok(Outlet::Through(Arc::new(Mutex::new(Box::new(file))))),
                    None => Ok(Outlet::Direct(file.into())),
                }
            }
        }
    }

    fn open(&mut self, path: &str) -> Result<File, String> {
        let wrong = |error: std::io::Error| format!("Could not open stdout file {path}: {error}");
        if let Some(file) = self.files.get(path) {
            return file.try_clone().map_err(wrong);
        }
        let mut options = OpenOptions::new();
        // Truncated once, then appended to: tasks and error streams may share it.
        if !self.manner.append {
            options.clone().write(true).create(true).truncate(true).open(path).map_err(wrong)?;
        }
        let file = options.append(true).create(true).open(path).map_err(wrong)?;
        let copy = file.try_clone().map_err(wrong)?;
        self.files.insert(path.to_owned(), file);
        Ok(copy)
    }
}

/// The names that patterns use, for one task.
pub fn names(base: &Names, node: &str, step: u32, node_number: u32, rank: u32) -> Names {
    Names { node: node.to_owned(), task: Some(Task { step, node: node_number, rank }), ..base.clone() }
}

/// Copies a task's stream to a sink until it ends.
pub fn copy(from: impl Read + Send + 'static, to: Sink, rank: u32, manner: Manner) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::with_capacity(64 << 10, from);
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let read = match manner.unbuffered && manner.label.is_none() {
                true => reader.fill_buf().map(|bytes| {
                    piece.extend_from_slice(bytes);
                    bytes.len()
                }),
                false => reader.by_ref().take(1 << 20).read_until(b'\n', &mut piece),
            };
            match read {
                Ok(0) | Err(_) => return,
                Ok(count) if manner.unbuffered && manner.label.is_none() => reader.consume(count),
                Ok(_) => {}
            }
            if let Some(width) = manner.label {
                let mut labelled = format!("{rank:>width$}: ").into_bytes();
                labelled.extend_from_slice(&piece);
                if !labelled.ends_with(b"\n") {
                    labelled.push(b'\n');
                }
                std::mem::swap(&mut piece, &mut labelled);
            }
            let mut sink = to.lock().unwrap_or_else(PoisonError::into_inner);
            if sink.write_all(&piece).and_then(|()| sink.flush()).is_err() {
                return;
            }
        }
    })
}

/// srun's own output.
pub fn own_stdout() -> Sink {
    Arc::new(Mutex::new(Box::new(std::io::stdout())))
}

/// srun's own error output.
pub fn own_stderr() -> Sink {
    Arc::new(Mutex::new(Box::new(std::io::stderr())))
}

/// What tasks read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// srun's own, copied to every task.
    All,
    /// srun's own, to one task.
    One(u32),
    /// Nothing.
    Nothing,
    /// Files by pattern.
    Files(String),
}

/// Reads `--input`. Own input that is `/dev/null` needs no thread.
pub fn input(text: Option<&str>) -> Input {
    match text {
        Some("none") => Input::Nothing,
        Some(text) if text != "all" => text.parse().map_or_else(|_| Input::Files(text.to_owned()), Input::One),
        _ if is_null(std::io::stdin()) => Input::Nothing,
        _ => Input::All,
    }
}

fn is_null(stream: impl AsFd) -> bool {
    let Ok(copy) = stream.as_fd().try_clone_to_owned() else { return true };
    let Ok(about) = File::from(copy).metadata() else { return true };
    let null = std::fs::metadata("/dev/null");
    about.file_type().is_char_device()
        && null.is_ok_and(|null| {
            std::os::unix::fs::MetadataExt::rdev(&null) == std::os::unix::fs::MetadataExt::rdev(&about)
        })
}

/// Copies srun's own input to tasks on a thread that is never waited for: reading may block for ever.
pub fn feed(mut tasks: Vec<ChildStdin>) {
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 64 << 10];
        while !tasks.is_empty() {
            match stdin.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => tasks.retain_mut(|task| task.write_all(&buffer[..count]).is_ok()),
            }
        }
    });
}
