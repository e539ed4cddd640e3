//! Links between the pages and to the files of the repository.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::page::Page;
use super::{FOLDERS, no_faults, page, pages, repository};

/// What is wrong with the links of a page.
fn faults(page: &Page) -> Vec<String> {
    let fault = |(line, link): &(usize, String)| {
        leads_nowhere(page, link).map(|why| format!("{}:{line}: {link:?} {why}", page.path))
    };
    page.links.iter().filter_map(fault).collect()
}

/// Why a link leads nowhere; those to other hosts are not looked at.
fn leads_nowhere(page: &Page, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let path = if file.is_empty() { page.path.clone() } else { beside(&page.path, file) };
    if path != page.path && !repository(&path).exists() {
        return Some(format!("names {path}, which does not exist"));
    }
    let anchor = anchor?;
    let known = if path == page.path { page.anchors.clone() } else { super::page(&path).anchors };
    (!known.iter().any(|known| known == anchor)).then(|| format!("names no heading of {path}: it has {known:?}"))
}

/// The path from the repository's root of a file that is named in the one at `from`.
fn beside(from: &str, file: &str) -> String {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

#[test]
fn every_link_leads_somewhere() {
    no_faults(&pages().iter().flat_map(faults).collect::<Vec<_>>());
}

#[test]
fn every_page_of_the_documentation_is_in_its_index_and_the_readme_leads_there() {
    let pages = pages();
    for folder in FOLDERS {
        let index = format!("{folder}/README.md");
        let named: BTreeSet<String> = page(&index).links.iter().map(|(_, link)| beside(&index, link)).collect();
        let of_folder = pages.iter().map(|page| page.path.as_str());
        let of_folder = of_folder.filter(|path| Path::new(path).parent() == Some(Path::new(folder)) && *path != index);
        let missing: Vec<_> = of_folder.filter(|path| !named.contains(*path)).collect();
        assert!(missing.is_empty(), "{index} does not name {missing:?}");
    }
    assert!(page("docs/README.md").links.iter().any(|(_, link)| link == "decisions/README.md"));
    assert!(page("README.md").links.iter().any(|(_, link)| link == "docs/README.md"));
}

#[test]
fn a_link_to_a_missing_file_or_heading_is_found() {
    let page =
        Page::read("docs/x.md", "# Here\n[1](#here) [2](#there) [3](none.md) [4](../README.md#licence) [5](../src)\n");
    let faults = faults(&page);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults[0].starts_with("docs/x.md:2: \"#there\" names no heading"), "{faults:#?}");
    assert!(faults[1].contains("docs/none.md, which does not exist"), "{faults:#?}");
}
