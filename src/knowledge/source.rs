//! Where the knowledge of a run comes from: a generated world, or files.

use super::jsonl::task::COMPLETION;
use super::logic::Import;
use super::registry::generated_forms;
use super::{Claim, Facts, Form, Jsonl, Question, Set, World};
use crate::random::Stream;

/// What is documented, asked and answered in a run.
#[derive(Clone, Debug)]
pub enum Knowledge {
    /// A world made from a seed, with a grammar in which recited facts can be checked.
    Generated(Box<World>),
    /// Free text: documents to read and prompts to complete.
    Files(Jsonl),
}

impl Knowledge {
    /// The world with a grammar, generated here or where files were exported.
    fn world(&self) -> Option<&World> {
        match self {
            Knowledge::Generated(world) => Some(world),
            Knowledge::Files(jsonl) => jsonl.world(),
        }
    }

    /// The forms of questions that there are.
    pub fn forms(&self) -> &[Form] {
        match self {
            Knowledge::Generated(world) => world.forms(),
            Knowledge::Files(_) => &[COMPLETION],
        }
    }

    /// The fixed questions of a set that every arm answers.
    pub fn questions(&self, set: Set) -> Vec<Question> {
        match self {
            Knowledge::Generated(world) => world.questions(set),
            Knowledge::Files(jsonl) => jsonl.questions(set).to_vec(),
        }
    }

    /// Those of a form. Questions from files are all of one, whatever form those have that were exported from a world.
    pub fn questions_in(&self, set: Set, form: Form) -> Vec<Question> {
        let mut questions = self.questions(set);
        questions.retain(|question| question.form == form || matches!(self, Knowledge::Files(_)));
        questions
    }

    /// Questions that stood in the files once more than they are asked.
    pub fn duplicates(&self) -> usize {
        match self {
            Knowledge::Generated(_) => 0,
            Knowledge::Files(jsonl) => jsonl.duplicates(),
        }
    }

    /// How many different questions of a form a set has.
    pub fn questions_of(&self, set: Set, form: Form) -> usize {
        match self {
            Knowledge::Generated(world) => world.questions_of(set, form),
            Knowledge::Files(jsonl) if form == COMPLETION => jsonl.questions(set).len(),
            Knowledge::Files(_) => 0,
        }
    }

    /// Question `index`, below [`Knowledge::questions_of`], to train on. A world words it anew each time; a file has
    /// one wording.
    pub fn question(&self, set: Set, form: Form, index: usize, random: &mut Stream) -> Question {
        match self {
            Knowledge::Generated(world) => world.question(set, form, index, random),
            Knowledge::Files(jsonl) => jsonl.questions(set)[index].clone(),
        }
    }

    /// The number of what question `index` is about: a group of facts, a square of chains, a fact of a file. Questions
    /// of different numbers share no fact, so what is learned from one is no answer to the other.
    pub fn topic(&self, set: Set, form: Form, index: usize) -> usize {
        match self {
            Knowledge::Generated(world) => world.topic(set, form, index),
            Knowledge::Files(jsonl) => jsonl.fact(set, index),
        }
    }
}

/// The forms of questions that files have, or that generated worlds have.
pub fn forms(files: bool) -> Vec<Form> {
    if files { vec![COMPLETION] } else { generated_forms().collect() }
}

impl Facts for Knowledge {
    fn has_grammar(&self) -> bool {
        self.world().is_some()
    }

    fn read(&self, sentence: &str) -> Option<Claim> {
        self.world()?.read(sentence)
    }

    fn clauses<'a>(&self, sentences: &[&'a str]) -> Vec<(&'a str, Option<Claim>)> {
        self.world().map_or_else(Vec::new, |world| world.clauses(sentences))
    }

    fn holds(&self, claim: &Claim) -> bool {
        self.world().is_some_and(|world| world.holds(claim))
    }

    fn import(&self) -> Import {
        self.world().map_or(Import::Existential, Facts::import)
    }
}
