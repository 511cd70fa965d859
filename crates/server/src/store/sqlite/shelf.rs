//! Snapshots as files: a hundred megabytes written through the journal's one writer would hold up every commit.

use crate::store::folder::unusable;
use crate::store::rows::{Shelf, Slot};
use crate::trouble::Trouble;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder of snapshots.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The snapshots of a data folder.
    pub fn open(data: &Path) -> Result<Files, Trouble> {
        let folder = data.join("snapshots");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(unusable(&folder, &error)),
            _ => Ok(Files { folder }),
        }
    }

    /// A slot's name is for messages and may have lost bytes of the folder's.
    fn path(&self, slot: &Slot) -> PathBuf {
        self.folder.join(Path::new(&slot.name).file_name().unwrap_or_default())
    }
}

impl Shelf for Files {
    fn write(&self, seq: u64, pieces: &[&[u8]]) -> Result<(), Trouble> {
        let (target, draft) = (self.folder.join(format!("{seq:020}.json")), self.folder.join("draft"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            file.sync_all()?;
            std::fs::rename(&draft, &target)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| unusable(&self.folder, &error))
    }

    fn list(&self) -> Result<Vec<Slot>, Trouble> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|is| is == "json")).collect();
        files.sort_unstable_by(|a, b| b.cmp(a));
        let seq = |path: &Path| path.file_stem()?.to_str()?.parse().ok();
        Ok(files.into_iter().map(|path| Slot { seq: seq(&path), name: path.display().to_string() }).collect())
    }

    fn read(&self, slot: &Slot) -> Result<Result<Vec<u8>, String>, Trouble> {
        Ok(std::fs::read(self.path(slot)).map_err(|error| error.to_string()))
    }

    fn remove(&self, slot: &Slot) -> Result<(), Trouble> {
        std::fs::remove_file(self.path(slot)).map_err(|error| unusable(&self.folder, &error))
    }
}
