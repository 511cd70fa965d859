//! The nursery and the Slurm engine's shepherd by themselves, for tests; the `madang` command has the same under
//! `madang nursery` and `madang slurm-run`.
fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("slurm-run") => madang_engine::slurm_run_main(&words[2..]),
        _ => madang_engine::nursery_main(),
    }
}
