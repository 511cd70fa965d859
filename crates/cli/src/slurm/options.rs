//! A small getopt: long options with `=` or a blank, unique beginnings of long names, glued short options (`-N2`),
//! `--` to end them. Commands describe what they take in a table of [`Opt`].
//!
//! Invariant: nothing is skipped. Every argument is an option of the table, an operand, or an error that names it.
use crate::fail::Fail;

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Never.
    No,
    /// Always.
    Needed,
    /// Only with `=`, or glued to the letter.
    Maybe,
}

/// What becomes of an option of the submitting commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It means what Slurm's manual says.
    Means,
    /// Slurm's manual lets a centre pass over it; it is named as ignored.
    Hint,
    /// It is refused for this reason.
    Refused(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Long name.
    pub name: &'static str,
    /// Letter, `\0` for none.
    pub short: char,
    /// Whether it takes a value.
    pub arg: Arg,
    /// Commands that have it, a sum of [`SBATCH`], [`SALLOC`], [`SRUN`].
    pub on: u8,
    /// What becomes of it.
    pub does: Does,
}

/// Marks an option of `sbatch`.
pub const SBATCH: u8 = 1;
/// Marks an option of `salloc`.
pub const SALLOC: u8 = 2;
/// Marks an option of `srun`.
pub const SRUN: u8 = 4;

/// An option that every command of its table has.
pub const fn opt(name: &'static str, short: char, arg: Arg) -> Opt {
    Opt { name, short, arg, on: SBATCH | SALLOC | SRUN, does: Does::Means }
}

impl Opt {
    /// The same, of these commands only.
    pub const fn on(mut self, commands: u8) -> Opt {
        self.on = commands;
        self
    }
    /// The same, accepted and ignored.
    pub const fn hint(mut self) -> Opt {
        self.does = Does::Hint;
        self
    }
    /// The same, refused.
    pub const fn refused(mut self, why: &'static str) -> Opt {
        self.does = Does::Refused(why);
        self
    }
}

/// An option as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Long name.
    pub name: &'static str,
    /// Value, if any.
    pub value: Option<String>,
}

impl Given {
    /// The value; empty when there is none.
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

/// Whether options may follow operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// The first operand ends the options: what follows belongs to a script or command.
    End,
    /// Options and operands mix.
    Mix,
}

/// What arguments come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Options in order.
    pub given: Vec<Given>,
    /// Operands in order.
    pub operands: Vec<String>,
}

impl Parsed {
    /// The last value given for an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|given| given.name == name).map(Given::text)
    }
    /// True if the option was given.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given.name == name)
    }
    /// All values given for an option, split at commas, blanks trimmed, empty ones left out.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.given.iter().filter(|given| given.name == name);
        let items = values.flat_map(|given| given.text().split(',')).map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

/// Arguments that are not of the table's shape: getopt's sentence, without the command's name before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misuse(pub String);

/// Exit code of a submitting command that was given an option it does not have; the asking ones exit with 1.
pub const MISUSE: u8 = 255;

impl From<String> for Misuse {
    fn from(sentence: String) -> Misuse {
        Misuse(sentence)
    }
}

impl From<Misuse> for Fail {
    fn from(wrong: Misuse) -> Fail {
        Fail::new(wrong.0).exit(MISUSE)
    }
}

/// Parses arguments by a table; `on` is the command whose options count.
pub fn parse(table: &[Opt], on: u8, args: &[String], operands: Operands) -> Result<Parsed, Misuse> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parsed.operands.extend(rest.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            parsed.given.push(long_option(table, on, long, &mut rest)?);
        } else if arg.len() > 1 && arg.starts_with('-') {
            short_options(table, on, &arg[1..], &mut rest, &mut parsed.given)?;
        } else {
            parsed.operands.push(arg.clone());
            if operands == Operands::End {
                parsed.operands.extend(rest.by_ref().cloned());
            }
        }
    }
    Ok(parsed)
}

fn long_option<'a>(
    table: &[Opt],
    on: u8,
    text: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<Given, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let opt = find_long(table, on, name).map_err(|wrong| match wrong {
        Wrong::Unknown => format!("unrecognized option '--{text}'"),
        Wrong::Ambiguous(names) => format!("option '--{text}' is ambiguous; possibilities: {names}"),
    })?;
    let value = match (opt.arg, value) {
        (Arg::No, Some(_)) => return Err(format!("option '--{}' doesn't allow an argument", opt.name)),
        (Arg::Needed, None) => match rest.next() {
            Some(next) => Some(next.clone()),
            None => return Err(format!("option '--{}' requires an argument", opt.name)),
        },
        (_, value) => value,
    };
    Ok(Given { name: opt.name, value })
}

enum Wrong {
    Unknown,
    Ambiguous(String),
}

/// An exact name, else the one name that begins so. Underscores pass for dashes, as in older scripts.
fn find_long<'t>(table: &'t [Opt], on: u8, name: &str) -> Result<&'t Opt, Wrong> {
    let mine = || table.iter().filter(|opt| opt.on & on != 0);
    let dashed = name.replace('_', "-");
    if let Some(opt) = mine().find(|opt| opt.name == name || opt.name == dashed) {
        return Ok(opt);
    }
    let mut found: Vec<&Opt> = mine().filter(|opt| !name.is_empty() && opt.name.starts_with(&dashed)).collect();
    found.sort_by_key(|opt| opt.name);
    match found[..] {
        [] => Err(Wrong::Unknown),
        [opt] => Ok(opt),
        _ => {
            let names: Vec<String> = found.iter().map(|opt| format!("'--{}'", opt.name)).collect();
            Err(Wrong::Ambiguous(names.join(" ")))
        }
    }
}

fn short_options<'a>(
    table: &[Opt],
    on: u8,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    given: &mut Vec<Given>,
) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let found = table.iter().find(|opt| opt.on & on != 0 && opt.short == letter && letter != '\0');
        let Some(opt) = found else { return Err(format!("invalid option -- '{letter}'")) };
        let glued = &letters[at + letter.len_utf8()..];
        let value = match opt.arg {
            Arg::No => None,
            Arg::Maybe if glued.is_empty() => None,
            Arg::Maybe | Arg::Needed if !glued.is_empty() => Some(glued.to_owned()),
            _ => match rest.next() {
                Some(next) => Some(next.clone()),
                None => return Err(format!("option requires an argument -- '{letter}'")),
            },
        };
        given.push(Given { name: opt.name, value });
        if opt.arg != Arg::No {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Opt] = &[
        opt("nodes", 'N', Arg::Needed),
        opt("nodelist", 'w', Arg::Needed),
        opt("no-kill", 'k', Arg::Maybe),
        opt("hold", 'H', Arg::No),
        opt("exclusive", '\0', Arg::Maybe),
        opt("pty", '\0', Arg::No).on(SRUN),
    ];

    fn check(args: &str, want: &str) {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let got = match parse(TABLE, SBATCH, &args, Operands::End) {
            Ok(parsed) => {
                let given = parsed.given.iter().map(|given| match &given.value {
                    Some(value) => format!("{}={value}", given.name),
                    None => given.name.to_owned(),
                });
                given.chain(parsed.operands.iter().map(|operand| format!("<{operand}>"))).collect::<Vec<_>>().join(" ")
            }
            Err(Misuse(error)) => format!("error: {error}"),
        };
        assert_eq!(got, want, "{args:?}");
    }

    #[test]
    fn getopt_forms() {
        for (args, want) in [
            ("-N2", "nodes=2"),
            ("-N 2 -H", "nodes=2 hold"),
            ("-HN2 -w a", "hold nodes=2 nodelist=a"),
            ("-N=2", "nodes==2"),
            ("--nodes=2 --nodes 3", "nodes=2 nodes=3"),
            ("--nodel a", "nodelist=a"),
            ("--exc --excl=user", "exclusive exclusive=user"),
            ("-k -H", "no-kill hold"),
            ("-N2 run.sh -H --frob", "nodes=2 <run.sh> <-H> <--frob>"),
            ("-- -N2", "<-N2>"),
            ("-", "<->"),
            ("--no", "error: option '--no' is ambiguous; possibilities: '--no-kill' '--nodelist' '--nodes'"),
            ("--frob=1", "error: unrecognized option '--frob=1'"),
            ("--pty", "error: unrecognized option '--pty'"),
            ("-z", "error: invalid option -- 'z'"),
            ("-N", "error: option requires an argument -- 'N'"),
            ("--nodes", "error: option '--nodes' requires an argument"),
            ("--hold=1", "error: option '--hold' doesn't allow an argument"),
        ] {
            check(args, want);
        }
    }
}
