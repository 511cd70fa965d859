//! A folder of input files in which a test runs `madang` as a user does.
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder that goes with its test.
pub struct Folder {
    path: PathBuf,
    command: &'static str,
}

impl Folder {
    /// A new folder with these files, for one command of `madang`.
    pub fn new(command: &'static str, name: &str, files: &[(&str, &str)]) -> Folder {
        let path = std::env::temp_dir().join(format!("madang-{command}-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder to work in");
        let folder = Folder { path, command };
        files.iter().for_each(|(file, text)| folder.write(file, text));
        folder
    }

    /// Runs the command in the folder.
    pub fn madang(&self, args: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_madang"));
        program.current_dir(&self.path).arg(self.command).args(args).output().expect("the program runs")
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path.join(name), text).expect("a file to read");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).expect("a file that was written")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// What a program printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
