//! `sbatch`: a script, or standard input, or `--wrap`, with its directives, into a job. `madang submit` comes here too.
use super::ask::{Asked, Source, line_parts, variables};
use super::options::{Operands, SBATCH};
use super::submission::{self, NodeSize};
use super::{directives, export, jobtable, options};
use crate::client::{Client, fresh_key};
use crate::fail::Fail;
use crate::time::now_ms;
use madang_api::{Batch, JobView, Outlook, Page, PartitionView, Submit, Submitted};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest script that the server takes.
const MOST_SCRIPT: usize = 4 << 20;

/// A script with its name and arguments.
pub struct Script {
    /// What the job is called if nobody names it.
    pub name: String,
    /// The text.
    pub text: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let (parts, operands) = line_parts(SBATCH, args)?;
    let first = &parts[0];
    if let Some(exit) = super::about("sbatch", jobtable::TABLE, SBATCH, first) {
        return Ok(exit);
    }
    let wrap = parts.iter().flatten().find(|given| given.name == "wrap").map(|given| given.text().to_owned());
    let script = read_script(wrap.as_deref(), operands)?;
    let mut asked = gather(&script, &parts, wrap.is_some())?;
    let client = Client::find(&Default::default())?;
    let mut submit = complete(&client, &mut asked, script)?;
    submit.dry_run = asked.has("test-only");
    say(&asked, "sbatch");
    let done = send(&client, &asked, "sbatch", &submit).map_err(refusal)?;
    if let Some(outlook) = &done.outlook {
        eprintln!("sbatch: {}", foretold(outlook));
        return Ok(0);
    }
    if asked.has("parsable") {
        crate::fail::print(&format!("{}\n", done.job));
    } else if !asked.has("quiet") {
        crate::fail::print(&format!("Submitted batch job {}\n", done.job));
    }
    if asked.has("wait") { wait(&client, done.job) } else { Ok(0) }
}

/// What is ignored and what was decided, on standard error.
pub fn say(asked: &Asked, command: &str) {
    if asked.has("quiet") {
        return;
    }
    for note in &asked.notes {
        eprintln!("{command}: {note}");
    }
    if !asked.ignored.is_empty() {
        let names: Vec<String> = asked.ignored.iter().map(|name| format!("--{name}")).collect();
        eprintln!("{command}: ignored here: {}", names.join(", "));
    }
}

/// Folds directives, variables and the command line.
pub fn gather(script: &Script, parts: &[Vec<options::Given>], wrapped: bool) -> Result<Asked, Fail> {
    let mut asked = Asked::new(now_ms());
    if !wrapped {
        for (number, words) in directives::read(&script.text)?.iter().enumerate() {
            let parsed = options::parse(jobtable::TABLE, SBATCH, words, Operands::End)?;
            if let Some(stray) = parsed.operands.first() {
                return Err(Fail::new(format!("Invalid directive found in batch script: {stray}")));
            }
            asked.take_all(number, Source::Script, SBATCH, &parsed.given)?;
        }
    }
    let set = variables(SBATCH, "SBATCH_", |name| std::env::var(name).ok());
    asked.take_all(0, Source::Variable, SBATCH, &set)?;
    for (number, given) in parts.iter().enumerate() {
        asked.take_all(number, Source::Line, SBATCH, given)?;
    }
    Ok(asked)
}

/// The whole submission, batch included.
pub fn complete(client: &Client, asked: &mut Asked, script: Script) -> Result<Submit, Fail> {
    let mut submit = sized(client, asked)?;
    let here = current_folder()?;
    let job = &asked.job;
    let mut env = export::for_job(job.export.as_deref(), export::environment())?;
    env.extend(submission::variables(&asked.parts[0]));
    if let Some(append) = job.append {
        env.push(("SLURM_OPEN_MODE".to_owned(), if append { "a" } else { "t" }.to_owned()));
    }
    if let Some(bind) = job.flags.get("gpu-bind") {
        env.push(("SLURM_GPU_BIND".to_owned(), bind.clone()));
    }
    if submit.name.is_empty() {
        submit.name = script.name;
    }
    submit.batch = Some(Batch {
        script: script.text,
        args: script.args,
        env,
        cwd: text_of(&job.chdir.as_ref().map_or_else(|| here.clone(), |folder| normal(&here.join(folder))))?,
        stdout: job.output.clone(),
        stderr: job.error.clone(),
        stdin: job.input.clone(),
        append: job.append.unwrap_or(false),
        hold_only: false,
        submit_host: host(),
        submit_dir: text_of(&here)?,
        umask: umask(),
    });
    Ok(submit)
}

/// The submission without its batch; the partition's size comes from the server if the options leave it open.
pub fn sized(client: &Client, asked: &mut Asked) -> Result<Submit, Fail> {
    let named = asked.job.partitions.first().cloned();
    let size = move || {
        let partitions: Vec<PartitionView> = client.list("/partitions").map_err(|fail| fail.fact)?;
        let wanted = |one: &&PartitionView| named.as_ref().map_or(one.is_default, |name| *name == one.name);
        let found = partitions.iter().find(wanted).ok_or_else(|| match &named {
            Some(name) => format!("invalid partition specified: {name}"),
            None => "the centre has no partition".to_owned(),
        })?;
        let nodes = found.nodes.max(1);
        let (cpus, gpus) = (found.cpus.div_ceil(nodes), found.gpus.div_ceil(nodes));
        Ok(NodeSize { cpus, gpus, max_limit_secs: found.max_limit_secs })
    };
    Ok(submission::submit(asked, &size)?)
}

/// Sends it, and says what the server has to say of it.
pub fn send(client: &Client, asked: &Asked, command: &str, submit: &Submit) -> Result<Submitted, Fail> {
    let sent: Submitted = client.post_once("/jobs", &fresh_key(), submit)?;
    if !asked.has("quiet") {
        sent.notes.iter().for_each(|note| eprintln!("{command}: {note}"));
    }
    Ok(sent)
}

/// What a dry run has to say: Slurm's sentence where a start can be told.
pub fn foretold(outlook: &Outlook) -> String {
    let Some(start) = outlook.start_ms else {
        let why = outlook.waits.as_ref().map_or("no start can be told", |block| &block.text);
        return format!("Job {} would be accepted and wait: {why}", outlook.job);
    };
    let nodes = if outlook.node_list.is_empty() { "(not known yet)" } else { &outlook.node_list };
    let (start, partition) = (crate::time::local(start), &outlook.partition);
    format!(
        "Job {} to start at {start} using {} processors on nodes {nodes} in partition {partition}",
        outlook.job, outlook.cpus
    )
}

/// Slurm's sentence before the server's.
pub fn refusal(fail: Fail) -> Fail {
    let Some(code) = &fail.code else { return fail };
    let about = |word: &str| fail.fact.contains(word);
    let sentence = match code.as_str() {
        "impossible" => "Requested node configuration is not available",
        _ if about("not a partition") => "Invalid partition name specified",
        _ if about("not a node") => "Invalid node name specified",
        "not_found" if about("reservation") => "Requested reservation is invalid",
        "not_found" if about("project") => "Invalid account or account/partition combination specified",
        "not_found" if about("job") => "Job dependency problem",
        "forbidden" | "not_allowed" => "Access/permission denied",
        _ => return Fail { fact: format!("Batch job submission failed: {}", fail.fact), ..fail },
    };
    Fail { fact: format!("Batch job submission failed: {sentence}\n{}", fail.fact), ..fail }
}

/// Waits for the end of a job or array: its exit code, of an array the largest.
pub fn wait(client: &Client, job: u64) -> Result<u8, Fail> {
    let mut pause = Duration::from_millis(100);
    loop {
        let path = format!("/jobs?ids={job}&state=all&expand=true&limit=1000");
        let page: Page<JobView> = client.get(&path)?;
        if !page.items.is_empty() && page.items.iter().all(|job| job.state.is_over()) {
            return Ok(page.items.iter().map(exit_code).max().unwrap_or(0));
        }
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(Duration::from_secs(2));
    }
}

/// The exit code that a job's end comes to in a shell.
pub fn exit_code(job: &JobView) -> u8 {
    let code = if job.signal != 0 { 128 + job.signal } else { job.exit };
    let code = u8::try_from(code & 0xff).unwrap_or(1);
    if code == 0 && job.state != madang_api::StateName::Completed { 1 } else { code }
}

/// The script: a file, standard input, or wrapped.
pub fn read_script(wrap: Option<&str>, operands: Vec<String>) -> Result<Script, Fail> {
    let mut operands = operands.into_iter();
    let file = operands.next();
    let args = operands.collect();
    let (name, text) = match (wrap, file) {
        (Some(_), Some(_)) => return Err(Fail::new("Script arguments not permitted with --wrap option")),
        (Some(command), None) => {
            ("wrap".to_owned(), format!("#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{command}\n"))
        }
        (None, Some(file)) => {
            let path = find_script(&file).ok_or_else(|| Fail::new(format!("Unable to open file {file}")))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let bytes =
                std::fs::read(&path).map_err(|error| Fail::new(format!("Unable to open file {file}: {error}")))?;
            (name.unwrap_or(file), utf8(bytes)?)
        }
        (None, None) => {
            let mut bytes = Vec::new();
            let most = u64::try_from(MOST_SCRIPT).unwrap_or(u64::MAX) + 1;
            let read = std::io::stdin().take(most).read_to_end(&mut bytes);
            read.map_err(|error| Fail::new(format!("failed to read the script: {error}")))?;
            ("sbatch".to_owned(), utf8(bytes)?)
        }
    };
    check_script(&text)?;
    Ok(Script { name, text, args })
}

fn utf8(bytes: Vec<u8>) -> Result<String, Fail> {
    String::from_utf8(bytes).map_err(|_| Fail::new("the script is not UTF-8 text"))
}

fn check_script(text: &str) -> Result<(), Fail> {
    if text.trim().is_empty() {
        return Err(Fail::new("Batch script is empty!"));
    }
    if !text.starts_with("#!") {
        let sentence = "This does not look like a batch script.  The first\nline must start with #! followed by the path \
                        to an interpreter.\nFor instance: #!/bin/sh";
        return Err(Fail::new(sentence));
    }
    if text.contains('\0') {
        return Err(Fail::new("The batch script contains a NULL character '\\0'."));
    }
    if text.contains("\r\n") {
        let sentence = "Batch script contains DOS line breaks (\\r\\n)\ninstead of expected UNIX line breaks (\\n).";
        return Err(Fail::new(sentence));
    }
    if text.len() > MOST_SCRIPT {
        return Err(Fail::new(format!("the script has {} bytes, at most {MOST_SCRIPT} are taken", text.len())));
    }
    Ok(())
}

/// A file here, else one on `PATH`.
fn find_script(file: &str) -> Option<PathBuf> {
    let here = PathBuf::from(file);
    if here.is_file() {
        return Some(here);
    }
    if file.contains('/') {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(file)).find(|path| path.is_file())
}

/// The folder that the command runs in, as the shell calls it if that is the same.
pub fn current_folder() -> Result<PathBuf, Fail> {
    let real =
        std::env::current_dir().map_err(|error| Fail::new(format!("failed to read the current folder: {error}")))?;
    let called = std::env::var_os("PWD").map(PathBuf::from).filter(|called| called.is_absolute());
    let same = |called: &PathBuf| called.canonicalize().is_ok_and(|path| path == real);
    Ok(called.filter(same).unwrap_or(real))
}

/// Without `.` components.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// A path as text.
pub fn text_of(path: &Path) -> Result<String, Fail> {
    path.to_str().map(str::to_owned).ok_or_else(|| Fail::new(format!("{} is not UTF-8", path.display())))
}

/// This host's name.
pub fn host() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// The umask. Linux tells it without changing it.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}
