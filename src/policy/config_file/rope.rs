//! What a `config.json` says of rotary positions: in `rope_scaling` beside `rope_theta` (transformers 4), or with it in
//! `rope_parameters` (transformers 5).

use serde_json::{Map, Value};

use super::fields::JsonFields;
use crate::Result;
use crate::kernels::RopeScaling;

/// Types of scaling that are computed.
const KNOWN: [&str; 4] = ["linear", "dynamic", "llama3", "yarn"];

impl JsonFields<'_> {
    /// `rope_theta`, and the scaling if there is one. `max_positions` is the first context where none is named.
    pub(super) fn rotations(&self, max_positions: usize) -> Result<(f64, Option<RopeScaling>)> {
        let Some((key, object)) = self.described()? else { return Ok((self.number("rope_theta", 1e4)?, None)) };
        let inside = JsonFields { place: self.place, fields: object };
        for (name, value) in object {
            let name = format!("{key}.{name}");
            if value.is_object() {
                return self.refuse(
                    &name,
                    "an object",
                    "all layers have to turn alike; choose a model of which they do",
                );
            }
            if name.ends_with("partial_rotary_factor") && !value.is_null() && value.as_f64() != Some(1.0) {
                return self.refuse(&name, value, "this program does not compute it; choose a model without");
            }
        }
        let theta = match inside.get("rope_theta") {
            Some(theta) => match theta.as_f64() {
                Some(theta) => theta,
                None => return self.refuse(&format!("{key}.rope_theta"), theta, "it has to be a number"),
            },
            None => self.number("rope_theta", 1e4)?,
        };
        Ok((theta, self.scaling(key, object, max_positions)?))
    }

    /// The object that counts, and its key. Of two, transformers takes this one.
    fn described(&self) -> Result<Option<(&'static str, &Map<String, Value>)>> {
        for key in ["rope_scaling", "rope_parameters"] {
            match self.get(key) {
                None => {}
                Some(Value::Object(object)) if object.is_empty() => {}
                Some(Value::Object(object)) => return Ok(Some((key, object))),
                Some(other) => return self.refuse(key, other, "it has to be an object or null"),
            }
        }
        Ok(None)
    }

    fn scaling(&self, key: &str, object: &Map<String, Value>, max_positions: usize) -> Result<Option<RopeScaling>> {
        const FIRST: &str = "original_max_position_embeddings";
        let mut rope = object.clone();
        // The oldest files say `type`.
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).cloned().unwrap_or("default".into());
        if kind == "default" {
            return Ok(None);
        }
        if !KNOWN.iter().any(|known| kind == *known) {
            let remedy = "default, linear, dynamic, llama3 and yarn are supported; choose a model with one of these";
            return self.refuse(&format!("{key}.rope_type"), kind, remedy);
        }
        // Beside the object it goes before what is inside.
        match self.get(FIRST) {
            Some(first) => drop(rope.insert(FIRST.into(), first.clone())),
            None => drop(rope.entry(FIRST).or_insert(max_positions.into())),
        }
        if kind == "yarn" {
            if rope.get("factor").is_some_and(Value::is_null)
                && let Some(first) = rope.get(FIRST).and_then(Value::as_f64)
            {
                rope.insert("factor".into(), (max_positions as f64 / first).into());
            }
            if rope.get("truncate").is_some_and(Value::is_null) {
                rope.insert("truncate".into(), false.into());
            }
        }
        rope.insert("rope_type".into(), kind);
        match serde_json::from_value(rope.into()) {
            Ok(scaling) => Ok(Some(scaling)),
            Err(error) => self.refuse(key, format!("not whole ({error})"), "take it from the model's own files"),
        }
    }
}
