//! Whatever stands in `Authorization` or in `WEBHOOK_BASIC_AUTH`: nobody is let in who does not know the password, and
//! no complaint repeats a secret.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use alertmanager_cachet::config;
use alertmanager_cachet::config::Users;
use alertmanager_cachet::settings::Settings;
use alertmanager_cachet::web::auth::Authenticator;
use axum::http::HeaderValue;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// `admin` with the password `admin`.
static AUTHENTICATOR: LazyLock<Arc<Authenticator>> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), include_str!("../../config.json.example")).expect("written");
    let files = config::load(file.path(), Path::new(config::DEFAULT_TARGETS_FILE));
    let mut settings = Settings::from(files.config.expect("valid"));
    settings.web.users = Users::parse("admin:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=").expect("a user").0;
    Authenticator::new(watch::channel(Arc::new(settings)).1).expect("randomness")
});

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

pub fn check(data: &[u8]) {
    if let Ok(header) = HeaderValue::from_bytes(data) {
        let let_in = RUNTIME.block_on(AUTHENTICATOR.check(Some(&header), None)).is_ok();
        let text = String::from_utf8_lossy(data);
        assert!(!let_in || text.contains("YWRtaW46YWRtaW4"), "{text:?} was let in");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(problems) = Users::parse(text)
    {
        let entries = text.lines().flat_map(|line| line.split(',')).filter_map(|entry| entry.split_once(':'));
        // A user may be called as their password is.
        let secrets = entries
            .map(|(_, secret)| secret.trim())
            .filter(|secret| secret.len() > 12 && secret.contains('$') && text.matches(secret).count() == 1);
        for secret in secrets {
            assert!(!problems.iter().any(|problem| problem.contains(secret)), "{problems:?}");
        }
    }
}
