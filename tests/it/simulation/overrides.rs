//! What operators override, as the console does it.

use alertmanager_cachet::core::overrides::Override;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::target::ComponentName;

use super::product::timestamp;
use super::random::Random;
use super::run::Run;
use super::scenario::COMPONENTS;

/// What an operator does about a component.
#[derive(Debug, Clone, Copy)]
pub enum PageWrite {
    /// It shows that status for so many milliseconds, in place of what was said before.
    Override { component: &'static str, status: u8, lasts: u64 },
    /// It shows again what it should.
    Release(&'static str),
}

/// How long an override lasts: until the middle of a story, or beyond its end.
const SPANS: [u64; 5] = [45_677, 45_677, 200_677, 2_000_677, 20 * 24 * 3_600_000];

impl PageWrite {
    pub fn any(random: &mut Random) -> Self {
        let component = random.pick(&COMPONENTS);
        if random.chance(30) {
            return Self::Release(component);
        }
        Self::Override { component, status: random.pick(&[1, 1, 2, 3, 4]), lasts: random.pick(&SPANS) }
    }
}

impl Run<'_> {
    pub(super) async fn operate(&mut self, what: PageWrite) {
        let now = self.clock.now();
        let (user, at) = ("ada", timestamp(now.clock_ms));
        let named = |component| ComponentName::try_from(component).expect("a name");
        match what {
            PageWrite::Override { component, status, lasts } => {
                let until = timestamp(now.clock_ms + lasts);
                let chosen = ComponentStatus::from_value(i64::from(status)).expect("a status");
                let override_ = Override::new(named(component), chosen, until, (user, ""), at).expect("an override");
                self.store.set_override(&override_).await.expect("set");
                self.oracle.overridden(component, status, lasts, now);
            }
            PageWrite::Release(component) => {
                self.store.end_override(&named(component), user, at).await.expect("released");
                self.oracle.released(component, now);
            }
        }
        self.news();
    }
}
