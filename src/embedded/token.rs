//! The one bearer token of the embedded page's API: made at the first start, kept in the store.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::store::{Store, StoreError};

/// Length of the secret, as Cachet's (Laravel Sanctum) are: about 238 bits.
const SECRET_LENGTH: usize = 40;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The token of the embedded page over `store`; none before its first start. Reading suffices.
///
/// # Errors
/// [`StoreError::Database`] if the store cannot be read.
pub async fn token(store: &Store) -> Result<Option<SecretString>, StoreError> {
    let token: Option<String> = sqlx::query_scalar("SELECT value FROM embedded_settings WHERE name = 'token'")
        .fetch_optional(store.reader())
        .await?;
    Ok(token.map(SecretString::from))
}

/// The token, made now if there is none. Two starts at once agree on one.
pub(super) async fn made_at_first_start(store: &Store) -> Result<SecretString, StoreError> {
    if let Some(token) = token(store).await? {
        return Ok(token);
    }
    sqlx::query("INSERT INTO embedded_settings (name, value) VALUES ('token', ?) ON CONFLICT (name) DO NOTHING")
        .bind(format!("1|{}", random_secret()?))
        .execute(store.writer())
        .await?;
    let kept: String = sqlx::query_scalar("SELECT value FROM embedded_settings WHERE name = 'token'")
        .fetch_one(store.writer())
        .await?;
    Ok(kept.into())
}

/// Whether `presented` is the token, told in constant time.
pub(super) fn matches(token: &SecretString, presented: &str) -> bool {
    token.expose_secret().as_bytes().ct_eq(presented.as_bytes()).into()
}

/// Bytes nobody can guess.
pub(super) fn random_bytes<const LENGTH: usize>() -> Result<[u8; LENGTH], StoreError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Database(sqlx::Error::Io(error.into())))?;
    Ok(bytes)
}

fn random_secret() -> Result<String, StoreError> {
    let mut secret = String::with_capacity(SECRET_LENGTH);
    while secret.len() < SECRET_LENGTH {
        // 248 is four times 62: larger bytes would favour the first letters
        let fair = random_bytes::<64>()?.into_iter().filter(|byte| *byte < 248);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        secret.extend(letters.take(SECRET_LENGTH - secret.len()));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_plain_and_never_alike() {
        let (one, other) = (random_secret().expect("random"), random_secret().expect("random"));
        assert_eq!(one.len(), SECRET_LENGTH);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = SecretString::from("1|abc");
        assert!(matches(&token, "1|abc"));
        assert!(!matches(&token, "1|ab"));
        assert!(!matches(&token, "abc"));
        assert!(!matches(&token, ""));
    }
}
