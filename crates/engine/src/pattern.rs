//! Names of output files: Slurm's patterns `%j %x %A %a %N %n %t %s %u %J %%`, zero-padded as in `%4a`.
//!
//! A pattern with a backslash is taken as it stands, without the backslashes. A `%` before anything else stays.

/// What a pattern's letters stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `%j`, and `%J` with the step.
    pub job: u64,
    /// `%A` and `%a`, for a task of an array.
    pub array: Option<(u64, u32)>,
    /// `%x`.
    pub job_name: String,
    /// `%u`.
    pub user: String,
    /// `%N`: the first node, short.
    pub node: String,
    /// Step, node and task within the job (`%s %n %t`); `None` for the batch script.
    pub task: Option<Task>,
}

/// Which task of a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// `%s`.
    pub step: u32,
    /// `%n`: the node's place in the allocation.
    pub node: u32,
    /// `%t`: the task's rank.
    pub rank: u32,
}

/// Slurm's number for "no array task".
const NO_TASK: u64 = 4_294_967_294;

/// Slurm's bound on padding.
const MAX_WIDTH: usize = 10;

/// The file name that a pattern makes.
pub fn expand(pattern: &str, names: &Names) -> String {
    if pattern.contains('\\') {
        return pattern.replace('\\', "");
    }
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some((plain, after)) = rest.split_once('%') {
        out.push_str(plain);
        let letter_at = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, tail) = after.split_at(letter_at);
        let letter = tail.chars().next();
        match letter.and_then(|letter| field(letter, width(digits), names)) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('%');
                out.push_str(digits);
                out.extend(letter);
            }
        }
        rest = letter.map_or("", |letter| &tail[letter.len_utf8()..]);
    }
    out.push_str(rest);
    out
}

fn width(digits: &str) -> usize {
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(MAX_WIDTH).min(MAX_WIDTH) }
}

fn field(letter: char, width: usize, names: &Names) -> Option<String> {
    let number = |number: u64| Some(format!("{number:0width$}"));
    match letter {
        '%' => Some("%".to_owned()),
        'j' => number(names.job),
        'A' => number(names.array.map_or(names.job, |(array, _)| array)),
        'a' => number(names.array.map_or(NO_TASK, |(_, task)| u64::from(task))),
        'J' => match names.task {
            Some(task) => Some(format!("{:0width$}.{}", names.job, task.step)),
            None => number(names.job),
        },
        's' => names.task.map_or_else(|| Some("batch".to_owned()), |task| number(task.step.into())),
        'n' => number(names.task.map_or(0, |task| task.node).into()),
        't' => number(names.task.map_or(0, |task| task.rank).into()),
        'x' => Some(names.job_name.clone()),
        'u' => Some(names.user.clone()),
        'N' => Some(names.node.split('.').next().unwrap_or_default().to_owned()),
        _ => None,
    }
}

/// The pattern of a job that gives none.
pub fn default_stdout(is_array: bool) -> &'static str {
    if is_array { "slurm-%A_%a.out" } else { "slurm-%j.out" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, want: &str) {
        let names = Names {
            job: 42,
            array: Some((40, 2)),
            job_name: "train".into(),
            user: "kim".into(),
            node: "here1.example.org".into(),
            task: None,
        };
        assert_eq!(expand(pattern, &names), want, "{pattern}");
    }

    #[test]
    fn letters_stand_for_what_slurm_says() {
        check("slurm-%j.out", "slurm-42.out");
        check("slurm-%A_%a.out", "slurm-40_2.out");
        check("%x-%u-%N-%n-%t-%s-%J", "train-kim-here1-0-0-batch-42");
        check("100%%", "100%");
        check("log/%4a/%03j", "log/0002/042");
        check("%99j", "0000000042");
        check("%5x", "train");
    }

    #[test]
    fn anything_else_stays() {
        check("%", "%");
        check("a%", "a%");
        check("%z%12", "%z%12");
        check("%가", "%가");
        check("", "");
        check("\\%j", "%j");
        check("a\\b%x", "ab%x");
    }

    #[test]
    fn no_array_and_a_step() {
        let names = Names { job: 7, task: Some(Task { step: 1, node: 2, rank: 3 }), ..Names::default() };
        assert_eq!(expand("%A_%a %J %s %n %2t", &names), "7_4294967294 7.1 1 2 03");
        assert_eq!(default_stdout(false), "slurm-%j.out");
        assert_eq!(default_stdout(true), "slurm-%A_%a.out");
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_bounded(pattern in "(%|[0-9]|[a-zA-Z]){0,60}") {
            let out = expand(&pattern, &Names::default());
            proptest::prop_assert!(out.len() <= pattern.len() * 12);
        }
    }
}
