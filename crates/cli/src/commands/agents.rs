//! `madang agents`: who may serve which site, for operators.
use super::Context;
use crate::client::Client;
use crate::fail::Fail;
use crate::table::Table;
use crate::time::local;
use madang_api::{AgentState, AgentView, InvitationMade, NewInvitation};
use serde_json::Value;

/// `madang agents …`.
#[derive(Debug, clap::Subcommand)]
pub enum Agents {
    /// Open invitations and all certificates; what `madang agents` alone does
    List,
    /// Let one agent enrol for a site; the invitation is shown once and good once
    Invite {
        /// The site
        site: String,
        /// Hours it is good for [default: 24]
        #[arg(long)]
        hours: Option<u32>,
    },
    /// End a certificate or an invitation at once; of a site, all of them
    Revoke {
        /// Its number, or a site
        which: String,
    },
}

/// Does it.
pub fn agents(context: &Context, command: Agents) -> Result<u8, Fail> {
    let client = context.client()?;
    match command {
        Agents::List => {
            let agents: Vec<AgentView> = client.list("/agents")?;
            context.show(&agents, |agents| table(agents))
        }
        Agents::Invite { site, hours } => {
            let made: InvitationMade = client.post("/agents/invitations", &NewInvitation { site, hours })?;
            if !context.json {
                eprintln!(
                    "invitation {} for site {}, good once and until {}; it is not shown again",
                    made.id,
                    made.site,
                    local(made.until_ms)
                );
            }
            context.show(&made, |made| format!("{}\n", made.invitation))
        }
        Agents::Revoke { which } => revoke(&client, &which),
    }
}

fn revoke(client: &Client, which: &str) -> Result<u8, Fail> {
    if which.bytes().all(|byte| byte.is_ascii_digit()) {
        let _: Value = client.delete(&format!("/agents/{which}"))?;
        return Ok(0);
    }
    let is_open =
        |agent: &&AgentView| agent.site == which && !matches!(agent.state, AgentState::Revoked | AgentState::Ended);
    let agents: Vec<AgentView> = client.list("/agents")?;
    let open: Vec<&AgentView> = agents.iter().filter(is_open).collect();
    if open.is_empty() {
        let hint = "`madang agents` lists invitations and certificates";
        return Err(Fail::new(format!("site {which} has no agent that could be revoked")).hint(hint));
    }
    for agent in open {
        let _: Value = client.delete(&format!("/agents/{}", agent.id))?;
        eprintln!("{} of site {which} is revoked", agent.id);
    }
    Ok(0)
}

fn table(agents: &[AgentView]) -> String {
    let mut table = Table::new(&[">AGENT", "SITE", "STATE", "HOST", "LAST SEEN", "GOOD UNTIL", ">RUNS", "NOTE"]);
    for agent in agents {
        let note = match agent.silent.as_deref() {
            Some(why) => why.to_owned(),
            None if agent.state == AgentState::Invited => format!("by {}", agent.by),
            None => String::new(),
        };
        table.row(vec![
            agent.id.to_string(),
            agent.site.clone(),
            state(agent.state).to_owned(),
            agent.host.clone(),
            agent.seen_ms.map(local).unwrap_or_default(),
            local(agent.until_ms),
            agent.sample.map(|sample| sample.runs.to_string()).unwrap_or_default(),
            note,
        ]);
    }
    table.text()
}

fn state(state: AgentState) -> &'static str {
    match state {
        AgentState::Invited => "invited",
        AgentState::Linked => "linked",
        AgentState::Away => "away",
        AgentState::Revoked => "revoked",
        AgentState::Ended => "ended",
    }
}
