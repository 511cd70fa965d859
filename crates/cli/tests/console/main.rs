//! The console in a real browser against the running server: every page, both languages, live.
//!
//! Needs a Chromium and its driver; says plainly when they are missing. `cargo xtask test` installs them.
mod webdriver;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use webdriver::Browser;

/// A demo centre on a port of its own; it ends when dropped.
struct Demo {
    server: Child,
    link: String,
}

impl Demo {
    fn start(folder: &std::path::Path) -> Demo {
        let mut server = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["up", "--demo", "--listen", "127.0.0.1:0", "--pretend-gpus", "8", "--data"])
            .arg(folder.join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary under test runs");
        let out = BufReader::new(server.stdout.take().expect("its output is piped"));
        let mut lines = out.lines();
        let link = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("http://")?;
            let url = line[at..].split_whitespace().next()?;
            url.contains("code=").then(|| url.to_string())
        });
        // What it prints later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Demo { server, link: link.expect("`up` prints a sign-in link") }
    }

    fn root(&self) -> &str {
        let end = self.link[8..].find('/').map_or(self.link.len(), |at| at + 8);
        &self.link[..end]
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.server.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        drop(self.server.wait());
    }
}

fn find(variable: &str, names: &[&str]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let on_path = |name: &&str| path.split(':').map(|folder| format!("{folder}/{name}")).find(|file| is_file(file));
    std::env::var(variable).ok().filter(|file| is_file(file)).or_else(|| names.iter().find_map(on_path))
}

fn is_file(path: &str) -> bool {
    std::path::Path::new(path).is_file()
}

fn ready(browser: &Browser, page: &str) {
    let expression = format!(
        "document.querySelector('main').dataset.page === '{page}' && document.querySelector('main').dataset.ready === 'true'"
    );
    browser.wait(&format!("the page {page}"), &expression);
}

#[test]
fn every_page_in_a_real_browser() {
    let browser = find("MADANG_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]);
    let driver = find("MADANG_CHROMEDRIVER", &["chromedriver"]);
    let (Some(browser), Some(driver)) = (browser, driver) else {
        println!("skipped: no Chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)");
        return;
    };
    let folder = std::env::temp_dir().join(format!("madang-console-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    {
        let demo = Demo::start(&folder);
        let browser = Browser::open(&driver, &browser, &folder.join("profile"));
        anonymous_sees_the_door(&browser, &demo);
        signed_in_sees_the_house(&browser, &demo);
        the_floor_shows_every_gpu(&browser, &demo);
        the_queue_lives(&browser, &demo);
        a_project_and_its_statement(&browser, &demo);
        the_other_language(&browser, &demo);
        assert_eq!(browser.errors(), Vec::<String>::new(), "the pages logged errors");
    }
    drop(std::fs::remove_dir_all(&folder));
}

fn anonymous_sees_the_door(browser: &Browser, demo: &Demo) {
    browser.go(&format!("{}/", demo.root()));
    ready(browser, "signin");
    // The refused look at who is asking is logged by the browser; it is meant.
    browser.errors();
}

fn signed_in_sees_the_house(browser: &Browser, demo: &Demo) {
    browser.go(&demo.link);
    ready(browser, "overview");
    browser.wait("ten thousand GPUs", "/10,000/.test(document.querySelector('main').innerText)");
    browser.wait("the word modelled", "/modelled/i.test(document.querySelector('main').innerText)");
    browser.wait("a clean address", "!location.href.includes('code=')");
    // A link opens once.
    let code = demo.link.rsplit("code=").next().expect("links have codes");
    let script = format!(
        "return await fetch('/api/v1/session', {{method: 'POST', headers: {{'content-type': 'application/json'}}, \
         body: JSON.stringify({{code: '{code}'}})}}).then(answer => answer.status)"
    );
    assert_eq!(browser.run(&script), 401);
    browser.errors();
}

fn the_floor_shows_every_gpu(browser: &Browser, demo: &Demo) {
    browser.go(&format!("{}/#/floor", demo.root()));
    ready(browser, "floor");
    browser.wait("a canvas", "document.querySelector('main canvas')");
    let colours = "const canvas = document.querySelector('main canvas');\
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;\
        const seen = new Set(); for (let i = 0; i < pixels.length; i += 4) \
        seen.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]); return seen.size";
    let seen = browser.run(colours).as_u64().unwrap_or(0);
    assert!(seen >= 4, "the floor shows {seen} colours: free and held GPUs and their ground at least");
}

fn the_queue_lives(browser: &Browser, demo: &Demo) {
    browser.go(&format!("{}/#/queue", demo.root()));
    ready(browser, "queue");
    browser.wait("rows", "document.querySelectorAll('main tbody tr').length > 5");
    browser.run("document.querySelector('main tbody tr a[href*=\"#/jobs/\"]').click()");
    ready(browser, "job");
    browser.wait("the live mark", "document.querySelector('.live')?.dataset.state === 'live'");
}

fn a_project_and_its_statement(browser: &Browser, demo: &Demo) {
    browser.go(&format!("{}/#/projects", demo.root()));
    ready(browser, "projects");
    browser.run("document.querySelector('main a[href*=\"#/projects/\"]').click()");
    ready(browser, "project");
    browser.run("location.hash = location.hash.split('?')[0] + '/statement'");
    ready(browser, "statement");
    browser.wait("the balance", "/balance/i.test(document.querySelector('main').innerText)");
}

fn the_other_language(browser: &Browser, demo: &Demo) {
    browser.run("localStorage.setItem('madang.lang', 'ko')");
    for page in ["overview", "floor", "queue", "projects", "nodes"] {
        let hash = if page == "overview" { "/".to_string() } else { format!("/{page}") };
        browser.go(&format!("{}/#{hash}", demo.root()));
        browser.run("location.reload()");
        ready(browser, page);
        assert_eq!(browser.run("return document.documentElement.lang"), "ko");
        browser.wait("Hangul", "/[\\uac00-\\ud7a3]/.test(document.querySelector('main').innerText)");
    }
}
