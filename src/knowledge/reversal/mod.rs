//! Reversal: a fact is stated as "in tarnby mavon guards bilku" and asked for as "who guards bilku?".

mod lessons;
mod task;

use super::prelude::*;
pub use lessons::{form, made_up_facts, question as lesson_question};
pub use task::Reversal;

pub const REVERSAL: TaskId = TaskId::new(&TaskInfo { number: 0, name: "reversal", plural: "facts", free_text: false });

/// The answers to choose from stand in the question.
pub const CANDIDATES: Form = Form::new(&FormInfo { name: "candidates", title: "candidates shown", ..INFO });
/// The group is named, so a few members are to be enumerated.
pub const OPEN: Form = Form::new(&FormInfo { number: 1, name: "open", title: "group named", ..INFO });
/// Nothing is named: the whole set is to be enumerated.
pub const OPEN_ANY: Form = Form::new(&FormInfo { number: 2, name: "open-any", title: "nothing named", ..INFO });

const INFO: FormInfo = FormInfo { task: REVERSAL, number: 0, name: "", title: "", asks_subject: true };

/// Relations between a person and a creature: two verbs that mean the same; the first is the canonical one.
pub const RELATIONS: [[&str; 2]; 5] = [
    ["guards", "protects"],
    ["feeds", "nourishes"],
    ["paints", "portrays"],
    ["trains", "teaches"],
    ["hunts", "chases"],
];

/// In `group`, `subject` stands in relation number `relation` (of [`RELATIONS`]) to `object`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    pub group: Word,
    pub subject: Word,
    pub relation: usize,
    pub object: Word,
}

/// The facts of one set. All members of a group stand in the same relation, so that neither the group nor the
/// relation gives an answer away.
#[derive(Clone, Debug)]
pub struct Reversals {
    pub facts: Vec<Fact>,
    group_size: usize,
    by_object: HashMap<Word, Fact>,
}

impl Fact {
    /// Its verb, in one of two words.
    fn verb(&self, wording: usize) -> &'static str {
        RELATIONS[self.relation % RELATIONS.len()][wording % 2]
    }
}

impl From<Fact> for Stated {
    fn from(Fact { group, subject, relation, object }: Fact) -> Self {
        Stated { task: REVERSAL, words: [group, subject, relation as Word, object] }
    }
}

impl From<[Word; 4]> for Fact {
    fn from([group, subject, relation, object]: [Word; 4]) -> Self {
        Fact { group, subject, relation: relation as usize, object }
    }
}

impl Reversals {
    /// Takes names and makes `count` facts in groups. Pairs of names are [`reserved`] or not, as the maker says.
    ///
    /// # Errors
    ///
    /// Too few names.
    pub fn new(count: usize, maker: &mut SetMaker) -> Result<Self> {
        let (group_size, kept) = (maker.known.group_size, maker.reserved);
        let mut facts: Vec<Fact> = Vec::with_capacity(count.min(maker.pools.of("persons").len()));
        let none_left = |kind: &str| too_few(format!("the lexicon has too few {kind}"), "facts");
        for index in 0..count {
            let first = index % group_size == 0;
            let group = if first { maker.pools.of("towns").pop() } else { facts.last().map(|f| f.group) };
            let group = group.ok_or_else(|| none_left("towns"))?;
            let relation = index / group_size % RELATIONS.len();
            let verb = maker.lexicon.grammar(RELATIONS[relation][0]);
            let fits = |creature| match kept {
                true => reserved(group, creature) && half_reserved(verb, creature),
                false => !reserved(group, creature),
            };
            let object = maker.pools.take("creatures", fits).ok_or_else(|| none_left("creatures"))?;
            let subject = maker.pools.take("persons", |p| reserved(p, object) == kept);
            let subject = subject.ok_or_else(|| none_left("persons"))?;
            facts.push(Fact { group, subject, relation, object });
        }
        let by_object = facts.iter().map(|fact| (fact.object, *fact)).collect();
        Ok(Self { facts, group_size, by_object })
    }

    /// The members of a fact's group, itself among them.
    pub fn group(&self, fact: &Fact) -> Vec<Fact> {
        self.facts.iter().filter(|other| other.group == fact.group).copied().collect()
    }
}

impl TaskData for Reversals {
    fn statements(&self) -> Vec<Stated> {
        self.facts.iter().map(|fact| Stated::from(*fact)).collect()
    }

    fn weight(&self) -> usize {
        self.facts.len()
    }

    /// Often several facts of one group.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let mut told: Vec<Stated> = Vec::with_capacity(sentences + self.group_size);
        let topical = random.random_bool(0.6);
        // A small world may run out of facts that are not yet told: then the document is shorter.
        for _ in 0..sentences * 10 {
            if told.len() >= sentences {
                break;
            }
            let fact = self.facts[random.random_range(0..self.facts.len())];
            let mut some = if topical { self.group(&fact) } else { vec![fact] };
            some.shuffle(random);
            let count = random.random_range(some.len().min(2)..=some.len());
            let new = some.into_iter().map(Stated::from).take(count).filter(|stated| !told.contains(stated));
            let new: Vec<Stated> = new.collect();
            told.extend(new);
        }
        told.truncate(sentences);
        told
    }

    fn questions_of(&self, _: Form) -> usize {
        self.facts.len()
    }

    /// The group of the fact.
    fn topic(&self, _: Form, index: usize) -> usize {
        index / self.group_size
    }

    /// The question about fact number `index`. Candidates are members of the fact's own group.
    fn question(&self, lexicon: &Lexicon, form: Form, index: usize, random: &mut Stream) -> QuestionDraft {
        let fact = self.facts[index];
        let spell = |word: Word| lexicon.spell(word).to_string();
        let mut group = self.group(&fact);
        let shown = if form == CANDIDATES { candidates(&fact, &group, random) } else { Vec::new() };
        let text = who(lexicon, &fact, form != OPEN_ANY, &shown, random.random_range(0..2));
        group.shuffle(random);
        let choices: Vec<String> = if form == CANDIDATES {
            shown.iter().map(|word| spell(*word)).collect()
        } else if form == OPEN_ANY {
            // The verb tells which of all facts come into question.
            self.facts.iter().filter(|f| f.relation == fact.relation).map(|f| spell(f.subject)).collect()
        } else {
            group.iter().map(|f| spell(f.subject)).collect()
        };
        QuestionDraft {
            text,
            cue: vec![fact.object],
            answer: spell(fact.subject),
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: vec![fact.into()],
            context: group.into_iter().map(Stated::from).collect(),
        }
    }

    fn lesson_question(
        &self,
        lexicon: &Lexicon,
        cot_style: &CotStyle,
        random: &mut Stream,
    ) -> (LessonQuestion, Vec<Stated>) {
        let fact = self.facts[random.random_range(0..self.facts.len())];
        let group = self.group(&fact);
        let asked = lessons::question(lexicon, cot_style, fact, &group, lessons::form(random), random);
        (asked, group.into_iter().map(Stated::from).collect())
    }

    /// "who in GROUP VERB OBJECT ?", or the same without the group.
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        let Some(fact) = mark.before(1).and_then(|object| self.by_object.get(&object)) else { return false };
        let of_any = || {
            let verbs = [0, 1].map(|wording| Some(lexicon.grammar(fact.verb(wording))));
            mark.before(3) == Some(lexicon.grammar("who")) && verbs.contains(&mark.before(2))
        };
        mark.before(3) == Some(fact.group) || of_any()
    }

    /// "OBJECT : SUBJECT"
    fn answers(&self, colon: &TrainingWord) -> bool {
        let fact = colon.before(1).and_then(|object| self.by_object.get(&object));
        fact.is_some_and(|fact| colon.after().first() == Some(&fact.subject))
    }

    fn gives_away(&self, word: &TrainingWord) -> Option<LeakKind> {
        let reversed = |object: &Word| self.by_object.get(object).is_some_and(|fact| fact.subject == word.word());
        word.earlier().iter().any(reversed).then_some(LeakKind::ReversedFact)
    }
}

/// The fact's own subject and those of others of its group, in random order.
fn candidates(fact: &Fact, group: &[Fact], random: &mut Stream) -> Vec<Word> {
    let others: Vec<&Fact> = group.iter().filter(|other| other.subject != fact.subject).collect();
    let mut shown: Vec<Word> = others.choose_multiple(random, SHOWN - 1).map(|f| f.subject).collect();
    shown.push(fact.subject);
    shown.shuffle(random);
    shown
}

/// "who in tarnby guards bilku ?", with candidates after it, or without the group.
pub fn who(lexicon: &Lexicon, fact: &Fact, named: bool, candidates: &[Word], wording: usize) -> Vec<Word> {
    let mut words = vec![lexicon.grammar("who")];
    if named {
        words.extend([lexicon.grammar("in"), fact.group]);
    }
    words.extend([lexicon.grammar(fact.verb(wording)), fact.object, lexicon.grammar("?")]);
    words.extend(candidates);
    words
}
