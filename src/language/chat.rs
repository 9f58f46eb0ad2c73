//! The chat template of an instruction-tuned model: how it was shown who speaks. Written in Jinja by the model's makers,
//! rendered as transformers does it.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error as TemplateError, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::Opening;
use super::tokenizer::{ANSWER, END_THINK, THINK};
use crate::{Error, Result};

/// Longer templates are no templates.
const FUEL: u64 = 1_000_000;

/// A template that has been compiled, with the two tokens that templates may write.
#[derive(Clone)]
pub struct Chat {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl Chat {
    /// Compiles a template; `place` (a file) begins the message when it is none. `bos` and `eos` are the texts of the
    /// tokenizer's first and last token, empty where it has none.
    pub fn new(place: &str, template: &str, bos: &str, eos: &str) -> Result<Chat> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken(place))?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        // Templates call methods of Python's strings, lists and dictionaries.
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, TemplateError> {
            Err(TemplateError::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_template_owned("chat", template.to_owned()).map_err(broken(place))?;
        Ok(Chat { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// The prompt of a question, with the beginning of the model's turn. `context` stands before the question.
    pub fn prompt(&self, context: &[String], question: &str, opening: Opening) -> Result<String> {
        let (task, opened) = match opening {
            Opening::Think => (
                format!(
                    "Think first, in short sentences that say what you know. End the thoughts with {END_THINK}, then \
                     write {ANSWER} and nothing but the answer."
                ),
                THINK,
            ),
            Opening::Answer => (format!("Write {ANSWER} and nothing but the answer."), ANSWER),
        };
        let content = context.iter().map(String::as_str).chain([question, "", &task]).collect::<Vec<_>>().join("\n");
        let refused = |error: TemplateError| {
            let remedy = "the template has to take a single message of the user; remove chat_template to do without";
            Error::invalid("chat template", error.to_string(), remedy)
        };
        let turn = self.environment.get_template("chat").and_then(|template| {
            template.render(context! {
                messages => [context! { role => "user", content }],
                bos_token => &self.bos,
                eos_token => &self.eos,
                add_generation_prompt => true,
            })
        });
        Ok(turn.map_err(refused)? + opened)
    }
}

fn broken(place: &str) -> impl Fn(TemplateError) -> Error + '_ {
    move |error| {
        let remedy = "take the file that belongs to the model";
        Error::invalid(place, format!("no chat template ({error})"), remedy)
    }
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

    #[test]
    fn a_question_becomes_a_turn_of_the_user_and_the_model_goes_on() {
        let chat = Chat::new("test", TEMPLATE, "<s>", "</s>").unwrap();
        let prompt = chat.prompt(&["A is B.".into()], "What is B?", Opening::Answer).unwrap();
        assert_eq!(
            prompt,
            "<s><|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nA is B.\nWhat is B?\n\nWrite <answer> \
             and nothing but the answer.<|im_end|>\n<|im_start|>assistant\n<answer>"
        );
        let thinking = chat.prompt(&[], "What is B?", Opening::Think).unwrap();
        assert!(thinking.contains("End the thoughts with </think>") && thinking.ends_with("assistant\n<think>"));
    }

    #[test]
    fn a_template_that_is_none_or_refuses_is_one_line() {
        let message = Chat::new("chat.jinja", "{% if %}", "", "").err().unwrap().to_string();
        assert!(message.starts_with("chat.jinja: no chat template"), "{message}");
        let chat = Chat::new("test", "{{ raise_exception('only in pairs') }}", "", "").unwrap();
        let message = chat.prompt(&[], "?", Opening::Think).unwrap_err().to_string();
        assert!(message.contains("only in pairs"), "{message}");
        let endless =
            Chat::new("test", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "", "");
        assert!(endless.unwrap().prompt(&[], "?", Opening::Think).is_err());
    }
}
