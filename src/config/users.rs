//! `WEBHOOK_BASIC_AUTH` and `basic_auth_users`: who may do what, and the hashes of their passwords.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

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
    let (Some(first), Some(last)) = (name.chars().next(), name.chars().next_back()) else {
        return Err("the user name is empty: give it a name".to_owned());
    };
    let separator = name.chars().find(|&character| matches!(character, ':' | ',') || character.is_control());
    let blank = [first, last].into_iter().find(|character| character.is_whitespace());
    match separator.or(blank).or(Some(first).filter(|&character| character == '#')) {
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
            let read = || {
                // What stands there may be a password.
                let (name, hash) = entry.split_once(':').ok_or_else(|| {
                    format!(
                        "entry {number} has no colon: write user:hash, as `alertmanager-cachet hash-password USER` \
                         prints it"
                    )
                })?;
                check_user_name(name).map_err(|error| format!("entry {number}: {error}"))?;
                let cure = format!("what `alertmanager-cachet hash-password {name}` prints");
                let hash = PasswordHash::parse(hash)
                    .map_err(|error| format!("user {name:?}: what follows the colon is {error}: put in {cure}"))?;
                let warning = hash.weakness().map(|weakness| {
                    format!("user {name:?}: the hash is {weakness}, which is weak: replace it by {cure}")
                });
                Ok((name, hash, warning))
            };
            match read() {
                Err(problem) => problems.push(problem),
                Ok((name, ..)) if users.contains_key(name) => {
                    problems.push(format!("user {name:?} is named twice: remove one of the two"));
                }
                Ok((name, hash, warning)) => {
                    warnings.extend(warning);
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
        let costliest = self.0.values().map(|user| &user.hash).max_by_key(|hash| hash.cost());
        if costliest.map(PasswordHash::cost) != user.map(|user| user.hash.cost()) {
            let _ = costliest.map(|hash| hash.verify(password));
        }
        None
    }
}

/// The highest bcrypt cost that is taken: about four seconds a verification. Each step more doubles it, and Alertmanager
/// gives up after ten.
const MAX_BCRYPT_COST: u32 = 16;

const APR1_SALT_MAX_BYTES: usize = 8;
const APR1_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of a password, as htpasswd writes it.
///
/// Apache's `$apr1$` is a thousand rounds of MD5 in the arrangement that Poul-Henning Kamp made for crypt(3) in 1994. It is
/// only for the files that people already have; new hashes are bcrypt.
#[derive(Clone, PartialEq, Eq)]
enum PasswordHash {
    /// `$2a$`, `$2b$`, `$2y$`. Sees only the first 72 bytes of a password.
    Bcrypt {
        /// The whole hash.
        text: String,
        /// Its cost: verifying takes 2^cost rounds.
        cost: u32,
    },
    /// `$apr1$`: a thousand rounds of MD5. Weak.
    Apr1 {
        /// At most eight characters.
        salt: Vec<u8>,
        /// The digest, six bits a character.
        encoded: [u8; 22],
    },
    /// `{SHA}`: one round of SHA-1 without a salt. Weak.
    Sha1([u8; 20]),
}

impl PasswordHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// Why the text is none. It is not repeated: it may be a password.
    fn parse(text: &str) -> Result<Self, String> {
        let hash = if let Some(encoded) = text.strip_prefix("{SHA}") {
            BASE64_STANDARD.decode(encoded).ok().and_then(|digest| digest.try_into().ok()).map(Self::Sha1)
        } else if let Some(rest) = text.strip_prefix("$apr1$") {
            rest.split_once('$').filter(|(salt, _)| salt.len() <= APR1_SALT_MAX_BYTES).and_then(|(salt, encoded)| {
                let encoded: [u8; 22] = encoded.as_bytes().try_into().ok()?;
                let is_known = encoded.iter().all(|byte| APR1_ALPHABET.contains(byte));
                is_known.then(|| Self::Apr1 { salt: salt.into(), encoded })
            })
        } else if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost());
            if let Some(cost) = cost.filter(|cost| *cost > MAX_BCRYPT_COST) {
                return Err(format!("a bcrypt hash of cost {cost}, over the limit of {MAX_BCRYPT_COST}"));
            }
            cost.filter(|cost| *cost >= 4).map(|cost| Self::Bcrypt { text: text.to_owned(), cost })
        } else {
            None
        };
        hash.ok_or_else(|| {
            "no hash of a known form (bcrypt, $apr1$, {SHA}; a hash that was right has lost its dollar signs: quote it, \
             or double them in a compose file)"
                .to_owned()
        })
    }

    /// Whether it is the hash of `password`. May take seconds.
    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Apr1 { salt, encoded } => apr1(password, salt).ct_eq(encoded).into(),
            Self::Sha1(digest) => Sha1::digest(password).as_slice().ct_eq(digest).into(),
        }
    }

    /// How long verifying takes, comparable with others.
    fn cost(&self) -> u32 {
        match self {
            Self::Bcrypt { cost, .. } => *cost, // 4 or more
            Self::Apr1 { .. } => 1,
            Self::Sha1(_) => 0,
        }
    }

    /// What the hash is called if it should not be used any more.
    fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Bcrypt { .. } => None,
            Self::Apr1 { .. } => Some("$apr1$ (MD5)"),
            Self::Sha1(_) => Some("{SHA} (SHA-1, no salt)"),
        }
    }
}

/// Its kind only: hashes do not belong into logs.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.weakness().unwrap_or("bcrypt"))
    }
}

/// What follows the salt in an `$apr1$` hash.
fn apr1(password: &[u8], salt: &[u8]) -> [u8; 22] {
    const ROUNDS: usize = 1000;
    /// Which bytes of the digest make which four characters; the last byte makes two.
    const GROUPS: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    const LAST: usize = 11;
    let inner: [u8; 16] = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for taken in (0..password.len()).step_by(inner.len()) {
        outer.update(&inner[..inner.len().min(password.len() - taken)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut hasher = Md5::new_with_prefix(if odd { password } else { &digest[..] });
        if !round.is_multiple_of(3) {
            hasher.update(salt);
        }
        if !round.is_multiple_of(7) {
            hasher.update(password);
        }
        hasher.update(if odd { &digest[..] } else { password });
        digest = hasher.finalize().into();
    }
    let mut encoded = [0; 22];
    let groups = GROUPS.map(|group| group.iter().fold(0, |bits, &at| bits << 8 | usize::from(digest[at])));
    for (characters, bits) in encoded.chunks_mut(4).zip(groups.into_iter().chain([usize::from(digest[LAST])])) {
        // Six bits a character, lowest first.
        for (index, character) in characters.iter_mut().enumerate() {
            *character = APR1_ALPHABET[bits >> (6 * index) & 0x3f];
        }
    }
    encoded
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
    fn the_kinds_of_hashes_differ_in_their_cost() {
        let costs = [SHA, APR1, HASH_OF_ADMIN].map(|text| hash(text).cost());
        assert!(costs.is_sorted_by(|cheap, costly| cheap < costly), "{costs:?}");
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

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::parse(text).expect("a hash")
    }

    #[test]
    fn bcrypt_is_taken_under_its_three_prefixes() {
        // "admin" at cost 4, by crypt(3)
        for prefix in ["2a", "2b", "2y"] {
            let hash = hash(&format!("${prefix}$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju"));
            assert!(hash.verify(b"admin") && !hash.verify(b"Admin") && !hash.verify(b""), "{prefix}");
            assert_eq!((hash.cost(), hash.weakness()), (4, None));
        }
    }

    #[test]
    fn sha_is_taken_as_weak() {
        // printf Grüße | openssl sha1 -binary | base64
        let hash = hash("{SHA}9kl1HW4btG+MhqjgMAI3wz3wcHQ=");
        assert!(hash.verify("Grüße".as_bytes()) && !hash.verify("Grüsse".as_bytes()));
        assert!(hash.weakness().is_some());
    }

    #[test]
    fn what_is_no_hash_is_refused_without_being_repeated() {
        for text in [
            "",
            "hunter2",
            "rqXexS6ZhobKA", // crypt(3)
            "$1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.",
            "$5$salt$hash",
            "$2y$",
            "$2y$12$short",
            "$2x$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju",
            "$2y$99$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju",
            "$2y$00$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju",
            "2y04abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju",
            "$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8é",
            "$apr1$",
            "$apr1$salt",
            "$apr1$toolongasalt$L.PT565ESX4Tp2bqNs7Ie.",
            "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie",
            "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7I:.",
            "{SHA}",
            "{SHA}YWRtaW4=",
            "{SHA512}abc",
        ] {
            let error = PasswordHash::parse(text).expect_err(text);
            assert!(text.len() < 7 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        let text = format!("{:?}", hash("{SHA}9kl1HW4btG+MhqjgMAI3wz3wcHQ="));
        assert!(!text.contains("9kl1"), "{text}");
    }

    #[test]
    fn apr1_agrees_with_openssl() {
        // openssl passwd -apr1 -salt SALT PASSWORD
        for (password, hash) in [
            ("", "abcdefgh$L.PT565ESX4Tp2bqNs7Ie."),
            ("", "r31$VhYBNuSclDwcMVhdpOx.I0"),
            ("a", "abcdefgh$G8IsPsylW5ROvIKsQMRG61"),
            ("password", "abcdefgh$FBwExRW4dCc8aL.OvjpIE1"),
            ("password", "r31$hjZ9dRSC/WZ.WgLYK3DIs."),
            ("password", "./12$Dje4zPP9Q2oFkq7HODgWC/"),
            ("0123456789abcdef", "abcdefgh$sxHfOFLANAYXeGF./FBFh."),
            ("a longer password than sixteen bytes, really", "abcdefgh$zPlovQ8.IeJ95gI1ZVoKN1"),
            ("a longer password than sixteen bytes, really", "./12$ZlSi9Dgskb0./Ug/hI5KX1"),
            ("Grüße 🚨", "abcdefgh$9V/.HljvebLBM6yzPtUMd0"),
            ("Grüße 🚨", "./12$c0hieC7F5PVbMv4itJDt11"),
            ("with:colon", "r31$vPEo.0okdJ9lTXFFAvLfJ0"),
        ] {
            let parsed = PasswordHash::parse(&format!("$apr1${hash}")).expect(hash);
            assert!(parsed.verify(password.as_bytes()), "{password} {hash}");
            assert!(!parsed.verify(format!("{password}x").as_bytes()), "{password}x {hash}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "\\PC{0,40}") {
            let _ = PasswordHash::parse(&format!("$apr1${text}"));
        }

        #[test]
        fn any_password_is_hashed_without_a_panic(password in prop::collection::vec(any::<u8>(), 0..80)) {
            let encoded = apr1(&password, b"salt");
            prop_assert!(encoded.iter().all(|byte| APR1_ALPHABET.contains(byte)));
        }
    }
}
