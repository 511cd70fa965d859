//! `madang agent`: the daemon beside a site's engine.
use super::up::{LogFormat, private, start_log};
use super::{Context, shims};
use crate::client::data_folder;
use crate::fail::Fail;
use madang_agent::{Options, WorksKind};
use madang_model::SlurmSite;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Options of `agent`.
#[derive(Debug, clap::Args)]
pub struct Agent {
    /// The site it serves
    #[arg(long)]
    site: String,
    /// Where servers take links, host:port; several are tried in turn until one leads
    #[arg(long, value_name = "HOST:PORT", required = true, value_delimiter = ',', env = "MADANG_AGENT_TO")]
    to: Vec<String>,
    /// An operator's invitation, needed until the agent is enrolled (see `madang agents invite`)
    #[arg(long, value_name = "TEXT", env = "MADANG_INVITATION", hide_env_values = true)]
    invitation: Option<String>,
    /// A file that holds the invitation
    #[arg(long, value_name = "FILE", conflicts_with = "invitation")]
    invitation_file: Option<PathBuf>,
    /// What it runs work on
    #[arg(long, value_enum, default_value_t = On::Local)]
    engine: On,
    /// Slurm's partition that jobs are sent to
    #[arg(long, value_name = "NAME", required_if_eq("engine", "slurm"))]
    slurm_partition: Option<String>,
    /// Folder that this host and all nodes see under the same path
    #[arg(long, value_name = "DIR", required_if_eq("engine", "slurm"))]
    slurm_spool: Option<String>,
    /// Slurm's configuration file, if not where Slurm looks by itself
    #[arg(long, value_name = "FILE")]
    slurm_conf: Option<String>,
    /// Folder of Slurm's commands, if not on the PATH
    #[arg(long, value_name = "DIR")]
    slurm_commands: Option<String>,
    /// Slurm's account that jobs are charged to
    #[arg(long, value_name = "NAME")]
    slurm_account: Option<String>,
    /// Slurm's QOS
    #[arg(long, value_name = "NAME")]
    slurm_qos: Option<String>,
    /// What is logged: error, warn, info or debug, also by part
    #[arg(long, value_name = "LEVEL", env = "MADANG_LOG", default_value = "info")]
    log: String,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", env = "MADANG_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// What an agent runs work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// This machine
    Local,
    /// A Slurm cluster
    Slurm,
}

/// Serves a site until a signal.
pub fn agent(context: &Context, agent: Agent) -> Result<u8, Fail> {
    start_log(&agent.log, agent.log_format)?;
    let data = data_folder(context.place.data.as_deref());
    let data =
        std::path::absolute(&data).map_err(|error| Fail::new(format!("failed to find {}: {error}", data.display())))?;
    let helper = std::env::current_exe().map_err(|error| Fail::new(format!("failed to find this program: {error}")))?;
    private(&data);
    let links = data.join("bin");
    let shims = shims::link_all(&links).is_ok().then_some(links);
    let options = Options {
        dir: data.join("agents").join(&agent.site),
        invitation: invitation(&agent)?,
        works: works(&agent, helper, shims),
        host: madang_engine::detect::machine().name,
        servers: agent.to,
        site: agent.site,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    let runtime = runtime.map_err(|error| Fail::new(format!("failed to start: {error}")))?;
    let served = runtime.block_on(async {
        let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return Err(Fail::new("failed to listen for signals"));
        };
        let stops = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        madang_agent::run(options, stops).await.map_err(failed)
    });
    served.map(|()| 0)
}

fn invitation(agent: &Agent) -> Result<Option<String>, Fail> {
    let Some(file) = &agent.invitation_file else { return Ok(agent.invitation.clone()) };
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        // An agent that is enrolled needs none, and whoever set it up may well have removed it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fail::new(format!("failed to read {}: {error}", file.display()))),
    }
}

fn works(agent: &Agent, helper: PathBuf, shims: Option<PathBuf>) -> WorksKind {
    match agent.engine {
        On::Local => WorksKind::Local(madang_engine::Options {
            helper,
            path_prefix: shims,
            cgroup: madang_engine::cgroup::find(),
            ..madang_engine::Options::default()
        }),
        On::Slurm => WorksKind::Slurm {
            site: SlurmSite {
                partition: agent.slurm_partition.clone().unwrap_or_default(),
                spool: agent.slurm_spool.clone().unwrap_or_default(),
                conf: agent.slurm_conf.clone(),
                commands: agent.slurm_commands.clone(),
                account: agent.slurm_account.clone(),
                qos: agent.slurm_qos.clone(),
                carry: true,
            },
            helper,
            extra_env: Vec::new(),
        },
    }
}

fn failed(fault: madang_agent::Error) -> Fail {
    let hint = match fault.code {
        "not_invited" => "an operator makes an invitation with `madang agents invite SITE`; give it with --invitation",
        "busy" => "stop the other one, or name another folder with --data",
        _ => return Fail::new(fault.fact),
    };
    Fail::new(fault.fact).hint(hint)
}
