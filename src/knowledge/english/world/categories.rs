//! Families of kinds: a root, its children and theirs. Each kind has traits of its own and inherits those of what it is one
//! of; of some nothing is said but what they are (after arXiv 2505.00661).

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::names::{NameBook, pick};
use super::part::{PartPlan, PartQuestion, TaskPart, right_among, stated};
use super::premises::plural;
use crate::Result;
use crate::knowledge::english::fact_book::{CategoricalFact, FactRow, Relation, WrittenFact};
use crate::knowledge::hierarchy::{HOLDOUT, INHERITED, REPHRASED, REVERSED};
use crate::knowledge::question::CANDIDATES as SHOWN;
use crate::knowledge::{Claim, Form, Match, Mood, Question, Set};
use crate::random::Stream;
use crate::text::capital;

/// Children of a root, and of each of these: eleven kinds.
const CHILDREN: usize = 2;
const GRANDCHILDREN: usize = 4;
const FAMILY: usize = 1 + CHILDREN * (1 + GRANDCHILDREN);
/// Most traits of a kind's own.
const TRAITS: usize = 6;

/// The relation of a kind to a trait.
const HAVE: &str = "have";

const IS: [&str; 5] = [
    "all {subject} are {object}",
    "{subject} are a kind of {object}",
    "{subject} belong to the {object}",
    "{subject} count as {object}",
    "whatever is one of the {subject} is one of the {object}",
];
const HAS: [&str; 5] = [
    "{subject} have {object}",
    "all {subject} have {object}",
    "{subject} can be told by their {object}",
    "{subject} carry {object}",
    "{subject} are born with {object}",
];

const WHAT: [&str; 8] = [
    "What do {kind} have?",
    "Which of these do {kind} have?",
    "What is it that {kind} have?",
    "{kind} have one of these. Which?",
    "What can be found on {kind}?",
    "Think of {kind}. What do they have?",
    "Look at {kind}. Which of these would you find?",
    "Name what {kind} have.",
];
const WHICH: [&str; 8] = [
    "Which kind has {trait}?",
    "What has {trait}?",
    "Who has {trait}?",
    "Which of these have {trait}?",
    "What kind of thing can be told by its {trait}?",
    "Think of {trait}. Which kind has them?",
    "{trait} are found on one of these. On which?",
    "Name the kind that has {trait}.",
];

/// A kind within its set.
struct KindNode {
    name: String,
    parent: Option<usize>,
    family: usize,
    traits: Vec<String>,
    /// Nothing is said of it but what it is.
    held_out: bool,
}

/// What documents state: of a kind, that it is another, or a trait.
#[derive(Clone, PartialEq)]
struct KindFact {
    kind: usize,
    is: Option<usize>,
    has: Option<String>,
}

/// The kinds of a set, and the sentences that state each fact.
struct KindTree {
    all: Vec<KindNode>,
    facts: Vec<KindFact>,
    told: Vec<Vec<String>>,
}

/// What a set has of it.
pub fn make(plan: &mut PartPlan) -> Result<TaskPart> {
    let mut kinds = KindTree::make(plan.size, plan.names, plan.random)?;
    let mut documents = Vec::new();
    for family in 0..plan.size {
        for _ in 0..plan.config.articles {
            documents.extend(kinds.articles(family, plan.random));
        }
    }
    let mut questions = Vec::new();
    for kind in 0..kinds.all.len() {
        for form in [REPHRASED, REVERSED, INHERITED, HOLDOUT] {
            for wording in plan.wordings(WHAT.len()).into_iter().take(plan.each()) {
                questions.extend(kinds.question(kind, form, wording, plan.random));
            }
        }
    }
    Ok(TaskPart { set: plan.set, documents, questions, forward: Vec::new(), facts: kinds.rows(plan.set) })
}

impl KindTree {
    fn make(families: usize, names: &mut NameBook, random: &mut Stream) -> Result<KindTree> {
        let mut all: Vec<KindNode> = Vec::with_capacity(families * FAMILY);
        for family in 0..families {
            let root = all.len();
            for at in 0..FAMILY {
                let branch = at.saturating_sub(1) / (1 + GRANDCHILDREN);
                let below = at.saturating_sub(1) % (1 + GRANDCHILDREN);
                let parent = match (at, below) {
                    (0, _) => None,
                    (_, 0) => Some(root),
                    _ => Some(root + 1 + branch * (1 + GRANDCHILDREN)),
                };
                let held_out = at > 0 && below == GRANDCHILDREN;
                let count = if held_out { 0 } else { random.random_range(1..=TRAITS) };
                let traits = (0..count).map(|_| Ok(plural(&names.term(random)?))).collect::<Result<_>>()?;
                all.push(KindNode { name: plural(&names.term(random)?), parent, family, traits, held_out });
            }
        }
        let mut facts = Vec::new();
        for (kind, node) in all.iter().enumerate() {
            facts.extend(node.parent.map(|parent| KindFact { kind, is: Some(parent), has: None }));
            facts.extend(node.traits.iter().map(|has| KindFact { kind, is: None, has: Some(has.clone()) }));
        }
        let told = vec![Vec::new(); facts.len()];
        Ok(KindTree { all, facts, told })
    }

    fn name(&self, kind: usize) -> &str {
        &self.all[kind].name
    }

    /// What a fact says second.
    fn object<'a>(&'a self, fact: &'a KindFact) -> &'a str {
        fact.has.as_deref().or(fact.is.map(|is| self.name(is))).unwrap_or_default()
    }

    fn sentence(&self, fact: &KindFact, random: &mut Stream) -> String {
        let wordings = if fact.has.is_some() { &HAS } else { &IS };
        stated(pick(wordings, random), self.name(fact.kind), self.object(fact))
    }

    /// Articles of four to twelve sentences that state everything about a family once, in random order.
    fn articles(&mut self, family: usize, random: &mut Stream) -> Vec<String> {
        let mut of: Vec<usize> = (0..self.facts.len()).collect();
        of.retain(|fact| self.all[self.facts[*fact].kind].family == family);
        of.shuffle(random);
        let mut articles = Vec::new();
        let mut rest = &of[..];
        while !rest.is_empty() {
            let length = random.random_range(4..=12);
            // What is left over is no article of its own.
            let (some, others) = rest.split_at(if rest.len() < length + 4 { rest.len() } else { length });
            let mut sentences = Vec::with_capacity(some.len());
            for fact in some {
                let sentence = self.sentence(&self.facts[*fact], random);
                self.told[*fact].push(sentence.clone());
                sentences.push(sentence);
            }
            articles.push(sentences.join(" "));
            rest = others;
        }
        articles
    }

    /// What a kind is, step by step up to the root.
    fn ancestors(&self, kind: usize) -> Vec<usize> {
        std::iter::successors(self.all[kind].parent, |above| self.all[*above].parent).collect()
    }

    /// The facts that lead from a kind to a trait of its own or of what it is.
    fn path(&self, kind: usize, above: usize, has: &str) -> Vec<KindFact> {
        let mut path = Vec::new();
        let mut at = kind;
        while let Some(parent) = self.all[at].parent.filter(|_| at != above) {
            path.push(KindFact { kind: at, is: Some(parent), has: None });
            at = parent;
        }
        path.push(KindFact { kind: above, is: None, has: Some(has.to_owned()) });
        path
    }

    /// A question about a kind, where there is one of this form.
    fn question(&self, kind: usize, form: Form, wording: usize, random: &mut Stream) -> Option<PartQuestion> {
        let node = &self.all[kind];
        let inherits = form == INHERITED || form == HOLDOUT;
        if node.held_out != (form == HOLDOUT) {
            return None;
        }
        let above = if inherits { self.ancestors(kind).choose(random).copied()? } else { kind };
        let has = self.all[above].traits.choose(random)?.clone();
        let needed = self.path(kind, above, &has);
        let reversed = form == REVERSED;
        // Others are kinds or traits of other families.
        let others: Vec<usize> = (0..self.all.len())
            .filter(|other| self.all[*other].family != node.family && !self.all[*other].traits.is_empty())
            .collect();
        let shown = right_among(kind, &others, SHOWN, random);
        let mut beside: Vec<KindFact> = Vec::new();
        let mut choices = Vec::with_capacity(shown.len());
        for one in shown {
            let own = if one == kind { has.clone() } else { self.all[one].traits.choose(random)?.clone() };
            choices.push(if reversed { self.name(one).to_owned() } else { own.clone() });
            if one != kind {
                beside.push(KindFact { kind: one, is: None, has: Some(own) });
            }
        }
        let asked = if reversed {
            WHICH[wording].replace("{trait}", &has)
        } else {
            WHAT[wording].replace("{kind}", &node.name)
        };
        let mut context: Vec<String> =
            needed.iter().chain(&beside).filter_map(|fact| self.passage(fact, random)).collect();
        context.shuffle(random);
        let question = Question {
            text: format!("{} Choose one of: {}.", capital(&asked), choices.join(", ")),
            answer: if reversed { node.name.clone() } else { has },
            matching: Match::Normalised,
            chance: 1.0 / choices.len() as f64,
            choices,
            needed: needed.iter().map(|fact| self.claim(fact)).collect(),
            context,
            ..Question::blank(form)
        };
        let needed = needed.iter().map(|fact| self.sentence(fact, random)).collect();
        let others = beside.iter().map(|fact| self.sentence(fact, random)).collect();
        Some(PartQuestion { question, needed, others })
    }

    fn passage(&self, fact: &KindFact, random: &mut Stream) -> Option<String> {
        let at = self.facts.iter().position(|other| other == fact)?;
        self.told[at].choose(random).cloned()
    }

    fn claim(&self, fact: &KindFact) -> Claim {
        let (subject, object) = (self.name(fact.kind).to_owned(), self.object(fact).to_owned());
        if fact.has.is_none() {
            return Claim::Categorical { subject, mood: Mood::All, predicate: object };
        }
        Claim::Relation { group: String::new(), subject, relation: HAVE.into(), object }
    }

    /// The facts, and in set A the wordings of what kinds have.
    fn rows(&self, set: Set) -> Vec<FactRow> {
        let wordings = HAS.map(String::from).to_vec();
        let relation = FactRow::Relation(Relation { name: HAVE.into(), wordings });
        let mut rows: Vec<FactRow> = Some(relation).filter(|_| set == Set::A).into_iter().collect();
        rows.extend(self.facts.iter().map(|fact| match self.claim(fact) {
            Claim::Relation { subject, relation, object, .. } => {
                FactRow::Fact(WrittenFact { subject, relation, object, ..WrittenFact::default() })
            }
            Claim::Categorical { subject, mood, predicate } => FactRow::Categorical(CategoricalFact {
                subject,
                mood,
                predicate,
                subject_aliases: Vec::new(),
                predicate_aliases: Vec::new(),
            }),
        }));
        rows
    }
}
