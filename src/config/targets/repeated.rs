//! Findings of one kind in one list: the first are said one by one, the others counted.

use std::collections::HashMap;

use crate::config::report::Finding;

/// How many of one kind are said one by one.
const SAID: usize = 10;

/// Shortens what was found after the first `before` findings.
pub(super) fn shorten(findings: &mut Vec<Finding>, before: usize) {
    let mut counts: HashMap<(String, String), usize> = HashMap::new();
    for finding in findings.iter().skip(before) {
        *counts.entry(kind(finding)).or_default() += 1;
    }
    if counts.values().all(|count| *count <= SAID + 1) {
        return;
    }
    let mut said: HashMap<(String, String), usize> = HashMap::new();
    for finding in findings.split_off(before) {
        let kind = kind(&finding);
        let total = counts.get(&kind).copied().unwrap_or_default();
        let number = said.entry(kind).or_default();
        *number += 1;
        if total <= SAID + 1 || *number <= SAID {
            findings.push(finding);
        } else if *number == SAID + 1 {
            findings.push(Finding {
                message: format!("likewise here and in {} other places", total - SAID - 1),
                ..finding
            });
        }
    }
}

/// What findings of one kind in one list have in common: the place without the numbers of entries and the names of the role's
/// keys, and the message without what it quotes and counts.
fn kind(finding: &Finding) -> (String, String) {
    let (mut message, mut is_quoted) = (String::new(), false);
    for character in finding.message.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted || character.is_ascii_digit() => {}
            other => message.push(other),
        }
    }
    let path = match finding.place.path.strip_prefix("prometheus_targets.") {
        Some(path) => path.find('[').and_then(|end| path.get(end..)).unwrap_or("prometheus_targets"),
        None => &finding.place.path,
    };
    let path: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
    (format!("{}: {path}", finding.place.file), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::report::{Place, Severity};

    #[test]
    fn the_eleventh_of_a_kind_stands_for_those_that_follow() {
        let place = |index: usize| Place::file("t.yml").key("targets").index(index);
        let finding = |index: usize, message: &str| Finding {
            severity: Severity::Degraded,
            place: place(index),
            message: message.to_owned(),
        };
        let mut findings: Vec<Finding> =
            (0..30).map(|index| finding(index, &format!("\"h{index}\" is wrong"))).collect();
        findings.push(finding(30, "is otherwise wrong"));
        shorten(&mut findings, 0);
        assert_eq!(findings.len(), SAID + 2);
        let texts: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(texts[SAID..], ["likewise here and in 19 other places", "is otherwise wrong"]);
        assert_eq!(findings[SAID].place, place(SAID));
    }
}
