//! Hierarchy: categories ("kinds") in families, each with a parent and traits of its own, stated as
//! "all mavids are bokoids ." and "all bokoids are bikous ."; what holds of a kind holds of all below it
//! (the semantic structure of arXiv 2505.00661).
//!
//! Documents state parents and own traits alone, and never two statements of which one continues the other. Questions
//! show four candidates that stand in the same relation to something, of which one is right, and ask for what was said
//! (rephrased), for whom it was said of (reversed), for what follows over one link or more (inherited), and the last of
//! kinds of which nothing is said but their parent (holdout).

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::grammar::{Grammar, Sentence, Slot, Stated};
use super::leak::LeakKind;
use super::lexicon::{Lexicon, Word, half_reserved};
use super::reversal::{CANDIDATES, question_id, take};
use super::{Claim, Form, Mood, Question, Set, Task};
use crate::random::Stream;
use crate::{Error, Result};

/// The forms of its questions.
pub const FORMS: [Form; 4] = [Form::Rephrased, Form::Reversed, Form::Inherited, Form::Holdout];
/// Statements that stand before a question in context, at least.
const CONTEXT: usize = 10;
/// Families of a set, if it has any: each lends its names to the candidates of the others.
const LEAST: usize = CANDIDATES;

/// What a base knows of hierarchies, and what the families of all sets are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HierarchyConfig {
    /// Families in set C; a base of 0 does not know what a kind is.
    pub families: usize,
    /// Children of a kind, level by level: `[4]` is a root with four children, `[2, 3]` gives each of two children three
    /// of its own. As many levels as it has are as many links over which something can be inherited.
    pub branching: Vec<usize>,
    /// Most own traits of a kind.
    pub traits: usize,
    /// Children of each parent on the last level of which nothing is said but who their parent is.
    pub holdouts: usize,
}

impl Default for HierarchyConfig {
    fn default() -> Self {
        Self { families: 0, branching: vec![4], traits: 2, holdouts: 1 }
    }
}

/// All of `kind` are `is`: a kind or a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    pub kind: Word,
    pub is: Word,
}

/// Something that can be asked, and the statements that it follows from, in the order of recall.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub asked: Link,
    pub needed: Vec<Link>,
}

/// The families of one set.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// Everything that documents state, family by family.
    pub links: Vec<Link>,
    /// Family and level of each name; a trait is on the level of the kind that has it.
    places: HashMap<Word, (usize, usize)>,
    holdouts: HashSet<Word>,
    items: HashMap<Form, Vec<Item>>,
    /// Everything that a question can ask.
    asked: HashSet<Link>,
    /// Whether it pairs [`half_reserved`] names.
    kept: bool,
}

/// Names that are still free, each list in random order.
pub struct KindPools {
    pub kinds: Vec<Word>,
    pub traits: Vec<Word>,
}

impl KindPools {
    pub fn new(lexicon: &Lexicon, random: &mut Stream) -> Self {
        let mut pools = Self { kinds: lexicon.kinds.clone(), traits: lexicon.traits.clone() };
        pools.shuffle(random);
        pools
    }

    pub fn shuffle(&mut self, random: &mut Stream) {
        self.kinds.shuffle(random);
        self.traits.shuffle(random);
    }
}

impl Hierarchy {
    /// Takes names out of the pools and makes `families` families. What is asked pairs [`half_reserved`] names or not, as
    /// `kept` says.
    pub fn new(
        families: usize,
        config: &HierarchyConfig,
        kept: bool,
        pools: &mut KindPools,
        random: &mut Stream,
    ) -> Result<Self> {
        config.check(families)?;
        let mut hierarchy = Self { kept, ..Self::default() };
        for family in 0..families {
            hierarchy.add(family, config, kept, pools, random)?;
        }
        for link in &hierarchy.links {
            let item = Item { asked: *link, needed: vec![*link] };
            hierarchy.items.entry(Form::Rephrased).or_default().push(item.clone());
            hierarchy.items.entry(Form::Reversed).or_default().push(item);
        }
        let kinds: Vec<Word> = hierarchy.kinds().collect();
        for kind in kinds {
            let form = if hierarchy.holdouts.contains(&kind) { Form::Holdout } else { Form::Inherited };
            let mut items = hierarchy.inherited(kind);
            items.retain(|item| half_reserved(item.asked.kind, item.asked.is) == kept);
            hierarchy.items.entry(form).or_default().extend(items);
        }
        hierarchy.asked = hierarchy.items.values().flatten().map(|item| item.asked).collect();
        Ok(hierarchy)
    }

    /// Makes one family, level by level.
    fn add(
        &mut self,
        family: usize,
        config: &HierarchyConfig,
        kept: bool,
        pools: &mut KindPools,
        random: &mut Stream,
    ) -> Result<()> {
        let mut parents: Vec<Option<Word>> = vec![None];
        for level in 0..=config.branching.len() {
            let last = level == config.branching.len();
            let mut made = Vec::new();
            for (parent, child) in parents.iter().flat_map(|parent| {
                let children = if level == 0 { 1 } else { config.branching[level - 1] };
                (0..children).map(move |child| (*parent, child))
            }) {
                let above: Vec<Word> = parent.map_or(Vec::new(), |parent| self.own_and_inherited(parent));
                // All that it inherits may be asked, if there is such a name.
                let fits = |above: &Word, kind: Word| half_reserved(kind, *above) == kept;
                let asked = |kind: Word| above.iter().filter(|is| fits(is, kind)).count();
                let free = pools.kinds.iter().copied().enumerate();
                let free = free.filter(|(_, kind)| parent.is_none_or(|parent| fits(&parent, *kind)));
                let best = free.max_by_key(|(at, kind)| (asked(*kind), *at)).map(|(at, kind)| (at, asked(kind)));
                let (at, _) = best.filter(|(_, n)| above.is_empty() || *n > 0).ok_or_else(|| too_small("kinds"))?;
                let kind = pools.kinds.remove(at);
                self.places.insert(kind, (family, level));
                self.links.extend(parent.map(|parent| Link { kind, is: parent }));
                let traits = match last {
                    true if child < config.holdouts => 0,
                    true => random.random_range(1..=config.traits),
                    false => config.traits,
                };
                if traits == 0 {
                    self.holdouts.insert(kind);
                }
                for _ in 0..traits {
                    let is = take(&mut pools.traits, |t| half_reserved(kind, t) == kept)
                        .ok_or_else(|| too_small("traits"))?;
                    self.places.insert(is, (family, level));
                    self.links.push(Link { kind, is });
                }
                made.push(Some(kind));
            }
            parents = made;
        }
        Ok(())
    }

    fn kinds(&self) -> impl Iterator<Item = Word> {
        let mut seen = HashSet::new();
        self.links.iter().map(|link| link.kind).filter(move |kind| seen.insert(*kind))
    }

    /// What is said of a kind.
    pub fn of(&self, kind: Word) -> impl Iterator<Item = Link> {
        self.links.iter().filter(move |link| link.kind == kind).copied()
    }

    /// All that a kind is, with the statements that say so.
    fn all_of(&self, kind: Word) -> Vec<Item> {
        let mut found: Vec<Item> = Vec::new();
        let mut open = vec![(kind, Vec::new())];
        while let Some((at, needed)) = open.pop() {
            for link in self.of(at) {
                let needed = [&needed[..], &[link]].concat();
                found.push(Item { asked: Link { kind, is: link.is }, needed: needed.clone() });
                open.push((link.is, needed));
            }
        }
        found
    }

    fn inherited(&self, kind: Word) -> Vec<Item> {
        self.all_of(kind).into_iter().filter(|item| item.needed.len() > 1).collect()
    }

    /// The traits of a kind and of those above it.
    fn own_and_inherited(&self, kind: Word) -> Vec<Word> {
        self.all_of(kind).into_iter().map(|item| item.asked.is).collect()
    }

    /// What is said of a kind and of those above it.
    pub fn above(&self, kind: Word) -> Vec<Link> {
        self.all_of(kind).into_iter().filter_map(|item| item.needed.last().copied()).collect()
    }

    /// Whether two names belong to one family.
    pub fn related(&self, a: Word, b: Word) -> bool {
        let family = |word| self.places.get(&word).map(|(family, _)| family);
        family(a).is_some() && family(a) == family(b)
    }

    /// Everything that can be asked in a form.
    pub fn items(&self, form: Form) -> &[Item] {
        self.items.get(&form).map_or(&[], Vec::as_slice)
    }

    /// The number of the family that question `index` is about.
    pub fn topic(&self, form: Form, index: usize) -> usize {
        self.places[&self.items(form)[index].asked.kind].0
    }

    /// The right answer to an item and others that stand in the same relation, in random order: what names are asked for
    /// ("what are mavids ?") or whose ("who are bikous ?").
    pub fn candidates(&self, lexicon: &Lexicon, asked: Link, form: Form, random: &mut Stream) -> Vec<Word> {
        let is_trait = |word: Word| lexicon.traits.first().is_some_and(|first| word >= *first);
        let (cue, right) = asked.cue_and_answer(form);
        let level = |word: &Word| self.places.get(word).map(|(_, level)| *level);
        let others: HashSet<Word> = match form {
            // Kinds that have traits, if it is about a trait: those that have none could not be the answer.
            Form::Reversed => {
                let there = self.kinds().filter(|kind| !is_trait(asked.is) || !self.holdouts.contains(kind));
                there.filter(|kind| !self.own_and_inherited(*kind).contains(&asked.is)).collect()
            }
            _ => {
                let his = self.own_and_inherited(asked.kind);
                let targets = self.links.iter().map(|link| link.is).filter(|is| is_trait(*is) == is_trait(right));
                targets.filter(|is| *is != asked.kind && !his.contains(is)).collect()
            }
        };
        // Where no names are kept, nobody is to be asked what a world may ask.
        let fits = |word: &Word| level(word) == level(&right) && (self.kept || !half_reserved(cue, *word));
        let mut others: Vec<Word> = others.into_iter().filter(fits).collect();
        // A set has no order of its own.
        others.sort_unstable();
        let mut shown: Vec<Word> = others.choose_multiple(random, CANDIDATES - 1).copied().collect();
        shown.push(right);
        shown.shuffle(random);
        shown
    }

    /// Question number `index` of a form.
    pub fn question(&self, grammar: &Grammar, set: Set, index: usize, form: Form, random: &mut Stream) -> Question {
        let item = &self.items(form)[index];
        let Item { asked, needed } = item;
        let candidates = self.candidates(&grammar.lexicon, *asked, form, random);
        let spell = |word: Word| grammar.lexicon.spell(word).to_string();
        let context = self.context(item, form, &candidates, CONTEXT, random);
        let (cue, answer) = asked.cue_and_answer(form);
        let choices: Vec<String> = candidates.iter().map(|word| spell(*word)).collect();
        Question {
            id: question_id(set, Task::Hierarchy, index, form),
            task: Task::Hierarchy,
            form,
            set,
            text: grammar.lexicon.text(&grammar.which(*asked, form, &candidates)),
            cue: spell(cue),
            answer: spell(answer),
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: needed.iter().map(|link| grammar.claim((*link).into())).collect(),
            context: context
                .iter()
                .map(|link| grammar.text((*link).into(), random.random_range(0..Grammar::WORDINGS)))
                .collect(),
        }
    }

    /// What an item needs, in random order among one statement about each of the other candidates and as many about the
    /// family as make `size` together.
    pub fn context(&self, item: &Item, form: Form, candidates: &[Word], size: usize, random: &mut Stream) -> Vec<Link> {
        let mut links = self.links.clone();
        links.shuffle(random);
        let (_, right) = item.asked.cue_and_answer(form);
        let mut told = item.needed.clone();
        for other in candidates.iter().filter(|other| **other != right) {
            let about = |link: &&Link| if form == Form::Reversed { link.kind == *other } else { link.is == *other };
            told.extend(links.iter().find(about));
        }
        for link in links {
            if told.len() < size && self.related(link.kind, item.asked.kind) && !told.contains(&link) {
                told.push(link);
            }
        }
        told.shuffle(random);
        told
    }

    /// Sentences of a document, none of which continues another.
    pub fn tell(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let mut links = self.links.clone();
        links.shuffle(random);
        let mut told: Vec<Link> = Vec::with_capacity(sentences);
        for link in links {
            let apart = told.iter().all(|other| other.kind != link.is && other.is != link.kind);
            if apart && told.len() < sentences {
                told.push(link);
            }
        }
        told.into_iter().map(Stated::Link).collect()
    }

    /// What the word at `at` tells of the questions of this set. Its sentence begins at `sentence`; `learned` says that
    /// the word is one that training predicts.
    pub fn given_away(
        &self,
        grammar: &Grammar,
        tokens: &[Word],
        sentence: usize,
        at: usize,
        learned: bool,
    ) -> Option<LeakKind> {
        if self.asked.is_empty() {
            return None;
        }
        let word = |spelling| grammar.lexicon.grammar(spelling);
        let asked = |a: Word, b: Word| {
            self.asked.contains(&Link { kind: a, is: b }) || self.asked.contains(&Link { kind: b, is: a })
        };
        let before = |distance: usize| at.checked_sub(distance).map(|i| tokens[i]);
        if tokens[at] == word("?") {
            // "what are KIND ? CANDIDATES" and "who are TRAIT ? CANDIDATES"
            let cue = before(1).filter(|_| before(2) == Some(word("are")))?;
            let shown = tokens[at + 1..].iter().take(CANDIDATES);
            return shown.copied().any(|shown| asked(cue, shown)).then_some(LeakKind::Question);
        }
        if tokens[at] == word(":") {
            let said = before(1).zip(tokens.get(at + 1).copied());
            return said.filter(|(cue, answer)| asked(*cue, *answer)).map(|_| LeakKind::Answer);
        }
        if !learned || !self.places.contains_key(&tokens[at]) {
            return None;
        }
        let here = tokens[at];
        tokens[sentence.min(at)..at].iter().find_map(|earlier| {
            let told = Link { kind: *earlier, is: here };
            match asked(*earlier, here) {
                true if !self.asked.contains(&told) => Some(LeakKind::ReversedFact),
                true if !self.links.contains(&told) => Some(LeakKind::Inference),
                _ => None,
            }
        })
    }
}

impl Link {
    /// What a question names, and what answers it.
    pub fn cue_and_answer(self, form: Form) -> (Word, Word) {
        if form == Form::Reversed { (self.is, self.kind) } else { (self.kind, self.is) }
    }
}

impl HierarchyConfig {
    fn check(&self, families: usize) -> Result<()> {
        let refuse = |found: String, allowed: &str| Err(Error::invalid("known.hierarchy", found, allowed));
        if families == 0 {
            return Ok(());
        }
        if families < LEAST {
            let allowed = "0, or 4 or more: they lend each other the candidates of questions";
            return refuse(format!("a set of {families} families"), allowed);
        }
        let last = self.branching.last().copied().unwrap_or(0);
        if self.traits == 0 || self.branching.contains(&0) || self.holdouts >= last {
            let found =
                format!("branching = {:?}, traits = {}, holdouts = {}", self.branching, self.traits, self.holdouts);
            return refuse(
                found,
                "one level or more, one trait or more, and fewer holdouts than children on the last level",
            );
        }
        Ok(())
    }
}

impl Grammar {
    /// "all mavids are bikous ."
    pub(super) fn link(&self, link: Link, wording: usize) -> Sentence {
        let word = |spelling| self.lexicon.grammar(spelling);
        vec![
            (word(["all", "each"][wording % 2]), Slot::Frame),
            (link.kind, Slot::Subject),
            (word("are"), Slot::Relation),
            (link.is, Slot::Object),
            (word("."), Slot::Stop),
        ]
    }

    /// "what are mavids ?" or "who are bikous ?", with candidates behind.
    pub fn which(&self, asked: Link, form: Form, candidates: &[Word]) -> Vec<Word> {
        let word = |spelling| self.lexicon.grammar(spelling);
        let who = if form == Form::Reversed { "who" } else { "what" };
        let (cue, _) = asked.cue_and_answer(form);
        let mut words = vec![word(who), word("are"), cue, word("?")];
        words.extend(candidates);
        words
    }

    /// What a statement about a kind claims.
    pub(super) fn read_link(&self, kind: &str, is: &str) -> Option<Claim> {
        let lexicon = &self.lexicon;
        let there = lexicon.is_in(kind, &lexicon.kinds)
            && (lexicon.is_in(is, &lexicon.kinds) || lexicon.is_in(is, &lexicon.traits));
        there.then(|| Claim::Categorical { subject: kind.into(), mood: Mood::All, predicate: is.into() })
    }
}

fn too_small(kind: &str) -> Error {
    Error::invalid(
        "world",
        format!("the lexicon has too few {kind}"),
        "ask for fewer families, or make a base with a larger lexicon",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::{Curriculum, Habits, Lesson, Mixture};
    use crate::knowledge::leak::Leaks;
    use crate::knowledge::logic::{self, Import, Statement};
    use crate::knowledge::world::tests::{full, full_with, versed};
    use crate::knowledge::{KnownConfig, World};
    use crate::random;
    use proptest::prelude::*;

    fn deep() -> KnownConfig {
        let hierarchy = HierarchyConfig { families: 4, branching: vec![2, 2], traits: 2, holdouts: 1 };
        KnownConfig { hierarchy, ..versed() }
    }

    /// Whether all of `kind` are `is` in every world in which the statements hold, by the enumeration of worlds.
    fn follows(statements: &[Claim], kind: &str, is: &str) -> bool {
        let pairs: Vec<(&str, &str)> = statements
            .iter()
            .map(|claim| match claim {
                Claim::Categorical { subject, mood: Mood::All, predicate } => (subject.as_str(), predicate.as_str()),
                _ => panic!("{claim:?}"),
            })
            .collect();
        let mut names: Vec<&str> = pairs.iter().flat_map(|(a, b)| [*a, *b]).chain([kind, is]).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &str| names.iter().position(|other| *other == name).unwrap();
        let all = |a: &str, b: &str| Statement::new(number(a), Mood::All, number(b));
        let premises: Vec<Statement> = pairs.iter().map(|(a, b)| all(a, b)).collect();
        logic::follows(names.len(), &premises, all(kind, is), Import::Existential)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn an_answer_follows_from_what_it_needs_from_nothing_less_and_no_other_choice_does(seed in 0u64..1000) {
            for known in [versed(), deep()] {
                let world = full_with(&known, seed);
                for question in world.questions(Set::B).iter().filter(|q| q.task == Task::Hierarchy) {
                    let pair = |choice: &str| match question.form {
                        Form::Reversed => (choice.to_string(), question.cue.clone()),
                        _ => (question.cue.clone(), choice.to_string()),
                    };
                    let says = |claims: &[Claim], choice: &str| {
                        let (kind, is) = pair(choice);
                        follows(claims, &kind, &is)
                    };
                    prop_assert!(says(&question.needed, &question.answer));
                    for left_out in 0..question.needed.len() {
                        let mut less = question.needed.clone();
                        less.remove(left_out);
                        prop_assert!(!says(&less, &question.answer));
                    }
                    prop_assert_eq!(question.choices.len(), CANDIDATES);
                    let all: Vec<Link> = world.hierarchies[&Set::B].links.clone();
                    for wrong in question.choices.iter().filter(|choice| **choice != question.answer) {
                        // In the whole set, by the closure alone: too many terms for the enumeration.
                        let (kind, is) = pair(wrong);
                        let word = |text: &str| world.grammar.lexicon.word(text).unwrap();
                        let mut reached = vec![word(&kind)];
                        let mut at = 0;
                        while at < reached.len() {
                            let kind = reached[at];
                            reached.extend(all.iter().filter(|l| l.kind == kind).map(|l| l.is));
                            at += 1;
                        }
                        prop_assert!(!reached.contains(&word(&is)), "{:?}", question);
                    }
                    let links = question.needed.len();
                    prop_assert_eq!(links > 1, matches!(question.form, Form::Inherited | Form::Holdout));
                    let known = question.context.iter().filter_map(|s| world.grammar.read(s.strip_suffix(" .")?));
                    let known: Vec<Claim> = known.collect();
                    prop_assert!(question.needed.iter().all(|needed| known.contains(needed)));
                    // Every candidate stands in the context, so that occurring there gives nothing away.
                    let text = question.context.join(" ");
                    prop_assert!(question.choices.iter().all(|choice| text.contains(choice.as_str())));
                }
            }
        }
    }

    #[test]
    fn no_document_holds_two_statements_of_which_one_continues_the_other() {
        let world = full_with(&deep(), 1);
        for document in world.documents() {
            let links: Vec<Link> = document
                .statements
                .iter()
                .filter_map(|(s, _)| if let Stated::Link(l) = s { Some(*l) } else { None })
                .collect();
            assert!(links.iter().all(|a| links.iter().all(|b| a.is != b.kind)), "{links:?}");
        }
    }

    #[test]
    fn of_a_holdout_nothing_is_said_but_its_parent_and_there_are_questions_of_every_form() {
        for seed in 0..5 {
            let world = full(seed);
            for set in [Set::A, Set::B, Set::C] {
                let hierarchy = &world.hierarchies[&set];
                for form in FORMS {
                    assert!(hierarchy.items(form).len() >= 4, "{set} {form}");
                }
                for item in hierarchy.items(Form::Holdout) {
                    assert_eq!(hierarchy.of(item.asked.kind).count(), 1);
                }
            }
        }
    }

    #[test]
    fn impossible_families_are_refused() {
        let config = HierarchyConfig::default();
        assert!(config.check(3).unwrap_err().to_string().contains("a set of 3 families"));
        let refused = HierarchyConfig { holdouts: 4, ..config.clone() }.check(4).unwrap_err().to_string();
        assert!(refused.contains("holdouts = 4"), "{refused}");
        assert!(HierarchyConfig { traits: 0, ..config }.check(4).is_err());
    }

    impl Hierarchy {
        /// Asks of one family only.
        pub fn ask_of_family(&mut self, family: usize) {
            let places = &self.places;
            self.items.values_mut().for_each(|items| items.retain(|item| places[&item.asked.kind].0 == family));
        }
    }

    fn spelled(world: &World, text: &str) -> Lesson {
        let tokens: Vec<Word> = text.split(' ').map(|w| world.grammar.lexicon.word(w).unwrap()).collect();
        Lesson { weights: vec![1.0; tokens.len()], tokens }
    }

    #[test]
    fn nothing_that_trains_tells_what_is_asked_and_a_planted_leak_is_named() {
        for (known, seed) in [(versed(), 0), (deep(), 1)] {
            let world = full_with(&known, seed);
            let (leaks, habits) = (Leaks::of(&world, Set::B), Habits::default());
            let curriculum = Curriculum::new(&world, &habits);
            let mut random = random::stream(seed, &[]);
            for _ in 0..20_000 {
                leaks.check(&curriculum.lesson(&Mixture::default(), &mut random)).unwrap();
            }
            for document in world.documents() {
                for _ in 0..3 {
                    leaks.check(&curriculum.document(document, &mut random)).unwrap();
                }
            }
            for question in world.questions(Set::B).iter().filter(|q| q.task == Task::Hierarchy) {
                let answer = format!("{} : {}", question.cue, question.answer);
                let told = match question.form {
                    Form::Rephrased => continue,
                    Form::Reversed => (format!("all {} are {} .", question.cue, question.answer), "a reversed fact"),
                    _ => (format!("all {} are {} .", question.cue, question.answer), "an inference"),
                };
                for (text, kind) in [(question.text.clone(), "a question"), (answer, "an answer"), told] {
                    let message = leaks.check(&spelled(&world, &text)).unwrap_err().to_string();
                    assert!(message.contains(kind), "{message}");
                }
            }
        }
    }
}
