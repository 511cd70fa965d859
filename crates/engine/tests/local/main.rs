//! The local engine against real processes: how runs end, what they see, what is left of them, and who may be killed.
mod bench;
mod contract;
mod ends;
mod kills;
#[path = "../contract/mod.rs"]
mod promises;
mod surroundings;
