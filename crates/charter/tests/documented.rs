//! Every key that centre files are read by is in `centres/README.md`: the code's own calls say which there are.

/// The reader's calls that look a key up.
const CALLS: [&str; 9] =
    ["need", "may", "tables", "need_tables", "need_table", "may_table", "need_map", "need_list", "may_list"];

fn keys(source: &str) -> Vec<&str> {
    let calls = CALLS.iter().flat_map(|call| {
        source.split(&format!(".{call}(\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>()
    });
    calls.collect()
}

#[test]
fn every_key_is_documented() {
    let sources = [
        include_str!("../src/centre_file.rs"),
        include_str!("../src/estate.rs"),
        include_str!("../src/governance.rs"),
        include_str!("../src/levels.rs"),
        include_str!("../src/policy.rs"),
        include_str!("../src/values.rs"),
    ];
    let known: Vec<&str> = sources.iter().flat_map(|source| keys(source)).collect();
    assert!(known.len() > 40, "the calls are found: {known:?}");
    let page = include_str!("../../../centres/README.md");
    let words: Vec<&str> = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let missing: Vec<&&str> = known.iter().filter(|key| !words.contains(key)).collect();
    assert!(missing.is_empty(), "not in centres/README.md: {missing:?}");
    let settings = madang_charter::policy::settings();
    let missing: Vec<_> = settings.iter().filter(|(name, ..)| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in centres/README.md: {missing:?}");
}
