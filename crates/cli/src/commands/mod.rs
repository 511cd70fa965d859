//! `madang` itself. Data goes to standard output, everything else to standard error; `--json` gives the API's own
//! objects.
mod agent;
mod agents;
mod centre;
mod defrag;
mod jobs;
mod placement;
mod reserve;
mod shims;
mod simulate;
mod site;
mod store;
mod submit;
mod up;

use crate::client::{Client, Where};
use crate::fail::{Fail, USAGE, print};
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

const EXITS: &str = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answers; run and wait give the \
                     job's own.";

/// One courtyard for many computers: submit work, see why it waits, read what it cost.
#[derive(Debug, Parser)]
#[command(name = "madang", version, after_help = EXITS, disable_help_subcommand = true)]
struct Cli {
    /// Address of the server [default: what DATA/server.json says]
    #[arg(long, global = true, env = "MADANG_URL", value_name = "URL", hide_env_values = true)]
    server: Option<String>,
    /// Data folder [default: ./madang-data if there is one, else madang in the user's data folder]
    #[arg(long, global = true, env = "MADANG_DATA", value_name = "DIR", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Print the API's JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a centre until Ctrl-C; running jobs go on
    Up(up::Up),
    /// Check a centre file and say what it describes, or all that is wrong
    Check {
        /// The file
        file: PathBuf,
    },
    /// Submit a script or, after --, a command; sbatch's options
    Submit(submit::Submit),
    /// Submit, follow the output to the end, exit as the job does; sbatch's options
    Run(submit::Submit),
    /// Jobs that wait and run
    Queue(jobs::Queue),
    /// Everything known of a job
    Job(jobs::One),
    /// Why a job waits, and what would start it
    Why(jobs::One),
    /// When a job will start
    When(jobs::One),
    /// End jobs
    Cancel(jobs::Many),
    /// Keep jobs from starting
    Hold(jobs::Many),
    /// Let held jobs start
    Release(jobs::Many),
    /// Tell that a job wrote a checkpoint: what it did before is not lost when its nodes are taken back
    Checkpoint(jobs::Saved),
    /// A job's output
    Logs(jobs::Logs),
    /// Nodes: list, show, drain, resume, clear, sign
    Node {
        #[command(subcommand)]
        command: centre::Node,
    },
    /// Sites: list, lost, back, from-slurm
    #[command(alias = "sites")]
    Site {
        #[command(subcommand)]
        command: site::Site,
    },
    /// Reservations: create, cap, list, show, cancel
    Reserve {
        #[command(subcommand)]
        command: reserve::Reserve,
    },
    /// What moving runs together would cost and gain; --run has it done
    Defrag(defrag::Defrag),
    /// Projects: list, show, new, award, data, member
    Project {
        #[command(subcommand)]
        command: centre::Project,
    },
    /// A project's statement, line by line from the ledger
    Statement(centre::Statement),
    /// Users: list, add
    User {
        #[command(subcommand)]
        command: centre::User,
    },
    /// Tokens: list, new, revoke
    Token {
        #[command(subcommand)]
        command: centre::Token,
    },
    /// Serve a site from beside its engine until Ctrl-C; running jobs go on
    Agent(agent::Agent),
    /// Sites' agents: list, invite, revoke
    Agents {
        #[command(subcommand)]
        command: Option<agents::Agents>,
    },
    /// A fresh link that signs a browser in, once, within ten minutes
    #[command(alias = "login")]
    Signin,
    /// Who the server takes you for
    Whoami,
    /// The centre at a glance
    Overview,
    /// Check every invariant of the centre now
    Audit,
    /// Move a centre between its data folder and PostgreSQL, without a server
    Store {
        #[command(subcommand)]
        command: store::Store,
    },
    /// Try a job log, a GPU trace or a generated workload under policies, without a server
    Simulate(simulate::Simulate),
    /// Study placement policies on a cluster of shared GPUs, without a server
    Placement(placement::Placement),
    /// Install sbatch, squeue and the others as links to this program
    Shims {
        /// Folder for the links
        dir: PathBuf,
    },
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Start jobs for the local engine
    #[command(hide = true)]
    Nursery {
        /// What the engine hands over
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// What every command gets.
struct Context {
    place: Where,
    json: bool,
}

impl Context {
    fn client(&self) -> Result<Client, Fail> {
        Client::find(&self.place)
    }

    /// Prints an object: its JSON, or text for people.
    fn show<T: Serialize>(&self, object: &T, text: impl FnOnce(&T) -> String) -> Result<u8, Fail> {
        if self.json {
            let json = serde_json::to_string_pretty(object).map_err(|error| Fail::new(error.to_string()))?;
            print(&format!("{json}\n"));
        } else {
            print(&text(object));
        }
        Ok(0)
    }
}

/// Runs `madang` with arguments, the program's name first.
pub fn run(args: Vec<String>) -> u8 {
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no failure.
            let exit = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            return exit;
        }
    };
    let context = Context { place: Where { server: cli.server, data: cli.data }, json: cli.json };
    match dispatch(context, cli.command) {
        Ok(exit) => exit,
        Err(fail) => {
            for (at, line) in fail.fact.lines().enumerate() {
                eprintln!("{}{line}", if at == 0 { "error: " } else { "       " });
            }
            if let Some(hint) = &fail.hint {
                eprintln!("hint: {hint}");
            }
            fail.exit
        }
    }
}

fn dispatch(context: Context, command: Command) -> Result<u8, Fail> {
    match command {
        Command::Up(up) => up::up(&context, up),
        Command::Check { file } => up::check(&context, &file),
        Command::Submit(submit) => submit::submit(&context, &submit),
        Command::Run(submit) => submit::run(&context, &submit),
        Command::Queue(queue) => jobs::queue(&context, &queue),
        Command::Job(one) => jobs::show(&context, &one),
        Command::Why(one) => jobs::why(&context, &one),
        Command::When(one) => jobs::when(&context, &one),
        Command::Cancel(many) => jobs::cancel(&context, &many),
        Command::Hold(many) => jobs::change(&context, &many, "hold", "held"),
        Command::Release(many) => jobs::change(&context, &many, "release", "released"),
        Command::Checkpoint(saved) => jobs::checkpoint(&context, &saved),
        Command::Logs(logs) => jobs::logs(&context, &logs),
        Command::Node { command } => centre::node(&context, command),
        Command::Reserve { command } => reserve::reserve(&context, command),
        Command::Defrag(asked) => defrag::defrag(&context, &asked),
        Command::Project { command } => centre::project(&context, command),
        Command::Statement(statement) => centre::statement(&context, &statement),
        Command::User { command } => centre::user(&context, command),
        Command::Token { command } => centre::token(&context, command),
        Command::Agent(agent) => agent::agent(&context, agent),
        Command::Agents { command } => agents::agents(&context, command.unwrap_or(agents::Agents::List)),
        Command::Signin => centre::signin(&context),
        Command::Whoami => centre::whoami(&context),
        Command::Overview => centre::overview(&context),
        Command::Audit => centre::audit(&context),
        Command::Site { command } => site::site(&context, command),
        Command::Store { command } => store::store(&context, command),
        Command::Simulate(simulate) => simulate::simulate(&context, &simulate),
        Command::Placement(placement) => placement::placement(&context, &placement),
        Command::Shims { dir } => shims::install(&dir),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "madang", &mut text);
            print(&String::from_utf8_lossy(&text));
            Ok(0)
        }
        Command::Nursery { .. } => Err(Fail::new("the nursery is started by the server")),
    }
}

/// `madang submit -- true`: clap would take the dashes away, so they get another name on the way through it.
pub fn keep_dashes(words: &mut [String]) {
    let of_submit = words.iter().skip(1).position(|word| word == "submit" || word == "run");
    if let Some(word) = of_submit.and_then(|at| words.iter_mut().skip(at + 2).find(|word| *word == "--")) {
        *word = submit::DASHES.to_owned();
    }
}
