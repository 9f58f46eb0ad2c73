//! A world: what is true in the sets A, B and C, the documents that say it, and the questions about it.

use std::collections::{BTreeMap, HashSet};

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::codebook::{CodePools, CodebookConfig, Codebooks};
use super::grammar::{Grammar, Stated};
use super::hierarchy::{Hierarchy, HierarchyConfig, KindPools};
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
    #[serde(default)]
    pub codebook: CodebookConfig,
    #[serde(default)]
    pub hierarchy: HierarchyConfig,
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
    /// Codes of the codebook.
    pub codes: usize,
    /// Families of the hierarchy, 0 or at least 4.
    pub families: usize,
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
        Self { facts: 50, chains: 32, codes: 0, families: 0, documents: 400 }
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
    pub codebooks: BTreeMap<Set, Codebooks>,
    pub hierarchies: BTreeMap<Set, Hierarchy>,
    seed: u64,
    documents: Vec<Document>,
    claims: HashSet<Claim>,
    forms: Vec<Form>,
}

/// Names that are still free.
struct Free {
    pools: Pools,
    terms: Vec<u32>,
    codes: CodePools,
    kinds: KindPools,
}

impl World {
    /// The world of a base model: set C only.
    pub fn known(known: &KnownConfig) -> Result<Self> {
        Self::with_free(known).map(|(world, _)| world)
    }

    /// A world around what the base model knows. Set C depends on the base alone; A and B on the world's seed.
    pub fn new(known: &KnownConfig, config: &WorldConfig) -> Result<Self> {
        let (mut world, free) = Self::with_free(known)?;
        let Free { mut pools, mut terms, mut codes, mut kinds } = free;
        for (_, name, size) in config.sets() {
            multiple(&format!("world.{name}.facts"), size.facts, known.group_size)?;
            multiple(&format!("world.{name}.chains"), size.chains, 4)?;
            understood(&format!("world.{name}.codes"), size.codes, known.codebook.codes, "codebooks")?;
            understood(&format!("world.{name}.families"), size.families, known.hierarchy.families, "hierarchies")?;
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
        // Streams of their own: these tasks change nothing about the others.
        let mut random = random::stream(config.seed, &[5]);
        codes.shuffle(&mut random);
        kinds.shuffle(&mut random);
        for (set, _, size) in config.sets() {
            world.codebooks.insert(set, Codebooks::new(size.codes, &known.codebook, true, &mut codes)?);
            let hierarchy = Hierarchy::new(size.families, &known.hierarchy, true, &mut kinds, &mut random)?;
            world.hierarchies.insert(set, hierarchy);
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

    fn with_free(known: &KnownConfig) -> Result<(Self, Free)> {
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
        let mut random = random::stream(known.lexicon.seed, &[5]);
        let mut codes = CodePools::new(&lexicon, &mut random);
        let mut kinds = KindPools::new(&lexicon, &mut random);
        let codebooks = Codebooks::new(known.codebook.codes, &known.codebook, false, &mut codes)?;
        let hierarchy = &known.hierarchy;
        let hierarchy = Hierarchy::new(hierarchy.families, hierarchy, false, &mut kinds, &mut random)?;
        let mut world = World {
            grammar: Grammar { lexicon },
            known: known.clone(),
            reversals: BTreeMap::from([(Set::C, reversals)]),
            syllogisms: BTreeMap::from([(Set::C, chains)]),
            codebooks: BTreeMap::from([(Set::C, codebooks)]),
            hierarchies: BTreeMap::from([(Set::C, hierarchy)]),
            seed: known.lexicon.seed,
            documents: Vec::new(),
            claims: HashSet::new(),
            forms: Vec::new(),
        };
        world.note_claims();
        Ok((world, Free { pools, terms, codes, kinds }))
    }

    /// Refuses documents that leave out what the questions need.
    fn check_documents(&self) -> Result<()> {
        let all = self.documents.iter().flat_map(|d| d.statements.iter().map(|(s, _)| *s));
        // That an entry is used tells it to nobody who does not know it.
        let stated: HashSet<Stated> = all.filter(|stated| !matches!(stated, Stated::Used(..))).collect();
        let wanted = self.claims.len() - self.statements(Set::C).count();
        if stated.len() == wanted {
            return Ok(());
        }
        let found = format!("{} of {wanted} facts and premises are in no document", wanted - stated.len());
        Err(Error::invalid("world", found, "ask for more documents or longer ones"))
    }

    fn note_claims(&mut self) {
        let sets = self.reversals.keys().copied();
        let all = sets.flat_map(|set| self.statements(set)).map(|stated| self.grammar.claim(stated));
        self.claims = all.collect();
        let there = |form: &Form| [Set::A, Set::B].iter().any(|set| self.questions_of(*set, *form) > 0);
        self.forms = FORMS.into_iter().filter(there).collect();
    }

    /// The forms of questions that A and B have.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// Everything that is to be known of a set.
    fn statements(&self, set: Set) -> impl Iterator<Item = Stated> {
        let facts = self.reversals.get(&set).into_iter().flat_map(|r| &r.facts).map(|f| Stated::Fact(*f));
        let chains = self.syllogisms.get(&set).into_iter().flat_map(|s| &s.chains);
        let premises = chains.flat_map(|c| (0..c.premises.len()).map(|i| Stated::Premise(c.premise(i))));
        let entries = self.codebooks.get(&set).into_iter().flat_map(|c| &c.entries).map(|e| Stated::Entry(*e));
        let links = self.hierarchies.get(&set).into_iter().flat_map(|h| &h.links).map(|l| Stated::Link(*l));
        facts.chain(premises).chain(entries).chain(links)
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

    /// A document about one set: about people, often several of one group, about terms, about codes, or about kinds.
    /// Premises are stated twice
    /// as often as facts, because they are harder to remember; no statement stands twice in a document, and never two
    /// premises of one chain.
    pub fn document(&self, set: Set, sentences: usize, random: &mut Stream) -> Document {
        let (facts, chains) = (&self.reversals[&set].facts, &self.syllogisms[&set].chains);
        let premises: usize = chains.iter().map(|c| 2 * c.premises.len()).sum();
        let (codebooks, hierarchy) = (&self.codebooks[&set], &self.hierarchies[&set]);
        let (entries, links) = (codebooks.entries.len(), hierarchy.links.len());
        let mut statements: Vec<Stated> = Vec::with_capacity(sentences + self.known.group_size);
        let topic = random.random_range(0..(facts.len() + premises + entries + links).max(1));
        if topic < facts.len() {
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
        } else if topic < facts.len() + premises || entries + links == 0 {
            for chain in chains.choose_multiple(random, sentences) {
                statements.push(chain.premise(random.random_range(0..chain.premises.len())).into());
            }
        } else if topic < facts.len() + premises + entries {
            statements = codebooks.tell(sentences, random);
        } else {
            statements = hierarchy.tell(sentences, random);
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

    /// One question of a set about item `index` (a fact, a chain and which of its two conclusions, an entry and a length,
    /// what can be asked about a kind).
    pub fn question(&self, set: Set, form: Form, index: usize, random: &mut Stream) -> Question {
        match form {
            Form::Entailment => self.syllogisms[&set].question(&self.grammar, set, index / 2, index % 2 == 1, random),
            Form::Encode | Form::Decode => self.codebooks[&set].question(&self.grammar, set, index, form, random),
            Form::Rephrased | Form::Reversed | Form::Inherited | Form::Holdout => {
                self.hierarchies[&set].question(&self.grammar, set, index, form, random)
            }
            _ => self.reversals[&set].question(&self.grammar, set, index, form, random),
        }
    }

    /// The number of the group, the square of chains, the code or the family that question `index` of a form is about.
    /// Whole squares, because only they are balanced.
    pub fn topic(&self, set: Set, form: Form, index: usize) -> usize {
        match task_of(form) {
            Task::Syllogism => index / (2 * SQUARE),
            Task::Codebook => self.codebooks[&set].topic(index),
            Task::Hierarchy => self.hierarchies[&set].topic(form, index),
            _ => index / self.known.group_size,
        }
    }

    /// How many different questions of a form a set has.
    pub fn questions_of(&self, set: Set, form: Form) -> usize {
        match form {
            Form::Entailment => self.syllogisms.get(&set).map_or(0, |s| 2 * s.chains.len()),
            Form::Encode | Form::Decode => self.codebooks.get(&set).map_or(0, |c| c.questions()),
            Form::Rephrased | Form::Reversed | Form::Inherited | Form::Holdout => {
                self.hierarchies.get(&set).map_or(0, |h| h.items(form).len())
            }
            _ => self.reversals.get(&set).map_or(0, |r| r.facts.len()),
        }
    }

    /// The fixed questions of a set that every arm answers: each fact in each form, each chain with both conclusions, each
    /// held-out entry in messages of each length, everything that can be asked about a kind.
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

fn understood(key: &str, wanted: usize, known: usize, what: &str) -> Result<()> {
    if wanted == 0 || known > 0 {
        return Ok(());
    }
    let remedy = "set it to 0, or take a base that knows some (base.path = \"embedded-versed\")";
    Err(Error::invalid(key, format!("found {wanted}, and the base knows nothing of {what}"), remedy))
}

/// The forms of questions that generated worlds have.
pub const FORMS: [Form; 10] = [
    Form::Candidates,
    Form::Open,
    Form::OpenAny,
    Form::Entailment,
    Form::Encode,
    Form::Decode,
    Form::Rephrased,
    Form::Reversed,
    Form::Inherited,
    Form::Holdout,
];

/// The task that a form belongs to.
pub fn task_of(form: Form) -> Task {
    match form {
        Form::Candidates | Form::Open | Form::OpenAny => Task::Reversal,
        Form::Entailment => Task::Syllogism,
        Form::Completion => Task::Jsonl,
        Form::Encode | Form::Decode => Task::Codebook,
        Form::Rephrased | Form::Reversed | Form::Inherited | Form::Holdout => Task::Hierarchy,
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
            codebook: CodebookConfig::default(),
            hierarchy: HierarchyConfig::default(),
        }
    }

    /// A base that knows every task.
    pub fn versed() -> KnownConfig {
        let lexicon = crate::knowledge::lexicon::tests::large();
        let (codebook, hierarchy) =
            (CodebookConfig { codes: 8, ..Default::default() }, HierarchyConfig { families: 8, ..Default::default() });
        KnownConfig { lexicon, codebook, hierarchy, ..known() }
    }

    /// A world of every task.
    pub fn full(seed: u64) -> World {
        full_with(&versed(), seed)
    }

    pub fn full_with(known: &KnownConfig, seed: u64) -> World {
        let size = SetSize { codes: 8, families: 6, documents: 900, ..SetSize::default() };
        World::new(known, &WorldConfig { seed, a: size, b: size, ..WorldConfig::default() }).unwrap()
    }

    #[test]
    fn tasks_that_a_base_does_not_know_are_refused_and_change_nothing_where_there_are_none() {
        let plain = WorldConfig::default();
        for (name, size) in
            [("codes", SetSize { codes: 3, ..plain.a }), ("families", SetSize { families: 4, ..plain.a })]
        {
            let error = World::new(&known(), &WorldConfig { b: size, ..plain.clone() }).unwrap_err().to_string();
            assert!(error.starts_with(&format!("world.b.{name}: found")) && error.contains("knows nothing"), "{error}");
        }
        let full = full(0);
        let old =
            World::new(&KnownConfig { lexicon: crate::knowledge::lexicon::tests::large(), ..known() }, &plain).unwrap();
        for set in [Set::A, Set::B, Set::C] {
            let count = old.questions(set).len();
            assert_eq!(old.questions(set), full.questions(set)[..count]);
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
