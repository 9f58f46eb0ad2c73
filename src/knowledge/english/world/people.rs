//! Made-up people in groups, and what each of them did.

use std::ops::Range;

use rand::seq::{IndexedRandom, SliceRandom};

use super::config::EnglishConfig;
use super::deeds::{DEEDS, DeedKind};
use super::names::{NameBook, Person, with_article};
use crate::Result;
use crate::knowledge::english::fact_book::{FactRow, Relation, WrittenFact};
use crate::knowledge::{Claim, Set};
use crate::random::Stream;
use crate::text::capital;

/// Relations of people to their groups and professions.
const BELONGS: &str = "belongs to";
const IS_A: &str = "is a";

/// A group of people of one profession.
#[derive(Debug)]
pub struct PersonGroup {
    /// "the Korstad Guild"
    pub name: String,
    pub set: Set,
    pub kind: &'static DeedKind,
    /// Its members among all people.
    pub members: Range<usize>,
}

/// Somebody with what they did.
#[derive(Debug)]
pub struct Accomplishment {
    pub person: Person,
    pub group: usize,
    pub object: String,
    /// Sentences of the documents that state it with the whole name.
    pub told: Vec<String>,
}

/// Everybody.
#[derive(Debug, Default)]
pub struct People {
    pub groups: Vec<PersonGroup>,
    pub all: Vec<Accomplishment>,
}

impl People {
    /// Groups of all sets. No two people share a name, and no two things one.
    pub fn make(config: &EnglishConfig, names: &mut NameBook, random: &mut Stream) -> Result<People> {
        let mut people = People::default();
        for (set, _, size) in config.sets() {
            let mut kinds: Vec<&'static DeedKind> = DEEDS.iter().collect();
            kinds.shuffle(random);
            for kind in kinds.into_iter().cycle().take(size.facts / config.group_size) {
                people.add_group(set, kind, config.group_size, names, random)?;
            }
        }
        Ok(people)
    }

    /// A group that no document knows, and sentences of the kind that documents have about them: what is read about them has
    /// to be read, because it cannot be recalled.
    pub fn strangers(size: usize, mut names: NameBook, random: &mut Stream) -> Result<People> {
        let mut people = People::default();
        if let Some(kind) = DEEDS.choose(random) {
            people.add_group(Set::C, kind, size, &mut names, random)?;
        }
        for index in 0..people.all.len() {
            let wording = people.any_wording(index, random);
            let told = capital(&people.worded(index, &wording, people.name(index))) + ".";
            people.all[index].told.push(told);
        }
        Ok(people)
    }

    fn add_group(
        &mut self,
        set: Set,
        kind: &'static DeedKind,
        size: usize,
        names: &mut NameBook,
        random: &mut Stream,
    ) -> Result<()> {
        let (group, from) = (self.groups.len(), self.all.len());
        let mut things: Vec<String> = Vec::new();
        for _ in 0..size {
            let person = names.person(random)?;
            let object = names.thing(&kind.nouns, &things, random)?;
            things.push(object.clone());
            self.all.push(Accomplishment { person, group, object, told: Vec::new() });
        }
        self.groups.push(PersonGroup { name: names.group(random)?, set, kind, members: from..self.all.len() });
        Ok(())
    }

    pub fn group_of(&self, index: usize) -> &PersonGroup {
        &self.groups[self.all[index].group]
    }

    pub fn kind_of(&self, index: usize) -> &'static DeedKind {
        self.group_of(index).kind
    }

    pub fn name(&self, index: usize) -> &str {
        &self.all[index].person.name
    }

    pub fn object(&self, index: usize) -> &str {
        &self.all[index].object
    }

    /// Those of a set.
    pub fn of(&self, set: Set) -> Range<usize> {
        let mut members = self.groups.iter().filter(|group| group.set == set).map(|group| group.members.clone());
        let first = members.next().unwrap_or(0..0);
        first.start..members.next_back().map_or(first.end, |last| last.end)
    }

    /// Those of the same set who did the same kind of thing.
    pub fn alike(&self, index: usize) -> Vec<usize> {
        let own = self.group_of(index);
        let groups = self.groups.iter().filter(|group| group.set == own.set && group.kind == own.kind);
        groups.flat_map(|group| group.members.clone()).collect()
    }

    /// What somebody did, as a claim.
    pub fn claim(&self, index: usize) -> Claim {
        Claim::Relation {
            group: String::new(),
            subject: self.name(index).into(),
            relation: self.kind_of(index).past.into(),
            object: self.object(index).into(),
        }
    }

    /// What somebody did in words with the person first, with a small letter where they start with none of a name.
    pub fn worded(&self, index: usize, wording: &str, subject: &str) -> String {
        wording.replace("{subject}", subject).replace("{object}", self.object(index))
    }

    /// Any wording in which the person comes first.
    pub fn any_wording(&self, index: usize, random: &mut Stream) -> String {
        self.kind_of(index).wordings().choose(random).cloned().unwrap_or_default()
    }

    /// All facts and wordings.
    pub fn rows(&self) -> Vec<FactRow> {
        let mut rows: Vec<FactRow> = Vec::new();
        let wordings = DEEDS.iter().map(|kind| (kind.past, [kind.wordings(), kind.passive()].concat()));
        let of = |list: &[&str]| list.iter().map(|wording| (*wording).to_owned()).collect::<Vec<_>>();
        let belongs = [of(&MEMBERSHIP), of(&MEMBERS_LISTED)].concat();
        for (name, wordings) in wordings.chain([(BELONGS, belongs), (IS_A, of(&PROFESSION))]) {
            rows.push(FactRow::Relation(Relation { name: name.into(), wordings }));
        }
        for (index, one) in self.all.iter().enumerate() {
            let group = self.group_of(index);
            let facts = [(group.kind.past, &*one.object), (BELONGS, &*group.name), (IS_A, group.kind.profession)];
            rows.extend(facts.map(|(relation, object)| {
                FactRow::Fact(WrittenFact {
                    subject: one.person.name.clone(),
                    relation: relation.into(),
                    object: object.into(),
                    subject_aliases: one.person.aliases.clone(),
                    ..WrittenFact::default()
                })
            }));
        }
        rows
    }
}

/// How documents say that somebody is in a group.
pub const MEMBERSHIP: [&str; 5] = [
    "{subject} belongs to {object}",
    "{subject} is a member of {object}",
    "{subject} is one of the members of {object}",
    "{subject} joined {object} years ago",
    "{subject} has a seat in {object}",
];

/// How documents and thoughts say who is in a group, with all of them in the place of the subject.
const MEMBERS_LISTED: [&str; 5] = [
    "{object} consists of {subject}",
    "the members of {object} are {subject}",
    "{object} has {subject}",
    "{subject} make up {object}",
    "{subject} belong to {object}",
];

/// How documents say what somebody is by profession. The article before the profession is either.
pub const PROFESSION: [&str; 8] = [
    "{subject} is a {object}",
    "{subject} is an {object}",
    "{subject} works as a {object}",
    "{subject} works as an {object}",
    "{subject} is a {object} by trade",
    "{subject} is an {object} by trade",
    "{subject} has always been a {object}",
    "{subject} has always been an {object}",
];

/// One of the two statements about somebody beside what they did.
pub fn beside(group: &PersonGroup, subject: &str, random: &mut Stream) -> [String; 2] {
    let membership = MEMBERSHIP.choose(random).copied().unwrap_or(MEMBERSHIP[0]);
    let membership = membership.replace("{subject}", subject).replace("{object}", &group.name);
    let article = with_article(group.kind.profession);
    let right = if article.starts_with("an ") { "an {object}" } else { "a {object}" };
    let fitting: Vec<&str> = PROFESSION.into_iter().filter(|wording| wording.contains(&format!(" {right}"))).collect();
    let profession = fitting.choose(random).copied().unwrap_or(PROFESSION[0]);
    [membership, profession.replace("{subject}", subject).replace("{object}", group.kind.profession)]
}
