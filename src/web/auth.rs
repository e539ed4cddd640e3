//! Basic Auth.
//!
//! A password hash is slow on purpose, and Alertmanager sends the same password with every request. So a password that
//! was right is remembered as a keyed hash, and only what is new is verified, off the async threads, a few at a time. A
//! flood of wrong passwords therefore costs a bounded part of the processor and never delays those who are known; and one
//! from a single address leaves places to those who are not known yet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::{Role, User};
use crate::metrics::Refusal;
use crate::settings::SettingsInForce;

/// How many passwords are verified at the same time, each on a thread of its own.
const VERIFICATIONS_AT_ONCE: usize = 2;

/// How many requests may be at or waiting for a verification; one more is told to come again. At a quarter of a second
/// each, the last one waits eight seconds, about as long as Alertmanager does.
const VERIFICATION_QUEUE: usize = 64;

/// How many of these one address may have: as many groups of alerts as one Alertmanager may post at once after a start. Who
/// floods from one address leaves the others to those who are not known yet.
const PLACES_OF_ONE_ADDRESS: usize = 56;

/// Knows who may come in.
pub struct Authenticator {
    /// Where the users are.
    settings: SettingsInForce,
    /// The last right password of each user, as a keyed hash, and the user that it was verified for. It counts for as long
    /// as this user is configured as it was.
    verified: Mutex<HashMap<String, (Fingerprint, User)>>,
    /// Known to this process only, so that what is remembered is worth nothing outside it.
    key: [u8; 32],
    workers: Arc<Semaphore>,
    queue: Semaphore,
    /// How many places each address has in the queue.
    places: Mutex<HashMap<IpAddr, usize>>,
}

/// A place in the queue; given back when dropped.
struct Place<'a> {
    authenticator: &'a Authenticator,
    from: Option<IpAddr>,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(from) = self.from else { return };
        let mut places = self.authenticator.places.lock();
        if let Some(count) = places.get_mut(&from) {
            *count = count.saturating_sub(1);
        }
        places.retain(|_, count| *count > 0);
    }
}

type Fingerprint = [u8; 32];

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers ({0}): check that the container's seccomp profile allows getrandom")]
pub struct NoRandomness(#[from] getrandom::Error);

impl Authenticator {
    /// Lets in the users of the settings that are in force.
    ///
    /// # Errors
    /// [`NoRandomness`] if no key can be made.
    pub fn new(settings: SettingsInForce) -> Result<Arc<Self>, NoRandomness> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Arc::new(Self {
            settings,
            verified: Mutex::default(),
            key,
            workers: Arc::new(Semaphore::new(VERIFICATIONS_AT_ONCE)),
            queue: Semaphore::new(VERIFICATION_QUEUE),
            places: Mutex::default(),
        }))
    }

    /// Whether some users are operators, so that what is theirs is closed to others.
    pub(crate) fn has_operators(&self) -> bool {
        self.settings.borrow().web.users.has_operators()
    }

    /// Checks the header `Authorization` of a request, and says what its user may do. An address that it comes `from` can
    /// fill no more than its share of the queue.
    ///
    /// # Errors
    /// [`Refusal::Missing`], [`Refusal::Wrong`], or [`Refusal::Busy`]: nothing is known about this password.
    pub async fn check(
        self: &Arc<Self>,
        authorization: Option<&HeaderValue>,
        from: Option<IpAddr>,
    ) -> Result<Role, Refusal> {
        let credentials = Credentials::read(authorization.ok_or(Refusal::Missing)?)?;
        let fingerprint = self.fingerprint(&credentials);
        if let Some(role) = self.remembered(&credentials, &fingerprint) {
            return Ok(role);
        }
        let _place = self.place(from)?;
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        // Many requests with the same new password, as after a start: the first one has verified it for all.
        if let Some(role) = self.remembered(&credentials, &fingerprint) {
            return Ok(role);
        }
        let this = Arc::clone(self);
        let verified = tokio::task::spawn_blocking(move || {
            // Held until the work is done, even if the request is gone by then.
            let _worker = worker;
            let settings = this.settings.borrow().clone();
            let user = settings.web.users.verify(&credentials.user, &credentials.password)?;
            this.remember(credentials.user, fingerprint, user.clone());
            Some(user.role)
        });
        match verified.await {
            Ok(Some(role)) => Ok(role),
            Ok(None) => Err(Refusal::Wrong),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// Whom the header `Authorization` names, whether or not it is true.
    pub(crate) fn claimed_user(authorization: Option<&HeaderValue>) -> Option<String> {
        Credentials::read(authorization?).ok().map(|credentials| credentials.user)
    }

    /// A keyed hash of user and password. That SHA-256 with a key in front can be prolonged does no harm here: nobody
    /// ever sees one, they are only compared.
    fn fingerprint(&self, credentials: &Credentials) -> Fingerprint {
        let mut hasher = Sha256::new_with_prefix(self.key);
        hasher.update(credentials.user.len().to_le_bytes());
        hasher.update(&credentials.user);
        hasher.update(&credentials.password);
        hasher.finalize().into()
    }

    fn place(&self, from: Option<IpAddr>) -> Result<Place<'_>, Refusal> {
        let permit = self.queue.try_acquire().map_err(|_| Refusal::Busy)?;
        if let Some(from) = from {
            let mut places = self.places.lock();
            let count = places.entry(from).or_default();
            if *count >= PLACES_OF_ONE_ADDRESS {
                return Err(Refusal::Busy);
            }
            *count += 1;
        }
        Ok(Place { authenticator: self, from, _permit: permit })
    }

    fn remembered(&self, credentials: &Credentials, fingerprint: &Fingerprint) -> Option<Role> {
        let verified = self.verified.lock();
        let (seen, user) = verified.get(&credentials.user)?;
        let is_configured = self.settings.borrow().web.users.get(&credentials.user) == Some(user);
        (is_configured && bool::from(seen.ct_eq(fingerprint))).then_some(user.role)
    }

    /// Remembers a right password of `user`, and forgets those of users that are not configured any more.
    fn remember(&self, name: String, fingerprint: Fingerprint, user: User) {
        let mut verified = self.verified.lock();
        verified.insert(name, (fingerprint, user));
        let settings = self.settings.borrow();
        verified.retain(|name, (_, user)| settings.web.users.get(name) == Some(user));
    }
}

/// Who a request says it is.
struct Credentials {
    user: String,
    password: Vec<u8>,
}

impl Credentials {
    /// Reads `Basic <base64 of user:password>`; the password may contain colons.
    fn read(header: &HeaderValue) -> Result<Self, Refusal> {
        let (scheme, encoded) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::Wrong)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Refusal::Missing);
        }
        // Senders write it with the padding or without.
        let encoded = encoded.trim().trim_end_matches('=');
        let decoded = BASE64_STANDARD_NO_PAD.decode(encoded).map_err(|_| Refusal::Wrong)?;
        let colon = decoded.iter().position(|&byte| byte == b':').ok_or(Refusal::Wrong)?;
        let user = String::from_utf8(decoded[..colon].to_vec()).map_err(|_| Refusal::Wrong)?;
        Ok(Self { user, password: decoded[colon + 1..].to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::watch;

    use super::*;
    use crate::config::{self, DEFAULT_TARGETS_FILE, Users};
    use crate::settings::Settings;

    /// `Büro` with the password `Grüße`, and `admin` with `admin`.
    const TWO_USERS: &str = "Büro:$2b$04$CCCCCCCCCCCCCCCCCCCCC.wvEVO2Z5Vu2xtSoIvlC18/jtzkNu3xO\n\
                             admin:$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju";

    fn settings(text: &str) -> Settings {
        let files = config::load(Path::new("config.json.example"), Path::new(DEFAULT_TARGETS_FILE));
        let mut settings = Settings::from(files.config.expect("valid"));
        settings.web.users = Users::parse(text).expect("users").0;
        settings
    }

    fn authenticator(text: &str) -> Arc<Authenticator> {
        Authenticator::new(watch::channel(Arc::new(settings(text))).1).expect("randomness")
    }

    fn two_users() -> Arc<Authenticator> {
        authenticator(TWO_USERS)
    }

    /// [`two_users`], and where to replace them.
    fn two_users_for_now() -> (Arc<Authenticator>, watch::Sender<Arc<Settings>>) {
        let (sender, in_force) = watch::channel(Arc::new(settings(TWO_USERS)));
        (Authenticator::new(in_force).expect("randomness"), sender)
    }

    fn basic(text: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(text))).expect("a value")
    }

    async fn check(authenticator: &Arc<Authenticator>, text: &str) -> Result<Role, Refusal> {
        authenticator.check(Some(&basic(text)), None).await
    }

    /// From now on, a password that is not remembered is [`Refusal::Busy`].
    fn verify_no_more(authenticator: &Authenticator) {
        authenticator.workers.close();
    }

    #[tokio::test]
    async fn a_right_password_is_verified_once_and_then_remembered() {
        let authenticator = two_users();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        verify_no_more(&authenticator);
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn a_wrong_password_is_never_remembered_and_does_not_displace_the_right_one() {
        let authenticator = two_users();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        for _ in 0..2 {
            assert_eq!(check(&authenticator, "admin:Admin").await, Err(Refusal::Wrong));
        }
        verify_no_more(&authenticator);
        assert_eq!(check(&authenticator, "admin:Admin").await, Err(Refusal::Busy));
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn an_unknown_user_is_verified_as_a_known_one_is() {
        let authenticator = two_users();
        assert_eq!(check(&authenticator, "nobody:admin").await, Err(Refusal::Wrong));
        verify_no_more(&authenticator);
        assert_eq!(check(&authenticator, "nobody:admin").await, Err(Refusal::Busy));
    }

    #[tokio::test]
    async fn one_users_password_does_not_let_another_in() {
        let authenticator = two_users();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        assert_eq!(check(&authenticator, "Büro:admin").await, Err(Refusal::Wrong));
        assert_eq!(check(&authenticator, "Büro:Grüße").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn whoever_is_no_longer_named_is_no_longer_let_in() {
        let (authenticator, sender) = two_users_for_now();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        let mut users = Users::default();
        let hash = "$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju";
        users.add_operator("operator", hash).expect("valid");
        sender.send_modify(|settings| Arc::make_mut(settings).web.users = users);
        assert_eq!(check(&authenticator, "admin:admin").await, Err(Refusal::Wrong));
        assert_eq!(check(&authenticator, "operator:admin").await, Ok(Role::Operator));
        assert_eq!(authenticator.verified.lock().len(), 1, "only the operator is remembered");
    }

    #[tokio::test]
    async fn a_password_that_was_replaced_is_not_remembered() {
        let (authenticator, sender) = two_users_for_now();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        let other = settings("admin:$2b$04$CCCCCCCCCCCCCCCCCCCCC.wvEVO2Z5Vu2xtSoIvlC18/jtzkNu3xO");
        sender.send_replace(Arc::new(other));
        assert_eq!(check(&authenticator, "admin:admin").await, Err(Refusal::Wrong));
        assert_eq!(check(&authenticator, "admin:Grüße").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn a_password_that_was_verified_against_users_of_before_is_not_remembered() {
        let (authenticator, sender) = two_users_for_now();
        let inner = authenticator;
        let credentials = Credentials { user: "admin".to_owned(), password: b"admin".to_vec() };
        let fingerprint = inner.fingerprint(&credentials);
        let before = inner.settings.borrow().web.users.get("admin").expect("a user").clone();
        sender.send_modify(|settings| Arc::make_mut(settings).web.users = Users::default());
        inner.remember("admin".to_owned(), fingerprint, before);
        assert_eq!(inner.remembered(&credentials, &fingerprint), None);
    }

    #[tokio::test]
    async fn users_that_stay_the_same_stay_known() {
        let (authenticator, sender) = two_users_for_now();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        sender.send_replace(Arc::new(settings(TWO_USERS)));
        verify_no_more(&authenticator);
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn a_password_may_contain_colons() {
        let authenticator = authenticator("colon:$apr1$abcdefgh$s2auC55v/wqdfeg.xtrkb1");
        assert_eq!(check(&authenticator, "colon:with:colon").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn the_scheme_is_read_in_any_case_and_the_padding_is_optional() {
        let authenticator = two_users();
        for header in ["basic YWRtaW46YWRtaW4=", "BASIC YWRtaW46YWRtaW4", "Basic  YWRtaW46YWRtaW4="] {
            let header = HeaderValue::from_static(header);
            assert_eq!(authenticator.check(Some(&header), None).await, Ok(Role::Poster), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_basic_auth_is_refused_without_a_verification() {
        let authenticator = two_users();
        verify_no_more(&authenticator);
        assert_eq!(authenticator.check(None, None).await, Err(Refusal::Missing));
        for (header, error) in [
            ("Bearer abc", Refusal::Missing),
            ("Basic", Refusal::Wrong),
            ("", Refusal::Wrong),
            ("Basic !!!", Refusal::Wrong),
            ("Basic YWRtaW4=", Refusal::Wrong),         // no colon
            ("Basic /zpwYXNzd29yZA==", Refusal::Wrong), // the user is no UTF-8
        ] {
            assert_eq!(
                authenticator.check(Some(&HeaderValue::from_static(header)), None).await,
                Err(error),
                "{header}"
            );
        }
    }

    #[tokio::test]
    async fn a_full_queue_turns_the_unknown_away_but_not_those_who_are_known() {
        let authenticator = two_users();
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
        let queue = &authenticator.queue;
        let _all_places = queue.try_acquire_many(VERIFICATION_QUEUE as u32).expect("nobody waits");
        assert_eq!(check(&authenticator, "admin:wrong").await, Err(Refusal::Busy));
        assert_eq!(check(&authenticator, "admin:admin").await, Ok(Role::Poster));
    }

    #[tokio::test]
    async fn a_flood_from_one_address_leaves_places_to_those_who_are_not_known_yet() {
        let authenticator = two_users();
        let [flood, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let right = basic("admin:admin");
        let inner = &authenticator;
        let places: Vec<Place<'_>> = std::iter::from_fn(|| inner.place(flood).ok()).collect();
        assert_eq!(places.len(), PLACES_OF_ONE_ADDRESS);
        assert_eq!(authenticator.check(Some(&right), flood).await, Err(Refusal::Busy));
        assert_eq!(authenticator.check(Some(&right), other).await, Ok(Role::Poster));
        drop(places);
        assert_eq!(authenticator.check(Some(&basic("admin:wrong")), flood).await, Err(Refusal::Wrong));
        assert!(inner.places.lock().is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn who_waits_for_a_verification_is_let_in_by_what_was_verified_meanwhile() {
        let authenticator = two_users();
        let inner = &authenticator;
        let workers = Arc::clone(&inner.workers).acquire_many_owned(VERIFICATIONS_AT_ONCE as u32).await.expect("open");
        // A wrong password, which no verification would let in.
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let authenticator = authenticator.clone();
                tokio::spawn(async move { check(&authenticator, "admin:wrong").await })
            })
            .collect();
        while inner.queue.available_permits() > VERIFICATION_QUEUE - waiting.len() {
            tokio::task::yield_now().await;
        }
        let credentials = Credentials::read(&basic("admin:wrong")).expect("credentials");
        let user = inner.settings.borrow().web.users.get("admin").expect("a user").clone();
        inner.remember("admin".to_owned(), inner.fingerprint(&credentials), user);
        drop(workers);
        for check in waiting {
            assert_eq!(check.await.expect("no panic"), Ok(Role::Poster));
        }
    }
}
