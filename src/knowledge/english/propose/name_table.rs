//! Which names mean the same: with and without an article, and shorter ones that documents use behind the whole name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Names as documents use them.
#[derive(Debug, Default)]
pub struct NameTable {
    /// The whole name of each short one; both without an article.
    whole: HashMap<String, String>,
    /// How often a name is spelled in which way, by the name without its article.
    spellings: BTreeMap<String, BTreeMap<String, usize>>,
}

/// A name without its article.
fn bare(name: &str) -> &str {
    name.strip_prefix("the ").or_else(|| name.strip_prefix("The ")).unwrap_or(name)
}

/// Whether a shorter name may be short for a longer one: its last part ("Venn"), its first ("Mara"), both without what is between
/// ("Mara Venn"), or what stands before "of".
fn is_short_for(short: &[&str], long: &[&str]) -> bool {
    if short.len() >= long.len() {
        return false;
    }
    let (before, end) = long.split_at(long.len() - short.len());
    // "Korstad" is not short for "University of Korstad".
    let last = end == short && !before.ends_with(&["of"]) && !before.ends_with(&["the"]);
    let first = short.len() == 1 && short[0] == long[0] && !long.contains(&"of");
    let ends = short.len() == 2 && long.len() > 2 && [short[0], short[1]] == [long[0], long[long.len() - 1]];
    last || first || ends || (long.starts_with(short) && long[short.len()] == "of")
}

impl NameTable {
    /// `documents` are the names of each document in their order. A name is short for another if that is met before it wherever
    /// it is met, and for one only.
    pub fn new(documents: &[Vec<String>]) -> NameTable {
        let mut table = NameTable::default();
        // In which documents each name is met, and where first.
        let mut met: BTreeMap<&str, BTreeMap<usize, usize>> = BTreeMap::new();
        for (number, names) in documents.iter().enumerate() {
            for (place, name) in names.iter().enumerate() {
                let spellings = table.spellings.entry(bare(name).to_owned()).or_default();
                *spellings.entry(name.clone()).or_default() += 1;
                met.entry(bare(name)).or_default().entry(number).or_insert(place);
            }
        }
        let mut of_word: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for name in met.keys() {
            name.split(' ').for_each(|word| {
                of_word.entry(word).or_default().insert(name);
            });
        }
        let mut names: Vec<&str> = met.keys().copied().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.split(' ').count()));
        for short in names {
            let words: Vec<&str> = short.split(' ').collect();
            let follows = |long: &str| {
                let place = |document: &usize| met.get(long).and_then(|met| met.get(document));
                met[short].iter().all(|(document, at)| place(document).is_some_and(|before| before < at))
            };
            let longer = of_word.get(words[0]).into_iter().flatten().copied();
            let longer = longer.filter(|long| is_short_for(&words, &long.split(' ').collect::<Vec<_>>()));
            let whole: BTreeSet<&str> = longer.filter(|long| follows(long)).map(|long| table.whole_of(long)).collect();
            if let (1, Some(long)) = (whole.len(), whole.first()) {
                let long = (*long).to_owned();
                table.whole.insert(short.to_owned(), long);
            }
        }
        table
    }

    fn whole_of<'a>(&'a self, bare: &'a str) -> &'a str {
        self.whole.get(bare).map_or(bare, String::as_str)
    }

    /// The name by which something is called in facts: the whole one, as it is spelled most often.
    pub fn canonical(&self, name: &str) -> String {
        let whole = self.whole_of(bare(name));
        let spellings = self.spellings.get(whole).into_iter().flatten();
        spellings.max_by_key(|(_, count)| **count).map_or_else(|| name.to_owned(), |(spelled, _)| spelled.clone())
    }

    /// The other names of each canonical one.
    pub fn aliases(&self) -> BTreeMap<String, Vec<String>> {
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, spellings) in &self.spellings {
            let canonical = self.canonical(name);
            let others = spellings.keys().filter(|spelled| !spelled.eq_ignore_ascii_case(&canonical));
            aliases.entry(canonical.clone()).or_default().extend(others.cloned());
        }
        aliases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_that_follow_a_whole_one_everywhere_are_other_names_of_it() {
        let documents = [
            vec!["Mara Ida Venn", "the Glass Bridge", "Venn", "Glass Bridge", "Mara Venn"],
            vec!["Rik Dop", "the Iron Gate of Korstad", "Korstad", "Dop", "the Iron Gate", "the Glass Bridge"],
            vec!["Tal Osen", "Rik Osen", "Osen", "Lake Zud"],
            vec!["Zud", "The Glass Bridge"],
        ];
        let table = NameTable::new(&documents.map(|names| names.into_iter().map(String::from).collect()));
        for (name, canonical) in [
            ("Venn", "Mara Ida Venn"),
            ("Mara Venn", "Mara Ida Venn"),
            ("Glass Bridge", "the Glass Bridge"),
            ("The Glass Bridge", "the Glass Bridge"),
            ("the Iron Gate", "the Iron Gate of Korstad"),
            ("Dop", "Rik Dop"),
            // Of two, of none that was named before, and the name of another place.
            ("Osen", "Osen"),
            ("Zud", "Zud"),
            ("Korstad", "Korstad"),
            ("1902", "1902"),
        ] {
            assert_eq!(table.canonical(name), canonical);
        }
        let aliases = table.aliases();
        assert_eq!(aliases["Mara Ida Venn"], ["Mara Venn", "Venn"]);
        assert_eq!(aliases["the Glass Bridge"], ["Glass Bridge"]);
    }
}
