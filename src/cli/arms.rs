//! Names of arms on the command line.

use std::str::FromStr;

use recollect::evaluation::Arm;
use recollect::report::{Column, ShownTable};
use recollect::{Error, Result};

/// What `--arms` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedArms {
    /// Print them.
    List,
    /// Those of a run.
    Standard,
    All,
    One(Arm),
}

impl FromStr for AskedArms {
    type Err = Error;

    fn from_str(text: &str) -> Result<AskedArms> {
        match text.trim() {
            "list" => Ok(AskedArms::List),
            "standard" => Ok(AskedArms::Standard),
            "all" => Ok(AskedArms::All),
            name => name.parse().map(AskedArms::One),
        }
    }
}

/// The change of a config that asks for these arms; none, where nothing is asked for.
pub fn change(asked: &[AskedArms]) -> Option<String> {
    let of = |asked: &AskedArms| match asked {
        AskedArms::List => Vec::new(),
        AskedArms::Standard => Arm::STANDARD.to_vec(),
        AskedArms::All => Arm::ALL.to_vec(),
        AskedArms::One(arm) => vec![*arm],
    };
    let names: Vec<String> = asked.iter().flat_map(of).map(|arm| format!("\"{arm}\"")).collect();
    (!names.is_empty()).then(|| format!("arms.ask=[{}]", names.join(", ")))
}

/// A line for each arm.
pub fn list() -> String {
    ShownTable::with_columns(
        &Arm::ALL,
        &[(Column::left(""), &|arm| format!("  {arm}").into()), (Column::left(""), &|arm| arm.description().into())],
    )
    .compact()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_becomes_a_change_of_the_config() {
        let asked: Vec<AskedArms> = ["baseline", "filler"].map(|name| name.parse().unwrap()).into();
        assert_eq!(change(&asked).unwrap(), "arms.ask=[\"fine-tuned\", \"filler\"]");
        assert_eq!(change(&[]), None);
        assert!("filer".parse::<AskedArms>().unwrap_err().to_string().contains("filler-after-rl"));
        assert_eq!(list().lines().count(), Arm::ALL.len());
    }
}
