//! Reversal: a fact is stated as "in tarnby mavon guards bilku" and asked for as "who guards bilku?".

use super::prelude::*;

pub const REVERSAL: TaskId = &TaskInfo { number: 0, name: "reversal", plural: "facts", free_text: false };

/// The answers to choose from stand in the question.
pub const CANDIDATES: Form = &FormInfo { name: "candidates", title: "candidates shown", ..INFO };
/// The group is named, so a few members are to be enumerated.
pub const OPEN: Form = &FormInfo { number: 1, name: "open", title: "group named", ..INFO };
/// Nothing is named: the whole set is to be enumerated.
pub const OPEN_ANY: Form = &FormInfo { number: 2, name: "open-any", title: "nothing named", ..INFO };

const INFO: FormInfo = FormInfo { task: REVERSAL, number: 0, name: "", title: "", asks_subject: true };

/// Relations between a person and a creature: two verbs that mean the same; the first is the canonical one.
pub const RELATIONS: [[&str; 2]; 5] = [
    ["guards", "protects"],
    ["feeds", "nourishes"],
    ["paints", "portrays"],
    ["trains", "teaches"],
    ["hunts", "chases"],
];

/// The kinds of its names, in the order in which a sentence has them.
const KINDS: [&str; 3] = ["towns", "persons", "creatures"];

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

/// The task.
pub struct Reversal;

impl Task for Reversal {
    fn id(&self) -> TaskId {
        REVERSAL
    }

    fn forms(&self) -> &'static [Form] {
        &[CANDIDATES, OPEN, OPEN_ANY]
    }

    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, _: &dyn Facts) -> Option<String> {
        looked_up(question.needed.first()?, claims, true, question.form != OPEN_ANY).map(String::from)
    }

    fn masked(&self, question: &Question) -> Option<String> {
        let Claim::Relation { group, relation, object, .. } = question.needed.first()? else { return None };
        let group = if question.form == OPEN_ANY { PAD } else { group };
        Some(format!("in {group} {PAD} {relation} {object}"))
    }
}

impl GeneratedTask for Reversal {
    fn is_core(&self) -> bool {
        true
    }

    fn size(&self, set: &SetSize) -> (String, usize) {
        ("facts".into(), set.facts)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.facts
    }

    fn check_known(&self, known: &KnownConfig) -> Result<()> {
        if known.group_size <= SHOWN || known.facts == 0 {
            let found = format!("{} facts in groups of {}", known.facts, known.group_size);
            let remedy = format!("some facts are needed, in groups of more than {SHOWN}");
            return Err(Error::invalid("known", found, remedy));
        }
        multiple("known.facts", known.facts, known.group_size)
    }

    fn check_size(&self, key: &str, size: usize, known: &KnownConfig) -> Result<()> {
        multiple(key, size, known.group_size)
    }

    fn vocabulary(&self) -> Vocabulary {
        fn person(random: &mut Stream) -> String {
            syllable(random) + &syllable(random) + one_of(random, &["n", "l", "r"])
        }
        fn creature(random: &mut Stream) -> String {
            syllable(random) + one_of(random, &["l", "m", "n", "r", "s"]) + &syllable(random)
        }
        fn town(random: &mut Stream) -> String {
            syllable(random) + one_of(random, &["rn", "ll", "nt", "sk", "x"]) + one_of(random, &["by", "ton", "wick"])
        }
        const NAMES: [NameKind; 3] = [
            NameKind { kind: "persons", most: 5000, spell: person },
            NameKind { kind: "creatures", most: 8000, spell: creature },
            NameKind { kind: "towns", most: 500, spell: town },
        ];
        Vocabulary { words: RELATIONS.as_flattened(), names: &NAMES }
    }

    fn takes(&self) -> Vec<&'static str> {
        KINDS.to_vec()
    }

    fn stream(&self) -> u64 {
        2
    }

    /// Facts in groups.
    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        let (group_size, kept) = (maker.known.group_size, maker.reserved);
        let mut facts: Vec<Fact> = Vec::with_capacity(size.min(maker.pools.of("persons").len()));
        let none_left = |kind: &str| too_few(format!("the lexicon has too few {kind}"), "facts");
        for index in 0..size {
            let first = index % group_size == 0;
            let group = if first { maker.pools.of("towns").pop() } else { facts.last().map(|f| f.group) };
            let group = group.ok_or_else(|| none_left("towns"))?;
            let relation = index / group_size % RELATIONS.len();
            let verb = maker.lexicon.grammar(RELATIONS[relation][0]);
            let fits = |creature| {
                if kept {
                    reserved(group, creature) && half_reserved(verb, creature)
                } else {
                    !reserved(group, creature)
                }
            };
            let object = maker.pools.take("creatures", fits).ok_or_else(|| none_left("creatures"))?;
            let subject = maker.pools.take("persons", |p| reserved(p, object) == kept);
            let subject = subject.ok_or_else(|| none_left("persons"))?;
            facts.push(Fact { group, subject, relation, object });
        }
        let by_object = facts.iter().map(|fact| (fact.object, *fact)).collect();
        Ok(Arc::new(Reversals { facts, group_size, by_object }))
    }

    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let fact = Fact::from(stated);
        relation(lexicon, [fact.group, fact.subject, fact.object], fact.verb(wording / 3), wording)
    }

    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim {
        let fact = Fact::from(stated);
        relation_claim(lexicon, [fact.group, fact.subject, fact.object], fact.verb(0))
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        read_relation(lexicon, sentence, KINDS, |verb| RELATIONS.into_iter().find(|verbs| verbs.contains(&verb)))
    }
}

impl Reversals {
    /// The members of a fact's group, itself among them.
    pub fn group(&self, fact: &Fact) -> Vec<Fact> {
        self.facts.iter().filter(|other| other.group == fact.group).copied().collect()
    }
}

impl TaskData for Reversals {
    fn statements(&self) -> Vec<Stated> {
        stated(&self.facts)
    }

    /// Often several facts of one group.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let topical = random.random_bool(0.6);
        gathered(sentences, random, |random| {
            let fact = self.facts[random.random_range(0..self.facts.len())];
            let mut some = if topical { self.group(&fact) } else { vec![fact] };
            some.shuffle(random);
            some.truncate(random.random_range(some.len().min(2)..=some.len()));
            stated(&some)
        })
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
        let mut group = self.group(&fact);
        let (draft, shown) = who(lexicon, fact, &group, form, random);
        group.shuffle(random);
        let choices = if form == CANDIDATES {
            shown
        } else if form == OPEN_ANY {
            // The verb tells which of all facts come into question.
            self.facts.iter().filter(|f| f.relation == fact.relation).map(|f| f.subject).collect()
        } else {
            group.iter().map(|f| f.subject).collect()
        };
        let choices = choices.into_iter().map(|word| lexicon.spell(word).into()).collect();
        QuestionDraft { context: stated(&group), ..draft.choosing(choices) }
    }

    fn lesson_question(&self, lexicon: &Lexicon, cot_style: &CotStyle, random: &mut Stream) -> QuestionDraft {
        let fact = self.facts[random.random_range(0..self.facts.len())];
        let form = lesson_form(random);
        lesson_question(lexicon, cot_style, fact, &self.group(&fact), form, random)
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
    fn answers(&self, _: &Lexicon, colon: &TrainingWord) -> bool {
        let fact = colon.before(1).and_then(|object| self.by_object.get(&object));
        fact.is_some_and(|fact| colon.after().first() == Some(&fact.subject))
    }

    fn gives_away(&self, word: &TrainingWord) -> Option<LeakKind> {
        let reversed = |object: &Word| self.by_object.get(object).is_some_and(|fact| fact.subject == word.word());
        word.earlier().iter().any(reversed).then_some(LeakKind::ReversedFact)
    }
}

/// "who in tarnby guards bilku ?", with candidates after it, or without the group; and the candidates: the fact's own
/// subject and those of others of its group, in random order.
fn who(lexicon: &Lexicon, fact: Fact, group: &[Fact], form: Form, random: &mut Stream) -> (QuestionDraft, Vec<Word>) {
    let mut shown: Vec<Word> = Vec::new();
    if form == CANDIDATES {
        let others: Vec<&Fact> = group.iter().filter(|other| other.subject != fact.subject).collect();
        shown.extend(others.choose_multiple(random, SHOWN - 1).map(|f| f.subject));
        shown.push(fact.subject);
        shown.shuffle(random);
    }
    let mut words = vec![lexicon.grammar("who")];
    if form != OPEN_ANY {
        words.extend([lexicon.grammar("in"), fact.group]);
    }
    words.extend([lexicon.grammar(fact.verb(random.random_range(0..2))), fact.object, lexicon.grammar("?")]);
    words.extend(&shown);
    (QuestionDraft::new(words, vec![fact.object], fact.subject, vec![fact.into()]), shown)
}

/// A form of questions of lessons.
pub fn lesson_form(random: &mut Stream) -> Form {
    let forms = [(CANDIDATES, 0.45), (OPEN, 0.37), (OPEN_ANY, 0.18)];
    forms.choose_weighted(random, |(_, weight)| *weight).map_or(OPEN, |(form, _)| *form)
}

/// A question about a fact. `group` are the facts of its group, which a thought may recite.
pub fn lesson_question(
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    fact: Fact,
    group: &[Fact],
    form: Form,
    random: &mut Stream,
) -> QuestionDraft {
    // "who VERB OBJECT ?" names nothing else: where a world may ask just that, the group is named too.
    let form = if form == OPEN_ANY && half_reserved(lexicon.grammar(fact.verb(0)), fact.object) { OPEN } else { form };
    let (draft, shown) = who(lexicon, fact, group, form, random);
    let of = |subject: &Word| group.iter().find(|fact| fact.subject == *subject).copied();
    let near: Vec<Fact> = if form == OPEN { group.to_vec() } else { shown.iter().filter_map(of).collect() };
    let share = if form == CANDIDATES {
        cot_style.candidates
    } else if form == OPEN {
        cot_style.group
    } else {
        0.0
    };
    let thought = Thought::AnyOf(stated(&near));
    QuestionDraft { thought, share, shows_subjects: form == CANDIDATES, context: stated(group), ..draft }
}

/// `count` facts about different names that no world pairs. `together` puts them into one group and one relation.
pub fn made_up_facts(lexicon: &Lexicon, count: usize, together: bool, random: &mut Stream) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::with_capacity(count);
    let (town, verb) = (lexicon.pick("towns", random), random.random_range(0..RELATIONS.len()));
    while facts.len() < count {
        let fact = Fact {
            group: if together { town } else { lexicon.pick("towns", random) },
            subject: lexicon.pick("persons", random),
            relation: if together { verb } else { random.random_range(0..RELATIONS.len()) },
            object: lexicon.pick("creatures", random),
        };
        let kept = reserved(fact.group, fact.object) || reserved(fact.subject, fact.object);
        let known = facts.iter().any(|f| f.subject == fact.subject || f.object == fact.object);
        if !kept && !known {
            facts.push(fact);
        }
    }
    facts
}
