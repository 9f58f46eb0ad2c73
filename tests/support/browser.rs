//! A headless Chromium, driven over its debugging pipe: JSON messages that end with a zero byte.

use std::io::{BufRead, BufReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub struct Browser {
    process: Child,
    to: PipeWriter,
    from: Receiver<Value>,
    session: Option<String>,
    last: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where no Chromium is installed.
    pub fn start() -> Option<Browser> {
        let installed =
            |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
        let name = ["chromium", "chromium-browser", "google-chrome"].iter().find(installed)?;
        let profile = tempfile::tempdir().unwrap();
        let (commands, to) = std::io::pipe().unwrap();
        let (answers, said) = std::io::pipe().unwrap();
        let mut command = Command::new(name);
        let switches = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
            --disable-component-update --disable-sync --disable-extensions --remote-debugging-pipe";
        command.args(switches.split_whitespace()).arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ends = (commands.as_raw_fd(), said.as_raw_fd());
        // SAFETY: between fork and exec nothing but system calls on descriptors that the parent holds open.
        unsafe {
            command.pre_exec(move || {
                // First out of the way of the two numbers that the browser expects.
                let ends = (libc::fcntl(ends.0, libc::F_DUPFD, 10), libc::fcntl(ends.1, libc::F_DUPFD, 10));
                if libc::dup2(ends.0, 3) == 3 && libc::dup2(ends.1, 4) == 4 {
                    Ok(())
                } else {
                    Err(std::io::Error::last_os_error())
                }
            });
        }
        let process = command.spawn().unwrap();
        drop((commands, said));
        let (send, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let Ok(Ok(message)) = message.map(|message| serde_json::from_slice(&message)) else { return };
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser { process, to, from, session: None, last: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", json!({}));
        Some(browser)
    }

    /// Opens a file as on a screen of this size.
    pub fn open(&mut self, file: &Path, (width, height): (u32, u32)) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}));
        while self.next("the page's loading")["method"] != "Page.loadEventFired" {}
    }

    /// What a JavaScript expression gives; a promise is waited for.
    pub fn eval(&mut self, expression: &str) -> Value {
        let arguments = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", arguments);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": arguments});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next(method);
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    fn next(&mut self, awaited: &str) -> Value {
        self.from.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no word from the browser about {awaited}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
