//! Every command in the documentation, run in a sandbox against a server that has had a bad night.

use super::blocks::Kind;
use super::night::Night;
use super::page::Page;
use super::sandbox::Sandbox;
use super::{no_faults, pages};
use crate::support::processes::Ended;

/// Stands between the outputs of two commands.
const MARK: &str = "@@@ next command @@@";

/// Commands, and what they are said to print.
pub struct Script {
    steps: Vec<Step>,
}

struct Step {
    command: String,
    /// The lines that are shown below it; none: they are left out.
    output: Vec<String>,
}

impl Script {
    /// A block of `sh`: commands alone.
    pub fn of_shell(text: &str) -> Self {
        Self { steps: vec![Step { command: text.to_owned(), output: Vec::new() }] }
    }

    /// A block of `console`: commands behind `$ `, and what they print.
    ///
    /// # Errors
    /// When it begins with something else.
    pub fn of_console(text: &str) -> Result<Self, String> {
        let mut steps: Vec<Step> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => return Err("the block begins with no command: write `$ ` before it".to_owned()),
            }
        }
        Ok(Self { steps })
    }

    /// What is wrong with it, run in the sandbox.
    fn fault(&self, sandbox: &Sandbox<'_>) -> Option<String> {
        let commands: Vec<&str> = self.steps.iter().map(|step| step.command.as_str()).collect();
        let Ended { code, stdout, stderr } = sandbox.run(&commands.join(&format!("\necho '{MARK}'\n")));
        if code != Some(0) {
            return Some(format!("it ends with {code:?}:\n{stdout}{stderr}"));
        }
        let mark = format!("{MARK}\n");
        let printed = stdout.split(&mark);
        self.steps.iter().zip(printed).find_map(|(step, printed)| {
            let wrong = !step.output.is_empty() && !is_like(printed, &step.output);
            wrong.then(|| format!("`{}` does not print what is shown, but\n{printed}", step.command))
        })
    }
}

/// Whether a text is what is shown of it: `…` stands for anything, and as a line of its own for any number of lines.
fn is_like(printed: &str, shown: &[String]) -> bool {
    let printed: Vec<&str> = printed.lines().collect();
    lines_are_like(&printed, shown)
}

fn lines_are_like(printed: &[&str], shown: &[String]) -> bool {
    match (printed, shown) {
        ([], []) => true,
        (_, [any, rest @ ..]) if any.trim() == "…" => {
            (0..=printed.len()).any(|skipped| lines_are_like(&printed[skipped..], rest))
        }
        ([line, printed @ ..], [shown, rest @ ..]) => line_is_like(line, shown) && lines_are_like(printed, rest),
        _ => false,
    }
}

fn line_is_like(line: &str, shown: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return line == shown };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let mut parts = rest.split('…').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return line.ends_with(part);
        }
        let Some(at) = line.find(part) else { return false };
        line = &line[at + part.len()..];
    }
    false
}

/// What is wrong with the commands of a page.
fn faults(page: &Page, night: &Night) -> Vec<String> {
    let scripts: Vec<_> = page
        .blocks
        .iter()
        .filter_map(|block| match Kind::of(block) {
            Ok(Kind::Commands(script)) => Some((block, script)),
            _ => None,
        })
        .collect();
    if scripts.is_empty() {
        return Vec::new();
    }
    let sandbox = Sandbox::new(night);
    let fault = |(block, script): &(&super::page::Block, Script)| {
        script.fault(&sandbox).map(|fault| format!("{}: {fault}\n{}", block.place, block.text))
    };
    scripts.iter().filter_map(fault).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_runs_and_prints_what_is_shown() {
    let night = Night::come().await;
    no_faults(&pages().iter().flat_map(|page| faults(page, &night)).collect::<Vec<_>>());
    commands_that_are_wrong_are_found(&night);
}

/// In the same night, which takes seconds to come.
fn commands_that_are_wrong_are_found(night: &Night) {
    for (commands, fault) in [
        ("$ alertmanager-cachet chekc", "unrecognized subcommand"),
        ("$ alertmanager-cachet setup --prune-all", "unexpected argument"),
        ("$ ./deploy.sh --chekc", "unknown option --chekc"),
        ("$ wget http://example.com", "wget: command not found"),
        ("$ curl -s http://alertmanager-cachet:5000/-/raedy", "ends with Some(22)"),
        ("$ podman-compose -f podman-compose.yml logs alertmanager-cachte", "it does not know"),
        ("$ systemctl --user enable --now status-page.service", "it does not know"),
        ("$ grep 'no such line' server.log | tail -3", "ends with Some(1)"),
        ("$ cargo bench --bench figure", "it does not know"),
        ("$ alertmanager-cachet --version\nalertmanager-cachet 99.…", "does not print what is shown"),
    ] {
        let page = Page::read("x.md", &format!("```console\n{commands}\n```\n"));
        let faults = faults(&page, night);
        assert!(faults.len() == 1 && faults[0].contains(fault), "{commands}: {faults:#?}");
    }
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    let shown = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (printed, said, is_so) in [
        ("a\nb\n", "a\nb", true),
        ("a\nb\n", "a", false),
        ("a\nb\nc\n", "a\n…", true),
        ("a\nb\nc\n", "…\nc", true),
        ("a b c\n", "a … c", true),
        ("a b c\n", "a …", true),
        ("a b d\n", "a … c", false),
        ("1 of 2 at 3\n", "… of … at 3", true),
        ("1 at 3\n", "… of … at 3", false),
    ] {
        assert_eq!(is_like(printed, &shown(said)), is_so, "{printed:?} {said:?}");
    }
}

#[test]
fn commands_within_the_text_are_known_to_the_program() {
    let mut faults = Vec::new();
    for page in pages() {
        for (line, code) in &page.codes {
            if let Some(arguments) = code.strip_prefix("alertmanager-cachet ").filter(|rest| !rest.contains('…')) {
                let words = arguments.split_whitespace().collect::<Vec<_>>();
                if let Some(fault) = misused(&words) {
                    faults.push(format!("{}:{line}: `{code}`: {fault}", page.path));
                }
            }
        }
    }
    no_faults(&faults);
    assert!(misused(&["setup", "--drry-run"]).is_some() && misused(&["chekc"]).is_some());
}

/// Why the program does not take a command line. What stands there for a value, such as `COMMAND`, is one.
fn misused(words: &[&str]) -> Option<String> {
    use clap::{CommandFactory as _, error::ErrorKind};
    let words = words.iter().map(|word| if *word == "COMMAND" { "serve" } else { word });
    let parsed = alertmanager_cachet::cli::Cli::command().try_get_matches_from(std::iter::once("program").chain(words));
    let harmless = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion, ErrorKind::MissingRequiredArgument];
    parsed.err().filter(|error| !harmless.contains(&error.kind())).map(|error| error.to_string())
}
