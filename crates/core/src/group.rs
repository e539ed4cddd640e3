//! Groups of the status page, as `config.json` names them.

use std::fmt;

use super::target::{ComponentName, NAME_LIMIT, excerpt};
use super::text::trimmed;

/// The name of a group: [`trimmed`], not empty, at most [`NAME_LIMIT`] characters, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

/// Why a text cannot name a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupNameError {
    /// There is nothing in it.
    #[error("a group name is empty: give it a name")]
    Empty,
    /// It would break lines, in a log or in a report.
    #[error("group name {:?} contains the control character {character:?}: leave it out", excerpt(.name))]
    Character {
        /// The whole name.
        name: String,
        /// The first character that may not be in it.
        character: char,
    },
    /// Cachet would refuse it.
    #[error("group name {:?} has {length} characters: Cachet takes at most {NAME_LIMIT}, shorten it", excerpt(.name))]
    TooLong {
        /// The whole name.
        name: String,
        /// Its length in characters.
        length: usize,
    },
}

impl TryFrom<&str> for GroupName {
    type Error = GroupNameError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let name = trimmed(text);
        if name.is_empty() {
            return Err(GroupNameError::Empty);
        }
        if let Some(character) = name.chars().find(|c| c.is_control()) {
            return Err(GroupNameError::Character { name: name.to_owned(), character });
        }
        let length = name.chars().count();
        if length > NAME_LIMIT {
            return Err(GroupNameError::TooLong { name: name.to_owned(), length });
        }
        Ok(Self(name.to_owned()))
    }
}

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name in quotes.
impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A group, and the visible components in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name on the page; no two groups have the same.
    pub name: GroupName,
    /// Its components, in the order of the page; at least one, and none that another group has.
    pub components: Vec<ComponentName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_have_any_name_that_cachet_takes() {
        assert_eq!(GroupName::try_from(" Web | Mail, ").expect("valid").as_str(), "Web | Mail,");
        assert!(GroupName::try_from("ü".repeat(NAME_LIMIT).as_str()).is_ok());
        for (text, reason) in [
            (" ".to_owned(), "a group name is empty: give it a name"),
            ("a\nb".to_owned(), "group name \"a\\nb\" contains the control character '\\n': leave it out"),
        ] {
            assert_eq!(GroupName::try_from(text.as_str()).expect_err("invalid").to_string(), reason);
        }
        let long = GroupName::try_from("x".repeat(NAME_LIMIT + 1).as_str());
        let error = long.expect_err("invalid").to_string();
        let start = "x".repeat(60);
        assert_eq!(error, format!("group name \"{start}…\" has 256 characters: Cachet takes at most 255, shorten it"));
    }
}
