//! A WebDriver client as small as these tests need: one session, scripts, waiting.
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A browser with one page; it ends when dropped.
pub struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
}

impl Browser {
    /// Start a headless browser through its driver, with a profile of its own in `folder`.
    pub fn open(driver: &str, browser: &str, folder: &Path) -> Browser {
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver was found on the path");
        let out = BufReader::new(driver.stdout.take().expect("its output is piped"));
        let port = out.lines().map_while(Result::ok).find_map(|line| {
            let (_, tail) = line.rsplit_once("on port ")?;
            tail.trim_end_matches('.').parse::<u16>().ok().filter(|port| *port != 0)
        });
        let root = format!("http://127.0.0.1:{}", port.expect("the driver says its port"));
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.timeout_global(Some(Duration::from_secs(60))).build().into();
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1440,900",
            "--lang=en",
        ];
        let mut args: Vec<String> = flags.map(String::from).to_vec();
        args.push(format!("--user-data-dir={}", folder.display()));
        let wish = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": browser, "args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut opened = Browser { driver, session: format!("{root}/session"), agent };
        let answer = opened.call("POST", "", wish);
        let id = answer["sessionId"].as_str().expect("a session begins").to_string();
        opened.session = format!("{root}/session/{id}");
        opened
    }

    fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = ureq::http::Request::builder().method(method).uri(&url);
        let answer = if method == "POST" {
            let request = request.header("content-type", "application/json").body(body.to_string());
            self.agent.run(request.expect("the request is well formed"))
        } else {
            self.agent.run(request.body(()).expect("the request is well formed"))
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let value: Value = answer.body_mut().read_json().expect("the driver speaks JSON");
        if let Some(error) = value["value"]["error"].as_str() {
            panic!("{method} {path}: {error}: {}", value["value"]["message"]);
        }
        value["value"].clone()
    }

    /// Open an address.
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url}));
    }

    /// Run a script's body and give back what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", json!({"script": script, "args": []}))
    }

    /// Wait until an expression holds; panics with what the page shows when it does not within twenty seconds.
    pub fn wait(&self, what: &str, expression: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.run(&format!("return !!({expression})")) != Value::Bool(true) {
            if Instant::now() > deadline {
                let shown = self.run("return document.body.innerText.slice(0, 2000)");
                panic!("{what} did not come within 20 s; errors: {:?}; the page shows: {shown}", self.errors());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the page logged as severe since the last call.
    pub fn errors(&self) -> Vec<String> {
        let lines = self.call("POST", "/se/log", json!({"type": "browser"}));
        let severe = lines.as_array().into_iter().flatten().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let request = ureq::http::Request::builder().method("DELETE").uri(&self.session).body(());
        if let Ok(request) = request {
            drop(self.agent.run(request));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
