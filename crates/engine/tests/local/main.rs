//! The local engine against real processes: how runs end, what they see, what is left of them, and who may be killed.
mod bench;
mod ends;
mod kills;
mod surroundings;
