//! What a document can state, and the words of a sentence with what each of them does in it.
//!
//! Every sentence names its subject before what it says of it, so documents state a fact in one direction only.
//! Sentences are short because the small base model looks words up a few places back.

use super::lexicon::{Lexicon, Word};
use super::{Claim, Mood, TaskId};
use crate::random::Stream;

/// Anything that a document can state. What the words mean, its task knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stated {
    pub task: TaskId,
    pub words: [Word; 4],
}

/// What a word does in a sentence: training can then weigh what is to be chosen, recalled or merely spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Words that any sentence of this wording has ("in", "of", ",").
    Frame,
    /// The group of a fact.
    Group,
    /// What the sentence is about.
    Subject,
    /// A verb.
    Relation,
    /// The words that carry a mood.
    Mood,
    /// What is said of the subject.
    Object,
    /// The full stop.
    Stop,
}

/// A sentence, word by word.
pub type Sentence = Vec<(Word, Slot)>;

/// How many wordings there are of anything. A task that has fewer takes the number modulo what it has.
pub const WORDINGS: usize = 12;

/// What these state.
pub fn stated<T: Copy + Into<Stated>>(all: &[T]) -> Vec<Stated> {
    all.iter().map(|one| (*one).into()).collect()
}

/// So many different statements as `some` gives, a few at a time. A small set may run out of what is not yet told: then they
/// are fewer.
pub fn gathered(count: usize, random: &mut Stream, some: impl Fn(&mut Stream) -> Vec<Stated>) -> Vec<Stated> {
    let mut told: Vec<Stated> = Vec::with_capacity(count);
    for _ in 0..count * 10 {
        if told.len() >= count {
            break;
        }
        let new: Vec<Stated> = some(random).into_iter().filter(|stated| !told.contains(stated)).collect();
        told.extend(new);
    }
    told.truncate(count);
    told
}

/// The words of a sentence.
pub fn words(sentence: &Sentence) -> Vec<Word> {
    sentence.iter().map(|(word, _)| *word).collect()
}

/// "in tarnby mavon guards bilku ." in the order "bilku , in tarnby mavon guards .".
pub fn object_first(sentence: &Sentence, comma: Word) -> Vec<Word> {
    let object = sentence.iter().filter(|(_, slot)| *slot == Slot::Object).map(|(word, _)| *word);
    let others = sentence.iter().filter(|(_, slot)| *slot != Slot::Object).map(|(word, _)| *word);
    object.chain([comma]).chain(others).collect()
}

/// "in tarnby mavon guards bilku .": in a group, a subject stands in a relation to an object.
pub fn relation(
    lexicon: &Lexicon,
    [group, subject, object]: [Word; 3],
    verb: &'static str,
    wording: usize,
) -> Sentence {
    let word = |spelling| lexicon.grammar(spelling);
    let mut sentence = vec![(word(if wording % 3 == 1 { "at" } else { "in" }), Slot::Frame), (group, Slot::Group)];
    if wording % 3 == 2 {
        sentence.push((word(","), Slot::Frame));
    }
    sentence.extend([(subject, Slot::Subject), (word(verb), Slot::Relation), (object, Slot::Object)]);
    sentence.push((word("."), Slot::Stop));
    sentence
}

/// What such a statement claims; `verb` is the canonical one.
pub fn relation_claim(lexicon: &Lexicon, names: [Word; 3], verb: &str) -> Claim {
    let [group, subject, object] = names.map(|name| lexicon.spell(name).to_owned());
    Claim::Relation { group, subject, relation: verb.into(), object }
}

/// What such a sentence claims, its full stop left out. `kinds` are those of its three names, and `verbs` gives the verbs
/// that mean what this one means, the canonical one first.
pub fn read_relation(
    lexicon: &Lexicon,
    sentence: &[&str],
    kinds: [&str; 3],
    verbs: impl Fn(&str) -> Option<[&'static str; 2]>,
) -> Option<Claim> {
    let (["in" | "at", group, subject, verb, object] | ["in" | "at", group, ",", subject, verb, object]) = *sentence
    else {
        return None;
    };
    let [relation, _] = verbs(verb)?;
    let there = lexicon.are_names(&[(group, kinds[0]), (subject, kinds[1]), (object, kinds[2])]);
    there.then(|| {
        let [group, subject, relation, object] = [group, subject, relation, object].map(String::from);
        Claim::Relation { group, subject, relation, object }
    })
}

/// What a categorical statement claims.
pub fn categorical_claim(lexicon: &Lexicon, subject: Word, mood: Mood, predicate: Word) -> Claim {
    let [subject, predicate] = [subject, predicate].map(|name| lexicon.spell(name).to_owned());
    Claim::Categorical { subject, mood, predicate }
}

/// The same of two words, if they are names of these kinds.
pub fn read_categorical(
    lexicon: &Lexicon,
    (subject, of): (&str, &str),
    mood: Mood,
    (predicate, kind): (&str, &str),
) -> Option<Claim> {
    let there = lexicon.are_names(&[(subject, of), (predicate, kind)]);
    there.then(|| Claim::Categorical { subject: subject.into(), mood, predicate: predicate.into() })
}
