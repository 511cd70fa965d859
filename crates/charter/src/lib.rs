//! Centre files: TOML in, a checked founding out.
//!
//! A centre is data, not code: who owns what from when, which sites stand where, what a GPU-hour costs, and where each
//! figure comes from. [`load`] reads such a file and either returns a [`Founding`] in which every name is resolved and
//! every sum checked, or says all that is wrong, each with its place and, where there is one, a remedy.
//!
//! Reading goes in two passes, so that one slip does not cause ten messages: first the shape (keys, types, ranges),
//! all problems at once; then, only on a sound shape, the sense (names, sums, duplicates), again all at once.
//!
//! Invariants: no input makes it panic; what `load` returns has dense ids, shares that sum to 10,000 basis points,
//! unique names, at most 32 GPUs in a node and at most [`MOST_NODES`] nodes.
mod calendar;
mod centre_file;
mod charter;
mod describe;
mod estate;
mod governance;
mod here;
mod levels;
mod names;
pub mod policy;
mod problem;
mod reader;
mod resolve;
mod values;

pub use charter::{Charter, CompanyShare, Decision, Delivery, Fact};
pub use describe::describe;
pub use estate::MOST_NODES;
pub use here::{Clash, Machine, Order, add_site};
pub use problem::{Problem, Problems};

use madang_model::Founding;

/// The longest centre file that is read.
const MOST_BYTES: usize = 1 << 20;

/// Reads a centre file. `file_name` is what problems are reported under; `machine` is what a node that a file calls
/// "this machine" turns out to be.
pub fn load(text: &str, file_name: &str, machine: &Machine) -> Result<Founding, Problems> {
    read(text, file_name, machine).map(|charter| charter.founding)
}

/// As [`load`], with what a centre file says beyond a founding: dated shares, deliveries and facts of the plan.
pub fn read(text: &str, file_name: &str, machine: &Machine) -> Result<Charter, Problems> {
    if text.len() > MOST_BYTES {
        let fact = format!("the file has {} bytes, a centre file at most {MOST_BYTES}", text.len());
        return Err(Problems::one(file_name, fact));
    }
    let sheet = reader::Sheet::new(file_name, text);
    let file = centre_file::read(&sheet);
    let charter = match file {
        Some(file) if !sheet.is_wrong() => resolve::resolve(&sheet, &file, machine),
        _ => None,
    };
    sheet.finish(charter)
}
