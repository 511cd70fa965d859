//! Slurm's commands as links to this program.
use crate::fail::{Fail, print};
use crate::slurm::NAMES;
use std::path::Path;

/// Makes the links; those of an older release are replaced, anything else in the way is left alone.
pub fn install(dir: &Path) -> Result<u8, Fail> {
    link_all(dir)?;
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    print(&format!("{}: {}\n", dir.display(), NAMES.join(" ")));
    eprintln!("put the folder first on your path: export PATH={}:$PATH", dir.display());
    Ok(0)
}

/// Makes the links.
pub fn link_all(dir: &Path) -> Result<(), Fail> {
    let program =
        std::env::current_exe().map_err(|error| Fail::new(format!("failed to find this program: {error}")))?;
    std::fs::create_dir_all(dir).map_err(|error| Fail::new(format!("failed to make {}: {error}", dir.display())))?;
    for name in NAMES {
        let link = dir.join(name);
        match std::fs::symlink_metadata(&link) {
            Ok(about) if about.is_symlink() => {
                if std::fs::read_link(&link).is_ok_and(|target| target == program) {
                    continue;
                }
                let removed = std::fs::remove_file(&link);
                removed.map_err(|error| Fail::new(format!("failed to replace {}: {error}", link.display())))?;
            }
            Ok(_) => {
                return Err(Fail::new(format!("{} is in the way: it is not a link", link.display()))
                    .hint("name a folder of its own"));
            }
            Err(_) => {}
        }
        let made = std::os::unix::fs::symlink(&program, &link);
        made.map_err(|error| Fail::new(format!("failed to make {}: {error}", link.display())))?;
    }
    Ok(())
}
