//! Links lead to files that are there, and to headings that they have.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::markdown::{Page, pages, root};

/// The anchors of a page, as GitHub makes them from its headings.
fn anchors(page: &Page) -> HashSet<String> {
    let mut seen = HashSet::new();
    for heading in page.prose().filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|number| format!("{slug}-{number}"));
        let free = [slug.clone()].into_iter().chain(again).find(|name| !seen.contains(name));
        seen.extend(free);
    }
    seen
}

/// The targets of the links of a line, pictures among them.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    let mut count = 0;
    for page in &pages {
        let here = page.path.parent().unwrap();
        for target in page.prose().flat_map(targets).filter(|target| !target.starts_with("http")) {
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.path.clone() } else { tidy(&here.join(file)) };
            let there = pages.iter().find(|other| other.path == path);
            let found = root().join(&path).exists();
            if !found || !anchor.is_empty() && !there.is_some_and(|page| anchors(page).contains(anchor)) {
                broken.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(count > 30, "{count} links: are these all?");
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

/// `a/../b` as `b`.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidied, part| {
        if part.as_os_str() == ".." {
            tidied.pop();
        } else {
            tidied.push(part);
        }
        tidied
    })
}

#[test]
fn links_lead_to_every_config_reward_and_test() {
    let pages = pages();
    for (folder, endings) in [("configs", "toml sbatch"), ("rewards", "toml"), ("tests", "rs")] {
        let page = pages.iter().find(|page| page.path == Path::new(folder).join("README.md")).unwrap();
        let linked: HashSet<&str> = page.prose().flat_map(targets).collect();
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let told = name.rsplit_once('.').is_some_and(|(_, ending)| endings.split(' ').any(|one| one == ending));
            assert!(!told || linked.contains(&*name), "{folder}/README.md has no link to {name}");
        }
    }
}
