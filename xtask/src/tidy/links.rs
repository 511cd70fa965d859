//! Links of a Markdown page into the repository: the file must exist, and so must the heading after `#`.
use std::path::Path;

/// Says which links lead nowhere.
pub fn look(root: &Path, file: &str, text: &str, say: &mut impl FnMut(usize, String)) {
    for (line, link) in links(text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let target = if path.is_empty() {
            root.join(file)
        } else if let Some(from_root) = path.strip_prefix('/') {
            root.join(from_root)
        } else {
            root.join(file).parent().unwrap_or(root).join(path)
        };
        if !target.exists() {
            say(line, format!("links to {path}, which is not there"));
        } else if let Some(anchor) = anchor
            && target.extension().is_some_and(|extension| extension == "md")
            && !std::fs::read_to_string(&target).is_ok_and(|page| headings(&page).any(|heading| heading == anchor))
        {
            say(line, format!("links to #{anchor}, and no heading of {} reads so", target.display()));
        }
    }
}

/// Each `](…)` outside of code, with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String =
            line.split('`').enumerate().map(|(n, piece)| if n % 2 == 0 { piece } else { "code" }).collect();
        for (at, _) in prose.match_indices("](") {
            let link = prose[at + 2..].split([')', ' ']).next().unwrap_or("");
            found.push((index + 1, link.to_owned()));
        }
    }
    found
}

/// Headings as GitHub turns them into anchors.
fn headings(page: &str) -> impl Iterator<Item = String> {
    page.lines().filter(|line| line.starts_with('#')).map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n![g](h.png \"i\")\n";
        assert_eq!(links(text), [(1, "b.md".to_owned()), (5, "h.png".to_owned())]);
    }

    #[test]
    fn anchors_are_made_as_github_makes_them() {
        assert_eq!(
            headings("# A b\n## What `up` does, and why\n").collect::<Vec<_>>(),
            ["a-b", "what-up-does-and-why"]
        );
    }
}
