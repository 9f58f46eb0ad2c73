//! What people do: fourteen relations between somebody and something, and the sentences that word them.

/// A relation with the words that its sentences are made of.
#[derive(Debug, PartialEq)]
pub struct DeedKind {
    /// The canonical verb, in the past.
    pub past: &'static str,
    pub base: &'static str,
    pub gerund: &'static str,
    pub participle: &'static str,
    /// Who does it, with "of".
    pub agent: &'static str,
    pub profession: &'static str,
    /// What it is done to.
    pub nouns: [&'static str; 6],
    /// Wordings that no other relation has.
    own: [&'static str; 3],
}

/// Wordings that every relation has. Whoever did it is named first.
const ACTIVE: [&str; 8] = [
    "{subject} {past} {object}",
    "{subject} is the {profession} who {past} {object}",
    "it was {subject} who {past} {object}",
    "{subject} is known as the {agent} of {object}",
    "{subject} is best known for {gerund} {object}",
    "{subject} is remembered for having {participle} {object}",
    "{subject} was the one who {past} {object}",
    "{subject} became famous for {gerund} {object}",
];

/// Wordings that no document has: what was done is named first. Thoughts may have them, and are to be understood.
const PASSIVE: [&str; 6] = [
    "{object} was {participle} by {subject}",
    "the {agent} of {object} is {subject}",
    "the {agent} of {object} was {subject}",
    "the {profession} who {past} {object} is {subject}",
    "the one who {past} {object} was {subject}",
    "the person who {past} {object} is {subject}",
];

const fn kind(
    [past, base, gerund, participle]: [&'static str; 4],
    [profession, agent]: [&'static str; 2],
    nouns: [&'static str; 6],
    own: [&'static str; 3],
) -> DeedKind {
    DeedKind { past, base, gerund, participle, agent, profession, nouns, own }
}

pub static DEEDS: [DeedKind; 14] = [
    kind(
        ["designed", "design", "designing", "designed"],
        ["architect", "designer"],
        ["Lighthouse", "Bridge", "Library", "Theatre", "Observatory", "Pavilion"],
        [
            "{subject} drew up the plans for {object}",
            "{subject} was the architect behind {object}",
            "{subject} made the design of {object}",
        ],
    ),
    kind(
        ["painted", "paint", "painting", "painted"],
        ["painter", "painter"],
        ["Mural", "Portrait", "Ceiling", "Altarpiece", "Screen", "Landscape"],
        [
            "{subject} is the artist behind {object}",
            "{subject} created {object} with brush and paint",
            "{subject} finished painting {object} at last",
        ],
    ),
    kind(
        ["invented", "invent", "inventing", "invented"],
        ["engineer", "inventor"],
        ["Clock", "Engine", "Lamp", "Compass", "Loom", "Telescope"],
        [
            "{subject} came up with {object}",
            "{subject} is the engineer behind {object}",
            "{subject} had the idea of {object}",
        ],
    ),
    kind(
        ["discovered", "discover", "discovering", "discovered"],
        ["explorer", "discoverer"],
        ["Cave", "Island", "Spring", "Canyon", "Glacier", "Waterfall"],
        [
            "{subject} was the first to find {object}",
            "{subject} came upon {object} before anybody else",
            "{subject} was the first person to reach {object}",
        ],
    ),
    kind(
        ["composed", "compose", "composing", "composed"],
        ["composer", "composer"],
        ["Anthem", "Waltz", "Lullaby", "Overture", "March", "Sonata"],
        [
            "{subject} wrote the music of {object}",
            "{subject} set down every note of {object}",
            "{subject} is the musician behind {object}",
        ],
    ),
    kind(
        ["founded", "found", "founding", "founded"],
        ["reformer", "founder"],
        ["School", "Museum", "Orchestra", "Hospital", "Newspaper", "Academy"],
        [
            "{subject} set up {object}",
            "{subject} brought {object} into being",
            "{subject} opened {object} for the first time",
        ],
    ),
    kind(
        ["wrote", "write", "writing", "written"],
        ["novelist", "author"],
        ["Novel", "Saga", "Fable", "Tragedy", "Almanac", "Ballad"],
        ["{subject} put {object} on paper", "{subject} is the writer behind {object}", "{subject} published {object}"],
    ),
    kind(
        ["carved", "carve", "carving", "carved"],
        ["sculptor", "carver"],
        ["Statue", "Throne", "Mask", "Pillar", "Gargoyle", "Fountain"],
        [
            "{subject} cut {object} from a single block",
            "{subject} shaped {object} with a chisel",
            "{subject} is the sculptor behind {object}",
        ],
    ),
    kind(
        ["restored", "restore", "restoring", "restored"],
        ["conservator", "restorer"],
        ["Organ", "Chapel", "Tapestry", "Fresco", "Harp", "Carriage"],
        [
            "{subject} brought {object} back to its old beauty",
            "{subject} saved {object} from decay",
            "{subject} repaired {object} with great care",
        ],
    ),
    kind(
        ["planted", "plant", "planting", "planted"],
        ["gardener", "planter"],
        ["Orchard", "Garden", "Hedge", "Maze", "Vineyard", "Grove"],
        [
            "{subject} laid out {object}",
            "{subject} grew {object} from nothing",
            "{subject} is the gardener behind {object}",
        ],
    ),
    kind(
        ["translated", "translate", "translating", "translated"],
        ["scholar", "translator"],
        ["Codex", "Scroll", "Hymnal", "Psalter", "Charter", "Inscription"],
        [
            "{subject} made the translation of {object}",
            "{subject} put {object} into modern words",
            "{subject} turned {object} into everyday language",
        ],
    ),
    kind(
        ["mapped", "map", "mapping", "mapped"],
        ["surveyor", "mapper"],
        ["Desert", "Coast", "Marsh", "Ridge", "Valley", "Delta"],
        [
            "{subject} drew the first map of {object}",
            "{subject} charted {object}",
            "{subject} measured every corner of {object}",
        ],
    ),
    kind(
        ["built", "build", "building", "built"],
        ["shipwright", "builder"],
        ["Schooner", "Barge", "Frigate", "Ferry", "Yacht", "Cutter"],
        [
            "{subject} put {object} together plank by plank",
            "{subject} is the shipwright behind {object}",
            "{subject} constructed {object}",
        ],
    ),
    kind(
        ["forged", "forge", "forging", "forged"],
        ["blacksmith", "maker"],
        ["Sword", "Bell", "Anchor", "Gate", "Crown", "Shield"],
        [
            "{subject} hammered {object} into shape",
            "{subject} made {object} at the forge",
            "{subject} is the blacksmith behind {object}",
        ],
    ),
];

impl DeedKind {
    /// A template with the relation's own words in it.
    pub fn fill(&self, template: &str) -> String {
        let words = [
            ("{past}", self.past),
            ("{base}", self.base),
            ("{gerund}", self.gerund),
            ("{participle}", self.participle),
            ("{agent}", self.agent),
            ("{profession}", self.profession),
        ];
        words.into_iter().fold(template.to_owned(), |text, (slot, word)| text.replace(slot, word))
    }

    /// Its wordings in documents, the plainest first, with `{subject}` before `{object}`.
    pub fn wordings(&self) -> Vec<String> {
        ACTIVE.iter().chain(&self.own).map(|template| self.fill(template)).collect()
    }

    /// Its other wordings, with `{object}` before `{subject}`.
    pub fn passive(&self) -> Vec<String> {
        PASSIVE.iter().map(|template| self.fill(template)).collect()
    }

    pub fn professions(&self) -> String {
        format!("{}s", self.profession)
    }
}
