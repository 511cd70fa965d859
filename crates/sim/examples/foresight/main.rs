//! Writes `docs/foresight.md`: how long jobs are expected to run, what that does to the order of backfill, and how well
//! starts are foretold. `cargo run --release -p madang-sim --example foresight [-- TRACES [SECTION]] > docs/foresight.md`
//!
//! SECTION is one of `accuracy`, `order` and `starts`; without it the page is written whole, which takes minutes.
//! TRACES is a folder of public traces: `philly/philly_jobs_*.csv.gz` and `swf-easy-sc15/*-SP2_easy.swf.gz`. What is not
//! there is left out, and said on standard error.
mod accuracy;
mod order;
mod starts;
mod work;

/// Prints a section about what lies in a folder.
type Print = fn(Option<&std::path::Path>);

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map(std::path::PathBuf::from);
    let folder = folder.as_deref();
    let only = args.next();
    let wanted = |section: &str| only.as_ref().is_none_or(|only| only == section);
    if only.is_none() {
        println!("{}", include_str!("opening.md"));
    }
    let sections: [(&str, Print); 3] =
        [("accuracy", accuracy::print), ("order", order::print), ("starts", starts::print)];
    sections.into_iter().filter(|(name, _)| wanted(name)).for_each(|(_, print)| print(folder));
    if only.is_none() {
        print!("{}", include_str!("closing.md"));
    }
}
