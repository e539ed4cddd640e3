//! Password hashes as htpasswd writes them.
//!
//! Apache's `$apr1$` is a thousand rounds of MD5 in the arrangement that Poul-Henning Kamp made for crypt(3) in 1994. It is
//! only for the files that people already have; new hashes are bcrypt.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::Md5;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

/// The highest bcrypt cost that is taken: about four seconds a verification. Each step more doubles it, and Alertmanager
/// gives up after ten.
const MAX_BCRYPT_COST: u32 = 16;

const APR1_SALT_MAX_BYTES: usize = 8;
const APR1_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PasswordHash {
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
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let no_known_form = || {
            "no hash of a known form (bcrypt, $apr1$, {SHA}; a hash that was right has lost its dollar signs: quote it, \
             or double them in a compose file)"
                .to_owned()
        };
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let digest = BASE64_STANDARD.decode(encoded).ok().and_then(|digest| digest.try_into().ok());
            return digest.map(Self::Sha1).ok_or_else(no_known_form);
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            let (salt, encoded) = rest.split_once('$').ok_or_else(no_known_form)?;
            let encoded: [u8; 22] = encoded.as_bytes().try_into().map_err(|_| no_known_form())?;
            let is_known = encoded.iter().all(|byte| APR1_ALPHABET.contains(byte)) && salt.len() <= APR1_SALT_MAX_BYTES;
            return is_known.then(|| Self::Apr1 { salt: salt.into(), encoded }).ok_or_else(no_known_form);
        }
        if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err(no_known_form());
        }
        let parts: bcrypt::HashParts = text.parse().map_err(|_| no_known_form())?;
        match parts.get_cost() {
            cost if cost > MAX_BCRYPT_COST => {
                Err(format!("a bcrypt hash of cost {cost}, over the limit of {MAX_BCRYPT_COST}"))
            }
            cost if cost < 4 => Err(no_known_form()),
            cost => Ok(Self::Bcrypt { text: text.to_owned(), cost }),
        }
    }

    /// Whether it is the hash of `password`. May take seconds.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Apr1 { salt, encoded } => apr1(password, salt).ct_eq(encoded).into(),
            Self::Sha1(digest) => Sha1::digest(password).as_slice().ct_eq(digest).into(),
        }
    }

    /// How long verifying takes, comparable with others.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Self::Bcrypt { cost, .. } => *cost, // 4 or more
            Self::Apr1 { .. } => 1,
            Self::Sha1(_) => 0,
        }
    }

    /// What the hash is called if it should not be used any more.
    pub(super) fn weakness(&self) -> Option<&'static str> {
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
