//! Generated workloads: recipes that are data, fitted to what real clusters published, poured over any machine.
//!
//! A [`Recipe`] says who asks (owners, users), for what (kinds of work: sizes, run times by how they end, checkpoints,
//! urgency), when (hours of the day, days of the week, sessions of one user) and what breaks. [`generate`] draws jobs
//! until their GPU time is the ordered share of the machine over the ordered time, and strews them over that time.
//!
//! - [`quantiles`] draws from log-spaced quantile tables; [`recipe`] is the data's form; [`draw`] makes jobs of it.
//! - [`rhythm`] is the week, [`faults`] is what breaks; [`shape`] fits gangs to a machine; [`summary`] says of drawn jobs what clusters publish of theirs.
//! - [`hostile`] puts somebody who means ill beside a recipe's work.
//! - [`philly`], [`helios`], [`acme`], [`national`] are the recipes.
//!
//! Invariants: integers only, one seed, no clock: a recipe, an order and a machine give the same bytes everywhere.
mod acme;
mod draw;
mod faults;
mod helios;
pub mod hostile;
mod national;
mod philly;
pub mod quantiles;
pub mod recipe;
mod rhythm;
mod shape;
pub mod summary;

pub use draw::{Amount, Order, Refused, generate};
pub use recipe::{End, Kind, Recipe};
pub use summary::Summary;

/// All recipes, by name.
pub fn recipes() -> Vec<Recipe> {
    vec![acme::both(), helios::recipe(), acme::kalos(), national::recipe(), philly::recipe(), acme::seren()]
}

/// The recipe of this name.
pub fn named(name: &str) -> Option<Recipe> {
    recipes().into_iter().find(|recipe| recipe.name == name)
}
