//! Chat templates, written in Jinja by a model's makers, rendered as transformers' `apply_chat_template` does it: Jinja2
//! in a sandbox, with `{% generation %}` blocks, loop controls, `raise_exception`, `strftime_now` and its own `tojson`.

mod blocks;
mod json;
mod methods;

use chrono::NaiveDate;
use chrono::format::StrftimeItems;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error as TemplateError, ErrorKind};

use crate::{Error, Result};

/// Longer templates are no templates.
const FUEL: u64 = 1_000_000;
const NAME: &str = "chat";
/// What a template calls for today's date.
const CLOCK: &str = "strftime_now";

/// A template that has been compiled.
#[derive(Clone)]
pub(super) struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Compiles a template; `place` (a file) begins the message when it is none.
    pub(super) fn new(place: &str, template: &str) -> Result<Template> {
        let broken = |error: TemplateError| {
            let remedy = "take the file that belongs to the model";
            Error::invalid(place, format!("no chat template ({error})"), remedy)
        };
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        // Templates call methods of Python's strings, lists and dictionaries.
        environment.set_unknown_method_callback(methods::call);
        environment.add_filter("tojson", json::tojson);
        // To Python a string is a sequence of its characters, and a dictionary one of its keys.
        environment.add_test("sequence", |value: &Value| {
            matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
        });
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", |message: String| -> std::result::Result<String, TemplateError> {
            Err(TemplateError::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned(NAME, blocks::without_generation(template)).map_err(broken)?;
        let mut template = Template { environment };
        template.set_date(None);
        Ok(template)
    }

    /// Whether it asks which day it is.
    pub(super) fn asks_for_date(&self) -> bool {
        self.environment.get_template(NAME).is_ok_and(|template| template.undeclared_variables(false).contains(CLOCK))
    }

    /// The day that it is told; none leaves a template that asks with an error.
    pub(super) fn set_date(&mut self, date: Option<NaiveDate>) {
        self.environment.add_function(CLOCK, move |format: &str| {
            let wrong = |message: String| TemplateError::new(ErrorKind::InvalidOperation, message);
            let date = date.ok_or_else(|| wrong("it asks for the date, and prompt.date is not set".into()))?;
            let items = StrftimeItems::new(format).parse();
            let items = items.map_err(|_| wrong(format!("{format:?} is no format of a date")))?;
            // A day has begun when it is midnight, for those that ask for the time as well.
            Ok(date.and_hms_opt(0, 0, 0).unwrap_or_default().format_with_items(items.iter()).to_string())
        });
    }

    /// The text that the template makes of its variables.
    pub(super) fn render(&self, variables: Value) -> std::result::Result<String, TemplateError> {
        self.environment.get_template(NAME)?.render(variables)
    }
}
