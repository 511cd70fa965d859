//! Figures as people read them.
use crate::trial::Bands;

/// A length of time in two units at most: `2 d 3 h`, `45 min`, `12 s`.
pub fn time(secs: u64) -> String {
    let (days, hours, mins) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match () {
        () if days >= 100 => format!("{days} d"),
        () if days > 0 => format!("{days} d {hours} h"),
        () if hours > 0 => format!("{hours} h {mins} min"),
        () if mins > 0 => format!("{mins} min {} s", secs % 60),
        () => format!("{secs} s"),
    }
}

/// A whole number with a comma every three digits.
pub fn whole(figure: u64) -> String {
    let digits = figure.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Millionths as per cent with one decimal.
pub fn per_cent(millionths: u64) -> String {
    let tenths = (millionths + 500) / 1000;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Millionths as a ratio with two decimals.
pub fn ratio(millionths: u64) -> String {
    let parts = (millionths + 5000) / 10_000;
    format!("{}.{:02}", whole(parts / 100), parts % 100)
}

/// GPU-seconds as GPU-hours.
pub fn gpu_hours(gpu_secs: u64) -> String {
    format!("{} GPU-h", whole((gpu_secs + 1800) / 3600))
}

/// The mean, and the least and the most where they differ.
pub fn bands(bands: Bands, say: impl Fn(u64) -> String) -> String {
    let (least, mean, most) = (say(bands.least), say(bands.mean), say(bands.most));
    if least == most { mean } else { format!("{mean} ({least} to {most})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 61, 7260, 183_600].map(time), ["0 s", "1 min 1 s", "2 h 1 min", "2 d 3 h"]);
        assert_eq!([7, 1234, 1_234_567].map(whole), ["7", "1,234", "1,234,567"]);
        assert_eq!((per_cent(853_400), ratio(12_345_678)), ("85.3%".into(), "12.35".into()));
        assert_eq!(bands(Bands::of([1, 3]), whole), "2 (1 to 3)");
        assert_eq!(bands(Bands::of([3, 3]), whole), "3");
    }
}
