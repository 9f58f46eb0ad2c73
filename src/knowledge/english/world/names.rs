//! Made-up names: of people, of groups, of what they did, of kinds of things.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::random::Stream;
use crate::{Error, Result};

const ONSETS: [&str; 26] = [
    "B", "Br", "C", "D", "Dr", "F", "G", "Gr", "H", "J", "K", "Kl", "L", "M", "N", "P", "Pr", "R", "S", "Sk", "St",
    "T", "Th", "V", "W", "Z",
];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const MIDDLES: [&str; 16] = ["l", "n", "r", "s", "v", "d", "m", "t", "k", "b", "lm", "rn", "nd", "st", "ld", "rv"];
const HERS: [&str; 6] = ["a", "ia", "elle", "ine", "ena", "is"];
const HIS: [&str; 6] = ["o", "in", "or", "us", "an", "ek"];

const STEMS: [&str; 48] = [
    "Tarn", "Mel", "Brax", "Vond", "Lor", "Quill", "Harv", "Sten", "Pell", "Dorn", "Wick", "Kess", "Fal", "Grim",
    "Roth", "Ash", "Bell", "Cald", "Den", "Eld", "Fen", "Gal", "Hol", "Ing", "Jarr", "Karl", "Lind", "Marl", "Nor",
    "Oak", "Pem", "Rav", "Sel", "Thorn", "Ull", "Vey", "Wald", "Yarr", "Zell", "Birk", "Crom", "Dray", "Esk", "Frey",
    "Glen", "Hask", "Ister", "Jor",
];
const ENDS: [&str; 16] = [
    "by", "ford", "ost", "enna", "lund", "mere", "ard", "well", "ton", "ley", "croft", "ridge", "wyn", "stead", "holt",
    "brook",
];

const PLACES: [&str; 24] = [
    "Kor", "Lis", "Ven", "Mar", "Tol", "Bel", "Dra", "Os", "Fen", "Hal", "Gar", "Nim", "Pol", "Rud", "Sar", "Ter",
    "Und", "Vol", "Wex", "Yor", "Arn", "Cam", "Har", "Zan",
];
const PLACE_ENDS: [&str; 10] = ["stad", "nor", "dale", "mouth", "haven", "wick", "mark", "gate", "holm", "fell"];
const BODIES: [&str; 9] = ["Guild", "Circle", "Society", "Company", "League", "Fellowship", "Union", "House", "Club"];

/// What things are called by, before their kind.
const ADJECTIVES: [&str; 38] = [
    "Silent",
    "Glass",
    "Silver",
    "Amber",
    "Hollow",
    "Crimson",
    "Velvet",
    "Iron",
    "Emerald",
    "Marble",
    "Copper",
    "Winter",
    "Golden",
    "Ivory",
    "Crystal",
    "Midnight",
    "Scarlet",
    "Wooden",
    "Northern",
    "Floating",
    "Hidden",
    "Burning",
    "Frozen",
    "Broken",
    "Distant",
    "Weeping",
    "Laughing",
    "Sleeping",
    "Crooked",
    "Twin",
    "Lonely",
    "Sunken",
    "Forgotten",
    "Restless",
    "Bright",
    "Pale",
    "Autumn",
    "Pearl",
];

const TERM_ONSETS: [&str; 20] =
    ["bl", "d", "f", "g", "gl", "k", "kr", "l", "m", "n", "p", "pr", "r", "sn", "t", "tr", "v", "w", "y", "z"];
const TERM_MIDDLES: [&str; 10] = ["ck", "lb", "nd", "rf", "sp", "zz", "mp", "lg", "v", "rk"];
const TERM_ENDS: [&str; 6] = ["ob", "um", "ig", "ak", "up", "eb"];

/// What would be spelt, and is a word already.
const WORDS: [&str; 12] =
    ["woman", "human", "roman", "beta", "data", "meta", "satan", "latin", "german", "norman", "hotelle", "prospeb"];

/// Tries of a name before there are none left.
const TRIES: usize = 2000;

/// Gives names, each once.
#[derive(Clone, Default)]
pub struct NameBook {
    used: BTreeSet<String>,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub name: String,
    /// Shorter names, the surname first. None for who has one name only.
    pub aliases: Vec<String>,
    pub she: bool,
}

impl Person {
    pub fn pronoun(&self) -> &'static str {
        if self.she { "she" } else { "he" }
    }
}

impl NameBook {
    /// A name that was not given before, by what tells it from others.
    fn fresh(&mut self, kind: &str, mut spell: impl FnMut() -> (String, String)) -> Result<String> {
        for _ in 0..TRIES {
            let (name, mark) = spell();
            let letters: Vec<char> = name.to_lowercase().chars().collect();
            let odd = letters.windows(3).any(|three| three.iter().all(|letter| *letter == three[0]));
            if !odd && !WORDS.contains(&name.to_lowercase().as_str()) && self.used.insert(format!("{kind} {mark}")) {
                return Ok(name);
            }
        }
        Err(Error::invalid("world.english", format!("there are too few names of a {kind}"), "make the sets smaller"))
    }

    /// One that differs from all others within its first four letters.
    fn first_name(&mut self, she: bool, random: &mut Stream) -> Result<String> {
        self.fresh("person", || {
            let end = if she { HERS } else { HIS };
            let name =
                [pick(&ONSETS, random), pick(&VOWELS, random), pick(&MIDDLES, random), pick(&end, random)].concat();
            let mark = name.chars().take(4).collect();
            (name, mark)
        })
    }

    fn surname(&mut self, random: &mut Stream) -> Result<String> {
        self.fresh("family", || {
            let name = [pick(&STEMS, random), pick(&ENDS, random)].concat();
            (name.clone(), name)
        })
    }

    /// Mostly two names, sometimes one or three, and none that somebody else has.
    pub fn person(&mut self, random: &mut Stream) -> Result<Person> {
        let she = random.random_bool(0.5);
        let first = self.first_name(she, random)?;
        let words = random.random::<f64>();
        if words < 0.12 {
            let more = [pick(&VOWELS, random), pick(&MIDDLES, random), if she { "a" } else { "o" }].concat();
            let name = first.trim_end_matches(['a', 'e', 'i', 'o', 'u']).to_owned() + &more;
            return Ok(Person { name, aliases: Vec::new(), she });
        }
        let second = if words < 0.26 { Some(self.first_name(she, random)?) } else { None };
        let surname = self.surname(random)?;
        Ok(match second {
            None => Person { name: format!("{first} {surname}"), aliases: vec![surname], she },
            Some(second) => {
                let short = format!("{first} {surname}");
                Person { name: format!("{first} {second} {surname}"), aliases: vec![surname, short], she }
            }
        })
    }

    /// "the Korstad Guild"
    pub fn group(&mut self, random: &mut Stream) -> Result<String> {
        self.fresh("group", || {
            let place = [pick(&PLACES, random), pick(&PLACE_ENDS, random)].concat();
            (format!("the {place} {}", pick(&BODIES, random)), place)
        })
    }

    /// "the Korstad code"
    pub fn code(&mut self, random: &mut Stream) -> Result<String> {
        self.fresh("code", || {
            let name = format!("the {}{} code", pick(&PLACES, random), pick(&PLACE_ENDS, random));
            (name.clone(), name)
        })
    }

    /// "the Silent Lighthouse": of the given kinds of things, with words that none of the `beside` has.
    pub fn thing(&mut self, nouns: &[&str], beside: &[String], random: &mut Stream) -> Result<String> {
        for _ in 0..TRIES {
            let (adjective, noun) = (pick(&ADJECTIVES, random), pick(nouns, random));
            let near = |other: &String| other.split(' ').any(|word| word == adjective || word == noun);
            // There are fewer kinds of things than members of a large group.
            let crowded = beside.len() >= nouns.len();
            if !crowded && beside.iter().any(near) {
                continue;
            }
            let thing = format!("the {adjective} {noun}");
            if self.used.insert(thing.clone()) {
                return Ok(thing);
            }
        }
        Err(Error::invalid("world.english", "there are too few names of things", "make the sets smaller"))
    }

    /// "the baker who crossed the salt plain on stilts"
    pub fn description(&mut self, roles: &[&str], feats: &[&str], random: &mut Stream) -> Result<String> {
        self.fresh("description", || {
            let text = format!("the {} who {}", pick(roles, random), pick(feats, random));
            (text.clone(), text)
        })
    }

    /// A kind of things, one of them: "blickob", of which there are "blickobs".
    pub fn term(&mut self, random: &mut Stream) -> Result<String> {
        self.fresh("term", || {
            let start = [pick(&TERM_ONSETS, random), pick(&VOWELS, random), pick(&TERM_MIDDLES, random)].concat();
            (start.clone() + pick(&TERM_ENDS, random), start)
        })
    }
}

/// One of several.
pub fn pick<'a>(from: &[&'a str], random: &mut Stream) -> &'a str {
    from.choose(random).copied().unwrap_or_default()
}

/// "Ana Lo, Bo Tarn and Cid", or with another word before the last.
pub fn listed<T: AsRef<str>>(names: &[T], and: &str) -> String {
    let (Some(last), rest) = (names.last(), &names[..names.len().saturating_sub(1)]) else { return String::new() };
    if rest.is_empty() {
        return last.as_ref().to_owned();
    }
    let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
    format!("{} {and} {}", rest.join(", "), last.as_ref())
}

/// "an architect"
pub fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A small number in a word.
pub fn in_words(number: usize) -> String {
    const WORDS: [&str; 13] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    WORDS.get(number).map_or_else(|| number.to_string(), |word| (*word).to_owned())
}
