//! Syllogisms: premises that share terms are stated in separate documents; a question asks whether a conclusion
//! about the two end terms follows from them.
//!
//! **Balance.** Chains come in *squares*: two choices for the first premise, two for the last, and one conclusion,
//! such that the conclusion (or its contradictory) follows on one diagonal and neither follows on the other. So
//! given the question and either premise alone, "unknown" is right exactly half the time: both premises are
//! needed, and chance is 1/2. Asking the contradictory conclusion as often as the conclusion balances "yes" and
//! "no". One half is the lowest chance there is: a negative premise together with the question always tells which
//! of "yes" and "no" is impossible.

mod squares;

use std::any::Any;

use super::prelude::*;
pub use squares::{ChainShape, SQUARE, made_up_shape, square};

pub const SYLLOGISM: TaskId = &TaskInfo { number: 1, name: "syllogism", plural: "chains", free_text: false };

/// A conclusion is shown: does it follow, does its contradiction follow, or neither?
pub const ENTAILMENT: Form =
    &FormInfo { task: SYLLOGISM, number: 3, name: "entailment", title: "does it follow?", asks_subject: false };

/// A categorical statement about two terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Premise {
    pub subject: Word,
    pub mood: Mood,
    pub predicate: Word,
}

/// Terms in a line, premises between neighbours, and the conclusion about the two ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    pub terms: Vec<Word>,
    pub premises: Vec<Statement>,
    /// Its mood is one of two that are asked: this one and the contradictory.
    pub conclusion: Statement,
    pub import: Import,
}

/// The chains of one set.
#[derive(Clone, Debug)]
pub struct Syllogisms {
    pub chains: Vec<Chain>,
    /// End terms of each chain.
    ends: HashSet<(Word, Word)>,
}

impl From<Premise> for Stated {
    fn from(Premise { subject, mood, predicate }: Premise) -> Self {
        Stated { task: SYLLOGISM, words: [subject, mood as Word, predicate, 0] }
    }
}

impl From<[Word; 4]> for Premise {
    fn from([subject, mood, predicate, _]: [Word; 4]) -> Self {
        Premise { subject, mood: Mood::ALL[mood as usize % Mood::ALL.len()], predicate }
    }
}

impl Chain {
    pub fn premise(&self, index: usize) -> Premise {
        self.state(self.premises[index])
    }

    pub fn state(&self, statement: Statement) -> Premise {
        let Statement { subject, mood, predicate } = statement;
        Premise { subject: self.terms[subject], mood, predicate: self.terms[predicate] }
    }

    /// What the premises say of the conclusion or of its contradictory.
    pub fn verdict(&self, contradictory: bool) -> Verdict {
        let verdict = verdict(self.terms.len(), &self.premises, self.asked(contradictory), self.import);
        // Premises in a line never contradict each other.
        verdict.unwrap_or(Verdict::Unknown)
    }

    /// Its premises as statements.
    pub fn stated(&self) -> impl Iterator<Item = Stated> {
        (0..self.premises.len()).map(|index| self.premise(index).into())
    }

    fn any_premise(&self, random: &mut Stream) -> Stated {
        self.premise(random.random_range(0..self.premises.len())).into()
    }

    pub fn asked(&self, contradictory: bool) -> Statement {
        if contradictory { self.conclusion.contradictory() } else { self.conclusion }
    }

    /// The premises in an order in which each one's subject is an end term or was named before: the order in which they can
    /// be recalled from the question, and always the one that begins with the first term of it. Of two that may come in
    /// either order a small model says the one that it began with again, because it hardly sees which one that was.
    pub fn recall_order(&self) -> Vec<usize> {
        let forward = self.premises.iter().take_while(|p| p.subject < p.predicate).count();
        (0..forward).chain((forward..self.premises.len()).rev()).collect()
    }
}

/// The task.
pub struct Syllogism;

impl Task for Syllogism {
    fn id(&self) -> TaskId {
        SYLLOGISM
    }

    fn forms(&self) -> &'static [Form] {
        &[ENTAILMENT]
    }

    /// "unknown" follows where the claims lead from one end term to the other and decide neither way; silence grounds
    /// nothing.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, facts: &dyn Facts) -> Option<String> {
        let asked = facts.read(&format!("{} .", question.cue))?;
        decided(categorical(&asked)?, claims, facts.import()).map(|verdict| verdict.word().into())
    }
}

impl GeneratedTask for Syllogism {
    fn is_core(&self) -> bool {
        true
    }

    fn size(&self, set: &SetSize) -> (String, usize) {
        ("chains".into(), set.chains)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.chains
    }

    fn check_known(&self, known: &KnownConfig) -> Result<()> {
        multiple("known.chains", known.chains, SQUARE)
    }

    fn check_size(&self, key: &str, size: usize, _: &KnownConfig) -> Result<()> {
        multiple(key, size, SQUARE)
    }

    fn vocabulary(&self) -> Vocabulary {
        const TERMS: NameKind = NameKind {
            kind: "terms",
            most: 800,
            spell: |r| {
                syllable(r) + one_of(r, &["b", "d", "g", "k", "p", "t", "v", "z"]) + one_of(r, &["s", "os", "es"])
            },
        };
        Vocabulary { words: &[], names: &[TERMS] }
    }

    fn stream(&self) -> u64 {
        2
    }

    /// Whole squares, with numbers of premises drawn from those that the base knows. The end terms are a [`reserved`] pair
    /// or not, as the maker says.
    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        let (known, none) = (maker.known, |found: &str| too_few(found, "chains"));
        let mut chains = Vec::new();
        while chains.len() < size {
            let length = *known.premises.choose(maker.random).ok_or_else(|| none("no length of chains is given"))?;
            for ChainShape { premises, conclusion } in square(length, known.import, maker.random)? {
                let terms = end_terms(length + 1, maker.reserved, maker.pools.of("terms"));
                let terms = terms.ok_or_else(|| none("the lexicon has too few terms"))?;
                chains.push(Chain { terms, premises, conclusion, import: known.import });
            }
        }
        let ends = chains.iter().map(|c| (c.terms[0], c.terms[c.terms.len() - 1])).collect();
        Ok(Arc::new(Syllogisms { chains, ends }))
    }

    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let mut sentence = vec![(lexicon.grammar(["of", "among"][wording % 2]), Slot::Frame)];
        sentence.extend(predication(lexicon, stated.into(), wording / 2));
        sentence.push((lexicon.grammar("."), Slot::Stop));
        sentence
    }

    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim {
        let Premise { subject, mood, predicate } = stated.into();
        categorical_claim(lexicon, subject, mood, predicate)
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        let ["of" | "among", subject, quantifier, copula, predicate] = *sentence else { return None };
        let mood = match (quantifier, copula) {
            ("all" | "each", "are") => Mood::All,
            ("none", "are") => Mood::No,
            ("some" | "several", "are") => Mood::Some,
            ("some" | "several", "aren't") => Mood::SomeNot,
            _ => return None,
        };
        read_categorical(lexicon, (subject, "terms"), mood, (predicate, "terms"))
    }

    /// The converse, where there is one.
    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Vec<Word> {
        let [subject, _, predicate, _] = stated;
        let converse = match Premise::from(stated).mood {
            // All vops are mibs, so some mibs are vops: there are vops.
            Mood::All | Mood::Some => Some(Mood::Some),
            Mood::No => Some(Mood::No),
            Mood::SomeNot => None,
        };
        let turned = converse.map_or(stated, |mood| [predicate, mood as Word, subject, 0]);
        words(&self.sentence(lexicon, turned, wording))
    }
}

impl Syllogisms {
    /// The chain of question number `index`, and whether it asks for the contradictory of its conclusion.
    pub fn asked(&self, index: usize) -> (&Chain, bool) {
        (&self.chains[index / 2], index % 2 == 1)
    }

    /// Whether "FIRST QUANTIFIER are LAST" of one of its questions stands before a mark. Stray words of a document may have two
    /// such terms in these places by chance (that was met in one of a few dozen runs); with the verb between them they hardly do.
    fn concludes(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        let verbs = ["are", "aren't"].map(|verb| Some(lexicon.grammar(verb)));
        let ends = mark.before(4).zip(mark.before(1));
        verbs.contains(&mark.before(2)) && ends.is_some_and(|ends| self.ends.contains(&ends))
    }
}

impl TaskData for Syllogisms {
    fn statements(&self) -> Vec<Stated> {
        self.chains.iter().flat_map(Chain::stated).collect()
    }

    /// Premises are stated twice as often as facts, because they are harder to remember.
    fn weight(&self) -> usize {
        self.chains.iter().map(|c| 2 * c.premises.len()).sum()
    }

    /// Never two premises of one chain.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        self.chains.choose_multiple(random, sentences).map(|chain| chain.any_premise(random)).collect()
    }

    fn any_statement(&self, random: &mut Stream) -> Stated {
        self.chains[random.random_range(0..self.chains.len())].any_premise(random)
    }

    fn questions_of(&self, _: Form) -> usize {
        2 * self.chains.len()
    }

    /// The square of the chain: only whole squares are balanced.
    fn topic(&self, _: Form, index: usize) -> usize {
        index / (2 * SQUARE)
    }

    /// The question about a chain, or about the contradictory of its conclusion.
    fn question(&self, lexicon: &Lexicon, _: Form, index: usize, random: &mut Stream) -> QuestionDraft {
        let (chain, contradictory) = self.asked(index);
        let needed: Vec<Stated> = chain.stated().collect();
        let mut context = needed.clone();
        if let Some(other) = self.chains.choose(random).filter(|other| *other != chain) {
            context.extend(other.stated());
        }
        context.shuffle(random);
        let choices = ["yes", "no", "unknown"].map(String::from).to_vec();
        QuestionDraft { choices, chance: 0.5, context, ..does_it_follow(lexicon, chain, contradictory, needed) }
    }

    fn lesson_question(&self, lexicon: &Lexicon, cot_style: &CotStyle, random: &mut Stream) -> QuestionDraft {
        lesson_question(lexicon, cot_style, &self.chains[random.random_range(0..self.chains.len())], random)
    }

    /// "… that of FIRST QUANTIFIER are LAST ?"
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        self.concludes(lexicon, mark)
    }

    /// "of FIRST QUANTIFIER are LAST : VERDICT"
    fn answers(&self, lexicon: &Lexicon, colon: &TrainingWord) -> bool {
        self.concludes(lexicon, colon)
    }

    fn shortcuts(&self, fit: &dyn TaskData, tried: &Tried) -> Vec<(&'static str, Guesses)> {
        let Some(fit) = (fit as &dyn Any).downcast_ref::<Syllogisms>() else { return Vec::new() };
        let rules: [(&'static str, Look); 5] = [
            ("majority answer", |_, _, _| (0, None)),
            ("conclusion alone", |_, mood, _| (mood, None)),
            ("first premise alone", |chain, mood, _| (mood, chain.premises.first().map(shape_of))),
            ("last premise alone", |chain, mood, _| (mood, chain.premises.last().map(shape_of))),
            ("end terms in one document", |_, _, together| (together.into(), None)),
        ];
        rules.map(|(rule, look)| (rule, self.learned(fit, look, tried))).into()
    }
}

/// What a rule looks at of a chain, the mood that is asked, and whether its end terms stand in one document.
type Look = fn(&Chain, usize, bool) -> (usize, Option<(Mood, bool)>);

fn shape_of(premise: &Statement) -> (Mood, bool) {
    (premise.mood, premise.subject < premise.predicate)
}

impl Syllogisms {
    /// The answer that was most common on A among questions that look the same to the rule.
    fn learned(&self, fit: &Syllogisms, look: Look, tried: &Tried) -> Guesses {
        let key = |data: &Syllogisms, (index, question): (usize, &Question)| {
            let (chain, contradictory) = data.asked(index);
            // "of FIRST QUANTIFIER are LAST"
            let ends = question.cue.split(' ').nth(1).zip(question.cue.split(' ').next_back());
            let together = ends.is_some_and(|(first, last)| tried.words.shared(first, last) > 0);
            look(chain, chain.asked(contradictory).mood as usize, together)
        };
        let mut counts: HashMap<_, Vec<&str>> = HashMap::new();
        for asked in tried.fit.iter().enumerate() {
            counts.entry(key(fit, asked)).or_default().push(&asked.1.answer);
        }
        let fallback = most_common(tried.fit.iter().map(|question| question.answer.as_str()));
        let answer = |asked| match counts.get(&key(self, asked)) {
            Some(seen) => most_common(seen.iter().copied()),
            None => fallback,
        };
        tried.test.iter().enumerate().map(|asked| answer(asked).map(String::from)).collect()
    }
}

fn end_terms(count: usize, kept: bool, pool: &mut Vec<Word>) -> Option<Vec<Word>> {
    let first = pool.pop()?;
    let at = pool.iter().rposition(|last| reserved(first, *last) == kept)?;
    let last = pool.remove(at);
    let mut terms = vec![first];
    for _ in 2..count {
        terms.push(pool.pop()?);
    }
    terms.push(last);
    Some(terms)
}

/// "vops all are mibs": a categorical statement without its frame.
fn predication(lexicon: &Lexicon, premise: Premise, wording: usize) -> Sentence {
    let (quantifiers, copula) = match premise.mood {
        Mood::All => (["all", "each"], "are"),
        Mood::No => (["none", "none"], "are"),
        Mood::Some => (["some", "several"], "are"),
        Mood::SomeNot => (["some", "several"], "aren't"),
    };
    vec![
        (premise.subject, Slot::Subject),
        (lexicon.grammar(quantifiers[wording % 2]), Slot::Mood),
        (lexicon.grammar(copula), Slot::Mood),
        (premise.predicate, Slot::Object),
    ]
}

/// "does it follow that of vops all are zeds ?"
fn does_it_follow(lexicon: &Lexicon, chain: &Chain, contradictory: bool, needed: Vec<Stated>) -> QuestionDraft {
    let conclusion = conclusion(lexicon, chain.state(chain.asked(contradictory)));
    let mut words: Vec<Word> = ["does", "it", "follow", "that"].map(|w| lexicon.grammar(w)).to_vec();
    words.extend(&conclusion);
    words.push(lexicon.grammar("?"));
    let answer = lexicon.grammar(chain.verdict(contradictory).word());
    QuestionDraft::new(words, conclusion, answer, needed)
}

/// "of vops all are zeds": the conclusion in its one wording, as questions and answers put it.
pub fn conclusion(lexicon: &Lexicon, asked: Premise) -> Vec<Word> {
    let mut conclusion = vec![lexicon.grammar("of")];
    conclusion.extend(words(&predication(lexicon, asked, 0)));
    conclusion
}

/// A question about a chain: its conclusion or, as often, the contradictory.
pub fn lesson_question(lexicon: &Lexicon, cot_style: &CotStyle, chain: &Chain, random: &mut Stream) -> QuestionDraft {
    let contradictory = random.random_bool(0.5);
    let needed = chain.recall_order().into_iter().map(|i| chain.premise(i).into()).collect();
    let draft = does_it_follow(lexicon, chain, contradictory, needed);
    QuestionDraft { share: cot_style.premise, context: chain.stated().collect(), ..draft }
}

/// `count` chains that share no term, about end terms that no world pairs.
pub fn made_up_chains(
    known: &KnownConfig,
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    count: usize,
    random: &mut Stream,
) -> Vec<Chain> {
    let mut used: Vec<Word> = Vec::new();
    (0..count)
        .map(|_| {
            let ChainShape { premises, conclusion } = made_up_shape(known, cot_style, random);
            let terms = loop {
                let terms = lexicon.names("terms").choose_multiple(random, premises.len() + 1);
                let terms: Vec<Word> = terms.copied().collect();
                let ends = reserved(terms[0], terms[premises.len()]);
                if !ends && !terms.iter().any(|t| used.contains(t)) {
                    break terms;
                }
            };
            used.extend(&terms);
            Chain { terms, premises, conclusion, import: known.import }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::TrainingSequence;
    use crate::knowledge::leak::Leaks;
    use crate::knowledge::world::tests::{full_with, versed};
    use crate::knowledge::{KnownConfig, Set};

    #[test]
    fn stray_words_are_no_question_and_no_answer() {
        let world = full_with(&versed(), 1);
        let (lexicon, leaks) = (&world.grammar.lexicon, Leaks::new(&world, Set::B));
        for chain in &world.data::<Syllogisms>(Set::B).chains {
            let [first, last] = [0, chain.terms.len() - 1].map(|at| lexicon.spell(chain.terms[at]));
            for mark in [":", "?"] {
                let found = |words: &str| {
                    let tokens: Vec<Word> = words.split(' ').map(|word| lexicon.word(word).unwrap()).collect();
                    leaks.find(&TrainingSequence { weights: vec![0.0; tokens.len()], tokens }).is_some()
                };
                assert!(found(&format!("of {first} none are {last} {mark} yes")), "{first} {last}");
                assert!(!found(&format!("{first} {first} guards {last} {mark} among")), "{first} {last}");
            }
        }
    }

    #[test]
    fn every_premise_can_be_recalled_from_what_was_named_before_it() {
        let world = full_with(&KnownConfig { premises: vec![2, 3], ..versed() }, 1);
        for chain in &world.data::<Syllogisms>(Set::A).chains {
            let mut named = vec![0, chain.terms.len() - 1];
            for index in chain.recall_order() {
                assert!(named.contains(&chain.premises[index].subject), "{chain:?}");
                named.push(chain.premises[index].predicate);
            }
            assert!(reserved(chain.terms[0], *chain.terms.last().unwrap()));
        }
    }
}
