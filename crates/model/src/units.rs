//! Units: time, GPU time and money, all integers in the smallest unit, all arithmetic checked.
//!
//! ```compile_fail
//! # use madang_model::{Span, Won};
//! let sum = Span::from_secs(3) + Won::new(4); // two units do not mix
//! ```
use core::fmt;
use core::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

/// Thousandths of a GPU device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliGpus(u32);

/// GPU time: milli-GPU x milliseconds, that is micro-GPU-seconds. One GPU-hour is 3.6e9 of these, so the range is
/// 2.5e9 GPU-hours: 18,000 GPUs for sixteen years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuTime(i64);

/// Whole won.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Won(i64);

impl Time {
    /// The end of time: later than anything that happens.
    pub const MAX: Time = Time(u64::MAX);
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis)
    }
    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0
    }
    /// Whole seconds since 1970, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
    /// The span since an earlier moment; zero if that moment is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
    /// The moment a span later, at most [`Time::MAX`].
    pub const fn after(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
    /// The moment a span earlier, at least the origin.
    pub const fn before(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl Span {
    /// No time.
    pub const ZERO: Span = Span(0);
    /// The longest span.
    pub const MAX: Span = Span(u64::MAX);
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Span(millis)
    }
    /// From seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Span(secs.saturating_mul(1000))
    }
    /// From minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Span::from_secs(mins.saturating_mul(60))
    }
    /// From hours.
    pub const fn from_hours(hours: u64) -> Self {
        Span::from_mins(hours.saturating_mul(60))
    }
    /// From days.
    pub const fn from_days(days: u64) -> Self {
        Span::from_hours(days.saturating_mul(24))
    }
    /// Milliseconds.
    pub const fn millis(self) -> u64 {
        self.0
    }
    /// Whole seconds, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

impl MilliGpus {
    /// From thousandths of a device.
    pub const fn new(milli: u32) -> Self {
        MilliGpus(milli)
    }
    /// From whole devices.
    pub const fn from_gpus(gpus: u32) -> Self {
        MilliGpus(gpus.saturating_mul(1000))
    }
    /// Thousandths of a device.
    pub const fn milli(self) -> u32 {
        self.0
    }
}

impl GpuTime {
    /// None.
    pub const ZERO: GpuTime = GpuTime(0);
    /// From micro-GPU-seconds.
    pub const fn from_micro_secs(micro: i64) -> Self {
        GpuTime(micro)
    }
    /// From whole GPU-hours.
    pub const fn from_hours(hours: i64) -> Self {
        GpuTime(hours.saturating_mul(3_600_000_000))
    }
    /// Micro-GPU-seconds.
    pub const fn micro_secs(self) -> i64 {
        self.0
    }
    /// Whole GPU-hours, rounded towards zero.
    pub const fn hours(self) -> i64 {
        self.0 / 3_600_000_000
    }
    /// The sum, or `None` beyond the range.
    pub const fn checked_add(self, other: GpuTime) -> Option<GpuTime> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(GpuTime(sum)),
            None => None,
        }
    }
    /// The product of a device count and a span, or `None` beyond the range.
    pub fn checked_of(gpus: MilliGpus, span: Span) -> Option<GpuTime> {
        i64::try_from(u128::from(gpus.0) * u128::from(span.0)).ok().map(GpuTime)
    }
}

impl Won {
    /// Nothing.
    pub const ZERO: Won = Won(0);
    /// From whole won.
    pub const fn new(won: i64) -> Self {
        Won(won)
    }
    /// Whole won.
    pub const fn won(self) -> i64 {
        self.0
    }
}

/// Exact; a product beyond the range of [`GpuTime`] is a bug of the caller, who checks limits at the edge.
impl Mul<Span> for MilliGpus {
    type Output = GpuTime;
    fn mul(self, span: Span) -> GpuTime {
        GpuTime::checked_of(self, span).expect("GPU time within range: limits are checked at submission")
    }
}

macro_rules! sums {
    ($name:ident) => {
        impl Add for $name {
            type Output = $name;
            fn add(self, other: $name) -> $name {
                $name(self.0.checked_add(other.0).expect(concat!(stringify!($name), " sum within range")))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: $name) {
                *self = *self + other;
            }
        }
        impl Sub for $name {
            type Output = $name;
            fn sub(self, other: $name) -> $name {
                $name(self.0.checked_sub(other.0).expect(concat!(stringify!($name), " difference within range")))
            }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: $name) {
                *self = *self - other;
            }
        }
        impl core::iter::Sum for $name {
            fn sum<I: Iterator<Item = $name>>(items: I) -> $name {
                items.fold($name::default(), |sum, item| sum + item)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
sums!(GpuTime);
sums!(Won);
sums!(MilliGpus);
sums!(Span);

impl Neg for GpuTime {
    type Output = GpuTime;
    fn neg(self) -> GpuTime {
        GpuTime::ZERO - self
    }
}
impl Neg for Won {
    type Output = Won;
    fn neg(self) -> Won {
        Won::ZERO - self
    }
}
impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        self.after(span)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}
impl fmt::Display for Span {
    /// The two largest units that matter: `2d4h`, `3h`, `90ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
        let Some(first) = UNITS.iter().position(|(size, _)| self.0 >= *size) else { return f.write_str("0s") };
        let (size, name) = UNITS[first];
        write!(f, "{}{}", self.0 / size, name)?;
        match UNITS.get(first + 1) {
            Some((next, name)) if (self.0 % size) / next > 0 && first < 3 => {
                write!(f, "{}{}", (self.0 % size) / next, name)
            }
            _ => Ok(()),
        }
    }
}
impl fmt::Display for MilliGpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{} GPUs", self.0 / 1000),
            part => write!(f, "{}.{part:03} GPUs", self.0 / 1000),
        }
    }
}
impl fmt::Display for GpuTime {
    /// GPU-hours to three places, rounded towards zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milli_hours = (self.0 / 3_600_000).unsigned_abs();
        let sign = if self.0 < 0 && milli_hours > 0 { "-" } else { "" };
        match milli_hours % 1000 {
            0 => write!(f, "{sign}{} GPU-hours", milli_hours / 1000),
            part => write!(f, "{sign}{}.{part:03} GPU-hours", milli_hours / 1000),
        }
    }
}
impl fmt::Display for Won {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} won", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn units_print_for_people() {
        for (millis, text) in
            [(0, "0s"), (90, "90ms"), (1_500, "1s"), (61_000, "1m1s"), (3_600_000, "1h"), (187_200_000, "2d4h")]
        {
            assert_eq!(Span::from_millis(millis).to_string(), text);
        }
        assert_eq!((MilliGpus::from_gpus(8) * Span::from_mins(90)).to_string(), "12 GPU-hours");
        assert_eq!(GpuTime::from_micro_secs(-1_800_000_000).to_string(), "-0.500 GPU-hours");
        assert_eq!(MilliGpus::new(250).to_string(), "0.250 GPUs");
    }

    #[test]
    fn a_product_beyond_the_range_is_none() {
        assert_eq!(GpuTime::checked_of(MilliGpus::new(u32::MAX), Span::MAX), None);
    }
}
