//! What only a store has that several servers share: its lease, its fence, and the way into it and out of it.
mod common;

use common::{Client, Dir, Up, database, job, postgres, settings};
use madang_centre::Input;
use madang_centre::input::Signed;
use madang_model::{Role, Span, Time};
use madang_server::store::copy::{Copied, End, copy};
use madang_server::store::pg::Address;
use madang_server::store::{Batch, Blob, Head, Place, Store};
use madang_server::trouble::Trouble;
use serde_json::{Value, json};
use std::path::Path;

/// A database of this test alone; gone at its end.
struct Database(String);

impl Database {
    fn new(name: &str) -> Database {
        let name = format!("shared_{name}");
        postgres::shared().database(&name);
        Database(name)
    }
    fn url(&self) -> String {
        postgres::shared().url(&self.0)
    }
    fn address(&self) -> Address {
        Address::parse(&self.url()).unwrap_or_else(|trouble| panic!("{trouble}"))
    }
    fn server(&self, name: &str) -> Store {
        good(Store::in_postgres(&self.address(), name, &format!("http://{name}")))
    }
    /// Lets the lease run out, as it does when its holder is silent for long.
    fn run_out(&self) {
        postgres::shared().sql(&self.0, "UPDATE madang.lease SET until = '-infinity'");
    }
    fn rows(&self, table: &str) -> String {
        postgres::shared().sql(&self.0, &format!("SELECT count(*) FROM madang.{table}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        postgres::shared().drop_database(&self.0);
    }
}

fn good<T>(done: Result<T, Trouble>) -> T {
    done.unwrap_or_else(|trouble| panic!("{trouble}"))
}

fn append(store: &mut Store, millis: u64) -> Result<(), Trouble> {
    let inputs = [Signed::own(Input::User { name: format!("user-{millis}"), role: Role::Researcher })];
    let blobs = [Blob::of(millis.to_be_bytes().to_vec())];
    store.journal.append(&Batch { now: Time::from_millis(millis), inputs: &inputs, blobs: &blobs }, &[])
}

#[test]
fn who_was_taken_over_writes_nothing() {
    let database = Database::new("fence");
    let (mut one, mut two) = (database.server("one"), database.server("two"));
    assert!(good(one.try_lead()));
    assert!(!good(two.try_lead()), "it is held");
    good(append(&mut one, 1));
    assert!(append(&mut two, 2).is_err(), "it stands by");
    database.run_out();
    assert!(good(two.try_lead()), "it has run out");
    good(two.journal.refresh());
    let told = append(&mut one, 2).expect_err("another leads").to_string();
    assert!(told.contains("http://two, has taken over") && told.contains("\nhint: "), "{told}");
    let now = Time::from_millis(5);
    assert!(one.passes.make_token(now, "ann", "", now + Span::from_days(1)).is_err());
    assert!(one.snapshots.write(one.journal.head(), &json!({})).is_err());
    assert!(one.journal.check().is_err());
    for (table, rows) in [("journal", "1"), ("blobs", "1"), ("passes", "0"), ("snapshots", "0")] {
        assert_eq!(database.rows(table), rows, "{table}");
    }
    good(append(&mut two, 2));
    good(two.snapshots.write(two.journal.head(), &json!({})));
    good(two.journal.verify_last(u64::MAX));
    // Given back, it is there for whoever asks next.
    two.journal.close();
    let three = database.server("three");
    assert!(good(three.try_lead()));
}

/// Makes each row of the journal take half a second between the look at the lease and the commit.
const SLOWLY: &str = "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); \
                      RETURN NEW; END $$; CREATE TRIGGER slowly BEFORE INSERT ON madang.journal FOR EACH ROW EXECUTE \
                      FUNCTION slowly()";

#[test]
fn nothing_follows_what_the_next_one_reads() {
    let database = Database::new("race");
    let (mut one, mut two) = (database.server("one"), database.server("two"));
    assert!(good(one.try_lead()));
    good(append(&mut one, 1));
    postgres::shared().sql(&database.0, SLOWLY);
    let (appended, seen): (Result<(), Trouble>, Head) = std::thread::scope(|scope| {
        let appends = scope.spawn(|| append(&mut one, 2));
        std::thread::sleep(std::time::Duration::from_millis(200));
        // The lease runs out amid the append, which the change of it must wait for, as a taker must.
        database.run_out();
        while !good(two.try_lead()) {
            database.run_out(); // it was just renewed
        }
        let seen = good(two.journal.refresh());
        (appends.join().expect("no panic"), seen)
    });
    good(appended);
    assert_eq!(seen.seq, 2, "what was written under the old epoch is there when the new one begins");
    assert!(append(&mut one, 3).is_err());
    assert_eq!(good(two.journal.refresh()), seen, "a row came after the lease was taken");
}

fn everything(root: &Client) -> Value {
    let jobs = root.get("/api/v1/jobs?state=all&full=true").ok();
    let statement = root.get("/api/v1/projects/alpha/statement?until_ms=253402300799000").ok();
    json!({ "jobs": jobs, "projects": root.get("/api/v1/projects").ok(), "statement": statement })
}

fn end(text: &str) -> End {
    good(End::parse(text))
}

fn refused(from: &str, to: &str) -> String {
    copy(&end(from), &end(to)).expect_err("it may not be").to_string()
}

#[test]
fn a_centre_moves_to_postgres_and_back() {
    let (dir, back, database) = (Dir::new(), Dir::new(), Database::new("moved"));
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let done = ann.submit(job(2, 20));
    ann.until(&format!("/api/v1/jobs/{done}"), |job| job["state"] == "COMPLETED");
    let mut held = job(1, 1);
    held["held"] = json!(true);
    ann.submit(held);
    let (root, token) = (up.client("root"), up.token("root"));
    let before = everything(&root);
    let (folder, url, third) = (dir.0.display().to_string(), database.url(), back.0.display().to_string());
    assert!(refused(&folder, &url).contains("is held by another server"));
    up.stop().expect("a clean stop");
    let copied: Copied = good(copy(&end(&folder), &end(&url)));
    assert!(copied.entries > 2 && copied.rows > 2 && copied.passes > 1, "{copied:?}");

    let start = |dir: &Path, place: Place| {
        let (mut settings, wall) = settings(dir);
        settings.store = place;
        Up::with(settings, wall)
    };
    let elsewhere = Dir::new();
    let up = good(start(&elsewhere.0, Place::Postgres(database.address())));
    let root = Client { base: up.base.clone(), token: Some(token.clone()) };
    assert_eq!(everything(&root), before, "the token is good there too");
    assert!(refused(&url, &third).contains("is led by http://127.0.0.1"));
    let more = up.client("ann").submit(job(1, 10));
    up.client("ann").until(&format!("/api/v1/jobs/{more}"), |job| job["state"] == "COMPLETED");
    let after = everything(&root);
    up.stop().expect("a clean stop");

    assert!(refused(&folder, &url).contains("holds another centre already"), "it has gone on since");
    good(copy(&end(&url), &end(&third)));
    let again = good(copy(&end(&url), &end(&third)));
    assert!(again.entries > copied.entries, "once more is the same as once: {again:?}");
    let up = good(start(&back.0, Place::Folder(None)));
    let root = Client { base: up.base.clone(), token: Some(token) };
    assert_eq!(everything(&root), after);
    assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");

    postgres::shared().sql(&database.0, "INSERT INTO madang.meta VALUES ('copying', 'elsewhere')");
    let told = start(&elsewhere.0, Place::Postgres(database.address())).map(|_| ()).expect_err("half a centre");
    assert!(told.fact.contains("the copy of elsewhere into ") && told.hint.contains("store copy"), "{told}");
    assert!(refused("/nonexistent", &url).contains("is no data folder"));
}

#[test]
fn what_is_wrong_with_a_database_is_said_with_advice() {
    let open = |url: &str| -> String {
        let address = match Address::parse(url) {
            Ok(address) => address,
            Err(trouble) => return trouble.to_string(),
        };
        let name = database(Path::new("nobody"));
        Store::in_postgres(&address, &name, "").map(|_| ()).expect_err("it cannot be opened").to_string()
    };
    let host = postgres::shared().folder().display().to_string();
    let latin = "CREATE DATABASE shared_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    postgres::shared().sql("postgres", &format!("DROP DATABASE IF EXISTS shared_latin; {latin}"));
    postgres::shared().sql("postgres", "CREATE ROLE guest LOGIN");
    let newer = Database::new("newer");
    drop(newer.server("old"));
    postgres::shared().sql(&newer.0, "UPDATE madang.meta SET value = '9' WHERE key = 'format'");
    let (nowhere, none) = ("postgres://madang@127.0.0.1:1/x?connect_timeout=1", postgres::shared().url("shared_none"));
    for (url, fact, hint) in [
        (nowhere, "failed to reach postgres://madang@127.0.0.1:1/x: ", "start it, or mend the address"),
        (&none, "database \"shared_none\" does not exist", "createdb shared_none"),
        (&postgres::shared().url("shared_latin"), "is encoded as LATIN1", "createdb --encoding UTF8"),
        (&format!("postgres://guest@/postgres?host={host}"), "permission denied", "OWNER TO"),
        (&newer.url(), "is of format 9, this release reads 1", "a later one"),
        ("postgres://a:secret@host/x?sslmode=require", "does not speak TLS", "leave sslmode out"),
        ("postgres://a:secret@host:none/x", "does not read as one of PostgreSQL", "postgres://USER@HOST"),
    ] {
        let told = open(url);
        assert!(
            told.contains(fact) && told.split_once("\nhint: ").is_some_and(|(_, found)| found.contains(hint)),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
    }
    let told = Place::parse("mysql://x").map(|_| ()).expect_err("another database").to_string();
    assert!(told.contains("is no address of a store\nhint: write postgres://"), "{told}");
}
