//! What the verifier needs to know of a world, and what is looked up in claims.

use std::collections::BTreeSet;

use super::logic::{Import, categorical, decided};
use super::{Claim, Question};

/// A world that sentences can be held against. None of its methods may panic or take more than linear time, because
/// what they are handed is whatever a policy wrote.
pub trait Facts {
    /// Whether there is a grammar to read sentences in. Where there is none, as in free text from files, nothing
    /// counts as recited: a sentence that nobody can check is neither true nor false.
    fn has_grammar(&self) -> bool {
        true
    }

    /// What a sentence claims, its full stop included; `None` where it is not a statement of the world's grammar.
    fn read(&self, sentence: &str) -> Option<Claim>;

    /// What the sentences of a thought claim: the slices of which they consist, each with its claim. Where sentences have but
    /// one fact, each is one slice. As [`Facts::read`], in linear time.
    fn clauses<'a>(&self, sentences: &[&'a str]) -> Vec<(&'a str, Option<Claim>)> {
        sentences.iter().map(|sentence| (*sentence, self.read(sentence))).collect()
    }

    /// Whether a slice that claims nothing is a remark, such as "That fits.", rather than a statement that nobody can read: it
    /// names nothing that a fact could hold of. Grammars without remarks have none.
    fn is_remark(&self, _slice: &str) -> bool {
        false
    }

    /// Whether the claim is one that the documents state. What merely follows from them does not hold: a recitation
    /// is a fact that was read, not a conclusion.
    fn holds(&self, claim: &Claim) -> bool;

    /// The sentence that documents state a claim by, cut before what it says of its subject. `None` where they do not.
    fn cloze(&self, _claim: &Claim) -> Option<Cloze> {
        None
    }

    /// A sentence by which documents state a claim. `None` where they do not.
    fn sentence(&self, _claim: &Claim) -> Option<String> {
        None
    }

    /// Whether terms are taken to have members, which decides what follows from statements about them.
    fn import(&self) -> Import {
        Import::Existential
    }
}

/// A sentence of the documents, to be completed in the order in which they have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloze {
    pub beginning: String,
    pub rest: String,
}

/// A thought that recites all that an answer needs, in the words of the documents; `None` where nobody knows what that is.
pub fn reference_thought(facts: &dyn Facts, question: &Question) -> Option<String> {
    let needed: Option<Vec<String>> = question.needed.iter().map(|claim| facts.sentence(claim)).collect();
    needed.map(|sentences| sentences.join(" ")).filter(|thought| !thought.is_empty())
}

/// What the claims say in the place of what is asked for: the subject of the needed claim, or its object. Another group
/// counts only where the question names none. `None` where they say nothing or more than one thing.
pub fn looked_up<'a>(needed: &Claim, claims: &BTreeSet<&'a Claim>, subject: bool, named: bool) -> Option<&'a str> {
    let Claim::Relation { group, subject: who, relation, object: what } = needed else { return None };
    let mut said = claims.iter().filter_map(|claim| match claim {
        Claim::Relation { group: g, subject: s, relation: r, object: o } if r == relation && (!named || g == group) => {
            if subject {
                (o == what).then_some(s.as_str())
            } else {
                (s == who).then_some(o.as_str())
            }
        }
        _ => None,
    });
    let first = said.next()?;
    said.all(|other| other == first).then_some(first)
}

/// What the claims say to a question in free text, by what it needs: a verdict on its conclusion, or else the end of the one
/// needed fact that is the right answer, where the other needed facts were claimed as well. A group that the question does not
/// name may be any.
pub fn answered(question: &Question, claims: &BTreeSet<&Claim>, import: Import) -> Option<String> {
    if let Some(conclusion) = &question.conclusion {
        return decided(categorical(conclusion)?, claims, import).map(|verdict| verdict.word().into());
    }
    let asked = |claim: &&Claim| match claim {
        Claim::Relation { subject, object, .. } => question.is_answered_by(subject) || question.is_answered_by(object),
        Claim::Categorical { .. } => false,
    };
    // The last one that the answer stands in: steps come in their order.
    let last = question.needed.iter().rfind(asked)?;
    let Claim::Relation { group, subject, .. } = last else { return None };
    if question.needed.iter().any(|needed| needed != last && !claims.contains(needed)) {
        return None;
    }
    let named = group.is_empty() || question.text.to_lowercase().contains(&group.to_lowercase());
    looked_up(last, claims, question.is_answered_by(subject), named).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::jsonl::task::COMPLETION;
    use crate::knowledge::{Match, Mood};

    fn relation(subject: &str, relation: &str, object: &str) -> Claim {
        let [group, subject, relation, object] = ["", subject, relation, object].map(String::from);
        Claim::Relation { group, subject, relation, object }
    }

    fn question(text: &str, answer: &str, needed: &[&Claim]) -> Question {
        Question {
            text: text.into(),
            answer: answer.into(),
            aliases: vec!["Venn".into()],
            matching: Match::Normalised,
            needed: needed.iter().map(|claim| (*claim).clone()).collect(),
            ..Question::blank(COMPLETION)
        }
    }

    fn said(question: &Question, claims: &[&Claim]) -> Option<String> {
        answered(question, &claims.iter().copied().collect(), Import::Existential)
    }

    #[test]
    fn facts_without_a_group_are_looked_up_in_both_directions() {
        let fact = relation("Mara Venn", "designed", "the Glass Bridge");
        let other = relation("Rik Dop", "designed", "the Glass Bridge");
        let denied = relation("Mara Venn", "not designed", "the Glass Bridge");
        let who = question("Who designed the Glass Bridge?", "Venn", &[&fact]);
        assert_eq!(said(&who, &[&fact]), None, "an alias alone is no end of the fact");
        let who = Question { answer: "Mara Venn".into(), ..who };
        assert_eq!(said(&who, &[&fact, &denied]).as_deref(), Some("Mara Venn"));
        assert_eq!(said(&who, &[&other]).as_deref(), Some("Rik Dop"));
        assert_eq!(said(&who, &[&fact, &other]), None);
        assert_eq!(said(&who, &[&denied]), None);
        let what = question("What did Mara Venn design?", "the Glass Bridge", &[&fact]);
        assert_eq!(said(&what, &[&fact]).as_deref(), Some("the Glass Bridge"));
        assert_eq!(
            said(&what, &[&relation("Mara Venn", "designed", "the Owl Tower")]).as_deref(),
            Some("the Owl Tower")
        );
    }

    #[test]
    fn the_last_of_two_steps_needs_the_first() {
        let (first, last) =
            (relation("Mara Venn", "designed", "the Bridge"), relation("the Bridge", "stands in", "Korstad"));
        let where_ = question("Where stands what Mara Venn designed?", "Korstad", &[&first, &last]);
        assert_eq!(said(&where_, &[&first, &last]).as_deref(), Some("Korstad"));
        assert_eq!(said(&where_, &[&last]), None);
    }

    #[test]
    fn a_conclusion_is_decided_from_the_claims() {
        let categorical = |subject: &str, mood, predicate: &str| Claim::Categorical {
            subject: subject.into(),
            mood,
            predicate: predicate.into(),
        };
        let (one, two) = (categorical("vops", Mood::All, "mibs"), categorical("mibs", Mood::No, "zeds"));
        let asked = question("Does it follow that some vops are zeds?", "no", &[&one, &two]);
        let asked = Question { conclusion: Some(categorical("vops", Mood::Some, "zeds")), ..asked };
        assert_eq!(said(&asked, &[&one, &two]).as_deref(), Some("no"));
        assert_eq!(said(&asked, &[&one]), None);
    }
}
