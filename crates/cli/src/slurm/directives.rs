//! `#SBATCH` and `#MADANG` lines of a script, which mean the same: several options to a line, quotes, backslashes, comment tails, `hetjob` between parts.
//!
//! Invariant: reading stops at the first line that is neither blank nor a comment, as Slurm does; a directive after it
//! is the shell's comment and nothing else.

/// The arguments of each part, in order; one part unless `hetjob` lines divide them.
pub fn read(script: &str) -> Result<Vec<Vec<String>>, String> {
    let mut parts = vec![Vec::new()];
    for (at, line) in script.lines().enumerate() {
        let Some(text) = line.strip_prefix("#SBATCH").or_else(|| line.strip_prefix("#MADANG")) else {
            let start = line.trim_start();
            if start.is_empty() || start.starts_with('#') {
                continue;
            }
            break;
        };
        if !text.starts_with([' ', '\t']) {
            continue;
        }
        let words = split(text).map_err(|error| format!("line {}: {error}", at + 1))?;
        if let [word] = &words[..]
            && (word == "hetjob" || word == "packjob")
        {
            parts.push(Vec::new());
            continue;
        }
        if let Some(stray) = words.first().filter(|word| !word.starts_with('-')) {
            return Err(format!("Invalid directive found in batch script: {stray} (line {})", at + 1));
        }
        parts.last_mut().expect("starts with one part").extend(words);
    }
    Ok(parts)
}

/// Splits a line at blanks outside quotes; an unquoted `#` begins a comment.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(q) = quote {
        return Err(format!("the {q} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_directive() {
        for (line, want) in [
            (" --job-name=train -N2", "--job-name=train|-N2"),
            ("\t-J 'my job' --comment=\"a # b\"", "-J|my job|--comment=a # b"),
            (" --time=1:00   # one hour", "--time=1:00"),
            (" -o log/%x-%j.out\r", "-o|log/%x-%j.out"),
            (r" --comment=a\ b", "--comment=a b"),
            (r#" --comment="say \"hi\"""#, r#"--comment=say "hi""#),
            (" --comment=''", "--comment="),
            ("", ""),
        ] {
            assert_eq!(split(line).map(|words| words.join("|")), Ok(want.to_owned()), "{line}");
        }
        assert!(split(" --comment='x").is_err());
    }

    #[test]
    fn directives_end_at_the_first_command() {
        let script = "#!/bin/bash\n\n# a comment\n#SBATCH -N 1\n##SBATCH -N 2\n# SBATCH -N 3\n#SBATCHX -N 4\n\n  # indented\n\
                      #SBATCH hetjob\n#SBATCH -n4 -c 2 # actors\nset -e\n#SBATCH -N 9\n";
        let parts = read(script).expect("sound");
        assert_eq!(parts, [vec!["-N", "1"], vec!["-n4", "-c", "2"]]);
    }

    #[test]
    fn what_is_not_an_option_is_named() {
        assert_eq!(
            read("#!/bin/sh\n#SBATCH nodes=2\n"),
            Err("Invalid directive found in batch script: nodes=2 (line 2)".to_owned())
        );
        assert_eq!(read("#SBATCH --comment='x\n"), Err("line 1: the ' is not closed".to_owned()));
    }
}
