//! A PostgreSQL of the tests' own: made in a temporary folder, reached over a socket there, gone when the tests are.
//!
//! It runs as the user `postgres` when the tests run as root, for it refuses to run as root. A shell that waits for the
//! end of this process stops it, however this process ends.
#![expect(dead_code, reason = "each test file uses a part of this")]

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What is said where it is not installed.
const MISSING: &str = "skipped: PostgreSQL is not installed (Debian: apt-get install postgresql)\n";
/// How long it may take to be made and to start.
const START: Duration = Duration::from_secs(60);

/// A running PostgreSQL.
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    keeper: Option<Child>,
}

static SHARED: OnceLock<Postgres> = OnceLock::new();

/// The one that all tests of this process share. Without PostgreSQL this ends the process, saying that it was skipped.
pub fn shared() -> &'static Postgres {
    SHARED.get_or_init(|| Postgres::find_or_start().unwrap_or_else(|| skip()))
}

/// Ends the process as one whose tests were skipped: the harness has no word for that.
pub fn skip() -> ! {
    // Not through `print!`, which the harness would keep to itself.
    std::io::stdout().write_all(MISSING.as_bytes()).expect("somebody listens");
    std::process::exit(0)
}

/// The folder of PostgreSQL's programs: Debian's newest, or the one on the path.
pub fn programs() -> Option<PathBuf> {
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|bin| bin.join("initdb").is_file());
    debian.pop().or(on_path)
}

impl Postgres {
    /// One for this process: made by whoever asks first, waited for by the others.
    fn find_or_start() -> Option<Postgres> {
        let bin = programs()?;
        let folder = std::env::temp_dir().join(format!("madang-pg-{}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o755).create(&folder) {
            Ok(()) => Some(Postgres::start_in(bin, folder, &[])),
            Err(_) => {
                let found = Postgres { bin, folder, keeper: None };
                found.wait();
                Some(found)
            }
        }
    }

    /// One of the caller's own, with these settings; `None` where it is not installed.
    pub fn start(name: &str, settings: &[&str]) -> Option<Postgres> {
        let folder = std::env::temp_dir().join(format!("madang-pg-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        let bin = programs()?;
        std::fs::DirBuilder::new().mode(0o755).create(&folder).expect("the temporary folder is writable");
        Some(Postgres::start_in(bin, folder, settings))
    }

    fn start_in(bin: PathBuf, folder: PathBuf, settings: &[&str]) -> Postgres {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&folder, mode).expect("it is ours");
        let mut script = Command::new("sh");
        script.args(["-c", KEEP, "keep"]).arg(&bin).arg(&folder).args(settings);
        if let Some(user) = as_whom() {
            nix::unistd::chown(&folder, Some(user.uid), Some(user.gid)).expect("root may");
            script.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        script.current_dir(&folder).env("HOME", &folder).env_remove("PGPASSWORD");
        script.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Apart from the terminal's signals: it ends with this process, not before it.
        let keeper = script.process_group(0).spawn().expect("there is a shell");
        let postgres = Postgres { bin, folder, keeper: Some(keeper) };
        postgres.wait();
        postgres
    }

    fn wait(&self) {
        let deadline = Instant::now() + START;
        let ready = || {
            let mut ask = Command::new(self.bin.join("psql"));
            ask.arg("-h").arg(&self.folder).args(["-U", "madang", "-d", "postgres", "-qtc", "SELECT 1"]);
            ask.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        while !ready() {
            let log = self.folder.join("log");
            assert!(Instant::now() < deadline, "PostgreSQL did not start, see {}", log.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The address of a database, which is made if need be.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("SELECT 'CREATE DATABASE {name}' WHERE NOT EXISTS (SELECT 1 FROM pg_database WHERE datname = '{name}') \\gexec"));
        self.url(name)
    }

    /// The address of a database, be it there or not.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://madang@/{name}?host={}", self.folder.display())
    }

    /// Does away with a database, whoever is connected to it.
    pub fn drop_database(&self, name: &str) {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }

    /// Copies a database as it is at this moment.
    pub fn copy_database(&self, from: &str, to: &str) {
        self.database(to);
        let host = self.folder.display();
        let bin = self.bin.display();
        let pipe = format!(
            "{bin}/pg_dump -h {host} -U madang {from} | {bin}/psql -h {host} -U madang -q -v ON_ERROR_STOP=1 {to}"
        );
        let copied = Command::new("sh").args(["-c", &pipe]).stdout(Stdio::null()).status();
        assert!(copied.is_ok_and(|status| status.success()), "{pipe}");
    }

    /// Does something in a database; gives what it prints, bare.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.arg("-h").arg(&self.folder).args(["-U", "madang", "-d", database, "-v", "ON_ERROR_STOP=1", "-qtA"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = psql.spawn().expect("psql is there");
        let mut input = child.stdin.take().expect("it is piped");
        input.write_all(sql.as_bytes()).and_then(|()| input.write_all(b"\n")).expect("psql reads");
        drop(input);
        let output = child.wait_with_output().expect("it is ours");
        assert!(output.status.success(), "{sql}");
        String::from_utf8(output.stdout).expect("it is UTF-8").trim().to_owned()
    }

    /// A connection whose tables are the store's.
    pub fn client(&self, database: &str) -> ::postgres::Client {
        let url = format!("{}&options=-csearch_path%3Dmadang", self.url(database));
        ::postgres::Client::connect(&url, ::postgres::NoTls).expect("it is up")
    }

    /// Lets it crash, with all that it does, and starts it again.
    pub fn crash(&self) {
        let mut command = Command::new(self.bin.join("pg_ctl"));
        command.args(["restart", "-w", "-s", "-m", "immediate", "-l"]).arg(self.folder.join("log"));
        command.arg("-D").arg(self.folder.join("data")).current_dir(&self.folder);
        if let Some(user) = as_whom() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        assert!(command.stdout(Stdio::null()).status().is_ok_and(|status| status.success()), "it starts again");
    }

    /// The folder, which is also where its socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            drop(keeper.wait());
        }
    }
}

/// The user that it runs as, where that is not the one who asks.
fn as_whom() -> Option<nix::unistd::User> {
    let named = || nix::unistd::User::from_name("postgres").ok().flatten().expect("the package makes the user");
    nix::unistd::geteuid().is_root().then(named)
}

/// Makes and keeps a PostgreSQL: $1 its programs, $2 its folder, then settings. Ends it when its standard input ends.
const KEEP: &str = r#"
bin=$1 folder=$2; shift 2
"$bin/initdb" -D "$folder/data" -U madang -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$folder/log" 2>&1 || exit 1
echo "host all all 10.0.0.0/8 trust" >>"$folder/data/pg_hba.conf"
set -- -c max_connections=200 -c listen_addresses= -c fsync=off "$@"
"$bin/postgres" -D "$folder/data" -k "$folder" "$@" >>"$folder/log" 2>&1 </dev/null &
cat >/dev/null
"$bin/pg_ctl" -D "$folder/data" stop -w -s -m immediate
wait
rm -rf "$folder"/* "$folder"
"#;
