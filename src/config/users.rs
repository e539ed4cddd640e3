//! `WEBHOOK_BASIC_AUTH` and `basic_auth_users`: who may do what, and the hashes of their passwords.

use std::collections::BTreeMap;

use super::password::PasswordHash;

/// What to do about a hash that cannot be used.
const HASH_CURE: &str = "put in what follows the colon of what `alertmanager-cachet hash-password USER` prints";

/// `admin`, at the lowest cost: it protects nothing.
const HASH_OF_ADMIN: &str = "$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju";

/// Who is known, and what they may do. By default nobody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, User>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    hash: PasswordHash,
    pub role: Role,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Post notifications, and have the configuration read again (`WEBHOOK_BASIC_AUTH`).
    Poster,
    /// Everything (`basic_auth_users`).
    Operator,
}

/// Checks a user's name: not empty, and without what separates entries: no colon, comma, control character, no blank at
/// its ends, no `#` at its beginning.
///
/// # Errors
/// Why the text cannot name a user.
pub(crate) fn check_user_name(name: &str) -> Result<(), String> {
    let Some(first) = name.chars().next() else { return Err("the user name is empty: give it a name".to_owned()) };
    let ends = [Some(first), name.chars().next_back()].into_iter().flatten();
    let bad = name
        .chars()
        .find(|&character| matches!(character, ':' | ',') || character.is_control())
        .or_else(|| ends.clone().find(|character| character.is_whitespace()))
        .or_else(|| Some(first).filter(|&character| character == '#'));
    match bad {
        Some(character) => Err(format!("user name {name:?} contains {character:?}: leave it out")),
        None => Ok(()),
    }
}

impl Users {
    /// Reads `user:hash`, several separated by newlines or commas. Empty lines and lines that begin with `#` are passed
    /// over, so an htpasswd file is read as it is. Beside the users, of whom there is at least one, are the warnings: what
    /// works, but should be changed.
    ///
    /// # Errors
    /// Everything that is wrong with it. Neither passwords nor hashes are repeated.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), Vec<String>> {
        let (mut users, mut problems, mut warnings) = (BTreeMap::new(), Vec::new(), Vec::new());
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let entries = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
        for (number, entry) in (1..).zip(entries) {
            let Some((name, hash)) = entry.split_once(':') else {
                // What stands there may be a password.
                problems.push(format!(
                    "entry {number} has no colon: write user:hash, as `alertmanager-cachet hash-password USER` prints it"
                ));
                continue;
            };
            if let Err(error) = check_user_name(name) {
                problems.push(format!("entry {number}: {error}"));
                continue;
            }
            match PasswordHash::parse(hash) {
                Err(error) => problems.push(format!(
                    "user {name:?}: what follows the colon is {error}: put in what `alertmanager-cachet hash-password \
                     {name}` prints"
                )),
                Ok(_) if users.contains_key(name) => {
                    problems.push(format!("user {name:?} is named twice: remove one of the two"));
                }
                Ok(hash) => {
                    warnings.extend(hash.weakness().map(|weakness| {
                        format!(
                            "user {name:?}: the hash is {weakness}, which is weak: replace it by what \
                             `alertmanager-cachet hash-password {name}` prints"
                        )
                    }));
                    users.insert(name.to_owned(), User { hash, role: Role::Poster });
                }
            }
        }
        if users.is_empty() && problems.is_empty() {
            problems.push("no user is named: put in what `alertmanager-cachet hash-password USER` prints".to_owned());
        }
        if problems.is_empty() { Ok((Self(users), warnings)) } else { Err(problems) }
    }

    /// `admin` with the password `admin`, for a developer's machine.
    pub(crate) fn local_default() -> Self {
        let hash = PasswordHash::Bcrypt { text: HASH_OF_ADMIN.to_owned(), cost: 4 };
        Self(BTreeMap::from([("admin".to_owned(), User { hash, role: Role::Poster })]))
    }

    /// Adds one of `basic_auth_users`, who may do everything.
    ///
    /// # Errors
    /// What is wrong with name or hash, and the cure; the hash is not repeated.
    pub fn add_operator(&mut self, name: &str, hash: &str) -> Result<(), String> {
        check_user_name(name)?;
        let hash = PasswordHash::parse(hash).map_err(|error| format!("is {error}: {HASH_CURE}"))?;
        if hash.weakness().is_some() {
            return Err(format!("is no bcrypt hash, the only kind that is taken here: {HASH_CURE}"));
        }
        if self.0.contains_key(name) {
            return Err("is a user of WEBHOOK_BASIC_AUTH as well: name it in one of the two".to_owned());
        }
        self.0.insert(name.to_owned(), User { hash, role: Role::Operator });
        Ok(())
    }

    /// Whether there is nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody is an operator, so that what is theirs is closed to others.
    pub(crate) fn has_operators(&self) -> bool {
        self.0.values().any(|user| user.role == Role::Operator)
    }

    /// A user by name.
    pub(crate) fn get(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// The user with this name and this password. May take seconds.
    ///
    /// A refusal takes the time of the costliest hash, whoever was named, so that time does not tell who exists.
    pub(crate) fn verify(&self, name: &str, password: &[u8]) -> Option<&User> {
        let user = self.get(name);
        if let Some(user) = user.filter(|user| user.hash.verify(password)) {
            return Some(user);
        }
        let costliest = self.costliest_hash();
        if costliest.map(PasswordHash::cost) != user.map(|user| user.hash.cost()) {
            let _ = costliest.map(|hash| hash.verify(password));
        }
        None
    }

    fn costliest_hash(&self) -> Option<&PasswordHash> {
        self.0.values().map(|user| &user.hash).max_by_key(|hash| hash.cost())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const APR1: &str = "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1";
    const SHA: &str = "{SHA}9kl1HW4btG+MhqjgMAI3wz3wcHQ=";

    fn names(text: &str) -> Vec<String> {
        Users::parse(text).expect(text).0.0.into_keys().collect()
    }

    #[test]
    fn entries_are_separated_by_newlines_or_commas() {
        assert_eq!(names(&format!("a:{HASH_OF_ADMIN}")), ["a"]);
        assert_eq!(names(&format!(" a:{HASH_OF_ADMIN} , b:{APR1},\r\n\n# c:{SHA}\nd e:{SHA}\n")), ["a", "b", "d e"]);
    }

    #[test]
    fn weak_hashes_are_taken_with_a_warning() {
        let (_, warnings) = Users::parse(&format!("a:{HASH_OF_ADMIN},b:{APR1},c:{SHA}")).expect("valid");
        assert_eq!(
            warnings,
            [
                "user \"b\": the hash is $apr1$ (MD5), which is weak: replace it by what `alertmanager-cachet \
                 hash-password b` prints",
                "user \"c\": the hash is {SHA} (SHA-1, no salt), which is weak: replace it by what \
                 `alertmanager-cachet hash-password c` prints",
            ]
        );
    }

    #[test]
    fn every_problem_is_reported_and_no_secret_repeated() {
        let text =
            format!("hunter2\n:{APR1}\nb:hunter2\nb\u{7}c:{APR1}\nd:{APR1},d:{SHA}\ne:$2y$31${}", &HASH_OF_ADMIN[7..]);
        let problems = Users::parse(&text).expect_err("bad");
        let starts = [
            "entry 1 has no colon",
            "entry 2: the user name is empty",
            "user \"b\": what follows the colon is no hash of a known form",
            "entry 4: user name \"b\\u{7}c\" contains '\\u{7}'",
            "user \"d\" is named twice",
            "user \"e\": what follows the colon is a bcrypt hash of cost 31",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
            assert!(!problem.contains("hunter2") && !problem.contains("FBwEx"), "{problem}");
        }
    }

    #[test]
    fn an_operator_has_a_bcrypt_hash_and_a_name_of_its_own() {
        let mut users = Users::parse(&format!("poster:{APR1}")).expect("valid").0;
        assert!(!users.has_operators());
        for (name, hash, problem) in [
            ("operator", "hunter2", "is no hash of a known form"),
            ("operator", APR1, "is no bcrypt hash"),
            ("poster", HASH_OF_ADMIN, "is a user of WEBHOOK_BASIC_AUTH as well"),
            ("a:b", HASH_OF_ADMIN, "user name \"a:b\" contains ':'"),
        ] {
            let error = users.add_operator(name, hash).expect_err(problem);
            assert!(error.starts_with(problem) && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(users.add_operator("operator", HASH_OF_ADMIN), Ok(()));
        assert!(users.has_operators());
        let role = |name| users.get(name).map(|user| user.role);
        assert_eq!((role("poster"), role("operator")), (Some(Role::Poster), Some(Role::Operator)));
    }

    #[test]
    fn nobody_is_a_problem() {
        for text in ["", " \n,\n", "# nobody"] {
            assert_eq!(Users::parse(text).expect_err(text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn the_default_of_a_developers_machine_is_admin_admin() {
        assert!(Users::local_default().get("admin").expect("admin").hash.verify(b"admin"));
    }

    #[test]
    fn the_costliest_hash_is_found() {
        let users = Users::parse(&format!("a:{SHA},b:{APR1}")).expect("valid").0;
        assert_eq!(users.costliest_hash(), users.get("b").map(|user| &user.hash));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[\\PC\n:,]{0,80}") {
            let _ = Users::parse(&text);
        }

        #[test]
        fn a_user_name_that_is_taken_is_found_again(name in "\\PC{1,12}") {
            if check_user_name(&name).is_ok() {
                prop_assert_eq!(names(&format!("{name}:{SHA}")), [name]);
            }
        }
    }
}
