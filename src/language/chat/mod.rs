//! The chat template of an instruction-tuned model: how it was shown who speaks. Templates are written in Jinja by a model's
//! makers and rendered as transformers' `apply_chat_template` does it: Jinja2 in a sandbox, with `{% generation %}` blocks,
//! loop controls, `raise_exception`, `strftime_now` and its own `tojson`.

mod json;
mod methods;

use std::collections::BTreeMap;
use std::fmt::Display;

use chrono::NaiveDate;
use chrono::format::StrftimeItems;
use fancy_regex::{Captures, Regex};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error as TemplateError, ErrorKind, Value, context};

use super::tokenizer::{ANSWER, END_THINK, THINK};
use super::{Opening, PromptConfig};
use crate::{Error, Result};

/// Longer templates are no templates.
const FUEL: u64 = 1_000_000;
const NAME: &str = "chat";
/// What a template calls for today's date.
const CLOCK: &str = "strftime_now";

/// A template that has been compiled, with the special tokens that it may write.
#[derive(Clone)]
pub struct Chat {
    environment: Environment<'static>,
    tokens: BTreeMap<String, String>,
}

impl Chat {
    /// Compiles a template; `place` (a file) begins the message when it is none. `tokens` are the special tokens of the
    /// tokenizer that have a name (`bos_token`, …); what it has none of is undefined.
    pub fn new(place: &str, template: &str, tokens: BTreeMap<String, String>) -> Result<Chat> {
        let broken = |error: &dyn Display| {
            let remedy = "take the file that belongs to the model";
            Error::invalid(place, format!("no chat template ({error})"), remedy)
        };
        let template = without_generation(template).map_err(|error| broken(&error))?;
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| broken(&error))?;
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
        environment.add_template_owned(NAME, template).map_err(|error| broken(&error))?;
        let mut chat = Chat { environment, tokens };
        chat.set_date(None);
        Ok(chat)
    }

    /// Whether the template asks which day it is.
    pub fn asks_for_date(&self) -> bool {
        self.environment.get_template(NAME).is_ok_and(|template| template.undeclared_variables(false).contains(CLOCK))
    }

    /// Tells the template which day it is; none leaves one that asks with an error.
    pub fn set_date(&mut self, date: Option<NaiveDate>) {
        self.environment.add_function(CLOCK, move |format: &str| {
            let wrong = |message: String| TemplateError::new(ErrorKind::InvalidOperation, message);
            let date = date.ok_or_else(|| wrong("it asks for the date, and prompt.date is not set".into()))?;
            let items = StrftimeItems::new(format).parse();
            let items = items.map_err(|_| wrong(format!("{format:?} is no format of a date")))?;
            // A day has begun when it is midnight, for those that ask for the time as well.
            Ok(date.and_hms_opt(0, 0, 0).unwrap_or_default().format_with_items(items.iter()).to_string())
        });
    }

    /// A conversation as the template writes it: `messages` is a list of objects with `role` and `content`, as
    /// transformers' `apply_chat_template` takes it. `generate` lets the model's turn begin, and `thinking` says whether
    /// it thinks first, to templates that want to know.
    ///
    /// # Errors
    /// What the template raises, and what it asks of messages that they do not have.
    pub fn render(&self, messages: &Value, thinking: bool, generate: bool) -> Result<String> {
        let given = context! {
            messages,
            tools => (),
            documents => (),
            add_generation_prompt => generate,
            enable_thinking => thinking,
        };
        let variables = context! { ..given, ..Value::from(self.tokens.clone()) };
        self.environment.get_template(NAME).and_then(|template| template.render(variables)).map_err(|error| {
            let remedy = "the template has to take a message of the user, and one of the system where prompt.system is \
                          set; remove chat_template to do without";
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Error::invalid("chat template", format!("{error}{cause}"), remedy)
        })
    }

    /// A conversation of roles and what they said, with the beginning of the model's turn.
    ///
    /// # Errors
    /// What the template raises.
    pub fn conversation(&self, said: &[(String, String)], thinking: bool) -> Result<String> {
        let messages = said.iter().map(|(role, content)| context! { role, content });
        self.render(&Value::from(messages.collect::<Vec<Value>>()), thinking, true)
    }

    /// The prompt of a question, with the beginning of the model's turn. `context` stands before the question.
    pub fn prompt(
        &self,
        config: &PromptConfig,
        context: &[String],
        question: &str,
        opening: Opening,
    ) -> Result<String> {
        let thinking = opening == Opening::Think;
        let messages = messages(config, &config.content(context, question, opening));
        let turn = self.render(&messages, thinking, true)?;
        // Only what begins the model's own turn says whether a thought is open: a question may quote the markers.
        let own = match self.render(&messages, thinking, false) {
            Ok(before) if turn.starts_with(&before) => before.len(),
            _ => turn.trim_end().strip_suffix(THINK).map_or(turn.len(), str::len),
        };
        let open = turn[own..].rfind(THINK) > turn[own..].rfind(END_THINK);
        Ok(match opening {
            Opening::Think if open => turn,
            Opening::Think => turn + THINK,
            // An empty thought, as models that think by themselves are shown one.
            Opening::Answer if open => format!("{}\n\n{END_THINK}\n\n{ANSWER}", turn.trim_end_matches('\n')),
            Opening::Answer => turn + ANSWER,
        })
    }
}

/// What stands in the place of a message to find where that begins.
const PLACE: &str = "message-of-the-user";

impl Chat {
    /// A conversation up to where the user begins to speak: a model that goes on from there asks something. `None` where the
    /// template does not write messages down as they are.
    ///
    /// # Errors
    /// What the template raises.
    pub fn opening(&self, config: &PromptConfig) -> Result<Option<String>> {
        let turn = self.render(&messages(config, PLACE), true, false)?;
        Ok(turn.split_once(PLACE).map(|(before, _)| before.to_owned()))
    }

    /// A message of the user, as it is, with the beginning of the model's turn.
    ///
    /// # Errors
    /// What the template raises.
    pub fn turn(&self, config: &PromptConfig, message: &str) -> Result<String> {
        self.render(&messages(config, message), true, true)
    }
}

/// What the system says, where the config has it say something, and a message of the user.
fn messages(config: &PromptConfig, content: &str) -> Value {
    let system = (!config.system.is_empty()).then(|| context! { role => "system", content => &config.system });
    Value::from(system.into_iter().chain([context! { role => "user", content }]).collect::<Vec<Value>>())
}

/// What may mention tags without being one (comments, raw blocks), the tags that are looked for, and whatever else stands in
/// braces, its strings whole.
const PARTS: &str = r#"(?sx)
      \{\#.*?\#\}
    | \{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}
    | (?<open>\{%[-+]?\s*)(?<end>end)?generation(?<close>\s*[-+]?%\})
    | \{[{%](?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^"'])*?[}%]\}"#;

/// A template with another pair of tags in place of `{% generation %} … {% endgeneration %}`, which mark what the model wrote.
/// transformers renders such a block as its content, in a scope of its own; so does minijinja with `{% with %}`. What merely
/// mentions them (text, strings, comments, raw blocks) stays as it is.
fn without_generation(template: &str) -> fancy_regex::Result<String> {
    let instead = |found: &Captures| match (found.name("open"), found.name("close")) {
        (Some(open), Some(close)) => {
            let end = found.name("end").map_or("", |end| end.as_str());
            format!("{}{end}with{}", open.as_str(), close.as_str())
        }
        _ => found[0].to_owned(),
    };
    Ok(Regex::new(PARTS)?.try_replacen(template, 0, instead)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in ChatML, with what real templates use: methods, a default system message, tests, macros and exceptions.
    const TEMPLATE: &str = "
{%- if tools %}
    {{- tools | tojson }}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0].content %}
{%- else %}
    {%- set system = 'You are helpful.' %}
{%- endif %}
{{- bos_token + '<|im_start|>system\\n' + system.strip() + '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant'] %}
        {{- raise_exception('no role ' + message.role) }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
";

    fn chat(template: &str) -> Chat {
        let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")].map(|(name, text)| (name.into(), text.into()));
        Chat::new("test", template, tokens.into()).unwrap()
    }

    fn prompt(chat: &Chat, question: &str, opening: Opening) -> Result<String> {
        chat.prompt(&PromptConfig::default(), &[], question, opening)
    }

    #[test]
    fn a_question_becomes_a_turn_of_the_user_and_the_model_goes_on() {
        let chat = chat(TEMPLATE);
        let config = PromptConfig::default();
        let direct = chat.prompt(&config, &["A is B.".into()], "What is B?", Opening::Answer).unwrap();
        assert_eq!(
            direct,
            "<s><|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nA is B.\nWhat is B?\n\nWrite <answer> \
             and nothing but the answer.<|im_end|>\n<|im_start|>assistant\n<answer>"
        );
        let thinking = prompt(&chat, "What is B?", Opening::Think).unwrap();
        assert!(thinking.contains("End the thoughts with </think>") && thinking.ends_with("assistant\n<think>"));
    }

    #[test]
    fn instructions_and_a_system_prompt_are_those_of_the_config() {
        let template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[model] ";
        let config = PromptConfig { system: "Be brief.".into(), think: "Think.".into(), ..PromptConfig::default() };
        let prompt = chat(template).prompt(&config, &[], "What is B?", Opening::Think).unwrap();
        assert_eq!(prompt, "[system] Be brief.\n[user] What is B?\n\nThink.\n[model] <think>");
    }

    #[test]
    fn a_model_that_writes_both_sides_begins_where_the_user_speaks() {
        let chat = chat(TEMPLATE);
        let config = PromptConfig::default();
        let opening = chat.opening(&config).unwrap().unwrap();
        assert_eq!(opening, "<s><|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\n");
        let turn = chat.turn(&config, "Why?").unwrap();
        assert_eq!(turn, format!("{opening}Why?<|im_end|>\n<|im_start|>assistant\n"));
        assert_eq!(self::chat("{{ messages[0].content | upper }}").opening(&config).unwrap(), None);
    }

    #[test]
    fn a_thought_that_the_template_opens_is_not_opened_again_and_closed_before_a_direct_answer() {
        let own = "{{ messages[0].content }}\n{% if add_generation_prompt %}<|model|><think>\n{% endif %}";
        let own = chat(own);
        assert!(prompt(&own, "B?", Opening::Think).unwrap().ends_with("<|model|><think>\n"));
        assert!(prompt(&own, "B?", Opening::Answer).unwrap().ends_with("<|model|><think>\n\n</think>\n\n<answer>"));
        // As Qwen's: told not to think, the template closes the thought itself.
        let told = "{{ messages[0].content }}{% if add_generation_prompt %}\n<|model|>\n{% if enable_thinking is \
                    defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}";
        let told = chat(told);
        assert!(prompt(&told, "B?", Opening::Think).unwrap().ends_with("<|model|>\n<think>"));
        assert!(prompt(&told, "B?", Opening::Answer).unwrap().ends_with("<|model|>\n<think>\n\n</think>\n\n<answer>"));
        // What a question quotes opens nothing.
        let plain = chat("{{ messages[0].content }}{% if add_generation_prompt %}\n<|model|>{% endif %}");
        assert!(prompt(&plain, "What does <think> do?", Opening::Answer).unwrap().ends_with("<|model|><answer>"));
    }

    #[test]
    fn a_template_that_is_none_or_refuses_is_one_line() {
        let message = Chat::new("chat.jinja", "{% if %}", BTreeMap::new()).err().unwrap().to_string();
        assert!(message.starts_with("chat.jinja: no chat template"), "{message}");
        let message = prompt(&chat("{{ raise_exception('only in pairs') }}"), "?", Opening::Think).unwrap_err();
        assert!(message.to_string().contains("only in pairs"), "{message}");
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        assert!(prompt(&chat(endless), "?", Opening::Think).is_err());
    }

    #[test]
    fn the_date_is_the_one_that_it_is_told() {
        let mut chat = chat("{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}");
        assert!(chat.asks_for_date() && !self::chat(TEMPLATE).asks_for_date());
        let message = prompt(&chat, "?", Opening::Answer).unwrap_err().to_string();
        assert!(message.contains("prompt.date"), "{message}");
        chat.set_date(NaiveDate::from_ymd_opt(2025, 3, 4));
        assert!(prompt(&chat, "?", Opening::Answer).unwrap().starts_with("04 Mar 2025: ?"));
    }

    #[test]
    fn tags_are_found_with_whatever_says_what_becomes_of_white_space() {
        for (given, wanted) in [
            ("a{% generation %}b{% endgeneration %}c", "a{% with %}b{% endwith %}c"),
            ("{%- generation -%}b{%-endgeneration-%}", "{%- with -%}b{%-endwith-%}"),
            ("{%+ generation %}b{%\tendgeneration\n%}", "{%+ with %}b{%\tendwith\n%}"),
            ("{{ {'a': {'b': '}}'}}['a'] }}{% generation %}", "{{ {'a': {'b': '}}'}}['a'] }}{% with %}"),
            ("{% set x = \"%} \\\" {%\" %}{%generation%}", "{% set x = \"%} \\\" {%\" %}{%with%}"),
            ("{% raw %}{% x %}{% endraw %}{% generation %}", "{% raw %}{% x %}{% endraw %}{% with %}"),
        ] {
            assert_eq!(without_generation(given).unwrap(), wanted);
        }
    }

    #[test]
    fn what_merely_mentions_them_stays() {
        for text in [
            "generation { % generation %}",
            "{# {% generation %} #}{{ '{% generation %}' }}",
            "{% set generation = 1 %}{% generations %}{{ generation }}",
            "{% raw %}{% generation %}{% endraw %}",
            "{% if '{% generation %}' %}",
            "é{",
            "{%",
            "{% generation",
        ] {
            assert_eq!(without_generation(text).unwrap(), text);
        }
    }
}
