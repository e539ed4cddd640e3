//! No message of the checks is without a bad file that brings it about.

use std::path::Path;

use super::bad_files;

/// Files whose texts are messages.
const SOURCES: &[&str] = &[
    "src/commands/check.rs",
    "src/config.rs",
    "src/config/environment.rs",
    "src/config/targets.rs",
    "src/config/targets/blocks.rs",
    "src/config/targets/files.rs",
    "src/config/targets/mentioned.rs",
    "src/config/targets/of_job.rs",
    "src/config/targets/relabelling.rs",
    "src/config/targets/repeated.rs",
    "src/config/targets/shapes.rs",
    "src/config/targets/templates.rs",
    "src/config/targets/watched.rs",
    "src/config/tree.rs",
    "src/config/tree/foreign.rs",
    "src/config/web.rs",
    "src/settings.rs",
    "crates/core/src/names.rs",
    "crates/core/src/relabel.rs",
    "crates/core/src/relabel/pattern.rs",
    "crates/core/src/watchdog.rs",
];

/// How texts begin that no file in a repository can bring about, and the test that does.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("may not be read: ", "a_file_without_permission_says_who_needs_it"),
    ("cannot be read (", "a_file_without_permission_says_who_needs_it"),
    ("is larger than ", "a_file_over_the_limit_is_not_read"),
    ("does not exist: copy config.json.example", "missing_files_are_problems_of_their_own"),
    ("does not exist: create it, or correct --targets.file", "missing_files_are_problems_of_their_own"),
    ("does not exist, so the targets are", "without_a_targets_file_the_targets_are_those_of_cachet"),
    ("the targets that the page has", "without_a_targets_file_the_targets_are_those_of_cachet"),
    ("a web configuration in ", "a_good_web_configuration_is_found"),
    ("does not exist: create it, or correct --web.config.file", "a_good_web_configuration_is_found"),
    ("a Cachet in the environment", "a_good_environment_has_no_problems"),
    ("is {poll}, so the watchdog may seem missing", "a_watchdog_that_is_looked_for_too_rarely_is_worth_a_word"),
    ("arrives only in notifications", "good_files_are_told_in_a_few_lines"),
    ("names {} files, and only the first", "no_more_files_are_read_than_the_limit"),
    ("has more rules than are read", "no_more_rules_are_read_than_the_limit"),
    ("The outage is over in part", "what_is_left_out_has_its_default"),
    ("It happened again", "what_is_left_out_has_its_default"),
    ("Monitoring data is missing", "what_is_left_out_has_its_default"),
    ("Our monitoring ", "what_is_left_out_has_its_default"),
    ("more than one document", "nothing: what the YAML crate says, and replaced by our own words"),
    ("version https://git-lfs", "nothing: how a file begins, which is recognised by it"),
    ("Basic ", "the_credentials_are_a_user_with_a_password_or_a_token"),
    ("Bearer ", "the_credentials_are_a_user_with_a_password_or_a_token"),
    ("a value", "nothing: what serde asks of a visitor, and any value will do"),
];

#[test]
fn every_message_is_brought_about_by_a_bad_file() {
    let (_, expectations) = bad_files();
    let read = |path| std::fs::read_to_string(path).expect("an expectation");
    let reports: Vec<String> = expectations.iter().map(|path| words(&read(path))).collect();
    let shown = |text: &str| reports.iter().any(|report| report.contains(text));
    let elsewhere = |text: &str| SHOWN_ELSEWHERE.iter().any(|(start, _)| text.starts_with(start));
    let mut missing = Vec::new();
    for source in SOURCES {
        let code = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).expect(source);
        let messages = texts(&code).into_iter().filter(|text| text.contains(' '));
        for message in messages.filter(|message| !elsewhere(message)) {
            let fixed = fixed_parts(&message);
            let unseen = fixed.iter().find(|part| !shown(&words(part)));
            missing.extend(unseen.map(|part| format!("{source}: {message:?} (its part {part:?})")));
        }
    }
    assert!(missing.is_empty(), "no file in tests/fixtures/config/bad shows:\n{}", missing.join("\n"));
}

/// A text with every stretch of white space as one space, as line breaks in a report are none of the message.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The string literals of a source file above its tests, outside of comments.
fn texts(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let mut texts = Vec::new();
    let mut characters = code.chars().peekable();
    while characters.any(|character| character == '"') {
        let mut text = String::new();
        while let Some(character) = characters.next().filter(|character| *character != '"') {
            match (character, characters.peek()) {
                ('\\', Some('\n')) => while characters.next_if(|next| next.is_whitespace()).is_some() {},
                ('\\', _) => text.extend(characters.next().map(|escaped| if escaped == 'n' { '\n' } else { escaped })),
                _ => text.push(character),
            }
        }
        texts.push(text);
    }
    texts
}

/// A format's text between its placeholders, as far as it says something.
fn fixed_parts(format: &str) -> Vec<&str> {
    let parts = format.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    parts.filter(|part| part.trim().len() > 3).collect()
}
