//! Where the knowledge of a run comes from: a generated world, or files.

use super::facts::Cloze;
use super::jsonl::task::COMPLETION;
use super::logic::Import;
use super::{Claim, Facts, Form, Jsonl, Question, Set, World};
use crate::random::Stream;

/// What is documented, asked and answered in a run.
#[derive(Clone, Debug)]
pub enum Knowledge {
    /// A world made from a seed, with a grammar in which recited facts can be checked.
    Generated(Box<World>),
    /// Free text: documents to read and prompts to complete.
    Files(Box<Jsonl>),
}

impl Knowledge {
    /// What recited facts are held against: the world with a grammar, generated here or where files were exported, or what is
    /// known to be true in free text.
    fn facts(&self) -> Option<&dyn Facts> {
        match self {
            Knowledge::Generated(world) => Some(&**world),
            Knowledge::Files(jsonl) => match jsonl.reader() {
                Some(reader) => Some(reader),
                None => jsonl.world().map(|world| world as &dyn Facts),
            },
        }
    }

    /// The forms of questions that there are.
    pub fn forms(&self) -> &[Form] {
        match self {
            Knowledge::Generated(world) => world.forms(),
            Knowledge::Files(jsonl) => jsonl.forms(),
        }
    }

    /// What `train.forms` may name: these, and of files "completion" for all of them.
    pub fn askable_forms(&self) -> Vec<Form> {
        let mut forms = self.forms().to_vec();
        if matches!(self, Knowledge::Files(_)) && !forms.contains(&COMPLETION) {
            forms.push(COMPLETION);
        }
        forms
    }

    /// The fixed questions of a set that every arm answers.
    pub fn questions(&self, set: Set) -> Vec<Question> {
        match self {
            Knowledge::Generated(world) => world.questions(set),
            Knowledge::Files(jsonl) => jsonl.questions(set).to_vec(),
        }
    }

    /// Those of a form.
    pub fn questions_in(&self, set: Set, form: Form) -> Vec<Question> {
        let mut questions = self.questions(set);
        if let Knowledge::Files(jsonl) = self {
            return jsonl.of_form(set, form).map(|at| questions[at].clone()).collect();
        }
        questions.retain(|question| question.form == form);
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
            Knowledge::Files(jsonl) => jsonl.of_form(set, form).count(),
        }
    }

    /// Question `index`, below [`Knowledge::questions_of`], to train on. A world words it anew each time; a file has
    /// one wording.
    pub fn question(&self, set: Set, form: Form, index: usize, random: &mut Stream) -> Question {
        match self {
            Knowledge::Generated(world) => world.question(set, form, index, random),
            Knowledge::Files(jsonl) => {
                let questions = jsonl.questions(set);
                // There is one: the index is below the number of the form's.
                let at = jsonl.of_form(set, form).nth(index).unwrap_or_default();
                questions[at].clone()
            }
        }
    }

    /// The number of what question `index` is about: a group of facts, a square of chains, a fact of a file. Questions
    /// of different numbers share no fact, so what is learned from one is no answer to the other.
    pub fn topic(&self, set: Set, form: Form, index: usize) -> usize {
        match self {
            Knowledge::Generated(world) => world.topic(set, form, index),
            Knowledge::Files(jsonl) => jsonl.of_form(set, form).nth(index).map_or(index, |at| jsonl.fact(set, at)),
        }
    }
}

impl Facts for Knowledge {
    fn has_grammar(&self) -> bool {
        self.facts().is_some()
    }

    fn read(&self, sentence: &str) -> Option<Claim> {
        self.facts()?.read(sentence)
    }

    fn holds(&self, claim: &Claim) -> bool {
        self.facts().is_some_and(|facts| facts.holds(claim))
    }

    fn clauses<'a>(&self, sentences: &[&'a str]) -> Vec<(&'a str, Option<Claim>)> {
        self.facts().map_or_else(Vec::new, |facts| facts.clauses(sentences))
    }

    fn is_remark(&self, slice: &str) -> bool {
        self.facts().is_some_and(|facts| facts.is_remark(slice))
    }

    fn cloze(&self, claim: &Claim) -> Option<Cloze> {
        self.facts()?.cloze(claim)
    }

    fn sentence(&self, claim: &Claim) -> Option<String> {
        self.facts()?.sentence(claim)
    }

    fn import(&self) -> Import {
        self.facts().map_or(Import::Existential, Facts::import)
    }
}
