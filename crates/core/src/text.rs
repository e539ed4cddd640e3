//! What Cachet makes of a text before it keeps it.

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
    text.trim_matches(is_blank)
}

/// The first `limit` characters of `text`, as Cachet would keep them.
pub fn cut(text: &str, limit: usize) -> String {
    let end = text.char_indices().nth(limit).map_or(text.len(), |(end, _)| end);
    trimmed(text.get(..end).unwrap_or(text)).to_owned()
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || INVISIBLE.contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

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
