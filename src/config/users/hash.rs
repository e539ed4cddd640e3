//! Password hashes as htpasswd writes them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::apr1::Apr1;

/// The highest bcrypt cost that is taken: about four seconds a verification. Each step more doubles it, and Alertmanager
/// gives up after ten.
const MAX_BCRYPT_COST: u32 = 16;

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
    Apr1(Apr1),
    /// `{SHA}`: one round of SHA-1 without a salt. Weak.
    Sha1([u8; 20]),
}

/// Why a text is no password hash. The text itself is not repeated: it may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PasswordHashError {
    /// It has the form of none.
    #[error(
        "no hash of a known form (bcrypt, $apr1$, {{SHA}}; a hash that was right has lost its dollar signs: quote it, \
         or double them in a compose file)"
    )]
    Form,
    /// It would take too long.
    #[error("a bcrypt hash of cost {0}, over the limit of {MAX_BCRYPT_COST}")]
    Cost(u32),
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let digest = BASE64_STANDARD.decode(encoded).ok().and_then(|digest| digest.try_into().ok());
            return digest.map(Self::Sha1).ok_or(PasswordHashError::Form);
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            return Apr1::parse(rest).map(Self::Apr1).ok_or(PasswordHashError::Form);
        }
        if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err(PasswordHashError::Form);
        }
        let parts: bcrypt::HashParts = text.parse().map_err(|_| PasswordHashError::Form)?;
        match parts.get_cost() {
            cost if cost > MAX_BCRYPT_COST => Err(PasswordHashError::Cost(cost)),
            cost if cost < 4 => Err(PasswordHashError::Form),
            cost => Ok(Self::Bcrypt { text: text.to_owned(), cost }),
        }
    }
}

impl PasswordHash {
    /// Whether it is the hash of `password`. May take seconds.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt { text, .. } => bcrypt::verify(password, text).unwrap_or(false),
            Self::Apr1(hash) => hash.verify(password),
            Self::Sha1(digest) => Sha1::digest(password).as_slice().ct_eq(digest).into(),
        }
    }

    /// How long verifying takes, comparable with others.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Self::Bcrypt { cost, .. } => *cost, // 4 or more
            Self::Apr1(_) => 1,
            Self::Sha1(_) => 0,
        }
    }

    /// What the hash is called if it should not be used any more.
    pub(super) fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Bcrypt { .. } => None,
            Self::Apr1(_) => Some("$apr1$ (MD5)"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> PasswordHash {
        text.parse().expect("a hash")
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
            let error = text.parse::<PasswordHash>().expect_err(text);
            assert!(text.len() < 7 || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        let text = format!("{:?}", hash("{SHA}9kl1HW4btG+MhqjgMAI3wz3wcHQ="));
        assert!(!text.contains("9kl1"), "{text}");
    }
}
