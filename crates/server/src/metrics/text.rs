//! Prometheus' text format, version 0.0.4: families with their samples, numbers written exactly.
//!
//! Written by hand and not by a crate: a hundred lines, while most figures are read off the centre at the moment of
//! the asking, which registries of long-lived counters are not made for.

use super::families::{FAMILIES, Kind};
use super::histogram::Histogram;
use std::fmt::Write;

/// What the format is called in `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Label names with their values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// A page in the making.
#[derive(Default)]
pub struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family; what follows are its samples.
    pub fn family(&mut self, name: &'static str) -> &mut Page {
        let known = FAMILIES.iter().find(|family| family.name == name).expect("it is in the table of families");
        let kind = match known.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = known.name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {}\n# TYPE {name} {kind}", known.help);
        self
    }

    /// A sample in whole units.
    pub fn count(&mut self, labels: Labels<'_>, value: u64) -> &mut Page {
        self.line("", labels, None, &value.to_string())
    }

    /// A sample in seconds.
    pub fn seconds(&mut self, labels: Labels<'_>, micros: u128) -> &mut Page {
        self.line("", labels, None, &seconds(micros))
    }

    /// A histogram's samples.
    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Page {
        let mut all = 0;
        for (bound, count) in histogram.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".into(), |micros| seconds(micros.into()));
            self.line("_bucket", labels, Some(&bound), &count.to_string());
            all = count;
        }
        self.line("_sum", labels, None, &seconds(histogram.micros().into()));
        self.line("_count", labels, None, &all.to_string())
    }

    /// The page.
    pub fn end(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: &str) -> &mut Page {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in all {
            let _ = write!(self.text, "{separator}{name}=\"{}\"", escaped(value));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as seconds, without a float in between.
fn seconds(micros: u128) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    let part = format!("{part:06}");
    match part.trim_end_matches('0') {
        "" => whole.to_string(),
        part => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::time::Duration;

    #[test]
    fn a_page_reads_as_the_format_says() {
        let mut page = Page::default();
        page.family("madang_starts_total").count(&[("site", "a \"b\" \\ c\nd")], 7);
        page.family("madang_uptime_seconds").seconds(&[], 1_500_000);
        let histogram = Histogram::new(&[100, 2_500_000]);
        histogram.observe(Duration::from_micros(99));
        histogram.observe(Duration::from_secs(3));
        page.family("madang_step_seconds").histogram(&[], &histogram);
        expect![[r#"
            # HELP madang_starts_total Runs sent to engines.
            # TYPE madang_starts_total counter
            madang_starts_total{site="a \"b\" \\ c\nd"} 7
            # HELP madang_uptime_seconds Time since this process began.
            # TYPE madang_uptime_seconds gauge
            madang_uptime_seconds 1.5
            # HELP madang_step_seconds Time that one step of the core takes, its scheduling cycles included.
            # TYPE madang_step_seconds histogram
            madang_step_seconds_bucket{le="0.0001"} 1
            madang_step_seconds_bucket{le="2.5"} 1
            madang_step_seconds_bucket{le="+Inf"} 2
            madang_step_seconds_sum 3.000099
            madang_step_seconds_count 2
        "#]]
        .assert_eq(&page.end());
    }
}
