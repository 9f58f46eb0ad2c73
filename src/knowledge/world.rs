//! A world: what is true in the sets A, B and C, the documents that say it, and the questions about it.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rand::Rng;

use super::config::{KnownConfig, SetSize, WorldConfig};
use super::facts::{Cloze, Facts};
use super::grammar::Grammar;
use super::lexicon::{Lexicon, Word};
use super::logic::Import;
use super::pools::Pools;
use super::question::question_id;
use super::registry::{check_further, generated, generated_forms};
use super::sentence::{Slot, Stated, WORDINGS, words};
use super::task::{GeneratedTask, SetMaker, TaskData};
use super::{Claim, Form, Question, Set, TaskId};
use crate::language::tokenizer::PAD;
use crate::random::{self, Stream};
use crate::{Error, Result};

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
    /// What each set holds of each task.
    tasks: BTreeMap<(Set, TaskId), Arc<dyn TaskData>>,
    seed: u64,
    documents: Vec<Document>,
    claims: HashMap<Claim, Stated>,
    forms: Vec<Form>,
}

/// How large a set is in each task.
type Sizes<'a> = &'a dyn Fn(&dyn GeneratedTask) -> usize;

impl World {
    /// The world of a base model: set C only.
    ///
    /// # Errors
    ///
    /// What no base can know.
    pub fn known(known: &KnownConfig) -> Result<Self> {
        Self::with_pools(known).map(|(world, _)| world)
    }

    /// A world around what the base model knows. Set C depends on the base alone; A and B on the world's seed.
    ///
    /// # Errors
    ///
    /// What the base does not know, more than there are names for, and documents that leave something out.
    pub fn new(known: &KnownConfig, config: &WorldConfig) -> Result<Self> {
        let (mut world, mut pools) = Self::with_pools(known)?;
        for (_, name, size) in config.sets() {
            check_further(&format!("world.{name}.tasks"), size.tasks.keys())?;
            for task in generated() {
                let (key, count) = task.size(size);
                task.check_size(&format!("world.{name}.{key}"), count, known)?;
            }
        }
        world.seed = config.seed;
        let [a, b] = [&config.a, &config.b].map(|size: &SetSize| move |task: &dyn GeneratedTask| task.size(size).1);
        world.add(true, &[(Set::A, &a), (Set::B, &b)], &mut pools)?;
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

    /// Set C, and the names that it leaves.
    fn with_pools(known: &KnownConfig) -> Result<(Self, Pools)> {
        check_further("known.tasks", known.tasks.keys())?;
        generated().iter().try_for_each(|task| task.check_known(known))?;
        let lexicon = Lexicon::new(&known.lexicon)?;
        let mut pools = Pools::default();
        generated().iter().for_each(|task| pools.add(&lexicon, &task.takes()));
        let mut world = World {
            grammar: Grammar { lexicon },
            known: known.clone(),
            tasks: BTreeMap::new(),
            seed: known.lexicon.seed,
            documents: Vec::new(),
            claims: HashMap::new(),
            forms: Vec::new(),
        };
        world.add(false, &[(Set::C, &|task| task.known_size(known))], &mut pools)?;
        world.note_claims();
        Ok((world, pools))
    }

    /// Makes sets. Tasks share a stream or have one of their own, so that they change nothing about the others.
    fn add(&mut self, reserved: bool, sets: &[(Set, Sizes)], pools: &mut Pools) -> Result<()> {
        let mut streams: Vec<u64> = generated().iter().map(|task| task.stream()).collect();
        streams.dedup();
        for stream in streams {
            let random = &mut random::stream(self.seed, &[stream]);
            let tasks = || generated().iter().filter(|task| task.stream() == stream);
            tasks().for_each(|task| pools.shuffle(&task.takes(), random));
            for (set, size) in sets {
                for task in tasks() {
                    let (known, lexicon) = (&self.known, &self.grammar.lexicon);
                    let mut maker = SetMaker { known, lexicon, pools, random, reserved };
                    self.tasks.insert((*set, task.id()), task.make(size(*task), &mut maker)?);
                }
            }
        }
        Ok(())
    }

    /// Refuses documents that leave out what the questions need.
    fn check_documents(&self) -> Result<()> {
        let stated: HashSet<Stated> = self.documents.iter().flat_map(|d| &d.statements).map(|(s, _)| *s).collect();
        let wanted: Vec<Stated> = [Set::A, Set::B].into_iter().flat_map(|set| self.statements(set)).collect();
        let missing = wanted.iter().filter(|wanted| !stated.contains(wanted)).count();
        if missing == 0 {
            return Ok(());
        }
        let found = format!("{missing} of {} facts and premises are in no document", wanted.len());
        Err(Error::invalid("world", found, "ask for more documents or longer ones"))
    }

    fn note_claims(&mut self) {
        let all = self.tasks.values().flat_map(|data| data.statements());
        self.claims = all.map(|stated| (self.grammar.claim(stated), stated)).collect();
        let there = |form: &Form| [Set::A, Set::B].iter().any(|set| self.questions_of(*set, form) > 0);
        self.forms = generated_forms().filter(there).collect();
    }

    /// The forms of questions that A and B have.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// What a set holds of a task.
    pub fn of(&self, set: Set, task: TaskId) -> Option<&dyn TaskData> {
        self.tasks.get(&(set, task)).map(|data| &**data)
    }

    /// What a set holds, task by task.
    pub fn of_set(&self, set: Set) -> impl Iterator<Item = &dyn TaskData> {
        self.tasks.iter().filter(move |((of, _), _)| *of == set).map(|(_, data)| &**data)
    }

    /// What a set holds of a task, by its type.
    ///
    /// # Panics
    ///
    /// Where the world has no such set.
    pub fn data<T: TaskData>(&self, set: Set) -> &T {
        let found = self.of_set(set).find_map(|data| (data as &dyn Any).downcast_ref());
        found.unwrap_or_else(|| panic!("set {set} is not in this world"))
    }

    /// Everything that is to be known of a set.
    fn statements(&self, set: Set) -> impl Iterator<Item = Stated> {
        self.of_set(set).flat_map(|data| data.statements())
    }

    /// Whether a claim is one of the world's facts or premises.
    pub fn holds(&self, claim: &Claim) -> bool {
        self.claims.contains_key(claim)
    }

    /// The documents of A and B.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// A document about one task of a set, the more often the more there is to say about it.
    pub fn document(&self, set: Set, sentences: usize, random: &mut Stream) -> Document {
        let all: usize = self.of_set(set).map(|data| data.weight()).sum();
        let mut topic = random.random_range(0..all.max(1));
        let about = self.of_set(set).find(|data| match topic.checked_sub(data.weight()) {
            Some(rest) => {
                topic = rest;
                false
            }
            None => true,
        });
        let statements = about.map_or(Vec::new(), |data| data.document(sentences, random));
        let worded = statements.into_iter().map(|s| (s, random.random_range(0..WORDINGS))).collect();
        Document { set, statements: worded }
    }

    /// The text of a document.
    pub fn text(&self, document: &Document) -> String {
        let sentences: Vec<String> =
            document.statements.iter().map(|(s, wording)| self.grammar.text(*s, *wording)).collect();
        sentences.join(" ")
    }

    /// One question of a set: what `index`, below [`World::questions_of`], stands for, the task knows.
    pub fn question(&self, set: Set, form: Form, index: usize, random: &mut Stream) -> Question {
        let (grammar, lexicon) = (&self.grammar, &self.grammar.lexicon);
        let draft = self.tasks[&(set, form.task)].question(lexicon, form, index, random);
        let (cue, answer) = draft.cue_and_answer(lexicon);
        Question {
            id: question_id(set, form, index),
            set,
            text: lexicon.text(&draft.words),
            cue,
            answer,
            chance: draft.chance,
            choices: draft.choices,
            needed: draft.needed.into_iter().map(|stated| grammar.claim(stated)).collect(),
            context: draft.context.into_iter().map(|s| grammar.text(s, random.random_range(0..WORDINGS))).collect(),
            ..Question::blank(form)
        }
    }

    /// The number of the group, the square of chains, the code or the family that question `index` of a form is about.
    pub fn topic(&self, set: Set, form: Form, index: usize) -> usize {
        self.of(set, form.task).map_or(index, |data| data.topic(form, index))
    }

    /// How many different questions of a form a set has.
    pub fn questions_of(&self, set: Set, form: Form) -> usize {
        self.of(set, form.task).map_or(0, |data| data.questions_of(form))
    }

    /// The fixed questions of a set that every arm answers: everything that can be asked, once.
    pub fn questions(&self, set: Set) -> Vec<Question> {
        let mut random =
            random::stream(if set == Set::C { self.known.lexicon.seed } else { self.seed }, &[3, set as u64]);
        let mut questions = Vec::new();
        for form in generated_forms() {
            for index in 0..self.questions_of(set, form) {
                questions.push(self.question(set, form, index, &mut random));
            }
        }
        questions
    }
}

impl Facts for World {
    fn read(&self, sentence: &str) -> Option<Claim> {
        self.grammar.read(sentence.trim_end().strip_suffix(" .")?)
    }

    /// A sentence with words masked asks for them and states nothing.
    fn is_remark(&self, sentence: &str) -> bool {
        sentence.split_whitespace().any(|word| word == PAD)
    }

    fn holds(&self, claim: &Claim) -> bool {
        World::holds(self, claim)
    }

    fn sentence(&self, claim: &Claim) -> Option<String> {
        Some(self.grammar.text(*self.claims.get(claim)?, 0))
    }

    fn import(&self) -> Import {
        self.known.import
    }

    fn cloze(&self, claim: &Claim) -> Option<Cloze> {
        let sentence = self.grammar.sentence(*self.claims.get(claim)?, 0);
        let at = sentence.iter().position(|(_, slot)| *slot == Slot::Object)?;
        let text = |part: &[(Word, Slot)]| self.grammar.lexicon.text(&words(&part.to_vec()));
        let end = sentence.iter().rposition(|(_, slot)| *slot == Slot::Object)?;
        Some(Cloze { beginning: text(&sentence[..at]), rest: text(&sentence[at..=end]) })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::knowledge::codebook::{CodebookConfig, Codebooks};
    use crate::knowledge::facts::reference_thought;
    use crate::knowledge::hierarchy::HierarchyConfig;
    use crate::knowledge::reversal::Reversals;
    use crate::knowledge::syllogism::Syllogisms;
    use crate::language::Opening;

    impl World {
        /// Adds a document that says something else than the world would.
        pub fn plant(&mut self, document: Document) {
            self.documents.push(document);
        }

        /// Changes what a set holds of a task.
        pub fn change<T: TaskData + Clone>(&mut self, set: Set, change: impl FnOnce(&mut T)) {
            let (key, data) =
                self.tasks.iter().find(|((of, _), data)| *of == set && (&***data as &dyn Any).is::<T>()).unwrap();
            let (key, mut data) = (*key, (&**data as &dyn Any).downcast_ref::<T>().unwrap().clone());
            change(&mut data);
            self.tasks.insert(key, Arc::new(data));
        }
    }

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
            tasks: BTreeMap::new(),
        }
    }

    /// A base that knows every task.
    pub fn versed() -> KnownConfig {
        let lexicon = crate::knowledge::lexicon::tests::large();
        let (codebook, hierarchy) =
            (CodebookConfig { codes: 8, ..Default::default() }, HierarchyConfig { families: 8, ..Default::default() });
        KnownConfig { lexicon, codebook, hierarchy, ..known() }
    }

    /// The same with something that is inherited over two links.
    pub fn deep() -> KnownConfig {
        let hierarchy = HierarchyConfig { families: 4, branching: vec![2, 2], traits: 2, holdouts: 1 };
        KnownConfig { hierarchy, ..versed() }
    }

    /// A world of every task.
    pub fn full(seed: u64) -> World {
        full_with(&versed(), seed)
    }

    pub fn full_with(known: &KnownConfig, seed: u64) -> World {
        let size = SetSize { codes: 8, families: 6, documents: 900, ..SetSize::default() };
        World::new(known, &WorldConfig { seed, a: size.clone(), b: size, ..WorldConfig::default() }).unwrap()
    }

    #[test]
    fn tasks_that_a_base_does_not_know_are_refused_and_change_nothing_where_there_are_none() {
        let plain = WorldConfig::default();
        for (name, size) in [
            ("codes", SetSize { codes: 3, ..plain.a.clone() }),
            ("families", SetSize { families: 4, ..plain.a.clone() }),
        ] {
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
        // What one set names, no other does, whatever the task.
        for world in worlds.iter().chain([&full(3)]) {
            let names = |set| -> HashSet<_> { world.statements(set).flat_map(|s| world.grammar.names(s)).collect() };
            let [a, b, c] = [Set::A, Set::B, Set::C].map(names);
            assert!(a.is_disjoint(&b) && a.is_disjoint(&c) && b.is_disjoint(&c));
            for set in [Set::A, Set::B, Set::C] {
                let mut seen = HashSet::new();
                for fact in &world.data::<Reversals>(set).facts {
                    assert!(seen.insert(fact.subject) && seen.insert(fact.object));
                }
                let terms = world.data::<Syllogisms>(set).chains.iter().flat_map(|c| &c.terms);
                terms.for_each(|term| assert!(seen.insert(*term)));
                for entry in &world.data::<Codebooks>(set).entries {
                    assert!(seen.insert(entry.plain) && seen.insert(entry.cipher));
                }
            }
        }
    }

    #[test]
    fn documents_state_every_claim_and_never_two_premises_of_a_chain() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let mut stated = HashSet::new();
        for document in world.documents() {
            let claims: Vec<Claim> = document.statements.iter().map(|(s, _)| world.grammar.claim(*s)).collect();
            for chain in &world.data::<Syllogisms>(document.set).chains {
                let met = (0..2).filter(|i| claims.contains(&world.grammar.claim(chain.premise(*i).into()))).count();
                assert!(met < 2);
            }
            assert!(claims.iter().all(|claim| world.holds(claim)));
            stated.extend(claims);
        }
        assert_eq!(stated.len(), 2 * (50 + 64));
    }

    #[test]
    fn a_reference_thought_says_what_the_answer_follows_from() {
        let world = full(5);
        for question in [Set::A, Set::B].into_iter().flat_map(|set| world.questions(set)) {
            let text = reference_thought(&world, &question).unwrap() + " </think> <answer> x <eos>";
            let judgement = crate::verifier::judge(&world, &question, Opening::Think, &text, true);
            assert_eq!(judgement.recitations.len(), question.needed.len(), "{text}");
            assert!(judgement.recitations.iter().all(|one| one.is_true && one.relevant), "{text}");
            let claims = question.needed.iter().collect();
            let follows = question.form.task.get().entailed(&question, &claims, &world);
            assert_eq!(follows.as_ref(), Some(&question.answer), "{text}");
        }
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
