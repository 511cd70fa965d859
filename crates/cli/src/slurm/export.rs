//! `--export`: which of the submitter's variables a job or task gets.
//!
//! Invariant: `MADANG_TOKEN` never leaves the submitter's environment; a job gets a token of its own.
use super::submission::STALE;

/// Never passed on.
const SECRET: &str = "MADANG_TOKEN";

/// The variables that go along. `export` is the option's text; without one all go.
pub fn apply(
    export: Option<&str>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, String> {
    let env: Vec<(String, String)> = env.filter(|(name, _)| name != SECRET).collect();
    let ours = |name: &str| name.starts_with("SLURM_") || name.starts_with("SPANK_");
    let items = match export {
        None => return Ok(env),
        Some(text) if text.eq_ignore_ascii_case("ALL") => return Ok(env),
        Some(text) if text.eq_ignore_ascii_case("NONE") || text.eq_ignore_ascii_case("NIL") => Vec::new(),
        Some(text) => split(text)?,
    };
    let all = items.iter().any(|item| item == "ALL");
    let listed = |name: &str| items.iter().any(|item| item == name);
    let mut kept: Vec<(String, String)> =
        env.into_iter().filter(|(name, _)| all || ours(name) || listed(name)).collect();
    for item in &items {
        if let Some((name, value)) = item.split_once('=') {
            kept.retain(|(known, _)| known != name);
            kept.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(kept)
}

/// As [`apply`] for a new job: what an outer job's options left behind stays out.
pub fn for_job(
    export: Option<&str>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, String> {
    apply(export, env.filter(|(name, _)| !STALE.contains(&name.as_str())))
}

/// Splits at commas outside quotes; quotes go.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut items = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ',') => items.push(String::new()),
            (_, c) => items.last_mut().expect("starts with one").push(c),
        }
    }
    match quote {
        Some(q) => Err(format!("Invalid --export specification: the {q} is not closed")),
        None => Ok(items.into_iter().filter(|item| !item.is_empty()).collect()),
    }
}

/// This process's environment, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports() {
        let env = || {
            let pairs = [("HOME", "/h"), ("A", "1"), ("SLURM_CONF", "c"), ("MADANG_TOKEN", "t"), ("SLURM_GPUS", "4")];
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        for (export, want) in [
            (None, "HOME=/h A=1 SLURM_CONF=c"),
            (Some("ALL"), "HOME=/h A=1 SLURM_CONF=c"),
            (Some("NONE"), "SLURM_CONF=c"),
            (Some("A"), "A=1 SLURM_CONF=c"),
            (Some("A=2,HOME"), "HOME=/h SLURM_CONF=c A=2"),
            (Some("ALL,HF_HOME=/scratch/hf"), "HOME=/h A=1 SLURM_CONF=c HF_HOME=/scratch/hf"),
            (Some("ALL,X='a,b'"), "HOME=/h A=1 SLURM_CONF=c X=a,b"),
        ] {
            let got = for_job(export, env()).expect("sound");
            let got: Vec<String> = got.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(got.join(" "), want, "{export:?}");
        }
        assert!(for_job(Some("A='x"), env()).is_err());
    }
}
