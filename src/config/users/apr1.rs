//! Apache's `$apr1$`: a thousand rounds of MD5 in the arrangement that Poul-Henning Kamp made for crypt(3) in 1994.
//!
//! Only for the files that people already have; new hashes are bcrypt.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

const ROUNDS: usize = 1000;
const MAX_SALT_BYTES: usize = 8;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Which bytes of the digest make which four characters; the last byte makes two.
const GROUPS: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
const LAST: usize = 11;

/// A hash of this kind.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Apr1 {
    salt: Vec<u8>,
    encoded: [u8; 22],
}

impl Apr1 {
    /// Reads what follows `$apr1$`: a salt of at most eight characters, `$`, and 22 characters.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (salt, encoded) = text.split_once('$')?;
        let encoded: [u8; 22] = encoded.as_bytes().try_into().ok()?;
        let known = encoded.iter().all(|byte| ALPHABET.contains(byte));
        (known && salt.len() <= MAX_SALT_BYTES).then(|| Self { salt: salt.as_bytes().to_vec(), encoded })
    }

    /// Whether it is the hash of `password`.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        encode(&digest(password, &self.salt)).ct_eq(&self.encoded).into()
    }
}

fn digest(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner: [u8; 16] = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for taken in (0..password.len()).step_by(inner.len()) {
        outer.update(&inner[..inner.len().min(password.len() - taken)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            outer.update([0]);
        } else {
            outer.update(&password[..1]);
        }
        bits >>= 1;
    }
    let mut digest: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        digest = stretch(round, &digest, password, salt);
    }
    digest
}

fn stretch(round: usize, digest: &[u8; 16], password: &[u8], salt: &[u8]) -> [u8; 16] {
    let odd = round % 2 == 1;
    let mut hasher = Md5::new();
    hasher.update(if odd { password } else { digest });
    if !round.is_multiple_of(3) {
        hasher.update(salt);
    }
    if !round.is_multiple_of(7) {
        hasher.update(password);
    }
    hasher.update(if odd { digest } else { password });
    hasher.finalize().into()
}

fn encode(digest: &[u8; 16]) -> [u8; 22] {
    let mut encoded = [0; 22];
    for (characters, [high, middle, low]) in encoded.chunks_mut(4).zip(GROUPS) {
        let bits = usize::from(digest[high]) << 16 | usize::from(digest[middle]) << 8 | usize::from(digest[low]);
        write_characters(characters, bits);
    }
    write_characters(&mut encoded[20..], usize::from(digest[LAST]));
    encoded
}

/// Six bits a character, lowest first.
fn write_characters(characters: &mut [u8], bits: usize) {
    for (index, character) in characters.iter_mut().enumerate() {
        *character = ALPHABET[bits >> (6 * index) & 0x3f];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_agrees_with_openssl() {
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
            let parsed = Apr1::parse(hash).expect(hash);
            assert!(parsed.verify(password.as_bytes()), "{password} {hash}");
            assert!(!parsed.verify(format!("{password}x").as_bytes()), "{password}x {hash}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "\\PC{0,40}") {
            let _ = Apr1::parse(&text);
        }

        #[test]
        fn any_password_is_hashed_without_a_panic(password in prop::collection::vec(any::<u8>(), 0..80)) {
            let encoded = encode(&digest(&password, b"salt"));
            prop_assert!(encoded.iter().all(|byte| ALPHABET.contains(byte)));
        }
    }
}
