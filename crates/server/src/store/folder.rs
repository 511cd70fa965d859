//! The data folder: made with mode 0700, held by one server at a time.
//!
//! The lock is an advisory one on `DATA/lock`, given back by the kernel when its holder dies; the file says who
//! holds it and where, for the second one to read.

use crate::trouble::Trouble;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A data folder that this process holds.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

/// What the lock file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    address: String,
}

impl Folder {
    /// Makes the folder if need be and takes it, or says who has it.
    pub fn take(path: &Path) -> Result<Folder, Trouble> {
        make(path)?;
        let name = path.join("lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
        let mut lock = file.map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
        }
        let folder = Folder { path: path.to_owned(), lock };
        folder.sign("")?;
        Ok(folder)
    }

    /// Writes into the lock who holds the folder and where it answers.
    pub fn sign(&self, address: &str) -> Result<(), Trouble> {
        let holder = Holder { pid: std::process::id(), address: address.to_owned() };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        let mut file = &self.lock;
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.set_len(0))
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all());
        written.map_err(|error| unusable(&self.path, &error))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name that no other folder has: drawn at the first need of it, and with it where the folder is, so that a copy of
    /// it on another machine is another.
    pub fn identity(&self) -> Result<String, Trouble> {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let place = format!("{} {}", host.to_string_lossy(), self.path.display());
        if let Ok(drawn) = std::fs::read_to_string(self.path.join("identity")) {
            return Ok(format!("{} {place}", drawn.trim()));
        }
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Trouble::new(format!("failed to draw an identity from the system: {error}")))?;
        let drawn = super::journal::hex(&bytes);
        self.write_private("identity", &format!("{drawn}\n"))?;
        Ok(format!("{drawn} {place}"))
    }

    /// Writes a file that only its owner may read, whole or not at all.
    pub fn write_private(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let (target, draft) = (self.path.join(name), self.path.join(format!(".{name}.new")));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&draft, &target));
        written.map_err(|error| unusable(&self.path, &error))
    }
}

fn make(path: &Path) -> Result<(), Trouble> {
    match std::fs::metadata(path) {
        Ok(about) if !about.is_dir() => {
            Err(Trouble::new(format!("{} is not a folder", path.display())).hint("name another with --data"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            // `recursive` gives the mode to new parents as well, yet the umask may have taken from it.
            made.and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)))
                .map_err(|error| unusable(path, &error))
        }
        Err(error) => Err(unusable(path, &error)),
    }
}

fn held(path: &Path, lock: &mut File) -> Trouble {
    let mut text = String::new();
    let holder = lock.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let folder = path.display();
    match holder {
        Some(Holder { pid, address }) if address.is_empty() => {
            Trouble::new(format!("{folder} is held by another server, process {pid}, which is just starting"))
        }
        Some(Holder { pid, address }) => {
            Trouble::new(format!("{folder} is held by another server, process {pid}, which answers at {address}"))
        }
        None => Trouble::new(format!("{folder} is held by another server")),
    }
    .hint("use that one, stop it first, or name another folder with --data")
}

/// What a folder that cannot be used comes to.
pub fn unusable(path: &Path, error: &std::io::Error) -> Trouble {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "give yourself the right to write there, or name another folder with --data"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full: make room, or name a folder on another disk with --data"
        }
        _ => "name another folder with --data",
    };
    Trouble::new(format!("failed to write in the data folder {}: {error}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let dir = std::env::temp_dir().join(format!("madang-folder-{}", std::process::id()));
        let folder = Folder::take(&dir).expect("a fresh folder");
        let mode = std::fs::metadata(&dir).expect("made").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        folder.sign("http://127.0.0.1:6817").expect("writable");
        let told = Folder::take(&dir).expect_err("held").to_string();
        let pid = std::process::id();
        assert!(told.contains(&format!("process {pid}, which answers at http://127.0.0.1:6817")), "{told}");
        drop(folder);
        Folder::take(&dir).expect("free again");
        std::fs::remove_dir_all(&dir).expect("removable");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let path = std::env::temp_dir().join(format!("madang-file-{}", std::process::id()));
        std::fs::write(&path, "").expect("writable");
        let told = Folder::take(&path).expect_err("not a folder").to_string();
        assert!(told.contains("is not a folder\nhint: "), "{told}");
        std::fs::remove_file(&path).expect("removable");
    }
}
