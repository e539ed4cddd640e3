//! A folder in which the commands of a page run, with programs that really do it, and stand-ins for those that cannot.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::night::{Night, PASSWORD, USER};
use super::repository;
use crate::support::installation::Installation;
use crate::support::processes::{Ended, run};

/// Programs that run as they are.
const REAL: &[&str] = &["cat", "cp", "df", "grep", "ls", "mkdir", "sed", "tail"];

/// Programs that ask other hosts. They run, and the hosts of the documentation are those of the night.
const ASKING: &[&str] = &["amtool", "curl"];

/// Programs that do not run, each with the reason and with what is looked at in their stead (in Bash; `refuse` fails).
const STAND_INS: &[(&str, &str, &str)] = &[
    ("sudo", "there is no other user here", r#""$@""#),
    ("apt-get", "it changes the machine", r#"[ "$1" = install ] || refuse"#),
    ("pipx", "it needs the network", r#"[ "$*" = "install podman-compose" ] || refuse"#),
    ("systemctl", "no systemd runs here", r#"[[ $* == *daemon-reload* || -e $REPOSITORY/systemd/${!#} ]] || refuse"#),
    ("loginctl", "no systemd runs here", r#"[ "$*" = enable-linger ] || refuse"#),
    (
        "journalctl",
        "no systemd runs here: it has the night's log",
        r#"[ "$1" = -u ] && [ -e "$REPOSITORY/systemd/$2.service" ] || refuse; cat "$LOG""#,
    ),
    (
        "promtool",
        "the tests of the rules take long, and `metrics::monitoring` runs them; the rest runs",
        r#"[ "$1 $2" != "test rules" ] || exec ls "$3" >/dev/null; exec /usr/bin/promtool "$@""#,
    ),
    ("git", "the files are those of this checkout", r#"[ "$*" = pull ] || refuse"#),
    ("editor", "nobody is there to edit", r#"ls "$@" >/dev/null"#),
    (
        "podman",
        "no container of ours runs here: its log is one that was recorded",
        r#"[ "$1" = logs ] || refuse; cat "$REPOSITORY/tests/fixtures/simulate/serve.log""#,
    ),
    (
        "podman-compose",
        "it needs images from the network: services and profiles have to be those of podman-compose.yml",
        r#"[ "$1 $2" = "-f podman-compose.yml" ] || refuse
        [ "$3" != --profile ] || grep -qF "profiles: [$4]" "$REPOSITORY/podman-compose.yml" || refuse
        case $3 in
            logs | restart | stop | start | kill) grep -qxF "  ${!#}:" "$REPOSITORY/podman-compose.yml" || refuse ;;
            --profile) [ "$5 $6" = "up -d" ] || refuse ;;
            *) refuse ;;
        esac
        [ "$3" != logs ] || cat "$LOG""#,
    ),
    (
        "cargo",
        "compiling takes minutes: what is compiled already runs, and names have to be those of Cargo.toml",
        r#"case "$1 ${2:-} ${3:-}" in
            "run --release --") shift 3; exec alertmanager-cachet "$@" --once ;;
            "bench --bench "* | "test --test "*) grep -qxF "name = \"$3\"" "$REPOSITORY/Cargo.toml" || refuse ;;
            "test --release --test") grep -qxF "name = \"$4\"" "$REPOSITORY/Cargo.toml" || refuse ;;
            "build --profile "*) grep -qxF "[profile.$3]" "$REPOSITORY/Cargo.toml" || refuse ;;
            "install cargo-mutants "* | mutants*) ;;
            *) refuse ;;
        esac"#,
    ),
];

/// Scripts of the repository that do not run, likewise. They have to exist.
const SCRIPTS: &[(&str, &str, &str)] = &[
    (
        "deploy.sh",
        "it needs images from the network: its own parser takes the command line",
        r#"PATH=$PATH:/usr/bin; source "$REPOSITORY/deploy.sh"; parse "$@""#,
    ),
    ("test.sh", "it runs this test", r#"[[ $* == @(|--quick|--long) ]] || refuse"#),
    ("fuzz/run.sh", "it takes hours", r#"[[ $* =~ ^[0-9]*$ ]] || refuse"#),
    (
        "dev/break_rules.py",
        "it takes an hour: the pattern has to match a rule of its table",
        r#"[ $# -eq 0 ] || grep -qE "$1" "$REPOSITORY/dev/break_rules.py" || refuse"#,
    ),
    ("tests/fixtures/stores/make.sh", "it makes a file of a release", r#"[ $# -eq 2 ] || refuse"#),
];

/// Folders and files that commands name, as copies.
const COPIES: &[&str] = &["monitoring", "systemd", "traefik"];

/// What somebody types where a program asks for a password.
const TYPED: &str = "typed";

/// The sandbox of one page.
pub struct Sandbox<'a> {
    night: &'a Night,
    folder: TempDir,
}

impl<'a> Sandbox<'a> {
    pub fn new(night: &'a Night) -> Self {
        let folder = Installation::new().folder;
        let sandbox = Self { night, folder };
        sandbox.copy_files();
        sandbox.make_programs();
        sandbox
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn copy_files(&self) {
        for entry in fs::read_dir(repository("")).expect("the repository") {
            let name = entry.expect("an entry").file_name();
            if name.to_string_lossy().ends_with(".example") {
                fs::copy(repository("").join(&name), self.path().join(&name)).expect("copied");
            }
        }
        let copied =
            run(Command::new("cp").arg("-r").args(COPIES.iter().map(|name| repository(name))).arg(self.path()));
        assert_eq!(copied.code, Some(0), "{}", copied.stderr);
        fs::write(self.path().join("server.log"), self.night.log()).expect("written");
        fs::write(self.path().join(TYPED), "a password\n").expect("written");
        symlink(self.night.folder.path().join("data"), self.path().join("data")).expect("a link");
    }

    fn make_programs(&self) {
        for name in REAL {
            let path = Path::new("/usr/bin").join(name);
            assert!(path.exists(), "no {}", path.display());
            symlink(path, self.programs().join(name)).expect("a link");
        }
        for name in ASKING {
            self.script(&format!("bin/{name}"), &self.asking(name));
        }
        self.script("bin/alertmanager-cachet", &self.program());
        for (name, reason, instead) in STAND_INS {
            self.stand_in(&format!("bin/{name}"), reason, instead);
        }
        for (path, reason, instead) in SCRIPTS {
            assert!(repository(path).exists(), "{path} is gone");
            self.stand_in(path, reason, instead);
        }
    }

    fn programs(&self) -> std::path::PathBuf {
        let path = self.path().join("bin");
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    fn stand_in(&self, path: &str, reason: &str, instead: &str) {
        let refuse =
            format!(r#"refuse() {{ echo "{path} has a stand-in, for {reason}; it does not know: $*" >&2; exit 97; }}"#);
        self.script(path, &format!("{refuse}\n{instead}"));
    }

    fn script(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, format!("#!/bin/bash\nset -eu\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// The program with another host for each of the documentation's, and with the password that it would ask for.
    fn asking(&self, name: &str) -> String {
        let night = self.night;
        let mut lines = vec!["arguments=(\"$@\")".to_owned()];
        for (said, meant) in [
            ("http://alertmanager-cachet:5000", &night.server_url),
            ("http://127.0.0.1:5000", &night.server_url),
            ("http://alertmanager:9093", &night.alertmanager_url),
            ("http://prometheus:9090", &night.prometheus_url),
            ("https://status.example.com", &night.cachet_url),
        ] {
            lines.push(format!("arguments=(\"${{arguments[@]//'{said}'/{meant}}}\")"));
        }
        // Nobody is there to type the password that curl asks for.
        lines.push(format!(
            "for i in \"${{!arguments[@]}}\"; do [ \"${{arguments[i]}}\" != {USER} ] || arguments[i]='{USER}:{PASSWORD}'; done"
        ));
        let options = if name == "curl" { "--fail-with-body --noproxy '*' --max-time 30 " } else { "" };
        lines.push(format!("exec /usr/bin/{name} {options}\"${{arguments[@]}}\""));
        lines.join("\n")
    }

    /// Our program. A server that is started is stopped as soon as it serves: it has then shown that it can.
    fn program(&self) -> String {
        let environment = self.night.environment.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
        let address = self.night.server_url.trim_start_matches("http://");
        format!(
            r#"{}[ "${{1:-}}" != healthcheck ] || export LISTEN_ADDRESS={address}
program='{}'
[ "${{1:-}}" = serve ] || exec "$program" "$@"
export LISTEN_ADDRESS=127.0.0.1:0 STORAGE_URL="sqlite://$HOME/own.db"
coproc "$program" "$@" 2>&1
server=$COPROC_PID
while read -r line <&"${{COPROC[0]}}"; do
    [[ $line != *'listening on '* ]] || {{ kill "$server"; wait "$server"; exit; }}
    echo "$line" >&2
done
exit 1"#,
            environment.collect::<String>(),
            env!("CARGO_BIN_EXE_alertmanager-cachet"),
        )
    }

    /// Runs a script: what fails ends it, and a program that is not of the sandbox is not found.
    pub fn run(&self, script: &str) -> Ended {
        let mut bash = Command::new("/bin/bash");
        bash.args(["-euo", "pipefail", "-c", script]).env_clear().current_dir(self.path());
        bash.stdin(Stdio::from(fs::File::open(self.path().join(TYPED)).expect("a file"))).envs([
            ("PATH", self.programs().as_os_str()),
            ("HOME", self.path().as_os_str()),
            ("REPOSITORY", repository("").as_os_str()),
            ("LOG", self.path().join("server.log").as_os_str()),
            ("EDITOR", "editor".as_ref()),
        ]);
        run(&mut bash)
    }
}
