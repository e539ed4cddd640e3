//! Names that Cachet is given: of groups, as `config.json` has them, and of incidents, from the configured template. And
//! what Cachet makes of a text before it keeps it.

use super::target::{ComponentName, NAME_LIMIT, NameError, checked_name, excerpt, name};

/// The name of a group: [`trimmed`], not empty, at most [`NAME_LIMIT`] characters, without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

name!(GroupName);

impl TryFrom<&str> for GroupName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        checked_name("group", text, &[]).map(|name| Self(name.to_owned()))
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

/// What stands for the component in the template.
const PLACEHOLDER: &str = "%s";

/// `new_incident_name`: a title in which every `%s` becomes the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentName(String);

impl IncidentName {
    /// The template, trimmed.
    ///
    /// # Errors
    /// When it is empty or contains a control character.
    pub fn new(template: &str) -> Result<Self, NameError> {
        let template = trimmed(template);
        if template.is_empty() {
            let cure = "write a title, with %s where the component should stand";
            return Err(NameError(format!("is empty: {cure}")));
        }
        match template.chars().find(|c| c.is_control()) {
            Some(character) => Err(NameError(format!(
                "is {:?}, and contains the control character {character:?}: leave it out",
                excerpt(template)
            ))),
            None => Ok(Self(template.to_owned())),
        }
    }

    /// The title for `component`, cut to the [`NAME_LIMIT`] characters that Cachet takes.
    pub(crate) fn render(&self, component: &ComponentName) -> String {
        cut(&self.0.replace(PLACEHOLDER, component.as_str()), NAME_LIMIT)
    }

    /// The title of an incident that is about no component: the template as it is, cut to [`NAME_LIMIT`] characters.
    pub fn render_plain(&self) -> String {
        cut(&self.0, NAME_LIMIT)
    }

    /// How many characters the title for `component` has before it is cut.
    pub fn length(&self, component: &ComponentName) -> usize {
        self.0.replace(PLACEHOLDER, component.as_str()).chars().count()
    }

    /// Whether the title says which component it is about.
    pub fn names_the_component(&self) -> bool {
        self.0.contains(PLACEHOLDER)
    }
}

/// What Cachet takes off the ends of every text beside white space: characters that nobody sees, as they come along when
/// a name is copied from a chat or a document (Laravel's `TrimStrings`, `Str::INVISIBLE_CHARACTERS`). Releases of 2025
/// know a few of them only.
const INVISIBLE: &str = "\
\0\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\
\u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{2065}\u{206a}\u{206b}\u{206c}\u{206d}\u{206e}\u{206f}\u{2800}\u{3164}\u{feff}\
\u{ffa0}\u{1d159}\u{1d173}\u{1d174}\u{1d175}\u{1d176}\u{1d177}\u{1d178}\u{1d179}\u{1d17a}\u{e0020}";

/// `text` without what Cachet would take off its ends.
///
/// A name that Cachet keeps in another way than we know it would never be found again, and be made anew each time.
pub fn trimmed(text: &str) -> &str {
    // NUL is the only ASCII character in INVISIBLE.
    let is_invisible = |character: char| character == '\0' || !character.is_ascii() && INVISIBLE.contains(character);
    text.trim_matches(|character: char| character.is_whitespace() || is_invisible(character))
}

/// The first `limit` characters of `text`, as Cachet would keep them.
pub fn cut(text: &str, limit: usize) -> String {
    // A text of n bytes has at most n characters.
    let end = if text.len() <= limit { None } else { text.char_indices().nth(limit) };
    let end = end.map_or(text.len(), |(end, _)| end);
    trimmed(text.get(..end).unwrap_or(text)).to_owned()
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

    fn component(name: &str) -> ComponentName {
        ComponentName::try_from(name).expect("a component name")
    }

    #[test]
    fn the_component_stands_where_the_template_says() {
        let name = IncidentName::new("System %s is down (%s)").expect("a template");
        assert_eq!(name.render(&component("Database")), "System Database is down (Database)");
        assert!(name.names_the_component());
        assert!(!IncidentName::new("Something is down").expect("a template").names_the_component());
    }

    #[test]
    fn a_component_with_a_placeholder_in_its_name_is_not_replaced_again() {
        let name = IncidentName::new("%s: trouble").expect("a template");
        assert_eq!(name.render(&component("100%s")), "100%s: trouble");
    }

    #[test]
    fn a_title_is_cut_where_cachet_would_refuse_it() {
        let name = IncidentName::new("%s is experiencing issues").expect("a template");
        let long = component(&"ü".repeat(NAME_LIMIT));
        assert_eq!(name.render(&long).chars().count(), NAME_LIMIT);
        assert_eq!(name.length(&long), NAME_LIMIT + " is experiencing issues".len());
        let cut_behind_a_word = component(&"x".repeat(NAME_LIMIT - 1));
        assert_eq!(name.render(&cut_behind_a_word), cut_behind_a_word.as_str(), "Cachet would not keep the blank");
        let about_nothing = IncidentName::new(&format!("{} more", "x".repeat(NAME_LIMIT - 1))).expect("a template");
        assert_eq!(about_nothing.render_plain(), cut_behind_a_word.as_str());
    }

    #[test]
    fn a_title_is_one_line_that_says_something() {
        assert!(IncidentName::new("  ").expect_err("empty").to_string().starts_with("is empty: write a title"));
        assert_eq!(IncidentName::new(" %s\n"), IncidentName::new("%s"));
        let error = IncidentName::new("a\n%s").expect_err("two lines").to_string();
        assert_eq!(error, "is \"a\\n%s\", and contains the control character '\\n': leave it out");
    }

    #[test]
    fn what_nobody_sees_is_taken_off_the_ends_and_left_within() {
        assert_eq!(trimmed("\u{feff} Web\u{200b}Server\u{a0}\u{200e}\n"), "Web\u{200b}Server");
        assert_eq!(trimmed("\u{200b}\u{2060}"), "");
        // A woman at her computer is held together by one of them.
        assert_eq!(trimmed("👩\u{200d}💻"), "👩\u{200d}💻");
    }

    #[test]
    fn a_text_is_cut_by_characters_and_ends_with_one_that_is_seen() {
        assert_eq!(cut("東京都", 2), "東京");
        assert_eq!(cut("東京", 2), "東京");
        assert_eq!(cut("ab \u{200b}cd", 4), "ab");
    }
}
