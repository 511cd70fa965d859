//! `madang site`: sites as they are, lost and back; and a site's part of a centre file, made from what runs there already.
use super::Context;
use crate::client::escape;
use crate::fail::Fail;
use crate::table::Table;
use crate::time::local;
use madang_api::{LostSpec, SiteView};
use madang_engine::{Asked, NoInventory};
use madang_model::SlurmSite;
use serde::Serialize;

/// What may be done about a site.
#[derive(Debug, clap::Subcommand)]
pub enum Site {
    /// Sites with capacity and load
    List,
    /// A site is lost: nothing new goes there, and after a while its jobs that may go on elsewhere do
    Lost {
        /// Its name
        name: String,
        /// Why, for everyone to read
        #[arg(long, short)]
        reason: String,
        /// Have its jobs go on elsewhere at once
        #[arg(long)]
        at_once: bool,
    },
    /// A lost site is back
    Back {
        /// Its name
        name: String,
    },
    /// Print a Slurm cluster's part of a centre file, from what Slurm says of its nodes; needs no server
    FromSlurm(FromSlurm),
}

/// A cluster, and what only people know of it.
#[derive(Debug, clap::Args)]
pub struct FromSlurm {
    /// Slurm's partition that jobs are sent to
    #[arg(long)]
    partition: String,
    /// The folder that this server and all nodes see under the same path
    #[arg(long)]
    spool: String,
    /// The site's name in the centre
    #[arg(long, default_value = "cluster")]
    name: String,
    /// Slurm's configuration file [default: where Slurm looks]
    #[arg(long)]
    conf: Option<String>,
    /// The folder of sbatch and its kin [default: those on the path]
    #[arg(long)]
    commands: Option<String>,
    /// Slurm's account that jobs are charged to [default: the serving user's]
    #[arg(long)]
    account: Option<String>,
    /// Slurm's QOS [default: the serving user's]
    #[arg(long)]
    qos: Option<String>,
    /// The model of GPUs that Slurm gives no type
    #[arg(long)]
    gpu: Option<String>,
    /// Memory of a GPU, as "141 GiB", where the model's is not known or another
    #[arg(long)]
    gpu_memory: Option<String>,
    /// Print a whole centre file with this one site
    #[arg(long)]
    centre: bool,
}

#[derive(Serialize)]
struct Made {
    text: String,
    nodes: usize,
    gpus: u64,
    left_out: Vec<String>,
}

/// Does it.
pub fn site(context: &Context, command: Site) -> Result<u8, Fail> {
    match command {
        Site::FromSlurm(from) => from_slurm(context, from),
        Site::List => {
            let sites: Vec<SiteView> = context.client()?.list("/sites")?;
            context.show(&sites, |sites| site_table(sites))
        }
        Site::Lost { name, reason, at_once } => {
            let site: SiteView =
                context.client()?.post(&format!("/sites/{}/lost", escape(&name)), &LostSpec { reason, at_once })?;
            context.show(&site, |site| format!("site {name}: {}\n", site_note(site)))
        }
        Site::Back { name } => {
            let site: SiteView = context.client()?.ask(&format!("/sites/{}/back", escape(&name)))?;
            context.show(&site, |_| format!("site {name} takes work again\n"))
        }
    }
}

fn site_table(sites: &[SiteView]) -> String {
    let mut table = Table::new(&["SITE", ">NODES", ">GPUS", "MODELS", ">RUNNING", "NOTE"]);
    for site in sites {
        table.row(vec![
            site.name.clone(),
            site.nodes.to_string(),
            format!("{}/{}", site.gpus_busy, site.gpus),
            site.models.join(","),
            site.running.to_string(),
            site_note(site),
        ]);
    }
    table.text()
}

fn site_note(site: &SiteView) -> String {
    let kind = match (site.modelled, site.pretend) {
        (true, _) => "modelled",
        (_, true) => "pretend GPUs",
        _ => "",
    };
    let Some(lost) = &site.lost else { return kind.to_owned() };
    let next = match (lost.failed_over, lost.failover_ms) {
        (true, _) => format!("its jobs have gone on elsewhere; runs that may still be there: {}", lost.fenced),
        (false, Some(at)) => format!("its jobs go on elsewhere from {} on", local(at)),
        (false, None) => "its jobs wait for it".to_owned(),
    };
    let notes = [format!("lost since {}: {}", local(lost.since_ms), lost.reason), next, kind.to_owned()];
    notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ")
}

fn from_slurm(context: &Context, from: FromSlurm) -> Result<u8, Fail> {
    let whole = from.centre.then(|| head(&from.name));
    let site = SlurmSite {
        partition: from.partition,
        spool: from.spool,
        conf: from.conf,
        commands: from.commands,
        account: from.account,
        qos: from.qos,
        carry: true,
    };
    let asked = Asked { name: from.name, site, gpu: from.gpu, gpu_memory: from.gpu_memory };
    let found = madang_engine::inventory(&asked).map_err(|none| failed(&none))?;
    found.left_out.iter().for_each(|node| eprintln!("left out: {node}"));
    eprintln!("{} nodes, {} GPUs; look at what is marked with #, then madang check FILE", found.nodes, found.gpus);
    let text = whole.unwrap_or_default() + &found.text;
    let made = Made { text, nodes: found.nodes, gpus: found.gpus, left_out: found.left_out };
    context.show(&made, |made| made.text.clone())
}

fn failed(none: &NoInventory) -> Fail {
    let fail = Fail::new(none.to_string());
    match none {
        NoInventory::Empty { left_out, .. } if left_out.is_empty() => fail.hint("sinfo lists partitions and nodes"),
        NoInventory::Empty { left_out, .. } => fail.hint(left_out.join("; ")),
        NoInventory::Unasked(_) => fail.hint("--conf names slurm.conf, --commands the folder of scontrol"),
    }
}

/// All of a centre but its site: one party, one class, nobody pays.
fn head(site: &str) -> String {
    format!(
        "[centre]\nname = \"centre\"\ntitle = \"Centre\"\n\n[[party]]\nname = \"owner\"\ntitle = \"Owner\"\n\n[[class]]\n\
         name = \"research\"\ntarget = \"100%\"\nrate = \"0%\"\nsource = \"nobody pays yet\"\n\n[[partition]]\n\
         name = \"gpu\"\nsites = [\"{site}\"]\nmax_limit = \"7d\"\ndefault_limit = \"1h\"\n\n"
    )
}
