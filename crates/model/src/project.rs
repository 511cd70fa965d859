//! People, parties, projects and what was granted to them.
use crate::id::{AwardId, PartyId, ProjectId, UserId};
use crate::reach::DataHint;
use crate::units::{GpuTime, Time, Won};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An owner, operator or holder of the right of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its place in [`crate::Founding::parties`].
    pub id: PartyId,
    /// Short name.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean; the English one where a centre file gives none.
    pub title_ko: String,
    /// Share in the company that runs the centre, in basis points (5100 is 51%); 0 for a party that owns none.
    pub company_share: u32,
}

/// What a person may do; each project membership gives the right to that project's own objects besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and uses the projects of which they are a member.
    Researcher,
    /// Sees everything about owners' shares and statements, changes nothing.
    Owner,
    /// Grants awards, makes projects.
    Officer,
    /// Drains nodes, cancels anyone's jobs.
    Operator,
    /// All of these, and users and tokens.
    Admin,
}

/// A person or a service that signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Handed out by the core.
    pub id: UserId,
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The projects they are a member of, ascending.
    pub projects: Vec<ProjectId>,
}

/// A user class: what class targets and prices go by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// `national`, `industry`, `academia`, `research`.
    pub name: String,
    /// Target share of awards in basis points.
    pub target: u32,
    /// What it pays of the market price, in basis points (0 is free, 10,000 the full price).
    pub rate: u32,
}

/// A dated market price. The one with the latest `from` that is not in the future rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The GPU model priced.
    pub model: String,
    /// From when it rules.
    pub from: Time,
    /// Won per GPU-hour.
    pub won_per_gpu_hour: Won,
    /// Where the figure comes from.
    pub source: String,
}

/// Who spends. Slurm's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Handed out by the core.
    pub id: ProjectId,
    /// Short name, what `--account` names.
    pub name: String,
    /// Full name.
    pub title: String,
    /// The owner out of whose share it computes.
    pub owner: PartyId,
    /// Index into [`crate::Founding::classes`].
    pub class: u32,
    /// What was granted, ascending by id.
    pub awards: Vec<Award>,
    /// Where its data are, for jobs that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataHint>,
}

/// GPU time granted to a project for a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Award {
    /// Handed out by the core.
    pub id: AwardId,
    /// GPU time granted.
    pub granted: GpuTime,
    /// First moment it may be spent.
    pub from: Time,
    /// Last moment it may be spent.
    pub until: Time,
}
