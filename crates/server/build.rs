//! Lists the console's files, so that the server carries them inside.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let web = manifest.join("../../web").canonicalize()?;
    let mut files = Vec::new();
    list(&web, &mut files)?;
    files.sort();
    let mut table =
        String::from("/// Path under the console's root and content.\npub const FILES: &[(&str, &[u8])] = &[\n");
    for file in &files {
        let name = file.strip_prefix(&web)?.to_str().ok_or("a file name of the console is not UTF-8")?;
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", file.to_str().ok_or("a path is not UTF-8")?)?;
    }
    table.push_str("];\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("console_files.rs"), table)?;
    Ok(())
}

/// Files of kinds that the console is made of; drafts and tests beside them stay out.
fn list(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !["node_modules", "tests", "test"].contains(&name) {
            list(&path, into)?;
        } else if ["html", "css", "js", "svg", "png", "ico", "woff2", "json", "webmanifest"].contains(&kind) {
            into.push(path);
        }
    }
    Ok(())
}
