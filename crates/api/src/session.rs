//! Who is asking: users, tokens, sign-in.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person may do. The same words as in the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
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

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: RoleName,
    /// Names of their projects.
    pub projects: Vec<String>,
}

/// A user, as administrators see one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: RoleName,
    /// Names of their projects.
    pub projects: Vec<String>,
}

/// `POST /users`: make a user or change the role of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: RoleName,
}

/// `POST /tokens`: a bearer token for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For whom; only an administrator may name another than themselves.
    pub user: String,
    /// What it is for, for people.
    pub note: String,
    /// How long it is good for; 90 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// A token just made. The secret is shown once and stored only as a hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenMade {
    /// Its public number, for revoking it.
    pub id: u64,
    /// The secret: `Authorization: Bearer …`.
    pub token: String,
    /// Good until.
    pub until_ms: u64,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its public number.
    pub id: u64,
    /// For whom.
    pub user: String,
    /// What it is for.
    pub note: String,
    /// Made when.
    pub made_ms: u64,
    /// Good until.
    pub until_ms: u64,
}

/// `POST /session`: swap a one-time sign-in code for a browser session (a cookie).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code out of the sign-in link.
    pub code: String,
}

/// `POST /signin-links` answers with one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// Open it in a browser, once, within ten minutes.
    pub url: String,
}
