//! What the server says on stderr.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

/// Somebody else who listens, to nothing. As long as there is but one, tracing takes what the thread that first comes by
/// a place in the code says of it for what everybody says, and on the threads of other tests nobody listens.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// What is said on this thread as long as this is kept.
pub struct Said {
    text: Text,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Listens from here on.
    pub fn listen() -> Self {
        LazyLock::force(&ANOTHER);
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish()
            .with(Targets::new().with_target("alertmanager_cachet", LevelFilter::INFO));
        Self { text, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// The lines that were said since this was last asked, each after its level.
    pub fn news(&self) -> Vec<String> {
        let said = std::mem::take(&mut *self.text.0.lock().expect("nobody panicked"));
        String::from_utf8(said).expect("a text").lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
