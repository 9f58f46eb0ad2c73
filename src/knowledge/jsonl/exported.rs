//! Questions as `recollect world --export` writes them, with everything that is known of them, and the world beside them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::rows::QuestionRow;
use crate::knowledge::{KnownConfig, World, WorldConfig};
use crate::{Error, Result, files};

/// The file beside exported questions that says which world they are about.
const WORLD: &str = "world.json";

/// What a generated world is made from, all of it. With it the sentences of a thought can be read and held against what the
/// documents state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldOrigin {
    pub known: KnownConfig,
    pub world: WorldConfig,
}

impl WorldOrigin {
    /// Writes it into the directory that questions are exported to, and gives the file.
    pub fn write(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join(WORLD);
        files::write_json_pretty(&path, self)?;
        Ok(path)
    }

    /// Reads what stands beside a file of questions; `None` where nothing does.
    fn beside(questions: &Path) -> Result<Option<(WorldOrigin, PathBuf)>> {
        let path = questions.with_file_name(WORLD);
        let origin = files::read_json_if_there(&path, "write it with `recollect world --export`")?;
        Ok(origin.map(|origin| (origin, path)))
    }
}

/// The world that exported questions are about, made again from what stands beside them; `None` where that is not known.
///
/// Errors: a file that is no world, two worlds, and questions that need what the world does not state.
pub fn world(paths: &[PathBuf], rows: &[QuestionRow]) -> Result<Option<(WorldOrigin, World)>> {
    if rows.iter().all(|row| row.question.needed.is_empty()) {
        return Ok(None);
    }
    let mut found: Option<(WorldOrigin, PathBuf)> = None;
    let mut looked_into = HashSet::new();
    for path in paths.iter().filter(|path| looked_into.insert(path.parent())) {
        let Some((origin, path)) = WorldOrigin::beside(path)? else { continue };
        match &found {
            Some((first, at)) if *first != origin => {
                let other = format!("another world than {}", at.display());
                let remedy = "read questions about one world at a time";
                return Err(Error::invalid(path.display().to_string(), other, remedy));
            }
            _ => found = Some((origin, path)),
        }
    }
    let Some((origin, path)) = found else { return Ok(None) };
    let world = World::new(&origin.known, &origin.world)?;
    if let Some(row) = rows.iter().find(|row| !row.question.needed.iter().all(|claim| world.holds(claim))) {
        let found = format!("another world than that of {}", row.place);
        return Err(Error::invalid(path.display().to_string(), found, "export world and questions together"));
    }
    Ok(Some((origin, world)))
}
