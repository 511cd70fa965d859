//! Nodes, projects, statements, users, tokens: what operators, officers and administrators do.
use super::Context;
use crate::client::escape;
use crate::fail::{Fail, print};
use crate::table::Table;
use crate::time::{local, now_ms, past_moment};
use madang_api::{
    Audit, DrainSpec, Me, NewAward, NewMember, NewProject, NewToken, NewUser, NodeView, Overview, ProjectData,
    ProjectView, RoleName, SignInLink, SignSpec, TokenMade, TokenView, UserView,
};
use madang_model::GpuTime;
use serde_json::Value;

/// `madang node …`.
#[derive(Debug, clap::Subcommand)]
pub enum Node {
    /// Nodes and what they hold
    List {
        /// Only of this site
        #[arg(long)]
        site: Option<String>,
        /// Only of this partition
        #[arg(long, short)]
        partition: Option<String>,
    },
    /// Why nodes take no work, and what is held against them
    Show {
        /// Nodes, as in here[1-4]
        nodes: String,
    },
    /// Let nothing new start on nodes
    Drain {
        /// Nodes, as in here[1-4]
        nodes: String,
        /// Why, for everyone to read
        #[arg(long, short)]
        reason: String,
    },
    /// Say that nothing of what was given up at a lost site still runs on nodes
    Clear {
        /// Nodes, as in here[1-4]
        nodes: String,
    },
    /// Tell what was seen on a node; what weighs enough drains it
    Sign {
        /// The node
        node: String,
        /// The number of an error that NVIDIA's driver reported
        #[arg(long, group = "what")]
        xid: Option<u32>,
        /// A GPU's temperature
        #[arg(long, group = "what")]
        celsius: Option<u32>,
        /// Anything else, in words; it is shown and does nothing
        #[arg(long, group = "what")]
        note: Option<String>,
        /// Of which GPU
        #[arg(long)]
        gpu: Option<u32>,
    },
    /// Let jobs start again
    Resume {
        /// Nodes, as in here[1-4]
        nodes: String,
    },
}

/// `madang project …`.
#[derive(Debug, clap::Subcommand)]
pub enum Project {
    /// Projects and their budgets
    List,
    /// One project
    Show {
        /// Its name
        name: String,
    },
    /// Make a project
    New {
        /// Short name
        name: String,
        /// Owner out of whose share it computes
        #[arg(long)]
        owner: String,
        /// Class
        #[arg(long)]
        class: String,
        /// Full name
        #[arg(long, default_value = "")]
        title: String,
    },
    /// Grant GPU-hours to a project
    Award {
        /// Its name
        name: String,
        /// GPU-hours
        gpu_hours: u64,
        /// From, as in 2026-12-01 [default: now]
        #[arg(long)]
        from: Option<String>,
        /// Until [default: a year later]
        #[arg(long)]
        until: Option<String>,
    },
    /// Say where a project's data are, for its jobs that do not say
    Data {
        /// The project
        name: String,
        /// SITE or SITE:GB, or none
        at: String,
    },
    /// Add a member
    Member {
        /// The project
        name: String,
        /// Login name
        user: String,
    },
}

/// `madang statement`.
#[derive(Debug, clap::Args)]
pub struct Statement {
    /// The project
    project: String,
    /// From, as in 2026-12-01
    #[arg(long)]
    from: Option<String>,
    /// Until
    #[arg(long)]
    until: Option<String>,
}

/// `madang user …`.
#[derive(Debug, clap::Subcommand)]
pub enum User {
    /// Users
    List,
    /// Make a user, or change a role
    Add {
        /// Login name
        name: String,
        /// researcher, owner, officer, operator or admin
        #[arg(long, default_value = "researcher", value_parser = role)]
        role: RoleName,
    },
}

/// `madang token …`.
#[derive(Debug, clap::Subcommand)]
pub enum Token {
    /// Tokens, without their secrets
    List,
    /// Make a token; its secret is shown once
    New {
        /// For whom [default: yourself]
        #[arg(long)]
        user: Option<String>,
        /// What it is for
        #[arg(long, default_value = "made by madang token new")]
        note: String,
        /// Days it is good for
        #[arg(long)]
        days: Option<u32>,
    },
    /// Make a token worthless
    Revoke {
        /// Its number
        id: u64,
    },
}

fn role(text: &str) -> Result<RoleName, String> {
    serde_json::from_value(Value::String(text.to_lowercase()))
        .map_err(|_| "one of researcher, owner, officer, operator, admin".to_owned())
}

fn role_text(role: RoleName) -> String {
    serde_json::to_value(role).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn hours(gpu_us: i64) -> String {
    GpuTime::from_micro_secs(gpu_us).to_string().replace(" GPU-hours", "")
}

fn moment(text: Option<&String>) -> Result<Option<u64>, Fail> {
    let wrong = |text: &str| {
        Fail::new(format!("{text} is not a moment")).hint("write it as 2026-12-01 or 2026-12-01T08:00").exit(2)
    };
    text.map(|text| past_moment(text, now_ms()).ok_or_else(|| wrong(text))).transpose()
}

/// Nodes.
pub fn node(context: &Context, command: Node) -> Result<u8, Fail> {
    let client = context.client()?;
    let (nodes, reason, act) = match command {
        Node::List { site, partition } => {
            let filter = |name: &str, value: Option<String>| {
                value.map_or(String::new(), |value| format!("&{name}={}", escape(&value)))
            };
            let query = filter("site", site) + &filter("partition", partition);
            let nodes: Vec<NodeView> = client.list(&format!("/nodes?{}", query.trim_start_matches('&')))?;
            return context.show(&nodes, |nodes| node_table(nodes));
        }
        Node::Show { nodes } => {
            let names = madang_engine::hostlist::expand(&nodes).map_err(|error| error.to_string())?;
            let found: Vec<NodeView> = client.list(&format!("/nodes?names={}", escape(&names.join(","))))?;
            if let Some(name) = names.iter().find(|name| found.iter().all(|node| node.name != **name)) {
                return Err(Fail::new(format!("no node is named {name}")).hint("madang node list shows all"));
            }
            return context.show(&found, |nodes| nodes.iter().map(node_text).collect());
        }
        Node::Sign { node, xid, celsius, note, gpu } => {
            let view: NodeView =
                client.post(&format!("/nodes/{}/signs", escape(&node)), &SignSpec { xid, celsius, note, gpu })?;
            return context.show(&view, node_text);
        }
        Node::Drain { nodes, reason } => (nodes, Some(reason), "drain"),
        Node::Clear { nodes } => (nodes, None, "clear"),
        Node::Resume { nodes } => (nodes, None, "resume"),
    };
    for name in madang_engine::hostlist::expand(&nodes).map_err(|error| error.to_string())? {
        let path = format!("/nodes/{}", escape(&name));
        let _: Value = match &reason {
            Some(reason) => client.post(&format!("{path}/{act}"), &DrainSpec { reason: reason.clone() })?,
            None => client.ask(&format!("{path}/{act}"))?,
        };
    }
    Ok(0)
}

fn node_text(node: &NodeView) -> String {
    let why = if node.reason.is_empty() { String::new() } else { format!(", {}", node.reason) };
    let mut text = format!("{} ({} of {}): {}{why}\n", node.name, node.island, node.site, node.state);
    if !node.faults.is_empty() {
        let held = if node.drained_by_rule { "drained by rule for" } else { "held against it" };
        text.push_str(&format!("  {held}:\n"));
    }
    for fault in &node.faults {
        let run = fault.job.map_or("a run".into(), |job| format!("job-{job}.{}", fault.attempt));
        let how = if fault.how == "lost" { "was lost with it" } else { "could not be started" };
        let others =
            if fault.suspects > 1 { format!(" (or with {} others)", fault.suspects - 1) } else { String::new() };
        text.push_str(&format!("  {} {run} {how}{others}\n", local(fault.at_ms)));
    }
    for sign in &node.signs {
        let weight = if sign.weight == "note" { String::new() } else { format!(" ({})", sign.weight) };
        text.push_str(&format!("  {} {}{weight}\n", local(sign.at_ms), sign.text));
    }
    if node.drained_by_rule {
        text.push_str(&format!("  when it is mended: madang node resume {}\n", node.name));
    }
    text
}

fn node_table(nodes: &[NodeView]) -> String {
    let mut table = Table::new(&["NODE", "SITE", "ISLAND", "STATE", ">GPUS", "MODEL", ">CPUS", ">JOBS", "NOTE"]);
    for node in nodes {
        let mark = match (node.modelled, node.pretend) {
            (true, _) => "modelled",
            (_, true) => "pretend GPUs",
            _ => "",
        };
        let note =
            [node.reason.as_str(), mark].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        table.row(vec![
            node.name.clone(),
            node.site.clone(),
            node.island.clone(),
            node.state.clone(),
            format!("{}/{}", node.gpus_busy_mask.count_ones(), node.gpus),
            node.gpu_model.clone().unwrap_or_default(),
            format!("{}/{}", node.cpus_busy, node.cpus),
            node.jobs.len().to_string(),
            note,
        ]);
    }
    table.text()
}

/// Projects.
pub fn project(context: &Context, command: Project) -> Result<u8, Fail> {
    let client = context.client()?;
    let path = |name: &str| format!("/projects/{}", escape(name));
    match command {
        Project::List => {
            let projects: Vec<ProjectView> = client.list("/projects")?;
            context.show(&projects, |projects| project_table(projects))
        }
        Project::Show { name } => {
            let project: ProjectView = client.get(&path(&name))?;
            context.show(&project, project_text)
        }
        Project::New { name, owner, class, title } => {
            let made: Value = client.post("/projects", &NewProject { name: name.clone(), title, owner, class })?;
            context.show(&made, |_| format!("project {name} is there; give it an award\n"))
        }
        Project::Award { name, gpu_hours, from, until } => {
            let award = NewAward { gpu_hours, from_ms: moment(from.as_ref())?, until_ms: moment(until.as_ref())? };
            let made: Value = client.post(&format!("{}/awards", path(&name)), &award)?;
            context.show(&made, |_| format!("{gpu_hours} GPU-hours granted to {name}\n"))
        }
        Project::Data { name, at } => {
            let data = if at == "none" { Vec::new() } else { crate::slurm::values::data_at(&at)? };
            if data.len() > 1 {
                return Err(Fail::new("a project's data are at one site").hint("jobs may say more: --data-at").exit(2));
            }
            let data = ProjectData { data: data.into_iter().next() };
            let made: Value = client.post(&format!("{}/data", path(&name)), &data)?;
            context.show(&made, |_| format!("data of {name}: {at}\n"))
        }
        Project::Member { name, user } => {
            let made: Value = client.post(&format!("{}/members", path(&name)), &NewMember { user: user.clone() })?;
            context.show(&made, |_| format!("{user} is a member of {name}\n"))
        }
    }
}

fn project_table(projects: &[ProjectView]) -> String {
    let mut table = Table::new(&[
        "PROJECT",
        "OWNER",
        "CLASS",
        ">GRANTED",
        ">HELD",
        ">SPENT",
        ">FREE",
        ">OWED WON",
        ">RUNNING",
        ">WAITING",
    ]);
    for project in projects {
        table.row(vec![
            project.name.clone(),
            project.owner.clone(),
            project.class.clone(),
            hours(project.granted_gpu_us),
            hours(project.held_gpu_us),
            hours(project.spent_gpu_us),
            hours(project.free_gpu_us),
            project.owed_won.to_string(),
            project.running.to_string(),
            project.waiting.to_string(),
        ]);
    }
    format!("{}(GPU-hours)\n", table.text())
}

fn project_text(project: &ProjectView) -> String {
    let mut text = format!("{}  {}\n", project.name, project.title);
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<9} {value}\n"));
    line("owner", project.owner.clone());
    line(
        "class",
        format!("{}, pays {}.{:02} % of the price", project.class, project.rate_bp / 100, project.rate_bp % 100),
    );
    line("members", project.members.join(" "));
    line("granted", format!("{} GPU-hours", hours(project.granted_gpu_us)));
    line("held", format!("{} GPU-hours", hours(project.held_gpu_us)));
    line("spent", format!("{} GPU-hours", hours(project.spent_gpu_us)));
    line("free", format!("{} GPU-hours", hours(project.free_gpu_us)));
    line("owed", format!("{} won", project.owed_won));
    line("jobs", format!("{} running, {} waiting", project.running, project.waiting));
    for award in &project.awards {
        let span = format!("{} to {}", local(award.from_ms), local(award.until_ms));
        line(
            "award",
            format!(
                "{}: {} of {} GPU-hours free, {span}",
                award.id,
                hours(award.free_gpu_us),
                hours(award.granted_gpu_us)
            ),
        );
    }
    text
}

/// A statement.
pub fn statement(context: &Context, statement: &Statement) -> Result<u8, Fail> {
    let mut path = format!("/projects/{}/statement?", escape(&statement.project));
    for (name, text) in [("from_ms", &statement.from), ("until_ms", &statement.until)] {
        if let Some(ms) = moment(text.as_ref())? {
            path.push_str(&format!("{name}={ms}&"));
        }
    }
    let found: madang_api::Statement = context.client()?.get(path.trim_end_matches(['&', '?']))?;
    let exit = u8::from(!found.balances);
    context.show(&found, statement_text)?;
    Ok(exit)
}

fn statement_text(statement: &madang_api::Statement) -> String {
    let mut table = Table::new(&["WHEN", "WHAT", "JOB", ">FREE", ">HELD", ">SPENT", ">WON"]);
    for line in &statement.lines {
        table.row(vec![
            local(line.at_ms),
            line.kind.clone(),
            line.job.map_or(String::new(), |job| job.to_string()),
            hours(line.free_gpu_us),
            hours(line.held_gpu_us),
            hours(line.spent_gpu_us),
            line.won.to_string(),
        ]);
    }
    let verdict = if statement.balances { "the books balance" } else { "THE BOOKS DO NOT BALANCE" };
    format!(
        "{}  {}\n{} to {}\nfree at the beginning {} GPU-hours\n\n{}\ngranted {}  spent {}  refunded {}  held {}  closing {} GPU-hours\nowed {} won; {verdict}\n",
        statement.project,
        statement.title,
        if statement.from_ms == 0 { "opening".into() } else { local(statement.from_ms) },
        local(statement.until_ms),
        hours(statement.opening_gpu_us),
        table.text(),
        hours(statement.granted_gpu_us),
        hours(statement.spent_gpu_us),
        hours(statement.refunded_gpu_us),
        hours(statement.held_gpu_us),
        hours(statement.closing_gpu_us),
        statement.won,
    )
}

/// Users.
pub fn user(context: &Context, command: User) -> Result<u8, Fail> {
    let client = context.client()?;
    match command {
        User::List => {
            let users: Vec<UserView> = client.list("/users")?;
            context.show(&users, |users| {
                let mut table = Table::new(&["USER", "ROLE", "PROJECTS"]);
                for user in users {
                    table.row(vec![user.name.clone(), role_text(user.role), user.projects.join(" ")]);
                }
                table.text()
            })
        }
        User::Add { name, role } => {
            let made: Value = client.post("/users", &NewUser { name: name.clone(), role })?;
            context.show(&made, |_| format!("{name} is {}\n", role_text(role)))
        }
    }
}

/// Tokens.
pub fn token(context: &Context, command: Token) -> Result<u8, Fail> {
    let client = context.client()?;
    match command {
        Token::List => {
            let tokens: Vec<TokenView> = client.list("/tokens")?;
            context.show(&tokens, |tokens| {
                let mut table = Table::new(&[">TOKEN", "USER", "MADE", "GOOD UNTIL", "FOR"]);
                for token in tokens {
                    let (made, until) = (local(token.made_ms), local(token.until_ms));
                    table.row(vec![token.id.to_string(), token.user.clone(), made, until, token.note.clone()]);
                }
                table.text()
            })
        }
        Token::New { user, note, days } => {
            let user = match user {
                Some(user) => user,
                None => client.get::<Me>("/me")?.name,
            };
            let made: TokenMade = client.post("/tokens", &NewToken { user, note, days })?;
            if !context.json {
                eprintln!("token {}, good until {}; it is not shown again", made.id, local(made.until_ms));
            }
            context.show(&made, |made| format!("{}\n", made.token))
        }
        Token::Revoke { id } => {
            let _: Value = client.delete(&format!("/tokens/{id}"))?;
            Ok(0)
        }
    }
}

/// A sign-in link.
pub fn signin(context: &Context) -> Result<u8, Fail> {
    let link: SignInLink = context.client()?.ask("/signin-links")?;
    context.show(&link, |link| format!("{}\n", link.url))
}

/// The caller.
pub fn whoami(context: &Context) -> Result<u8, Fail> {
    let me: Me = context.client()?.get("/me")?;
    context.show(&me, |me| format!("{} ({}) {}\n", me.name, role_text(me.role), me.projects.join(" ")))
}

/// The centre at a glance.
pub fn overview(context: &Context) -> Result<u8, Fail> {
    let overview: Overview = context.client()?.get("/overview")?;
    context.show(&overview, |overview| {
        let mut sites =
            Table::new(&["SITE", ">NODES", ">GPUS", ">BUSY", ">OUT", ">STRANDED", ">LARGEST GANG", ">RUNNING", "NOTE"]);
        for site in &overview.sites {
            let note = if site.modelled {
                "modelled"
            } else if site.pretend {
                "pretend GPUs"
            } else {
                ""
            };
            let numbers = [site.nodes, site.gpus, site.gpus_busy, site.gpus_out, site.gpus_stranded];
            let mut row = vec![site.name.clone()];
            row.extend(numbers.map(|number| number.to_string()));
            row.push(match site.largest_gang_packed {
                packed if packed > site.largest_gang => format!("{} nodes ({packed} if packed)", site.largest_gang),
                _ => format!("{} nodes", site.largest_gang),
            });
            row.push(site.running.to_string());
            row.push(note.to_owned());
            sites.row(row);
        }
        let mut owners = Table::new(&["OWNER", ">ENTITLED", ">DELIVERED", ">GPUS NOW", ">WAITING"]);
        let share = |bp: u32| format!("{}.{:02} %", bp / 100, bp % 100);
        for owner in &overview.owners {
            let (gpus, waiting) = (owner.gpus.to_string(), owner.waiting.to_string());
            owners.row(vec![owner.name.clone(), share(owner.entitled_bp), share(owner.delivered_bp), gpus, waiting]);
        }
        let jobs = format!("{} running, {} waiting, {} ended", overview.running, overview.waiting, overview.ended);
        let grown: String = overview.sites.iter().filter_map(growth).collect();
        format!("{}\n{jobs}\n\n{}{grown}\n{}", overview.title, sites.text(), owners.text())
    })
}

/// A line for a site whose fragmentation has grown.
fn growth(site: &madang_api::SiteView) -> Option<String> {
    let grown = site.stranded_growth?;
    let since = local(grown.since_ms);
    let text = format!("{}: stranded GPUs grew from at most {} to {} since {since}", site.name, grown.from, grown.to);
    Some(format!("{text}; see madang defrag --site {}\n", site.name))
}

/// Every invariant.
pub fn audit(context: &Context) -> Result<u8, Fail> {
    let audit: Audit = context.client()?.get("/audit")?;
    let exit = u8::from(!audit.violations.is_empty());
    if context.json {
        context.show(&audit, |_| String::new())?;
        return Ok(exit);
    }
    audit.violations.iter().for_each(|violation| print(&format!("{violation}\n")));
    let count = audit.violations.len();
    print(&format!(
        "{count} violations, {} inputs, {} anomalies, head {}\n",
        audit.inputs, audit.anomalies, audit.head
    ));
    Ok(exit)
}
