//! Values of options: memory, GPUs, node counts, features, signals, waits, arrays. Names and numbers in, wire types
//! out, or Slurm's sentence on what is wrong.
use madang_api::{After, DataSpec, WaitSpec, WarnSpec};
use madang_model::share::is_profile_name;

/// `Invalid --x specification`, with what was given.
pub fn invalid(option: &str, text: &str) -> String {
    format!("Invalid --{option} specification: {text}")
}

/// A count of at least one.
pub fn count(option: &str, text: &str) -> Result<u32, String> {
    match text.trim().parse::<u32>() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("Invalid numeric value \"{text}\" for --{option}.")),
    }
}

/// Memory in MiB, rounded up: `4G`, `4096`, `4GB`, `2.5G`; 0 is all.
pub fn memory(option: &str, text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let kib: u64 = match unit.to_ascii_uppercase().trim_end_matches('B') {
        "K" => 1,
        "" | "M" => 1 << 10,
        "G" => 1 << 20,
        "T" => 1 << 30,
        _ => return Err(invalid(option, text)),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| invalid(option, text))?;
    let part = &part[..part.len().min(6)];
    let scale = 10u64.pow(u32::try_from(part.len()).unwrap_or(0));
    let part: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| invalid(option, text))? };
    let kib = whole.checked_mul(kib).and_then(|sum| sum.checked_add((part * kib).div_ceil(scale)));
    kib.map(|kib| kib.div_ceil(1 << 10)).ok_or_else(|| invalid(option, text))
}

/// GPUs, by model if named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    /// GRES type.
    pub model: Option<String>,
    /// How many; 1 where a part of one is asked.
    pub count: u32,
    /// The part of one that is asked.
    pub part: Option<GpuPart>,
}

/// A part of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuPart {
    /// Thousandths, beside others: `0.25`.
    Milli(u32),
    /// Shards, beside others: Slurm's `shard:1`.
    Shards(u32),
    /// A slice by its profile: `1g.10gb`.
    Profile(String),
}

/// `4`, `h200:4`; of `h200|h100:4` either model will do.
pub fn gpus(option: &str, text: &str) -> Result<Gpus, String> {
    let (model, number) = match text.rsplit_once(':') {
        Some((model, number)) => (Some(model), number),
        None => (None, text),
    };
    let sound = |model: &str| !model.contains([':', ',']) && model.split('|').all(|one| !one.is_empty());
    if !model.is_none_or(sound) {
        return Err(invalid(option, text));
    }
    if model.is_none() && is_profile_name(&number.to_ascii_lowercase()) {
        return Ok(slice(number));
    }
    match number.parse() {
        Ok(1) if model.is_some_and(is_slice) => Ok(slice(model.unwrap_or_default())),
        Ok(count) if model.is_some_and(is_slice) => {
            let name = model.unwrap_or_default();
            Err(format!(
                "{}: {count} slices {name} on a node, a job holds one; ask for nodes or jobs",
                invalid(option, text)
            ))
        }
        Ok(count) => Ok(Gpus { model: model.map(str::to_owned), count, part: None }),
        Err(_) => match thousandths(number) {
            Some(milli) => Ok(Gpus { model: model.map(str::to_owned), count: 1, part: Some(GpuPart::Milli(milli)) }),
            None => Err(invalid(option, text)),
        },
    }
}

fn is_slice(name: &str) -> bool {
    is_profile_name(&name.to_ascii_lowercase())
}

fn slice(name: &str) -> Gpus {
    Gpus { model: None, count: 1, part: Some(GpuPart::Profile(name.to_ascii_lowercase())) }
}

/// `0.25`, from 0.001 to 0.999.
fn thousandths(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0.").or_else(|| text.strip_prefix('.'))?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<3}").parse().ok().filter(|milli| *milli > 0)
}

/// `gpu`, `gpu:2`, `gpu:h200:2`, `gres/gpu:2`, `shard:1`, `gpu:1g.10gb:1`, `none`; anything that is not a GPU is refused by name.
pub fn gres(text: &str) -> Result<Option<Gpus>, String> {
    let mut found: Option<Gpus> = None;
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let item = item.strip_prefix("gres/").or_else(|| item.strip_prefix("gres:")).unwrap_or(item);
        let item = item.split_once('(').map_or(item, |(before, _)| before);
        let item = item.replace('=', ":");
        let (name, rest) = item.split_once(':').unwrap_or((&item, "1"));
        match name {
            "none" | "NONE" => continue,
            "gpu" | "shard" => {}
            _ => {
                return Err(format!(
                    "Invalid generic resource (gres) specification: {item} (only gpu and shard are counted here)"
                ));
            }
        }
        let one = match name == "shard" || rest.contains(':') || rest.starts_with(|c: char| c.is_ascii_digit()) {
            true => gpus("gres", rest)?,
            false if is_slice(rest) => slice(rest),
            false => Gpus { model: Some(rest.to_owned()), count: 1, part: None },
        };
        let one = if name == "shard" { shards(one, &item)? } else { one };
        if found.is_some() {
            return Err(format!(
                "Invalid generic resource (gres) specification: {text} (one kind of GPU for each part)"
            ));
        }
        found = Some(one);
    }
    Ok(found)
}

/// So many shards, of this model where one is named.
fn shards(asked: Gpus, item: &str) -> Result<Gpus, String> {
    match asked {
        Gpus { model, count, part: None } if count > 0 => {
            Ok(Gpus { model, count: 1, part: Some(GpuPart::Shards(count)) })
        }
        _ => Err(format!("Invalid generic resource (gres) specification: {item} (shards are whole numbers from 1 on)")),
    }
}

/// `2`, `2-4`: least and most nodes.
pub fn nodes(text: &str) -> Result<(u32, u32), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (node_count(least, text)?, node_count(most, text)?);
    if most < least {
        return Err(format!("Maximum node count {most} is less than minimum node count {least}"));
    }
    Ok((least, most))
}

/// A count with the endings that Slurm allows: `k` and `m`.
fn node_count(text: &str, whole: &str) -> Result<u32, String> {
    let wrong = || format!("Invalid numeric value \"{whole}\" for --nodes.");
    let (digits, scale) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    let count: u32 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(scale).filter(|count| *count > 0).ok_or_else(wrong)
}

/// `h200,h100` or `h200|h100`: models of which one will do, the most wanted first; with bars between.
pub fn models(text: &str) -> Result<String, String> {
    let models: Vec<&str> = text.split([',', '|']).map(str::trim).collect();
    if models.iter().any(|model| model.is_empty() || model.contains(':')) {
        return Err(invalid("model", text));
    }
    Ok(models.join("|"))
}

/// `a&b`, `a,b`: features that every node must have. `a|b` is one of them on each node, `[a|b]` one of them on all nodes
/// alike; beside others a choice stands in brackets or parentheses. Counts and negations are refused by name.
pub fn features(text: &str) -> Result<Vec<String>, String> {
    let wrong = |why: &str| format!("Invalid feature specification: {text}{why}");
    if let Some(sign) = text.chars().find(|c| "*:!".contains(*c)) {
        return Err(wrong(&format!(" ('{sign}' is not supported, only a&b, a|b and [a|b])")));
    }
    // `--constraint=` with an empty variable after it asks for none.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let terms: Vec<&str> = text.split(['&', ',']).map(str::trim).collect();
    let mut features = Vec::new();
    for term in &terms {
        let inside = |open, shut| term.strip_prefix(open).and_then(|rest| rest.strip_suffix(shut));
        let (words, alike) = match (inside('[', ']'), inside('(', ')')) {
            (Some(words), _) => (words, true),
            (None, Some(words)) => (words, false),
            (None, None) if term.contains('|') && terms.len() > 1 => {
                return Err(wrong(" (write a choice beside others in brackets: a&[b|c])"));
            }
            (None, None) => (*term, false),
        };
        let words: Vec<&str> = words.split('|').map(str::trim).collect();
        if words.iter().any(|word| word.is_empty() || word.contains(['[', ']', '(', ')'])) {
            return Err(wrong(""));
        }
        let choice = words.join("|");
        features.push(if alike && words.len() > 1 { format!("[{choice}]") } else { choice });
    }
    Ok(features)
}

/// Signal names in Slurm's spelling, by number on this system.
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("WINCH", 28),
];

/// A signal's number by its name (`USR1`, `SIGUSR1`) or itself.
pub fn signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// `[R][B:]SIG[@seconds]`; 60 seconds when not given.
pub fn warning(text: &str) -> Result<WarnSpec, String> {
    let (flags, rest) = text.split_once(':').unwrap_or(("", text));
    if !flags.chars().all(|c| "BbRr".contains(c)) {
        return Err(invalid("signal", text));
    }
    let (name, secs) = rest.split_once('@').unwrap_or((rest, "60"));
    let secs: Option<u64> = secs.parse().ok().filter(|secs| *secs <= 65535);
    match (signal(name), secs) {
        (Some(signal), Some(before_secs)) => {
            Ok(WarnSpec { signal, before_secs, shell: flags.to_ascii_uppercase().contains('B') })
        }
        _ => Err(invalid("signal", text)),
    }
}

/// Waits for other jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// The waits.
    pub after: Vec<WaitSpec>,
    /// Any is enough.
    pub any: bool,
    /// One at a time of the same name.
    pub singleton: bool,
}

/// `afterok:12:13,afterany:5_3`, `singleton`, `after:12+5`; `?` between them means that any is enough.
pub fn waits(text: &str) -> Result<Waits, String> {
    let wrong = || format!("Batch job submission failed: Job dependency problem: {text}");
    let mut waits = Waits { any: text.contains('?'), ..Waits::default() };
    if waits.any && text.contains(',') {
        return Err(wrong());
    }
    for item in text.split([',', '?']).map(str::trim).filter(|item| !item.is_empty()) {
        let mut fields = item.split(':');
        let kind = match fields.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "after" => After::After,
            "afterok" => After::AfterOk,
            "afternotok" => After::AfterNotOk,
            "afterany" => After::AfterAny,
            "aftercorr" => After::AfterCorr,
            "singleton" => {
                waits.singleton = true;
                continue;
            }
            _ => return Err(wrong()),
        };
        let before = waits.after.len();
        for field in fields {
            waits.after.push(wait(kind, field).ok_or_else(wrong)?);
        }
        if waits.after.len() == before {
            return Err(wrong());
        }
    }
    Ok(waits)
}

fn wait(kind: After, text: &str) -> Option<WaitSpec> {
    let (id, delay) = match text.split_once('+') {
        Some((id, minutes)) if kind == After::After => (id, minutes.parse::<u64>().ok()?.checked_mul(60)?),
        Some(_) => return None,
        None => (text, 0),
    };
    let (job, task) = id.split_once('_').map_or((id, None), |(job, task)| (job, Some(task)));
    let task = match task {
        None | Some("*") => None,
        Some(task) => Some(task.parse().ok()?),
    };
    Some(WaitSpec { kind, job: job.parse().ok()?, task, delay_secs: delay })
}

/// Checks an array's indices: `0-11%4`, `1,3,5`, `0-20:5`. The text goes to the server as it stands.
pub fn array(text: &str) -> Result<String, String> {
    let wrong = || format!("Batch job submission failed: Invalid job array specification: {text}");
    let (indices, at_once) = text.split_once('%').map_or((text, None), |(indices, most)| (indices, Some(most)));
    if at_once.is_some_and(|most| !most.parse::<u32>().is_ok_and(|most| most > 0)) {
        return Err(wrong());
    }
    for item in indices.trim_start_matches('[').trim_end_matches(']').split(',') {
        let (range, step) = item.split_once(':').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u32>(), last.parse::<u32>(), step.parse::<u32>()) {
            (Ok(first), Ok(last), Ok(step)) if first <= last && step > 0 => {}
            _ => return Err(wrong()),
        }
    }
    Ok(text.replace(['[', ']'], ""))
}

/// One job id of a list: `12`, `12_3`, `12_[1-4,7]`; a task list gives one id for each task.
pub fn job_ids(text: &str) -> Option<Vec<String>> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix("job-").unwrap_or(text);
    let (job, tasks) = match text.split_once('_') {
        None => return number(text).then(|| vec![text.to_owned()]),
        Some((job, tasks)) => (job, tasks),
    };
    if !number(job) {
        return None;
    }
    let Some(list) = tasks.strip_prefix('[').and_then(|tasks| tasks.strip_suffix(']')) else {
        return number(tasks).then(|| vec![text.to_owned()]);
    };
    let mut ids = Vec::new();
    for item in list.split('%').next()?.split(',') {
        let (range, step) = item.split_once(':').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step): (u32, u32, usize) = (first.parse().ok()?, last.parse().ok()?, step.parse().ok()?);
        if step == 0 || last.checked_sub(first)? > 1_000_000 {
            return None;
        }
        ids.extend((first..=last).step_by(step).map(|task| format!("{job}_{task}")));
    }
    Some(ids)
}

/// Splits a list of job ids at commas outside brackets.
pub fn split_ids(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut inside = false;
    for c in text.chars() {
        inside = (inside || c == '[') && c != ']';
        match c {
            ',' if !inside => items.push(String::new()),
            c => items.last_mut().expect("starts with one").push(c),
        }
    }
    items.into_iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// `--sites`: names, `any` for all, `-name` for all but one.
pub fn sites(name: &str, text: &str) -> Result<Vec<String>, String> {
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    let bare = |word: &String| word.is_empty() || word == "-";
    if words.iter().any(bare) { Err(invalid(name, text)) } else { Ok(words) }
}

/// `--data-at`: places with how many gigabytes are there, as in `seoul:200,busan`.
pub fn data_at(text: &str) -> Result<Vec<DataSpec>, String> {
    let place = |word: &str| {
        let (site, gb) = word.split_once(':').unwrap_or((word, "1"));
        let gb = gb.trim_end_matches("GB").trim().parse().ok().filter(|gb| *gb > 0);
        let known = gb.filter(|_| !site.trim().is_empty());
        known.map(|gb| DataSpec { site: site.trim().to_owned(), gb }).ok_or_else(|| invalid("data-at", text))
    };
    text.split(',').map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_mib_rounded_up() {
        for (text, want) in [
            ("4G", 4096),
            ("4096", 4096),
            ("4GB", 4096),
            ("4096MB", 4096),
            ("1T", 1 << 20),
            ("1K", 1),
            ("1025k", 2),
            ("2.5G", 2560),
            ("0", 0),
        ] {
            assert_eq!(memory("mem", text), Ok(want), "{text}");
        }
        for text in ["", "4X", "G", "-4G", "4 G", "99999999999999999999G"] {
            assert!(memory("mem", text).is_err(), "{text}");
        }
    }

    #[test]
    fn sites_and_where_data_are() {
        let words = |text: &str| sites("sites", text).map(|words| words.join(" "));
        for (text, want) in [("any", "any"), ("a, b", "a b"), ("-a", "-a"), ("any,-a", "any -a")] {
            assert_eq!(words(text).as_deref(), Ok(want), "{text}");
        }
        let places = |text: &str| {
            let places = data_at(text)?;
            Ok::<_, String>(places.iter().map(|at| format!("{} {}", at.site, at.gb)).collect::<Vec<_>>().join(", "))
        };
        for (text, want) in [("a", "a 1"), ("a:800,b:20", "a 800, b 20"), ("a:5GB", "a 5")] {
            assert_eq!(places(text).as_deref(), Ok(want), "{text}");
        }
        for text in ["", "-", "a,", "a,-"] {
            assert!(sites("sites", text).is_err(), "{text}");
        }
        for text in ["", "a:", "a:0", "a:x", ":5", "a:-1", "a,"] {
            assert!(data_at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_are_counted_by_model() {
        let some = |model: Option<&str>, count| Ok(Some(Gpus { model: model.map(str::to_owned), count, part: None }));
        assert_eq!(gres("gpu:2"), some(None, 2));
        assert_eq!(gres("gpu"), some(None, 1));
        assert_eq!(gres("gpu:h200:4"), some(Some("h200"), 4));
        assert_eq!(gres("gres/gpu:h200=4"), some(Some("h200"), 4));
        assert_eq!(gres("gpu:h200"), some(Some("h200"), 1));
        assert_eq!(gres("gpu:2(S:0-1)"), some(None, 2));
        assert_eq!(gres("none"), Ok(None));
        assert!(gres("foo:1").is_err_and(|error| error.contains("foo:1")));
        assert!(gres("gpu:a:1,gpu:b:1").is_err());
        assert_eq!(gpus("gpus", "a100:4"), Ok(Gpus { model: Some("a100".into()), count: 4, part: None }));
        assert_eq!(gres("gpu:h200|gb200:4"), some(Some("h200|gb200"), 4));
        assert_eq!(gpus("gpus", "h200|h100:4"), Ok(Gpus { model: Some("h200|h100".into()), count: 4, part: None }));
        assert!(gpus("gpus", "h200|:4").is_err());
        assert!(gpus("gpus", "x").is_err());
        assert_eq!(models("h200, h100").as_deref(), Ok("h200|h100"));
        assert!(models("h200,").is_err());
    }

    #[test]
    fn parts_of_gpus_are_told_from_models() {
        let part = |model: Option<&str>, part| Gpus { model: model.map(str::to_owned), count: 1, part: Some(part) };
        let profile = |name: &str| part(None, GpuPart::Profile(name.into()));
        assert_eq!(gpus("gpus", "0.25"), Ok(part(None, GpuPart::Milli(250))));
        assert_eq!(gpus("gpus", "h200:0.5"), Ok(part(Some("h200"), GpuPart::Milli(500))));
        assert_eq!(gpus("gpus", "1g.10gb"), Ok(profile("1g.10gb")));
        assert_eq!(gpus("gpus", "1g.10gb:1"), Ok(profile("1g.10gb")));
        assert_eq!(gres("gpu:3G.71GB:1"), Ok(Some(profile("3g.71gb"))));
        assert_eq!(gres("gpu:3g.71gb"), Ok(Some(profile("3g.71gb"))));
        assert_eq!(gres("shard:2"), Ok(Some(part(None, GpuPart::Shards(2)))));
        assert_eq!(gres("shard"), Ok(Some(part(None, GpuPart::Shards(1)))));
        assert_eq!(gres("shard:h200:1"), Ok(Some(part(Some("h200"), GpuPart::Shards(1)))));
        for bad in ["0.0", "0.0005", "1.5", "0.", "-0.5", "0.25:h200", "1g.10gb:2"] {
            assert!(gpus("gpus", bad).is_err(), "{bad}");
        }
        for bad in ["shard:0.5", "shard:0", "shard:1g.10gb", "shard:1,gpu:1"] {
            assert!(gres(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_and_features() {
        assert_eq!(nodes("2"), Ok((2, 2)));
        assert_eq!(nodes("2-4"), Ok((2, 4)));
        assert_eq!(nodes("1k"), Ok((1024, 1024)));
        for text in ["4-2", "0", "x", "2-", ""] {
            assert!(nodes(text).is_err(), "{text}");
        }
        assert_eq!(features("a&b"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for (text, want) in [
            ("a|b", "a|b"),
            ("[a|b]", "[a|b]"),
            ("[a]", "a"),
            ("nvlink&(a|b)", "nvlink a|b"),
            ("[a|b],nvlink", "[a|b] nvlink"),
        ] {
            assert_eq!(features(text).map(|found| found.join(" ")).as_deref(), Ok(want), "{text}");
        }
        for text in ["a|b&c", "a|", "[a|b", "[a&b]", "((a|b))", "|"] {
            assert!(features(text).is_err(), "{text}");
        }
        assert!(features("a*2").is_err_and(|error| error.contains("'*'")));
        assert!(features("a&").is_err());
        assert_eq!(features(""), Ok(Vec::new()));
    }

    #[test]
    fn signals_and_warnings() {
        assert_eq!(signal("USR2"), Some(12));
        assert_eq!(signal("sigterm"), Some(15));
        assert_eq!(signal("9"), Some(9));
        assert_eq!(signal("FOO"), None);
        assert_eq!(warning("B:USR1@120"), Ok(WarnSpec { signal: 10, before_secs: 120, shell: true }));
        assert_eq!(warning("USR2@90"), Ok(WarnSpec { signal: 12, before_secs: 90, shell: false }));
        assert_eq!(warning("TERM"), Ok(WarnSpec { signal: 15, before_secs: 60, shell: false }));
        for text in ["", "FOO@3", "X:USR1", "USR1@x"] {
            assert!(warning(text).is_err(), "{text}");
        }
    }

    #[test]
    fn waits_as_slurm_writes_them() {
        let got = waits("afterok:12:13_4,after:5+10,singleton").expect("sound");
        assert!(got.singleton && !got.any);
        let spec = |kind, job, task, delay_secs| WaitSpec { kind, job, task, delay_secs };
        assert_eq!(
            got.after,
            [spec(After::AfterOk, 12, None, 0), spec(After::AfterOk, 13, Some(4), 0), spec(After::After, 5, None, 600)]
        );
        assert!(waits("afterany:1?afterok:2").is_ok_and(|waits| waits.any && waits.after.len() == 2));
        for text in ["foo:1", "afterok", "afterok:x", "afterok:1+5", "afterok:1,afterany:2?afterok:3", "expand:3"] {
            assert!(waits(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arrays_and_ids() {
        for text in ["0-11%4", "1,3,5", "0-20:5", "7"] {
            assert_eq!(array(text).as_deref(), Ok(text));
        }
        for text in ["", "1-x", "4-2", "0-4%0", "0-4:0"] {
            assert!(array(text).is_err(), "{text}");
        }
        let ids = |text: &str| job_ids(text).map(|ids| ids.join(" "));
        assert_eq!(ids("12").as_deref(), Some("12"));
        assert_eq!(ids("5_3").as_deref(), Some("5_3"));
        assert_eq!(ids("5_[1-3,7]").as_deref(), Some("5_1 5_2 5_3 5_7"));
        for text in ["", "abc", "5_", "5_x", "_3", "5_[3-1]"] {
            assert_eq!(ids(text), None, "{text}");
        }
        assert_eq!(split_ids("1,5_[1,2],,3"), ["1", "5_[1,2]", "3"]);
    }
}
