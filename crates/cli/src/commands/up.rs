//! `madang up` and `madang check`.
use super::{Context, shims};
use crate::client::data_folder;
use crate::fail::{Fail, print};
use madang_server::{CentreChoice, UpOptions};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a centre answers unless told: this machine only.
const LISTEN: &str = "127.0.0.1:7300";

/// Options of `up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// The plan of 2025 at full size, modelled, beside this machine
    #[arg(long, conflicts_with = "centre")]
    demo: bool,
    /// Centre file for a new data folder [default: this machine alone]
    #[arg(long, value_name = "FILE")]
    centre: Option<PathBuf>,
    /// PostgreSQL to keep the centre in, postgres://USER@HOST/DATABASE; a second server with it stands by [default: the
    /// data folder]
    #[arg(long, value_name = "URL", env = "MADANG_STORE", hide_env_values = true)]
    store: Option<String>,
    /// Address to answer at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// Address to answer /metrics, /healthz and /readyz at without sign-in, for Prometheus and probes; whoever reaches it
    /// may read them [default: none, an operator's token at the main address]
    #[arg(long, value_name = "ADDRESS", env = "MADANG_METRICS")]
    metrics: Option<SocketAddr>,
    /// Address to take the links of sites' agents at, in TLS [default: none]
    #[arg(long, value_name = "ADDRESS", env = "MADANG_AGENTS")]
    agents: Option<SocketAddr>,
    /// What is logged: error, warn, info or debug, also by part (warn,madang_server::http=info)
    #[arg(long, value_name = "LEVEL", env = "MADANG_LOG", default_value = "warn")]
    log: String,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", env = "MADANG_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Make up N GPUs on each node of this machine, so that GPU scripts run
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=32))]
    pretend_gpus: u32,
    /// Let this machine pass for N nodes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pretend_nodes: u32,
}

/// Serves until a signal.
pub fn up(context: &Context, up: Up) -> Result<u8, Fail> {
    start_log(&up.log, up.log_format)?;
    let data = data_folder(context.place.data.as_deref());
    let data =
        std::path::absolute(&data).map_err(|error| Fail::new(format!("failed to find {}: {error}", data.display())))?;
    let helper = std::env::current_exe().map_err(|error| Fail::new(format!("failed to find this program: {error}")))?;
    // Made before the server so that the first job finds them; a folder that cannot be made is the server's to report.
    let links = data.join("bin");
    private(&data);
    let shims = shims::link_all(&links).is_ok().then_some(links);
    let options = UpOptions {
        data,
        store: up.store,
        listen: up.listen,
        metrics: up.metrics,
        agents: up.agents,
        centre: up.centre.map_or(CentreChoice::Here, CentreChoice::File),
        demo: up.demo,
        pretend_gpus: up.pretend_gpus,
        pretend_nodes: up.pretend_nodes,
        helper,
        shims,
    };
    madang_server::up(options).map(|()| 0).map_err(|error| split(&format!("{error:#}")))
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// An object of JSON a line, for machines
    Json,
}

pub(super) fn start_log(level: &str, format: LogFormat) -> Result<(), Fail> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|error| Fail::new(format!("{level:?} is no log level: {error}")).hint("say --log info, for one"))?;
    // A log that cannot be written (its reader gone, its disk full) must not stop the centre.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}

/// The data folder is its owner's alone from the start. What stands in the way, the server says.
pub(super) fn private(data: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
}

/// A trouble's text has its advice on a line of its own.
pub(super) fn split(text: &str) -> Fail {
    match text.split_once("\nhint: ") {
        Some((fact, hint)) => Fail::new(fact).hint(hint),
        None => Fail::new(text),
    }
}

/// Checks a centre file.
pub fn check(context: &Context, file: &Path) -> Result<u8, Fail> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Fail::new(format!("failed to read {}: {error}", file.display())))?;
    let found = madang_engine::detect::machine();
    let machine = madang_charter::Machine {
        host: found.name,
        cpus: found.cpus,
        memory_mib: found.memory_mib,
        gpus: Vec::new(),
        pretend: false,
        pretend_nodes: 1,
        numa: Vec::new(),
    };
    match madang_charter::read(&text, &file.display().to_string(), &machine) {
        Ok(charter) if context.json => context.show(&charter.founding, |_| String::new()),
        Ok(charter) => {
            print(&charter.describe());
            Ok(0)
        }
        Err(problems) => {
            eprintln!("{}", problems.to_string().trim_end());
            Ok(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    /// The page of settings: options as clap knows them, a policy's settings as centre files are read by.
    fn page() -> String {
        let mut page = String::from(
            "# Configuration\n\nMade from the code by a test of `crates/cli/src/commands/up.rs` (`UPDATE_EXPECT=1` writes it anew).\n\n\
             ## `madang up`\n\n| option | variable | by default | says |\n|---|---|---|---|\n",
        );
        let command = Up::augment_args(clap::Command::new("up"));
        for option in command.get_arguments() {
            let takes = option.get_action().takes_values();
            let value =
                option.get_value_names().filter(|_| takes).map(|names| format!(" {}", names[0])).unwrap_or_default();
            let name = option.get_long().expect("every option has a name");
            let variable = option.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
            let default: Vec<_> = option.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if takes && !default.is_empty() { format!("`{}`", default.join(" ")) } else { String::new() };
            let mut says = option.get_help().expect("every option has a help").to_string();
            let words: Vec<_> =
                option.get_possible_values().iter().map(|word| format!("`{}`", word.get_name())).collect();
            if takes && !words.is_empty() {
                says.push_str(&format!(": {}", words.join(", ")));
            }
            page.push_str(&format!("| `--{name}{value}` | {variable} | {default} | {says} |\n"));
        }
        page.push_str(
            "\n`--data DIR` (`MADANG_DATA`) goes with every command. An option beats its variable.\n\n\
             ## `[policy]` of a centre file\n\nAll other tables are in [centres](../centres/README.md).\n\n\
             | setting | takes | by default |\n|---|---|---|\n",
        );
        for (name, takes, default) in madang_charter::policy::settings() {
            page.push_str(&format!("| `{name}` | {takes} | `{default}` |\n"));
        }
        page
    }

    #[test]
    fn the_page_of_settings_is_this() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, page()).expect("writable");
        }
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            file == page(),
            "docs/configuration.md differs: run this test with UPDATE_EXPECT=1 and read the difference"
        );
    }
}
