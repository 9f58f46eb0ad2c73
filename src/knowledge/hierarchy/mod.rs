//! Hierarchy: categories ("kinds") in families, each with a parent and traits of its own, stated as
//! "all mavids are bokoids ." and "all bokoids have bikors ."; what holds of a kind holds of all below it
//! (the semantic structure of arXiv 2505.00661).
//!
//! Documents state parents and own traits alone, and never two statements of which one continues the other. Questions
//! show four candidates that stand in the same relation to something, of which one is right, and ask for what was said
//! (rephrased), for whom it was said of (reversed), for what holds because it is said of a kind above (inherited),
//! and the last of kinds of which nothing is said but their parent (holdout).

pub mod config;
mod questions;
#[cfg(test)]
mod tests;

use super::prelude::*;
pub use config::HierarchyConfig;

pub const HIERARCHY: TaskId = &TaskInfo { number: 4, name: "hierarchy", plural: "hierarchies", free_text: false };

/// What of a kind was said, other words around it.
pub const REPHRASED: Form = &FormInfo { number: 7, name: "rephrased", title: "what was said", ..INFO };
/// Of which kind it was said.
pub const REVERSED: Form =
    &FormInfo { number: 8, name: "reversed", title: "whom it was said of", asks_subject: true, ..INFO };
/// What follows of a kind from those above it.
pub const INHERITED: Form = &FormInfo { number: 9, name: "inherited", title: "inherited", ..INFO };
/// The same of a kind of which nothing is said but its parent.
pub const HOLDOUT: Form = &FormInfo { number: 10, name: "holdout", title: "inherited, nothing else known", ..INFO };

const INFO: FormInfo = FormInfo { task: HIERARCHY, number: 0, name: "", title: "", asks_subject: false };

/// The forms of its questions.
pub const FORMS: [Form; 4] = [REPHRASED, REVERSED, INHERITED, HOLDOUT];

/// All of `kind` are `is`, if that is a kind, or have it, if it is a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    pub kind: Word,
    pub is: Word,
}

/// Something that can be asked, and the statements that it follows from, in the order of recall.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub asked: Link,
    pub needed: Vec<Link>,
}

/// The families of one set.
#[derive(Clone, Debug, Default)]
pub struct Families {
    /// Everything that documents state, family by family.
    pub links: Vec<Link>,
    /// Family and level of each name; a trait is on the level of the kind that has it.
    places: HashMap<Word, (usize, usize)>,
    holdouts: HashSet<Word>,
    items: HashMap<Form, Vec<Item>>,
    /// Everything that a question can ask.
    asked: HashSet<Link>,
    /// Whether it pairs [`half_reserved`] names.
    kept: bool,
}

impl From<Link> for Stated {
    fn from(Link { kind, is }: Link) -> Self {
        Stated { task: HIERARCHY, words: [kind, is, 0, 0] }
    }
}

impl From<[Word; 4]> for Link {
    fn from([kind, is, ..]: [Word; 4]) -> Self {
        Link { kind, is }
    }
}

impl Link {
    /// What a question names, and what answers it.
    pub fn cue_and_answer(self, form: Form) -> (Word, Word) {
        if form.asks_subject { (self.is, self.kind) } else { (self.kind, self.is) }
    }
}

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
        let pools = &mut Pools::new(lexicon, &self.takes(), random);
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
        categorical_claim(lexicon, kind, Mood::All, is)
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        let ["all" | "each", kind, verb @ ("are" | "have"), is] = *sentence else { return None };
        read_categorical(lexicon, (kind, "kinds"), Mood::All, (is, if verb == "have" { "traits" } else { "kinds" }))
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

impl Families {
    /// Takes names and makes `families` families. What is asked pairs [`half_reserved`] names or not, as the maker says.
    ///
    /// # Errors
    ///
    /// Impossible families, or too few names.
    pub fn new(families: usize, config: &HierarchyConfig, maker: &mut SetMaker) -> Result<Self> {
        config.check(families)?;
        let kept = maker.reserved;
        let mut hierarchy = Self { kept, ..Self::default() };
        for family in 0..families {
            hierarchy.add(family, config, maker)?;
        }
        for link in &hierarchy.links {
            let item = Item { asked: *link, needed: vec![*link] };
            hierarchy.items.entry(REPHRASED).or_default().push(item.clone());
            hierarchy.items.entry(REVERSED).or_default().push(item);
        }
        let kinds: Vec<Word> = hierarchy.kinds().collect();
        for kind in kinds {
            let form = if hierarchy.holdouts.contains(&kind) { HOLDOUT } else { INHERITED };
            let mut items = hierarchy.inherited(kind);
            items.retain(|item| half_reserved(item.asked.kind, item.asked.is) == kept);
            hierarchy.items.entry(form).or_default().extend(items);
        }
        hierarchy.asked = hierarchy.items.values().flatten().map(|item| item.asked).collect();
        Ok(hierarchy)
    }

    /// Makes one family, level by level.
    fn add(&mut self, family: usize, config: &HierarchyConfig, maker: &mut SetMaker) -> Result<()> {
        let SetMaker { pools, random, reserved, .. } = maker;
        let kept = *reserved;
        let none_left = |kind: &str| too_few(format!("the lexicon has too few {kind}"), "families");
        let mut parents: Vec<Option<Word>> = vec![None];
        for level in 0..=config.branching.len() {
            let last = level == config.branching.len();
            let mut made = Vec::new();
            for (parent, child) in parents.iter().flat_map(|parent| {
                let children = if level == 0 { 1 } else { config.branching[level - 1] };
                (0..children).map(move |child| (*parent, child))
            }) {
                let above: Vec<Word> = parent.map_or(Vec::new(), |parent| self.own_and_inherited(parent));
                // All that it inherits may be asked, if there is such a name.
                let fits = |above: &Word, kind: Word| half_reserved(kind, *above) == kept;
                let asked = |kind: Word| above.iter().filter(|is| fits(is, kind)).count();
                let free = pools.of("kinds").iter().copied().enumerate();
                let free = free.filter(|(_, kind)| parent.is_none_or(|parent| fits(&parent, *kind)));
                let best = free.max_by_key(|(at, kind)| (asked(*kind), *at)).map(|(at, kind)| (at, asked(kind)));
                let (at, _) = best.filter(|(_, n)| above.is_empty() || *n > 0).ok_or_else(|| none_left("kinds"))?;
                let kind = pools.of("kinds").remove(at);
                self.places.insert(kind, (family, level));
                self.links.extend(parent.map(|parent| Link { kind, is: parent }));
                let traits = match last {
                    true if child < config.holdouts => 0,
                    true => random.random_range(1..=config.traits),
                    false => config.traits,
                };
                if traits == 0 {
                    self.holdouts.insert(kind);
                }
                for _ in 0..traits {
                    let is = pools.take("traits", |t| half_reserved(kind, t) == kept);
                    let is = is.ok_or_else(|| none_left("traits"))?;
                    self.places.insert(is, (family, level));
                    self.links.push(Link { kind, is });
                }
                made.push(Some(kind));
            }
            parents = made;
        }
        Ok(())
    }

    fn kinds(&self) -> impl Iterator<Item = Word> {
        let mut seen = HashSet::new();
        self.links.iter().map(|link| link.kind).filter(move |kind| seen.insert(*kind))
    }

    /// What is said of a kind.
    pub fn of(&self, kind: Word) -> impl Iterator<Item = Link> {
        self.links.iter().filter(move |link| link.kind == kind).copied()
    }

    /// All that a kind is, with the statements that say so.
    fn all_of(&self, kind: Word) -> Vec<Item> {
        let mut found: Vec<Item> = Vec::new();
        let mut open = vec![(kind, Vec::new())];
        while let Some((at, needed)) = open.pop() {
            for link in self.of(at) {
                let needed = [&needed[..], &[link]].concat();
                found.push(Item { asked: Link { kind, is: link.is }, needed: needed.clone() });
                open.push((link.is, needed));
            }
        }
        found
    }

    fn inherited(&self, kind: Word) -> Vec<Item> {
        self.all_of(kind).into_iter().filter(|item| item.needed.len() > 1).collect()
    }

    /// The traits of a kind and of those above it.
    fn own_and_inherited(&self, kind: Word) -> Vec<Word> {
        self.all_of(kind).into_iter().map(|item| item.asked.is).collect()
    }

    /// What is said of a kind and of those above it.
    pub fn above(&self, kind: Word) -> Vec<Link> {
        self.all_of(kind).into_iter().filter_map(|item| item.needed.last().copied()).collect()
    }

    /// Everything that can be asked in a form.
    pub fn items(&self, form: Form) -> &[Item] {
        self.items.get(&form).map_or(&[], Vec::as_slice)
    }

    /// Whether a question asks one name of the other.
    fn is_asked(&self, one: Word, other: Word) -> bool {
        [Link { kind: one, is: other }, Link { kind: other, is: one }].iter().any(|link| self.asked.contains(link))
    }
}
