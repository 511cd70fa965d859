//! `madang up`: one command, one centre.

use crate::auth::NoPass;
use crate::demo;
use crate::server::{Loads, Server, Settings};
use crate::store::Place;
use crate::trouble::Trouble;
use madang_centre::Input;
use madang_charter::{Machine, Order};
use madang_model::{Device, Founding, GpuTime, Role, Span, Time};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// How long the administrator's first token is good.
const TOKEN: Span = Span::from_days(3_650);
/// How long the first award of an empty centre lasts.
const AWARD: Span = Span::from_days(365);
/// GPUs made up by the demo on a machine that has none.
const DEMO_GPUS: u32 = 8;
/// CPUs and memory claimed with each made-up GPU: an eight-GPU node then has 128 CPUs and 1 TiB.
const PRETEND_CPUS: u32 = 16;
/// See [`PRETEND_CPUS`].
const PRETEND_MIB: u64 = 128 << 10;
/// What is said of a machine that pretends.
const PRETENDS: &str =
    "  this machine pretends: its GPUs are made up, and CPUs and memory to go with them, so that GPU scripts run\n";
/// The project of an empty centre.
const LOCAL: &str = "local";

/// Which centre a new folder gets.
#[derive(Clone, Debug)]
pub enum CentreChoice {
    /// This machine alone: `centres/here.toml`.
    Here,
    /// A centre file.
    File(PathBuf),
}

/// What `madang up` was told.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The data folder.
    pub data: PathBuf,
    /// Where the store is: `postgres://…`, or `None` for the data folder.
    pub store: Option<String>,
    /// Where to answer.
    pub listen: SocketAddr,
    /// Where to answer metrics and probes without sign-in, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where sites' agents link, if anywhere.
    pub agents: Option<SocketAddr>,
    /// Which centre a new folder gets; not looked at with `demo`.
    pub centre: CentreChoice,
    /// The plan of 2025 at full size beside this machine, with projects, scripts and load.
    pub demo: bool,
    /// Made-up GPUs on this machine; 0 for those that are there.
    pub pretend_gpus: u32,
    /// How many nodes this machine pretends to be; 0 and 1 are one.
    pub pretend_nodes: u32,
    /// The program that, called with `nursery`, is the local engine's nursery.
    pub helper: PathBuf,
    /// Folder put first on every job's `PATH`: the Slurm commands' shims.
    pub shims: Option<PathBuf>,
}

/// What `DATA/server.json` says, for commands to find the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerFile {
    /// Where it answers.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// Where agents link, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<String>,
}

/// Runs a centre until Ctrl-C or SIGTERM. Running jobs go on.
pub fn up(options: UpOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(options))
}

async fn run(options: UpOptions) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let settings = settings(&options)?;
    let asked = settings.founding.name.clone();
    let mut server = Server::start(settings).await?;
    let holds = &server.app.estate.founding.name;
    if *holds != asked {
        let note = "--centre and --demo are read when a store is new";
        say(&mut std::io::stderr(), &format!("note: this store holds the centre {holds}; {note}\n"));
    }
    let (ended, mut leads) = (server.ended.take(), server.leads.clone());
    let end = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = async { if let Some(ended) = ended { ended.await.ok(); } } => {}
        }
    };
    tokio::pin!(end);
    let mut greeted = sign(&server);
    if greeted.is_ok() {
        tell_standby(&server);
        let led = tokio::select! {
            () = &mut end => false,
            found = leads.wait_for(|leads| *leads) => found.is_ok(),
        };
        if led {
            greeted = greet(&server, &options).await;
        }
        if led && greeted.is_ok() {
            end.await;
        }
        say(&mut std::io::stderr(), "stopping; running jobs go on\n");
    }
    let file = server.folder().path().join("server.json");
    let stopped = server.stop().await;
    std::fs::remove_file(file).ok();
    greeted?;
    Ok(stopped?)
}

/// Leaves the server's address in the folder, for commands to find it.
fn sign(server: &Server) -> Result<(), Trouble> {
    let agents = server.linked.map(|at| at.to_string());
    let file = ServerFile { address: server.app.address.clone(), pid: std::process::id(), agents };
    server.folder().write_private("server.json", &serde_json::to_string(&file).unwrap_or_default())
}

/// Says that another server leads, if one does.
fn tell_standby(server: &Server) {
    let active = server.app.shared.active.lock().clone();
    if let Some(active) = active {
        let (title, own) = (&server.app.estate.founding.title, &server.app.address);
        let text = format!("{title} is led by {active}; {own} answers readers and takes over when that one ends\n");
        say(&mut std::io::stdout(), &text);
    }
}

/// What a server is made of for these options.
pub fn settings(options: &UpOptions) -> anyhow::Result<Settings> {
    let machine = machine(options);
    let founding = founding(options, &machine)?;
    let admin = admin_name();
    let first = if options.demo { demo::first(&founding, &admin) } else { first(&founding, &admin) };
    let data = std::path::absolute(&options.data)?;
    let engine = madang_engine::Options {
        helper: options.helper.clone(),
        extra_env: vec![("MADANG_DATA".into(), data.display().to_string())],
        path_prefix: options.shims.clone(),
        cgroup: madang_engine::cgroup::find(),
        ..madang_engine::Options::default()
    };
    let store = options.store.as_deref().map_or(Ok(Place::Folder(None)), Place::parse)?;
    let loads: Loads = if options.demo { demo::loads } else { |_, _| Vec::new() };
    Ok(Settings {
        data,
        store,
        listen: options.listen,
        local: Some(engine),
        founding,
        first,
        loads,
        wall: Box::new(crate::clock::system),
        metrics: options.metrics,
        agents: options.agents,
    })
}

/// This machine as a site. With made-up GPUs it also claims the CPUs and memory that go with them on a GPU node, so
/// that scripts written for one start here; the console and the node list say that it pretends.
fn machine(options: &UpOptions) -> Machine {
    let found = madang_engine::detect::machine();
    let asked = match options.pretend_gpus {
        0 if options.demo && found.gpus.is_empty() => DEMO_GPUS,
        asked => asked.min(32),
    };
    let real = found.gpus.iter().map(|gpu| Device {
        model: gpu.model.clone(),
        memory_mib: gpu.memory_mib,
        parts: Default::default(),
    });
    let made_up = Device { model: "pretend".into(), memory_mib: 80 << 10, parts: Default::default() };
    Machine {
        host: found.name,
        cpus: found.cpus.max(asked * PRETEND_CPUS),
        memory_mib: found.memory_mib.max(u64::from(asked) * PRETEND_MIB),
        gpus: if asked > 0 { vec![made_up; asked as usize] } else { real.collect() },
        numa: if asked > 0 { Vec::new() } else { madang_engine::detect::numa(&found.gpus) },
        pretend: asked > 0,
        pretend_nodes: options.pretend_nodes,
    }
}

fn founding(options: &UpOptions, machine: &Machine) -> anyhow::Result<Founding> {
    let read = |text: &str, name: &str| {
        madang_charter::load(text, name, machine).map_err(|problems| anyhow::Error::msg(problems.to_string()))
    };
    if options.demo {
        let mut founding = read(demo::CENTRE, "centres/korea-2025.toml")?;
        madang_charter::add_site(&mut founding, machine, Order::First)?;
        return Ok(founding);
    }
    match &options.centre {
        CentreChoice::Here => read(include_str!("../../../centres/here.toml"), "centres/here.toml"),
        CentreChoice::File(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Trouble::new(format!("failed to read the centre file {}: {error}", path.display())))?;
            read(&text, &path.display().to_string())
        }
    }
}

/// An empty centre in which a first job runs at once: its administrator, one project, an award of all GPUs for a year.
fn first(founding: &Founding, admin: &str) -> Vec<Input> {
    let mut inputs = vec![Input::User { name: admin.into(), role: Role::Admin }];
    let owner = founding.sites.iter().flat_map(|site| site.shares.first()).map(|(party, _)| *party).next();
    let owner = owner.map_or(0, |party| party.index());
    let (Some(owner), Some(class)) = (founding.parties.get(owner), founding.classes.first()) else { return inputs };
    inputs.push(Input::Project {
        name: LOCAL.into(),
        title: "Work on this centre".into(),
        owner: owner.name.clone(),
        class: class.name.clone(),
    });
    inputs.push(Input::Member { project: LOCAL.into(), user: admin.into() });
    let gpus: u64 = founding.nodes.iter().map(|node| u64::from(node.gpus)).sum();
    inputs.push(award(LOCAL, gpus.max(1)));
    inputs
}

/// A year of so many GPUs, from now.
pub(crate) fn award(project: &str, gpus: u64) -> Input {
    let hours = gpus.saturating_mul(AWARD.secs() / 3_600);
    let from = crate::clock::system();
    Input::Award {
        project: project.into(),
        granted: GpuTime::from_hours(i64::try_from(hours).unwrap_or(i64::MAX)),
        from,
        until: from + AWARD,
    }
}

/// The login name of whoever runs the server, made fit for a user's name.
fn admin_name() -> String {
    let login = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let fit = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c) => c,
        _ => '-',
    };
    let name: String = login.unwrap_or_default().chars().map(fit).take(63).collect();
    let begins_well = name.chars().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == '_');
    if begins_well { name } else { "admin".into() }
}

/// Leaves the administrator's token and the server's address in the folder, and says where to look.
async fn greet(server: &Server, options: &UpOptions) -> Result<(), Trouble> {
    let (app, folder) = (&server.app, server.folder());
    let admin = admin_of(server);
    token_file(server, &admin)?;
    if server.is_new && options.demo {
        demo::submit_scripts(app, folder.path(), &admin).await;
    }
    let code = app.passes.make_code(app.now(), &admin).map_err(trouble)?;
    let founding = &app.estate.founding;
    let gpus: u32 = founding.nodes.iter().map(|node| node.gpus).sum();
    let nodes = founding.nodes.len();
    let (node, gpu) = (if nodes == 1 { "node" } else { "nodes" }, if gpus == 1 { "GPU" } else { "GPUs" });
    let pretends = founding.nodes.iter().any(|node| node.pretend);
    let pretence = if pretends { PRETENDS } else { "" };
    let text = format!(
        "{} is up: {nodes} {node}, {gpus} {gpu}\n  console  {}\n  sign in  {}/signin?code={}\n           (once, within ten \
         minutes; `madang signin` makes another)\n  data     {}\n{pretence}Ctrl-C stops the server; running jobs go on.\n",
        founding.title,
        app.address,
        app.address,
        code.reveal(),
        folder.path().display(),
    );
    say(&mut std::io::stdout(), &text);
    Ok(())
}

/// Says something to whoever started the server. That nobody listens any more, or that the disk which keeps the output
/// is full, is no reason to stop serving.
fn say(to: &mut impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// The administrator that the folder's token is for: whoever runs the server if they are one, else the first.
fn admin_of(server: &Server) -> String {
    let centre = server.app.centre();
    let own = admin_name();
    let is_admin = |user: &&madang_model::User| user.role == Role::Admin;
    let found = centre.user(&own).filter(is_admin).or_else(|| centre.users().iter().find(is_admin));
    found.map_or(own, |user| user.name.clone())
}

/// `DATA/admin.token`: made when there is none that is good.
fn token_file(server: &Server, admin: &str) -> Result<(), Trouble> {
    let (app, folder) = (&server.app, server.folder());
    let now: Time = app.now();
    let path: &Path = &folder.path().join("admin.token");
    let is_good = |text: String| app.passes.of_token(now, text.trim()).is_some();
    if std::fs::read_to_string(path).is_ok_and(is_good) {
        return Ok(());
    }
    let (_, secret) =
        app.passes.make_token(now, admin, "admin.token of the data folder", now + TOKEN).map_err(trouble)?;
    folder.write_private("admin.token", &format!("{}\n", secret.reveal()))
}

fn trouble(no: NoPass) -> Trouble {
    match no {
        NoPass::TooMany(fact) => Trouble::new(fact),
        NoPass::Trouble(trouble) => trouble,
    }
}
