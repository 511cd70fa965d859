//! The `madang` command, and Slurm's commands by their own names: one program, told apart by the name it is called by.
mod client;
mod commands;
mod fail;
mod slurm;
mod table;
mod time;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let called = words.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    if slurm::NAMES.contains(&called.as_str()) {
        return ExitCode::from(slurm::run(&called, &words[1..]));
    }
    // The nursery and the shepherd are entered before anything starts a thread: they fork.
    if words.get(1).is_some_and(|word| word == "nursery") {
        madang_engine::nursery_main();
    }
    if words.get(1).is_some_and(|word| word == "slurm-run") {
        madang_engine::slurm_run_main(&words[2..]);
    }
    if words.get(1).is_some_and(|word| word == slurm::srun::exec::WORD) {
        return ExitCode::from(slurm::srun::exec::become_task(&words[2..]));
    }
    commands::keep_dashes(&mut words);
    ExitCode::from(commands::run(words))
}
