//! `recollect serve` as clients of OpenAI's protocol meet it.
#![cfg(feature = "serve")]

#[path = "support/program.rs"]
mod program;

use program::recollect;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A server of the base that ships, which ends with it.
struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Serving {
    fn start(arguments: &[&str]) -> Serving {
        let mut command = recollect();
        command.args(["serve", "embedded", "--port", "0", "--workers", "2"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect(&line);
        Serving { address: address.parse().unwrap(), child }
    }

    fn connect(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n");
        // A server may answer and hang up before it has read all of what is too large.
        let _ = stream.write_all(format!("{head}content-type: application/json\r\n\r\n{body}").as_bytes());
        stream
    }

    /// Status and body.
    fn says(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut answer = Vec::new();
        let read = self.connect(method, path, body).read_to_end(&mut answer);
        assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { unchunked(body) } else { body.to_owned() })
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.says("POST", path, &body.to_string());
        (status, serde_json::from_str(&text).unwrap())
    }

    fn complete(&self, body: Value) -> Value {
        let (status, answer) = self.post("/v1/completions", &body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The data of a stream, which ends as it should.
    fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let (status, text) = self.says("POST", path, &body.to_string());
        assert_eq!(status, 200, "{text}");
        let mut data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"));
        data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

const PROMPT: &str = "<bos> <question> who in neven guards fukol ? <think>";
/// Of its tokens.
const LENGTH: u64 = 9;

fn text(answer: &Value) -> &str {
    answer["choices"][0]["text"].as_str().unwrap()
}

#[test]
fn completions_have_text_counts_and_reasons_and_a_seed_says_the_same_again() {
    let server = Serving::start(&[]);
    let greedy = server.complete(json!({ "prompt": PROMPT, "max_tokens": 12, "temperature": 0 }));
    assert_eq!(greedy["object"], "text_completion");
    assert_eq!(greedy["model"], "embedded");
    let usage = &greedy["usage"];
    let [prompt, sampled, total] =
        ["prompt_tokens", "completion_tokens", "total_tokens"].map(|key| usage[key].as_u64().unwrap());
    assert_eq!((prompt, prompt + sampled), (LENGTH, total), "{greedy}");
    assert!(!text(&greedy).is_empty() && sampled <= 12);
    let reason = &greedy["choices"][0]["finish_reason"];
    assert_eq!(reason, if sampled == 12 { "length" } else { "stop" });
    // The same by token ids, with the ends of the model left to themselves, and from the seed of a request.
    let sampled = |seed: u64, n: usize| {
        server.complete(json!({ "prompt": PROMPT, "max_tokens": 20, "seed": seed, "n": n, "top_p": 0.95, "top_k": 40 }))
    };
    let [one, again, other] = [(1, 4), (1, 4), (2, 4)].map(|(seed, n)| sampled(seed, n)["choices"].clone());
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!(one.as_array().unwrap().len(), 4);
    let tokens = server.complete(json!({ "prompt": [[1, 5, 6], [1, 7]], "max_tokens": 3, "ignore_eos": true, "n": 2 }));
    let choices = tokens["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|one| one["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(tokens["usage"]["completion_tokens"], 12);
    // Requests without a seed differ from each other.
    let free = || server.complete(json!({ "prompt": PROMPT, "max_tokens": 30 }));
    assert_ne!(free()["choices"], free()["choices"]);
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let server = Serving::start(&[]);
    let ask = |stream: bool| {
        json!({
            "prompt": PROMPT, "max_tokens": 24, "seed": 5, "n": 3, "stream": stream, "logprobs": 2,
            "stream_options": { "include_usage": true },
        })
    };
    let whole = server.complete(ask(false));
    let mut chunks = server.stream("/v1/completions", &ask(true));
    assert_eq!(chunks.pop().unwrap()["usage"], whole["usage"]);
    for choice in whole["choices"].as_array().unwrap() {
        let index = &choice["index"];
        let own: Vec<&Value> =
            chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|one| one["index"] == *index).collect();
        let said: String = own.iter().map(|one| one["text"].as_str().unwrap()).collect();
        assert_eq!(choice["text"], said);
        assert_eq!(own.last().unwrap()["finish_reason"], choice["finish_reason"]);
        let scores = |one: &Value| one["logprobs"]["token_logprobs"].as_array().cloned().unwrap_or_default();
        assert_eq!(own.iter().flat_map(|one| scores(one)).collect::<Vec<_>>(), scores(choice));
        assert!(own.len() > 2, "it came in parts");
    }
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let server = Serving::start(&[]);
    let ask = |stop: Value, stream: bool| json!({ "prompt": PROMPT, "max_tokens": 40, "temperature": 0, "stop": stop, "stream": stream });
    let whole = server.complete(ask(json!([]), false));
    let words: Vec<&str> = text(&whole).split_whitespace().collect();
    let stop = format!("{} {}", words[2], words[3]);
    let before = text(&whole).split(&stop).next().unwrap();
    for stops in [json!(stop), json!(["never said", stop])] {
        let cut = server.complete(ask(stops.clone(), false));
        assert_eq!(text(&cut), before);
        assert_eq!(cut["choices"][0]["finish_reason"], "stop");
        assert!(cut["usage"]["completion_tokens"].as_u64() < whole["usage"]["completion_tokens"].as_u64());
        let chunks = server.stream("/v1/completions", &ask(stops, true));
        let said: String = chunks.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(said, before);
    }
}

#[test]
fn log_probs_of_a_prompt_are_those_that_it_would_be_sampled_with() {
    let server = Serving::start(&[]);
    let greedy = server.complete(json!({
        "prompt": PROMPT, "max_tokens": 8, "temperature": 0, "logprobs": 3, "ignore_eos": true,
    }));
    let sampled = &greedy["choices"][0]["logprobs"];
    let continued = format!("{PROMPT} {}", text(&greedy).trim());
    for new in [0, 1] {
        let echoed = server.complete(json!({
            "prompt": continued, "max_tokens": new, "temperature": 0, "logprobs": 3, "echo": true, "ignore_eos": true,
        }));
        assert!(text(&echoed).starts_with(&continued));
        let scored = &echoed["choices"][0]["logprobs"];
        assert_eq!(scored["tokens"].as_array().unwrap().len(), LENGTH as usize + 8 + new);
        assert!(scored["token_logprobs"][0].is_null() && scored["top_logprobs"][0].is_null());
        for at in 0..8 {
            assert_eq!(scored["tokens"][LENGTH as usize + at], sampled["tokens"][at]);
            let [there, here] =
                [&scored["token_logprobs"][LENGTH as usize + at], &sampled["token_logprobs"][at]].map(Value::as_f64);
            assert!((there.unwrap() - here.unwrap()).abs() < 1e-4);
            // The likeliest token is the one that greedy decoding took.
            let top = scored["top_logprobs"][LENGTH as usize + at].as_object().unwrap();
            let best = top.iter().max_by(|a, b| a.1.as_f64().unwrap().total_cmp(&b.1.as_f64().unwrap())).unwrap();
            assert_eq!((best.0.as_str(), top.len()), (sampled["tokens"][at].as_str().unwrap(), 3));
        }
    }
}

#[test]
fn chat_without_a_template_takes_a_question_in_the_plain_format() {
    let server = Serving::start(&["--name", "toy"]);
    let (status, models) = server.says("GET", "/v1/models", "");
    assert!(status == 200 && models.contains("\"toy\""), "{models}");
    assert_eq!(server.says("GET", "/health", "").0, 200);
    let ask = |stream: bool| {
        json!({
            "model": "toy", "messages": [{ "role": "user", "content": "who in neven guards fukol ?" }], "seed": 3,
            "max_completion_tokens": 30, "logprobs": true, "top_logprobs": 2, "stream": stream,
        })
    };
    let (status, whole) = server.post("/v1/chat/completions", &ask(false));
    assert_eq!((status, &whole["object"]), (200, &json!("chat.completion")));
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    let scores = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(scores.len() as u64, whole["usage"]["completion_tokens"].as_u64().unwrap());
    assert!(scores.iter().all(|one| one["top_logprobs"].as_array().unwrap().len() == 2));
    let chunks = server.stream("/v1/chat/completions", &ask(true));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(message["content"], said);
}

#[test]
fn what_is_wrong_is_an_error_object_and_the_server_goes_on() {
    let server = Serving::start(&[]);
    for (path, body, status, param, part) in [
        ("/v1/completions", "{\"prompt\": ", 400, None, "no JSON"),
        ("/v1/completions", "[]", 400, None, "no JSON object"),
        ("/v1/completions", "{}", 400, None, "prompt"),
        ("/v1/completions", r#"{"prompt": {}}"#, 400, Some("prompt"), "a text, a list of texts"),
        ("/v1/completions", r#"{"prompt": ""}"#, 400, Some("prompt"), "empty"),
        ("/v1/completions", r#"{"prompt": []}"#, 400, Some("prompt"), "empty"),
        ("/v1/completions", r#"{"prompt": [[]]}"#, 400, Some("prompt"), "empty"),
        ("/v1/completions", r#"{"prompt": [1, 99999]}"#, 400, Some("prompt"), "99999"),
        ("/v1/completions", r#"{"prompt": "who", "temperature": "hot"}"#, 400, Some("temperature"), "temperature"),
        ("/v1/completions", r#"{"prompt": "who", "temperature": -1}"#, 400, Some("temperature"), "-1"),
        ("/v1/completions", r#"{"prompt": "who", "top_p": 2}"#, 400, Some("top_p"), "top_p is 2"),
        ("/v1/completions", r#"{"prompt": "who", "n": 0}"#, 400, Some("n"), "0 completions"),
        ("/v1/completions", r#"{"prompt": "who", "n": 1000000}"#, 400, Some("n"), "1 to"),
        ("/v1/completions", r#"{"prompt": "who", "max_tokens": 0}"#, 400, Some("max_tokens"), "at least one"),
        ("/v1/completions", r#"{"prompt": "who", "max_tokens": 1000000000}"#, 400, Some("prompt"), "new ones"),
        ("/v1/completions", r#"{"prompt": "who", "max_tokens": -3}"#, 400, Some("max_tokens"), "max_tokens"),
        ("/v1/completions", r#"{"prompt": "who", "logprobs": 21}"#, 400, Some("logprobs"), "at most 20"),
        ("/v1/completions", r#"{"prompt": "who", "stop": [""]}"#, 400, Some("stop"), "not empty"),
        ("/v1/completions", r#"{"prompt": "who", "suffix": "x"}"#, 400, Some("suffix"), "not supported"),
        ("/v1/completions", r#"{"prompt": "who", "logit_bias": {"1": 5}}"#, 400, Some("logit_bias"), "not supported"),
        ("/v1/completions", r#"{"prompt": "who", "echo": true, "stream": true}"#, 400, Some("echo"), "stream"),
        ("/v1/completions", r#"{"prompt": "who", "model": "gpt-4"}"#, 404, None, "does not exist"),
        (
            "/v1/completions",
            r#"{"prompt": "nobody knows Ünknown words"}"#,
            400,
            Some("prompt"),
            "not in its vocabulary",
        ),
        ("/v1/chat/completions", r#"{"messages": []}"#, 400, Some("messages"), "no message"),
        ("/v1/chat/completions", r#"{"messages": [{"role": "user"}]}"#, 400, None, "content"),
        (
            "/v1/chat/completions",
            r#"{"messages": [{"role": "system", "content": "x"}]}"#,
            400,
            Some("messages"),
            "template",
        ),
        (
            "/v1/chat/completions",
            r#"{"messages": [{"role": "user", "content": [{"type": "image"}]}]}"#,
            400,
            Some("messages[0].content"),
            "only text",
        ),
        (
            "/v1/chat/completions",
            r#"{"messages": [{"role": "user", "content": "who"}], "tools": [{}]}"#,
            400,
            Some("tools"),
            "not supported",
        ),
        ("/v1/nothing", "{}", 404, None, "no such path"),
    ] {
        let (found, answer) = server.says("POST", path, body);
        assert_eq!(found, status, "{body}: {answer}");
        let error = &serde_json::from_str::<Value>(&answer).unwrap()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
        assert!(param.is_none_or(|param| error["param"] == param), "{body}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let (status, answer) = server.says("GET", "/v1/completions", "");
    assert!(status == 405 && answer.contains("\"error\""), "{answer}");
    let (status, answer) =
        server.says("POST", "/v1/completions", &format!("{{\"prompt\": \"{}\"}}", "who ".repeat(5_000_000)));
    assert!(status == 413 && answer.contains("larger than"), "{answer}");
    assert!(!text(&server.complete(json!({ "prompt": "who", "max_tokens": 4 }))).is_empty());
}

#[test]
fn a_thousand_requests_of_32_clients_are_answered_and_those_who_leave_early_harm_nobody() {
    let server = Serving::start(&[]);
    let body = |seed: usize| json!({ "prompt": PROMPT, "max_tokens": 16, "seed": seed % 10, "temperature": 1.2 });
    let alone: Vec<Value> = (0..10).map(|seed| server.complete(body(seed))["choices"].clone()).collect();
    std::thread::scope(|scope| {
        for client in 0..32 {
            let (server, alone) = (&server, &alone);
            scope.spawn(move || {
                for seed in (client..1000).step_by(32) {
                    if seed % 9 == 0 {
                        let ask = json!({ "prompt": PROMPT, "max_tokens": 100, "n": 8, "stream": true });
                        let mut stream = server.connect("POST", "/v1/completions", &ask.to_string());
                        let _ = stream.read(&mut [0; 64]);
                    }
                    assert_eq!(server.complete(body(seed))["choices"], alone[seed % 10]);
                }
            });
        }
    });
}

#[cfg(unix)]
#[test]
fn it_ends_when_it_is_told_to() {
    let mut server = Serving::start(&[]);
    server.complete(json!({ "prompt": PROMPT, "max_tokens": 4 }));
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
    let mut rest = String::new();
    server.child.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert!(rest.contains("ended: 1 answered"), "{rest}");
}
