//! Gates between terms (`only_if`, `unless`): each has to name a term, and none may wait for itself.

use super::{Reward, Weighted};
use crate::strict_toml::{self, Problem};

/// Gates that name no term.
pub fn lead_nowhere(term: &Weighted, names: &[String]) -> Vec<Problem> {
    let gates = [("only_if", &term.only_if), ("unless", &term.unless)];
    let unknown = |(key, gate): (&str, &Option<String>)| {
        let gate = gate.as_ref().filter(|gate| !names.contains(gate))?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let remedy = strict_toml::suggest(gate, &names, "");
        Some(Problem::new(key, format!("no term is called \"{gate}\""), remedy))
    };
    gates.into_iter().filter_map(unknown).collect()
}

/// The names of terms that stand behind each other's gates, if there are such.
pub fn cycle(reward: &Reward) -> Option<String> {
    let mut waiting: Vec<&Weighted> = reward.terms.iter().collect();
    loop {
        let waits_for = |term: &Weighted| {
            let gates = [&term.only_if, &term.unless];
            gates.into_iter().flatten().any(|gate| waiting.iter().any(|other| other.name == *gate))
        };
        let (still, free): (Vec<&Weighted>, Vec<&Weighted>) = waiting.iter().partition(|term| waits_for(term));
        if free.is_empty() {
            break;
        }
        waiting = still;
    }
    // What is left waits for a cycle or is part of one; following gates ends in it.
    let mut at = *waiting.first()?;
    let mut way: Vec<&str> = Vec::new();
    while !way.contains(&at.name.as_str()) {
        way.push(&at.name);
        let next = [&at.only_if, &at.unless].into_iter().flatten();
        at = next.filter_map(|gate| waiting.iter().find(|term| term.name == *gate)).next()?;
    }
    let from = way.iter().position(|name| *name == at.name)?;
    Some(way[from..].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        Reward::parse(text, "r.toml").unwrap_err().to_string()
    }

    #[test]
    fn gates_that_wait_for_each_other_are_refused() {
        let term = |name: &str, gate: &str| format!("[[term]]\nkind = 'format'\nname = '{name}'\n{gate}\n");
        let own = line(&term("a", "only_if = 'a'"));
        assert!(own.contains("term: a wait for each other; take one of these gates"), "{own}");
        let text = [
            term("d", "unless = 'c'"),
            term("a", "only_if = 'b'"),
            term("b", "unless = 'c'"),
            term("c", "only_if = 'a'"),
        ];
        let cycle = line(&text.concat());
        assert!(cycle.contains("term: c, a, b wait for each other"), "{cycle}");
        assert!(Reward::parse(&text[..3].concat().replace("'c'", "'x'"), "r.toml").is_err());
        let fine = [term("a", "only_if = 'b'"), term("b", "unless = 'c'"), term("c", "")];
        assert!(Reward::parse(&fine.concat(), "r.toml").is_ok());
    }
}
