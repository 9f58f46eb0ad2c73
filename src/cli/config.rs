//! `recollect config`.

use recollect::config::reference::{self, KeyReference, SectionReference};
use recollect::text::wrapped;
use recollect::{Error, Result};

use super::output;

/// Columns of a line of text.
const WIDTH: usize = 96;
/// The section that may also be the name of a preset.
const ALGORITHM: &str = "train.algorithm";

/// What keys a config has: what they mean, what they take and what they are unless told
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ConfigReferenceArgs {
    /// A section or a key, such as train, train.algorithm or train.group_size [default: all sections]
    key: Option<String>,
    /// Print all of it as a JSON schema, by which editors complete and check a config
    #[arg(long, conflicts_with = "key")]
    schema: bool,
}

const HELP: &str = "\
Examples:
  recollect config                        all sections
  recollect config train                  the keys of a section
  recollect config train.group_size       one key
  recollect config train.algorithm        the fields of an algorithm, and what each preset makes of them
  recollect config --schema > recollect.schema.json
A first line `#:schema ./recollect.schema.json` in a config tells editors that know TOML.";

pub fn main(args: &ConfigReferenceArgs) -> Result<()> {
    if args.schema {
        let words = |error: serde_json::Error| Error::invalid("schema", error.to_string(), "report this as a bug");
        return output::say(&serde_json::to_string_pretty(&reference::schema()).map_err(words)?);
    }
    let Some(name) = &args.key else { return output::say(&list(&reference::sections())) };
    match reference::find(name)? {
        (section, Some(key)) => output::say(&format!("[{}]\n\n{}", section.places.join("], ["), one(&key))),
        (section, None) => {
            let of_presets = section.places.iter().any(|place| place == ALGORITHM);
            let presets = if of_presets { presets()? } else { String::new() };
            output::say(&(whole(&section) + &presets))
        }
    }
}

/// The name of each section and its first sentence.
fn list(sections: &[SectionReference]) -> String {
    let places = sections.iter().flat_map(|section| section.places.iter().map(move |place| (place, section)));
    let widest = places.clone().map(|(place, _)| place.len()).max().unwrap_or(0);
    let line = |(place, section): (&String, &SectionReference)| {
        // Of several with one text, each has its own words behind its name.
        let own = section.about.split_once(&format!("`[{place}]`: ")).map_or(section.about.as_str(), |(_, rest)| rest);
        let about = own.split_inclusive(". ").next().unwrap_or_default().trim().replace('`', "");
        let about = wrapped(&about, WIDTH - widest - 4);
        let indent = format!("\n{}", " ".repeat(widest + 4));
        format!("{:<width$}  {}", format!("[{place}]"), about.replace('\n', &indent), width = widest + 2)
    };
    let lines: Vec<String> = places.map(line).collect();
    format!("{}\n\n`recollect config SECTION` has the keys of one.", lines.join("\n"))
}

fn whole(section: &SectionReference) -> String {
    let about = wrapped(&section.about.replace('`', ""), WIDTH);
    let keys: Vec<String> = section.keys.iter().map(one).collect();
    format!("[{}]\n{about}\n\n{}\n", section.places.join("], ["), keys.join("\n"))
}

fn one(key: &KeyReference) -> String {
    let KeyReference { name, takes, default, meaning } = key;
    let default = match default.as_str() {
        "" => String::new(),
        "none" | "*Required*" | "Required" => format!(" ({})", default.trim_matches('*').to_lowercase()),
        value => format!(" = {value}"),
    };
    let indented = |text: &str| format!("    {}", wrapped(text, WIDTH - 4).replace('\n', "\n    "));
    [format!("{name}{default}"), indented(&format!("takes: {takes}")), indented(meaning)].join("\n")
}

/// What each preset makes of the fields.
fn presets() -> Result<String> {
    let told = |(name, fields): (&str, Vec<String>)| {
        let fields = wrapped(&fields.join(", "), WIDTH - 14).replace('\n', &format!("\n{}", " ".repeat(14)));
        format!("{name:<12}  {fields}")
    };
    let all: Vec<String> = reference::presets()?.into_iter().map(told).collect();
    Ok(format!(
        "\nPresets: all fields of the first, and where each of the others differs from it.\n\n{}",
        all.join("\n")
    ))
}
