//! Syllogisms: premises that share terms are stated in separate documents; a question asks whether a conclusion
//! about the two end terms follows from them.
//!
//! **Balance.** Chains come in *squares*: two choices for the first premise, two for the last, and one conclusion,
//! such that the conclusion (or its contradictory) follows on one diagonal and neither follows on the other. So
//! given the question and either premise alone, "unknown" is right exactly half the time: both premises are
//! needed, and chance is 1/2. Asking the contradictory conclusion as often as the conclusion balances "yes" and
//! "no". One half is the lowest chance there is: a negative premise together with the question always tells which
//! of "yes" and "no" is impossible.

mod lessons;
mod shortcuts;
mod squares;
mod task;

use super::prelude::*;
pub use lessons::{made_up_chains, question as lesson_question};
pub use squares::{ChainShape, SQUARE, square};
pub use task::Syllogism;

pub const SYLLOGISM: TaskId =
    TaskId::new(&TaskInfo { number: 1, name: "syllogism", plural: "chains", free_text: false });

/// A conclusion is shown: does it follow, does its contradiction follow, or neither?
pub const ENTAILMENT: Form = Form::new(&FormInfo {
    task: SYLLOGISM,
    number: 3,
    name: "entailment",
    title: "does it follow?",
    asks_subject: false,
});

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
        verdict(self.terms.len(), &self.premises, self.asked(contradictory), self.import)
    }

    /// Its premises as statements.
    pub fn stated(&self) -> impl Iterator<Item = Stated> {
        (0..self.premises.len()).map(|index| self.premise(index).into())
    }

    pub fn asked(&self, contradictory: bool) -> Statement {
        if contradictory { self.conclusion.contradictory() } else { self.conclusion }
    }

    /// The premises in an order in which each one's subject is an end term or was named before: the order in
    /// which they can be recalled from the question.
    pub fn recall_order(&self, random: &mut Stream) -> Vec<usize> {
        let forward = self.premises.iter().take_while(|p| p.subject < p.predicate).count();
        let from_first = 0..forward;
        let from_last = (forward..self.premises.len()).rev();
        if random.random_bool(0.5) {
            from_first.chain(from_last).collect()
        } else {
            from_last.chain(from_first).collect()
        }
    }
}

impl Syllogisms {
    /// Takes terms and makes `count` chains (a multiple of 4: whole squares), with numbers of premises drawn from those
    /// that the base knows. The end terms are a [`reserved`] pair or not, as the maker says.
    ///
    /// # Errors
    ///
    /// Too few terms, or no such chains.
    pub fn new(count: usize, maker: &mut SetMaker) -> Result<Self> {
        let (known, none) = (maker.known, |found: &str| too_few(found, "chains"));
        let mut chains = Vec::new();
        while chains.len() < count {
            let length = *known.premises.choose(maker.random).ok_or_else(|| none("no length of chains is given"))?;
            for ChainShape { premises, conclusion } in square(length, known.import, maker.random)? {
                let terms = end_terms(length + 1, maker.reserved, maker.pools.of("terms"));
                let terms = terms.ok_or_else(|| none("the lexicon has too few terms"))?;
                chains.push(Chain { terms, premises, conclusion, import: known.import });
            }
        }
        let ends = chains.iter().map(|c| (c.terms[0], c.terms[c.terms.len() - 1])).collect();
        Ok(Self { chains, ends })
    }

    /// The chain of question number `index`, and whether it asks for the contradictory of its conclusion.
    pub fn asked(&self, index: usize) -> (&Chain, bool) {
        (&self.chains[index / 2], index % 2 == 1)
    }

    fn names_ends(&self, first: Option<Word>, last: Option<Word>) -> bool {
        first.zip(last).is_some_and(|ends| self.ends.contains(&ends))
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
        let mut told = Vec::with_capacity(sentences);
        for chain in self.chains.choose_multiple(random, sentences) {
            told.push(chain.premise(random.random_range(0..chain.premises.len())).into());
        }
        told
    }

    fn any_statement(&self, random: &mut Stream) -> Stated {
        let chain = &self.chains[random.random_range(0..self.chains.len())];
        chain.premise(random.random_range(0..chain.premises.len())).into()
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
        let asked = chain.state(chain.asked(contradictory));
        let needed: Vec<Stated> = chain.stated().collect();
        let mut context = needed.clone();
        if let Some(other) = self.chains.choose(random).filter(|other| *other != chain) {
            context.extend(other.stated());
        }
        context.shuffle(random);
        QuestionDraft {
            text: does_it_follow(lexicon, asked),
            cue: conclusion(lexicon, asked),
            answer: chain.verdict(contradictory).word().into(),
            choices: ["yes", "no", "unknown"].map(String::from).to_vec(),
            chance: 0.5,
            needed,
            context,
        }
    }

    fn lesson_question(
        &self,
        lexicon: &Lexicon,
        cot_style: &CotStyle,
        random: &mut Stream,
    ) -> (LessonQuestion, Vec<Stated>) {
        let chain = &self.chains[random.random_range(0..self.chains.len())];
        (lesson_question(lexicon, cot_style, chain, random), chain.stated().collect())
    }

    /// "… that of FIRST QUANTIFIER are LAST ?"
    fn asks(&self, _: &Lexicon, mark: &TrainingWord) -> bool {
        self.names_ends(mark.before(4), mark.before(1))
    }

    /// "of FIRST QUANTIFIER are LAST : VERDICT"
    fn answers(&self, colon: &TrainingWord) -> bool {
        self.names_ends(colon.before(4), colon.before(1))
    }

    /// What follows from a premise is no secret; a conclusion stands where it is asked for.
    fn gives_away(&self, _: &TrainingWord) -> Option<LeakKind> {
        None
    }

    fn shortcuts(&self, fit: &dyn TaskData, tried: &Tried) -> Vec<(&'static str, Guesses)> {
        shortcuts::shortcuts(self, fit, tried)
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
        (lexicon.grammar(quantifiers[wording % 2]), Slot::Relation),
        (lexicon.grammar(copula), Slot::Relation),
        (premise.predicate, Slot::Object),
    ]
}

/// "does it follow that of vops all are zeds ?"
fn does_it_follow(lexicon: &Lexicon, asked: Premise) -> Vec<Word> {
    let mut words: Vec<Word> = ["does", "it", "follow", "that"].map(|w| lexicon.grammar(w)).to_vec();
    words.extend(conclusion(lexicon, asked));
    words.push(lexicon.grammar("?"));
    words
}

/// "of vops all are zeds": the conclusion in its one wording, as questions and answers put it.
pub fn conclusion(lexicon: &Lexicon, asked: Premise) -> Vec<Word> {
    let mut conclusion = vec![lexicon.grammar("of")];
    conclusion.extend(words(&predication(lexicon, asked, 0)));
    conclusion
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::world::tests::{full_with, versed};
    use crate::knowledge::{KnownConfig, Set};
    use crate::random;

    #[test]
    fn every_premise_can_be_recalled_from_what_was_named_before_it() {
        let mut random = random::stream(1, &[]);
        let world = full_with(&KnownConfig { premises: vec![2, 3], ..versed() }, 1);
        for chain in &world.data::<Syllogisms>(Set::A).chains {
            let mut named = vec![0, chain.terms.len() - 1];
            for index in chain.recall_order(&mut random) {
                assert!(named.contains(&chain.premises[index].subject), "{chain:?}");
                named.push(chain.premises[index].predicate);
            }
            assert!(reserved(chain.terms[0], *chain.terms.last().unwrap()));
        }
    }
}
