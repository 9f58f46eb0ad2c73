//! How families are made, how statements about kinds are worded and read, and what answers a question about one.

use super::{FORMS, Families, HIERARCHY, HOLDOUT, HierarchyConfig, INHERITED, Link, REPHRASED, REVERSED};
use crate::knowledge::prelude::*;

/// Families of a lesson: enough for candidates of which no world may ask.
const FAMILIES: usize = 7;

/// The task.
pub struct Hierarchy;

impl Task for Hierarchy {
    fn id(&self) -> TaskId {
        HIERARCHY
    }

    fn forms(&self) -> &'static [Form] {
        &FORMS
    }

    /// The one of its choices that the kind is, or that is the kind.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, facts: &dyn Facts) -> Option<String> {
        let follows = |choice: &&String| {
            let (cue, choice) = (question.named(), choice.as_str());
            let (kind, is) = if question.form == REVERSED { (choice, cue) } else { (cue, choice) };
            decided((kind, Mood::All, is), claims, facts.import()) == Some(Verdict::Yes)
        };
        let mut right = question.choices.iter().filter(follows);
        let first = right.next()?;
        right.next().is_none().then(|| first.clone())
    }

    fn masked(&self, question: &Question) -> Option<String> {
        if question.form == REVERSED {
            return Some(format!("all {PAD} {}", question.cue));
        }
        let (verb, kind) = question.cue.split_once(' ')?;
        (question.form == REPHRASED).then(|| format!("all {kind} {verb} {PAD}"))
    }
}

impl GeneratedTask for Hierarchy {
    fn size(&self, set: &SetSize) -> (String, usize) {
        ("families".into(), set.families)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.hierarchy.families
    }

    fn lesson_share(&self, cot_style: &CotStyle) -> f64 {
        cot_style.kinds
    }

    fn vocabulary(&self) -> Vocabulary {
        fn stem(random: &mut Stream) -> String {
            syllable(random) + one_of(random, &["b", "d", "g", "k", "l", "m", "n", "p", "r", "v"])
        }
        const NAMES: [NameKind; 2] = [
            NameKind { kind: "kinds", most: 1500, spell: |r| stem(r) + one_of(r, &["ids", "oids", "ines"]) },
            NameKind { kind: "traits", most: 1500, spell: |r| stem(r) + one_of(r, &["ors", "els", "uts"]) },
        ];
        Vocabulary { words: &["what", "have", "inherit"], names: &NAMES }
    }

    fn takes(&self) -> &'static [&'static str] {
        &["kinds", "traits"]
    }

    fn stream(&self) -> u64 {
        5
    }

    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        Ok(Arc::new(Families::new(size, &maker.known.hierarchy, maker)?))
    }

    /// Small families.
    fn made_up(&self, known: &KnownConfig, lexicon: &Lexicon, random: &mut Stream) -> Option<Arc<dyn TaskData>> {
        let config = &known.hierarchy;
        let branching: Vec<usize> = config.branching.iter().map(|children| (*children).min(2)).collect();
        let holdouts = config.holdouts.min(branching.last().map_or(0, |last| last - 1));
        let config = HierarchyConfig { branching, holdouts, ..config.clone() };
        let pools = &mut Pools::new(lexicon, self.takes(), random);
        let mut maker = SetMaker { known, lexicon, pools, random, reserved: false };
        Some(Arc::new(Families::new(FAMILIES, &config, &mut maker).ok()?))
    }

    /// "all mavids are bokoids ." or "all mavids have bikors ."
    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let link = Link::from(stated);
        vec![
            (lexicon.grammar(["all", "each"][wording % 2]), Slot::Frame),
            (link.kind, Slot::Subject),
            (verb(lexicon, link), Slot::Relation),
            (link.is, Slot::Object),
            (lexicon.grammar("."), Slot::Stop),
        ]
    }

    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim {
        let Link { kind, is } = stated.into();
        let [subject, predicate] = [kind, is].map(|word| lexicon.spell(word).to_owned());
        Claim::Categorical { subject, mood: Mood::All, predicate }
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        let ["all" | "each", kind, verb @ ("are" | "have"), is] = *sentence else { return None };
        let there = lexicon.are_names(&[(kind, "kinds"), (is, if verb == "have" { "traits" } else { "kinds" })]);
        there.then(|| Claim::Categorical { subject: kind.into(), mood: Mood::All, predicate: is.into() })
    }

    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], _: usize) -> Vec<Word> {
        object_first(&self.sentence(lexicon, stated, 0), lexicon.grammar(","))
    }

    /// After its kind was named.
    fn comes_to_mind(&self, stated: [Word; 4], asked: &[Word], thought: &mut dyn Iterator<Item = &Stated>) -> bool {
        let kind = Link::from(stated).kind;
        asked.contains(&kind)
            || Iterator::any(&mut { thought }, |said| said.task == HIERARCHY && Link::from(said.words).is == kind)
    }
}

/// "are" or "have".
fn verb(lexicon: &Lexicon, link: Link) -> Word {
    lexicon.grammar(if lexicon.is_a("traits", link.is) { "have" } else { "are" })
}

/// "what have mavids ?", "who have bikors ?" or, where it follows from what is said of kinds above, "what inherit
/// mavids ?", with candidates behind.
pub fn which(lexicon: &Lexicon, asked: Link, form: Form, candidates: &[Word]) -> Vec<Word> {
    let mut words = vec![lexicon.grammar(if form == REVERSED { "who" } else { "what" })];
    words.extend(restated(lexicon, asked, form));
    words.push(lexicon.grammar("?"));
    words.extend(candidates);
    words
}

/// What an answer restates of a question: "have mavids", "have bikors" or "inherit mavids".
pub fn restated(lexicon: &Lexicon, asked: Link, form: Form) -> Vec<Word> {
    let inherited = [INHERITED, HOLDOUT].contains(&form);
    let verb = if inherited { lexicon.grammar("inherit") } else { verb(lexicon, asked) };
    vec![verb, asked.cue_and_answer(form).0]
}
