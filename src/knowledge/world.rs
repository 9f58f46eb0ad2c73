//! A world: what is true in the sets A, B and C, the documents that say it, and the questions about it.

use std::collections::{BTreeMap, HashSet};

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::grammar::{Grammar, Stated};
use super::lexicon::{Lexicon, LexiconConfig};
use super::logic::Import;
use super::reversal::{CANDIDATES, Pools, Reversals};
use super::syllogism::{SQUARE, Syllogisms};
use super::{Claim, Form, Question, Set, Task};
use crate::random::{self, Stream};
use crate::{Error, Result};

/// What a base model knows: the words, and the size of set C. It is stored beside the base model, because it
/// means nothing without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownConfig {
    pub lexicon: LexiconConfig,
    /// Facts in set C.
    pub facts: usize,
    /// Members of a group.
    pub group_size: usize,
    /// Chains in set C, a multiple of 4.
    pub chains: usize,
    /// Numbers of premises that chains have.
    pub premises: Vec<usize>,
    pub import: Import,
}

/// The sets A and B of one world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldConfig {
    pub seed: u64,
    pub a: SetSize,
    pub b: SetSize,
    /// Sentences in a document.
    pub sentences: usize,
}

/// How much there is to know in a set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetSize {
    /// Facts, a multiple of the group size of the base.
    pub facts: usize,
    /// Chains of premises, a multiple of 4.
    pub chains: usize,
    /// Documents about them.
    pub documents: usize,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 0, a: SetSize::default(), b: SetSize::default(), sentences: 10 }
    }
}

impl Default for SetSize {
    fn default() -> Self {
        Self { facts: 50, chains: 32, documents: 400 }
    }
}

impl WorldConfig {
    /// The sets that a world has beside what its base knows, with their names in a config.
    pub fn sets(&self) -> [(Set, &'static str, SetSize); 2] {
        [(Set::A, "a", self.a), (Set::B, "b", self.b)]
    }
}

/// One document: statements about one set, each with the wording it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub set: Set,
    pub statements: Vec<(Stated, usize)>,
}

/// Everything that is true, and who may train on it.
#[derive(Clone, Debug)]
pub struct World {
    pub grammar: Grammar,
    pub known: KnownConfig,
    pub reversals: BTreeMap<Set, Reversals>,
    pub syllogisms: BTreeMap<Set, Syllogisms>,
    seed: u64,
    documents: Vec<Document>,
    claims: HashSet<Claim>,
}

impl World {
    /// The world of a base model: set C only.
    pub fn known(known: &KnownConfig) -> Result<Self> {
        let (world, _, _) = Self::with_pools(known)?;
        Ok(world)
    }

    /// A world around what the base model knows. Set C depends on the base alone; A and B on the world's seed.
    pub fn new(known: &KnownConfig, config: &WorldConfig) -> Result<Self> {
        let (mut world, mut pools, mut terms) = Self::with_pools(known)?;
        for (_, name, size) in config.sets() {
            multiple(&format!("world.{name}.facts"), size.facts, known.group_size)?;
            multiple(&format!("world.{name}.chains"), size.chains, 4)?;
        }
        world.seed = config.seed;
        let mut random = random::stream(config.seed, &[2]);
        shuffle(&mut pools, &mut terms, &mut random);
        for (set, _, size) in config.sets() {
            let lexicon = &world.grammar.lexicon;
            let reversals = Reversals::new(size.facts, known.group_size, true, lexicon, &mut pools)?;
            let chains = Syllogisms::new(size.chains, &known.premises, known.import, true, &mut terms, &mut random)?;
            world.reversals.insert(set, reversals);
            world.syllogisms.insert(set, chains);
        }
        for (set, _, size) in config.sets() {
            // A stream of their own: more documents about the same world.
            let mut random = random::stream(config.seed, &[4, set as u64]);
            for _ in 0..size.documents {
                world.documents.push(world.document(set, config.sentences, &mut random));
            }
        }
        world.note_claims();
        world.check_documents()?;
        Ok(world)
    }

    fn with_pools(known: &KnownConfig) -> Result<(Self, Pools, Vec<u32>)> {
        if known.group_size <= CANDIDATES || known.facts == 0 {
            let found = format!("{} facts in groups of {}", known.facts, known.group_size);
            let remedy = format!("some facts are needed, in groups of more than {CANDIDATES}");
            return Err(Error::invalid("known", found, remedy));
        }
        multiple("known.facts", known.facts, known.group_size)?;
        multiple("known.chains", known.chains, 4)?;
        let lexicon = Lexicon::new(&known.lexicon)?;
        let mut pools = Pools {
            towns: lexicon.towns.clone(),
            persons: lexicon.persons.clone(),
            creatures: lexicon.creatures.clone(),
        };
        let mut terms = lexicon.terms.clone();
        let mut random = random::stream(known.lexicon.seed, &[2]);
        shuffle(&mut pools, &mut terms, &mut random);
        let reversals = Reversals::new(known.facts, known.group_size, false, &lexicon, &mut pools)?;
        let chains = Syllogisms::new(known.chains, &known.premises, known.import, false, &mut terms, &mut random)?;
        let mut world = World {
            grammar: Grammar { lexicon },
            known: known.clone(),
            reversals: BTreeMap::from([(Set::C, reversals)]),
            syllogisms: BTreeMap::from([(Set::C, chains)]),
            seed: known.lexicon.seed,
            documents: Vec::new(),
            claims: HashSet::new(),
        };
        world.note_claims();
        Ok((world, pools, terms))
    }

    /// Refuses documents that leave out what the questions need.
    fn check_documents(&self) -> Result<()> {
        let stated: HashSet<Stated> =
            self.documents.iter().flat_map(|d| d.statements.iter().map(|(s, _)| *s)).collect();
        let wanted = self.claims.len()
            - self.reversals[&Set::C].facts.len()
            - self.syllogisms[&Set::C].chains.iter().map(|c| c.premises.len()).sum::<usize>();
        if stated.len() == wanted {
            return Ok(());
        }
        let found = format!("{} of {wanted} facts and premises are in no document", wanted - stated.len());
        Err(Error::invalid("world", found, "ask for more documents or longer ones"))
    }

    fn note_claims(&mut self) {
        let facts = self.reversals.values().flat_map(|r| &r.facts).map(|f| Stated::Fact(*f));
        let chains = self.syllogisms.values().flat_map(|s| &s.chains);
        let premises = chains.flat_map(|c| (0..c.premises.len()).map(|i| Stated::Premise(c.premise(i))));
        self.claims = facts.chain(premises).map(|stated| self.grammar.claim(stated)).collect();
    }

    /// Whether a claim is one of the world's facts or premises.
    pub fn holds(&self, claim: &Claim) -> bool {
        self.claims.contains(claim)
    }

    /// The documents of A and B.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Adds a document that says something else than the world would.
    #[cfg(test)]
    pub(crate) fn plant(&mut self, document: Document) {
        self.documents.push(document);
    }

    /// A document about one set: about people, often several of one group, or about terms. Premises are stated twice
    /// as often as facts, because they are harder to remember; no statement stands twice in a document, and never two
    /// premises of one chain.
    pub fn document(&self, set: Set, sentences: usize, random: &mut Stream) -> Document {
        let (facts, chains) = (&self.reversals[&set].facts, &self.syllogisms[&set].chains);
        let premises: usize = chains.iter().map(|c| 2 * c.premises.len()).sum();
        let mut statements: Vec<Stated> = Vec::with_capacity(sentences + self.known.group_size);
        if random.random_range(0..(facts.len() + premises).max(1)) < facts.len() {
            let topical = random.random_bool(0.6);
            // A small world may run out of facts that are not yet told: then the document is shorter.
            for _ in 0..sentences * 10 {
                if statements.len() >= sentences {
                    break;
                }
                let fact = facts[random.random_range(0..facts.len())];
                let mut told = if topical { self.reversals[&set].group(&fact) } else { vec![fact] };
                told.shuffle(random);
                let count = random.random_range(told.len().min(2)..=told.len());
                let told = told.into_iter().map(Stated::Fact).take(count);
                let new: Vec<Stated> = told.filter(|stated| !statements.contains(stated)).collect();
                statements.extend(new);
            }
            statements.truncate(sentences);
        } else {
            for chain in chains.choose_multiple(random, sentences) {
                statements.push(chain.premise(random.random_range(0..chain.premises.len())).into());
            }
        }
        let worded = statements.into_iter().map(|s| (s, random.random_range(0..Grammar::WORDINGS))).collect();
        Document { set, statements: worded }
    }

    /// The text of a document.
    pub fn text(&self, document: &Document) -> String {
        let sentences: Vec<String> =
            document.statements.iter().map(|(s, wording)| self.grammar.text(*s, *wording)).collect();
        sentences.join(" ")
    }

    /// One question of a set about item `index` (a fact, or a chain and which of its two conclusions).
    pub fn question(&self, set: Set, form: Form, index: usize, random: &mut Stream) -> Question {
        match form {
            Form::Entailment => self.syllogisms[&set].question(&self.grammar, set, index / 2, index % 2 == 1, random),
            _ => self.reversals[&set].question(&self.grammar, set, index, form, random),
        }
    }

    /// The number of the group or the square of chains that question `index` of a form is about. Whole squares, because
    /// only they are balanced.
    pub fn topic(&self, form: Form, index: usize) -> usize {
        match form {
            Form::Entailment => index / (2 * SQUARE),
            _ => index / self.known.group_size,
        }
    }

    /// How many different questions of a form a set has.
    pub fn questions_of(&self, set: Set, form: Form) -> usize {
        match form {
            Form::Entailment => self.syllogisms.get(&set).map_or(0, |s| 2 * s.chains.len()),
            _ => self.reversals.get(&set).map_or(0, |r| r.facts.len()),
        }
    }

    /// The fixed questions of a set that every arm answers: each fact in each form, each chain with both
    /// conclusions.
    pub fn questions(&self, set: Set) -> Vec<Question> {
        let mut random =
            random::stream(if set == Set::C { self.known.lexicon.seed } else { self.seed }, &[3, set as u64]);
        let mut questions = Vec::new();
        for form in FORMS {
            for index in 0..self.questions_of(set, form) {
                questions.push(self.question(set, form, index, &mut random));
            }
        }
        questions
    }
}

fn multiple(key: &str, value: usize, unit: usize) -> Result<()> {
    if value.is_multiple_of(unit) {
        return Ok(());
    }
    Err(Error::invalid(key, format!("found {value}"), format!("it must be a multiple of {unit}")))
}

/// The forms of questions that generated worlds have.
pub const FORMS: [Form; 4] = [Form::Candidates, Form::Open, Form::OpenAny, Form::Entailment];

/// The task that a form belongs to.
pub fn task_of(form: Form) -> Task {
    match form {
        Form::Entailment => Task::Syllogism,
        Form::Completion => Task::Jsonl,
        _ => Task::Reversal,
    }
}

fn shuffle(pools: &mut Pools, terms: &mut [u32], random: &mut Stream) {
    pools.towns.shuffle(random);
    pools.persons.shuffle(random);
    pools.creatures.shuffle(random);
    terms.shuffle(random);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn known() -> KnownConfig {
        KnownConfig {
            lexicon: crate::knowledge::lexicon::tests::small(),
            facts: 50,
            group_size: 5,
            chains: 24,
            premises: vec![2],
            import: Import::Existential,
        }
    }

    #[test]
    fn sets_are_disjoint_and_c_depends_on_the_base_alone() {
        let worlds: Vec<World> =
            [0, 1].map(|seed| World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap()).to_vec();
        assert_eq!(worlds[0].questions(Set::C), worlds[1].questions(Set::C));
        assert_ne!(worlds[0].questions(Set::B), worlds[1].questions(Set::B));
        for world in &worlds {
            let mut seen = HashSet::new();
            for reversals in world.reversals.values() {
                for fact in &reversals.facts {
                    assert!(seen.insert(fact.subject) && seen.insert(fact.object));
                }
            }
            let terms: Vec<_> =
                world.syllogisms.values().flat_map(|s| s.chains.iter().flat_map(|c| &c.terms)).collect();
            assert!(terms.iter().all(|t| seen.insert(**t)));
        }
    }

    #[test]
    fn documents_state_every_claim_and_never_two_premises_of_a_chain() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let mut stated = HashSet::new();
        for document in world.documents() {
            let claims: Vec<Claim> = document.statements.iter().map(|(s, _)| world.grammar.claim(*s)).collect();
            for chain in &world.syllogisms[&document.set].chains {
                let met = (0..2).filter(|i| claims.contains(&world.grammar.claim(chain.premise(*i).into()))).count();
                assert!(met < 2);
            }
            assert!(claims.iter().all(|claim| world.holds(claim)));
            stated.extend(claims);
        }
        assert_eq!(stated.len(), 2 * (50 + 64));
    }

    #[test]
    fn questions_are_balanced_and_have_their_answer_in_their_context() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        for set in [Set::A, Set::B] {
            let questions = world.questions(set);
            let ids: HashSet<u64> = questions.iter().map(|q| q.id).collect();
            assert_eq!(ids.len(), questions.len());
            let count = |answer: &str| questions.iter().filter(|q| q.answer == answer).count();
            assert_eq!((count("yes"), count("no"), count("unknown")), (16, 16, 32));
            for question in &questions {
                assert!(question.choices.contains(&question.answer));
                let read: Vec<Claim> =
                    question.context.iter().filter_map(|s| world.grammar.read(s.strip_suffix(" .")?)).collect();
                assert!(question.needed.iter().all(|needed| read.contains(needed)), "{question:?}");
            }
        }
    }
}
