//! Whether a person's word still stands.

use std::collections::{BTreeMap, BTreeSet};

/// What people changed, and against which of our own views: it stays until ours is another one.
pub struct Hand<V> {
    never_certain: bool,
    vague: Option<Vague<V>>,
    /// Whether a write of ours may have got no answer.
    may_have_lost: bool,
    /// All that was ours at some time, so that a write without an answer may have asked for it.
    ever_ours: BTreeMap<String, Vec<V>>,
    /// Our views that the page may have been given last; several after a disturbed round.
    ours: BTreeMap<String, Vec<Option<V>>>,
    standing: BTreeMap<String, Standing<V>>,
    /// Names whose component came or went, and may be another one than the reconciler thinks.
    moved: BTreeSet<String>,
    /// Names of which the server lost what it had written, and has written nothing since.
    forgotten: BTreeSet<String>,
}

/// A view that says that nothing is known.
pub struct Vague<V> {
    pub unknown: V,
    /// It is written over what was ours and over this, and over nothing else.
    pub green: V,
}

struct Standing<V> {
    shows: V,
    certain: bool,
}

impl<V: Clone + PartialEq> Hand<V> {
    pub fn new(never_certain: bool, vague: Option<Vague<V>>) -> Self {
        Self {
            never_certain,
            vague,
            may_have_lost: false,
            ever_ours: BTreeMap::new(),
            ours: BTreeMap::new(),
            standing: BTreeMap::new(),
            moved: BTreeSet::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// What a person made of `name`, if that may still stand; and whether it must.
    pub fn standing(&self, name: &str) -> Option<(&V, bool)> {
        self.standing.get(name).map(|standing| (&standing.shows, standing.certain))
    }

    pub fn edited(&mut self, name: &str, shows: V) {
        // before the first look nothing is ours yet, and what is not ours is made so
        let sure = self.ours.get(name).is_some_and(|ours| ours.len() == 1 && ours[0].is_some());
        let before = self.standing.get(name).is_none_or(|standing| standing.certain);
        let as_ours = self.ever_ours.get(name).is_some_and(|ours| ours.contains(&shows));
        let mistakable = self.may_have_lost && as_ours;
        let certain = sure && before && !mistakable && !self.unsure(name) && !self.was_forgotten(name);
        self.standing.insert(name.to_owned(), Standing { shows, certain });
    }

    /// A write of ours may get no answer from now on.
    pub fn may_lose(&mut self) {
        self.may_have_lost = true;
    }

    /// A write of ours came late, to whatever name.
    pub fn came_late(&mut self) {
        self.standing.values_mut().for_each(|standing| standing.certain = false);
    }

    pub fn moved(&mut self, name: &str) {
        self.moved.insert(name.to_owned());
        if let Some(standing) = self.standing.get_mut(name) {
            standing.certain = false;
        }
    }

    /// The server has lost all that it had written: it knows no longer what is a person's word.
    pub fn lost(&mut self) {
        self.forgotten.extend(std::mem::take(&mut self.ours).into_keys());
        self.standing.values_mut().for_each(|standing| standing.certain = false);
    }

    /// Whether the server lost what it had written of `name`, and what it finds there is not its own.
    pub fn was_forgotten(&self, name: &str) -> bool {
        self.forgotten.contains(name)
    }

    /// A round that may have been disturbed could have brought our view to the page, or not.
    pub fn may_be_seen(&mut self, views: &BTreeMap<String, V>) {
        for name in self.names(views) {
            let view = views.get(&name).cloned();
            self.ever_ours.entry(name.clone()).or_default().extend(view.clone());
            self.may_have_been_given(&name, view);
        }
    }

    /// A round without disturbance did.
    pub fn seen(&mut self, views: &BTreeMap<String, V>) {
        for name in self.names(views) {
            let view = views.get(&name).cloned();
            self.ever_ours.entry(name.clone()).or_default().extend(view.clone());
            if self.may_be_left(&name, view.as_ref()) {
                self.may_have_been_given(&name, view);
                continue;
            }
            if view.as_ref().is_some_and(|view| !self.is_vague(view)) {
                self.forgotten.remove(&name);
            }
            let ours = self.ours.insert(name.clone(), vec![view.clone()]).unwrap_or_default();
            // another view than any that a person contradicted is written over what they said
            if view.is_some() && !ours.is_empty() && !ours.contains(&view) && !self.unsure(&name) {
                self.standing.remove(&name);
            } else if ours != [view]
                && let Some(standing) = self.standing.get_mut(&name)
            {
                standing.certain = false;
            }
        }
    }

    fn may_have_been_given(&mut self, name: &str, view: Option<V>) {
        let left = self.may_be_left(name, view.as_ref());
        if left && self.standing.get(name).is_some_and(|standing| standing.certain) {
            return;
        }
        // before the first look nothing was ours
        let ours = self.ours.entry(name.to_owned()).or_insert_with(|| vec![None]);
        if !ours.contains(&view) {
            ours.push(view);
            if let Some(standing) = self.standing.get_mut(name) {
                standing.certain = false;
            }
        }
    }

    /// Whether a person's word may stand that this view is not written over. What was ours is no person's.
    fn may_be_left(&self, name: &str, view: Option<&V>) -> bool {
        let (Some(view), Some(standing)) = (view, self.standing.get(name)) else { return false };
        let is_ours = self.ours.get(name).is_some_and(|ours| ours.contains(&Some(standing.shows.clone())));
        let over = |vague: &Vague<V>| standing.shows == vague.green || standing.shows == vague.unknown;
        self.is_vague(view) && !self.vague.as_ref().is_some_and(over) && !(is_ours && standing.certain)
    }

    fn is_vague(&self, view: &V) -> bool {
        self.vague.as_ref().is_some_and(|vague| *view == vague.unknown)
    }

    fn unsure(&self, name: &str) -> bool {
        self.never_certain || self.moved.contains(name)
    }

    fn names(&self, views: &BTreeMap<String, V>) -> Vec<String> {
        views.keys().chain(self.ours.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }
}
