//! What the content of a file is that is no YAML at all: of another language, encrypted, packed, or not yet merged.

/// How bytes that are no UTF-8 begin, and what is said of them.
const BINARY: [(&[u8], &str); 3] = [
    (&[0xff, 0xfe], UTF_16),
    (&[0xfe, 0xff], UTF_16),
    (&[0x1f, 0x8b], "is compressed (gzip): unpack it, and name the file that it holds"),
];
const UTF_16: &str = "is in UTF-16: save it as UTF-8";

/// How texts begin, in lower case, and what is said of them.
const BEGINNINGS: [(&str, &str); 4] = [
    ("<!doctype", OF_HTML),
    ("<html", OF_HTML),
    ("$ansible_vault", "is encrypted (Ansible Vault): name the file that ansible-vault decrypts from it"),
    ("version https://git-lfs", "is a pointer of Git LFS, and not the file itself: fetch it (git lfs pull)"),
];
const OF_HTML: &str = "is a page in HTML, perhaps one that reports an error: download the file itself";

/// The shortest text that is taken for Base64; a shorter one may be a word.
const BASE64_LENGTH: usize = 40;

/// What bytes are that are no UTF-8, and the cure.
pub(super) fn binary(bytes: &[u8]) -> Option<&'static str> {
    BINARY.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, fault)| *fault)
}

/// Where a text that is no YAML shows what it is, and what that is, with the cure.
pub(super) fn text(text: &str) -> Option<(String, String)> {
    if let Some(line) = text.lines().position(is_conflict_mark) {
        let message = "has the marks of a merge conflict (<<<<<<<, =======, >>>>>>>): resolve it, and remove them";
        return Some((format!("line {}", line + 1), message.to_owned()));
    }
    let start: String = text.trim_start().chars().take(BASE64_LENGTH).collect::<String>().to_ascii_lowercase();
    let known = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)).map(|(_, fault)| *fault);
    known.or_else(|| by_lines(text)).map(|fault| (String::new(), fault.to_owned()))
}

fn is_conflict_mark(line: &str) -> bool {
    line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>") || line.trim_end() == "======="
}

/// What the first lines say, without comments.
fn by_lines(text: &str) -> Option<&'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let first = lines.next()?;
    if is_section(first) || has_variable(first) || lines.any(has_variable) {
        return Some(
            "looks like an Ansible inventory (INI), which has no targets: name a file in YAML, such as Prometheus' \
             configuration",
        );
    }
    if is_block(first) {
        return Some(
            "looks like HCL, the language of Grafana Alloy and Terraform: name a file in YAML, such as Prometheus' \
             configuration",
        );
    }
    is_base64(text).then_some("looks like Base64: decode it (base64 --decode), and name the file that it holds")
}

/// `[web]` or `[web:children]`.
fn is_section(line: &str) -> bool {
    let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-:.".contains(c)))
}

/// `web-01 ansible_host=10.0.0.1`.
fn has_variable(line: &str) -> bool {
    line.split_whitespace().skip(1).any(|word| word.starts_with("ansible_") && word.contains('='))
}

/// `prometheus.scrape "node" {`, or all of it in one line.
fn is_block(line: &str) -> bool {
    let Some((head, body)) = line.split_once('{') else { return false };
    // A template has two of them, or `{%`.
    if body.starts_with(['{', '%']) {
        return false;
    }
    let mut words = head.split_whitespace();
    let name = words.next().unwrap_or_default();
    let is_quoted = |word: &str| word.len() > 1 && word.starts_with('"') && word.ends_with('"');
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
        && words.all(is_quoted)
}

fn is_base64(text: &str) -> bool {
    let digits: String = text.split_whitespace().collect();
    let bare = digits.trim_end_matches('=');
    digits.len() >= BASE64_LENGTH
        && digits.len().is_multiple_of(4)
        && bare.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_yaml_with_a_fault_is_not_taken_for_another_language() {
        for yaml in [
            "scrape_configs: [",
            "{{ jobs }}\n",
            "jobs {{ jobs }}\n",
            "[web-01:9100, \"b\n",
            "targets: {a",
            "word",
            "a sentence of several words with a { in it",
            "# ========\nscrape_configs: [",
        ] {
            assert_eq!(text(yaml), None, "{yaml}");
        }
    }

    #[test]
    fn another_language_is_recognised_behind_comments() {
        for (foreign, start) in [
            ("# hosts\n[web]\nweb-01\n", "looks like an Ansible inventory"),
            ("; hosts\nweb-01\nweb-02 ansible_user=a\n", "looks like an Ansible inventory"),
            ("# agents\nlogging {\n  level = \"info\"\n}\n", "looks like HCL"),
            ("\n<HTML>", "is a page in HTML"),
        ] {
            let (_, message) = text(foreign).expect(foreign);
            assert!(message.starts_with(start), "{foreign}: {message}");
        }
    }
}
