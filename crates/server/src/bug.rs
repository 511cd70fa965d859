//! The last line of defence: a bug in the core is caught, told with the journal's entry that brought it out, and ends
//! the server. The entry is on the disk by then, so the next start meets it again and says that it is the same one.
//!
//! Invariant: a centre whose step was caught is never stepped, kept in a snapshot, or answered from again.

use crate::trouble::Trouble;
use madang_centre::{Input, Signed};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A journal's entry that is being stepped.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its number.
    pub seq: u64,
    /// The kinds of its inputs, see [`kinds`].
    pub kinds: &'a str,
    /// True when it is replayed, false when it happens.
    pub is_replay: bool,
    /// True when nothing follows it, so that nobody was ever answered for it.
    pub is_last: bool,
}

thread_local! {
    /// Where and how this thread panicked while it was watched.
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Does the step; a panic in it becomes a trouble that names the entry.
pub fn caught<T>(entry: Entry<'_>, step: impl FnOnce() -> T) -> Result<T, Trouble> {
    watch();
    WATCHED.set(true);
    // What the step leaves half done is not looked at again: every caller passes the trouble on and ends.
    let done = catch_unwind(AssertUnwindSafe(step));
    WATCHED.set(false);
    done.map_err(|_| told(entry, &SEEN.take().unwrap_or_else(|| "no message".into())))
}

/// The kinds of a batch's inputs, each once: `submit, report`.
pub fn kinds(inputs: &[Signed]) -> String {
    let mut kinds: Vec<&str> = inputs.iter().map(|signed| kind(&signed.input)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() { "only time passed".into() } else { kinds.join(", ") }
}

fn kind(input: &Input) -> &'static str {
    match input {
        Input::Found(_) => "found",
        Input::User { .. } => "user",
        Input::Project { .. } => "project",
        Input::Member { .. } => "member",
        Input::Award { .. } => "award",
        Input::Submit(_) => "submit",
        Input::Cancel { .. } => "cancel",
        Input::Hold { .. } => "hold",
        Input::Release { .. } => "release",
        Input::Requeue { .. } => "requeue",
        Input::Finish { .. } => "finish",
        Input::Alter { .. } => "alter",
        Input::Signal { .. } => "signal",
        Input::Checkpoint { .. } => "checkpoint",
        Input::Drain { .. } => "drain",
        Input::Sign { .. } => "sign",
        Input::Resume { .. } => "resume",
        Input::SiteLost { .. } | Input::SiteSilent { .. } => "site-lost",
        Input::SiteHeard { .. } | Input::SiteBack { .. } => "site-back",
        Input::Clear { .. } => "clear",
        Input::ProjectData { .. } => "project-data",
        Input::Reserve(_) => "reserve",
        Input::Unreserve { .. } => "unreserve",
        Input::Defrag { .. } => "defrag",
        Input::Report(_) => "report",
        Input::Tick => "tick",
    }
}

fn told(entry: Entry<'_>, how: &str) -> Trouble {
    let Entry { seq, kinds, .. } = entry;
    if !entry.is_replay {
        return Trouble::new(format!("a bug stopped the core at journal entry {seq} ({kinds}): {how}")).hint(
            "nobody was answered for this entry, and nothing that was answered is lost: start it again; if it \
                   stops at the same entry, it says what to do",
        );
    }
    let trouble = Trouble::new(format!(
        "replaying journal entry {seq} ({kinds}) stops the core, by a bug of this release: {how}"
    ));
    let away = format!(
        "nobody was answered for it: use a release that mends this, or back the store up and take the entry out with \
         sqlite3 journal.db 'DELETE FROM journal WHERE seq = {seq}', in PostgreSQL from madang.journal"
    );
    let stay = "entries before it are intact and nothing was changed: use a release that mends this, or the one that \
                wrote it; entries follow, so it cannot be taken out";
    trouble.hint(if entry.is_last { away } else { stay.into() })
}

/// While a step is watched its panic is remembered and not printed; all others print as ever.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !WATCHED.get() {
                return before(info);
            }
            let message = info.payload_as_str().unwrap_or("no message");
            let place = info.location().map(|at| format!(", at {}:{}", at.file(), at.line())).unwrap_or_default();
            SEEN.set(Some(format!("{message}{place}")));
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'static> = Entry { seq: 42, kinds: "submit", is_replay: false, is_last: true };

    #[test]
    fn a_panic_names_the_entry_and_its_place() {
        let told = caught(ENTRY, || panic!("out of {}", "range")).map(|(): ()| ()).expect_err("it panicked");
        assert!(
            told.fact.starts_with("a bug stopped the core at journal entry 42 (submit): out of range, at "),
            "{told}"
        );
        assert!(told.hint.contains("start it again"), "{told}");
    }

    #[test]
    fn a_replayed_panic_says_what_can_be_done() {
        let again = Entry { is_replay: true, ..ENTRY };
        let last = caught(again, || panic!("x")).map(|(): ()| ()).expect_err("it panicked");
        assert!(last.fact.contains("replaying journal entry 42") && last.hint.contains("seq = 42"), "{last}");
        let amid = caught(Entry { is_last: false, ..again }, || panic!("x")).map(|(): ()| ()).expect_err("it panicked");
        assert!(!amid.hint.contains("DELETE"), "{amid}");
    }

    #[test]
    fn what_goes_well_passes() {
        assert_eq!(caught(ENTRY, || 7).expect("no panic"), 7);
    }
}
