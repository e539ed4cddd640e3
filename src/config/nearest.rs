//! The name that a typo was probably meant to be.

/// How alike two names must be (0 to 1) for one to be suggested for the other.
const LIKENESS: f64 = 0.6;

/// The candidate that is most like `name`, whatever their case; `None` if none is like it.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The question that ends an error message, or `otherwise` if no candidate is like `name`.
pub(super) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    match nearest(name, candidates) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_none() {
        let names = ["Database", "Web Server", "Load Balancer"];
        for (typo, name) in [
            ("Databse", Some("Database")),
            ("web-server", Some("Web Server")),
            ("DATABASE", Some("Database")),
            ("Mail", None),
            ("", None),
        ] {
            assert_eq!(nearest(typo, names), name, "{typo}");
        }
    }
}
