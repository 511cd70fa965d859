//! Parts of a device: what a job may ask for that needs less than a whole GPU, and what it then holds.
//!
//! There are two kinds. A *share* is so many thousandths of a device that others use beside it: nothing but good manners
//! keeps them apart, neither memory nor compute is isolated. A *slice* is a piece that the hardware cuts off, with
//! memory and compute of its own, as NVIDIA's Multi-Instance GPU does: its profile says how large it is and at which
//! positions it may lie.
//!
//! Invariants: a device is whole, shared or cut, never two of them at once; shares on it are 1000 thousandths at most;
//! slices of it are disjoint in its eight memory slices.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Thousandths of a whole device.
pub const WHOLE: u32 = 1000;
/// Compute slices of a device that is cut.
const SEVENTHS: u32 = 7;
/// Shards of a device at a centre that allows shares and does not say how many.
pub const SHARDS: u32 = 4;

/// What a job asks of one device on each of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// So many thousandths, from 1 to 999, beside others; not isolated.
    Milli(u32),
    /// A slice of this profile; isolated in hardware.
    Slice(String),
}

impl Share {
    /// Thousandths of a device that it counts for: of a slice its sevenths of the compute, which its name begins with,
    /// rounded up.
    pub fn milli(&self) -> u32 {
        match self {
            Share::Milli(milli) => *milli,
            Share::Slice(name) => {
                let sevenths = name.split_once('g').and_then(|(sevenths, _)| sevenths.parse::<u32>().ok());
                sevenths.map_or(WHOLE, |sevenths| (sevenths.min(SEVENTHS) * WHOLE).div_ceil(SEVENTHS))
            }
        }
    }
}

/// A share as people write it: `0.25`, `1g.10gb`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Milli(milli) => f.write_str(format!("0.{milli:03}").trim_end_matches('0')),
            Share::Slice(name) => f.write_str(name),
        }
    }
}

/// What a run holds of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// Thousandths that it counts for; of a slice its sevenths of the compute, rounded up.
    pub milli: u16,
    /// Memory slices held: bit k is slice k; none for a share.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u8,
}

fn is_zero(cut: &u8) -> bool {
    *cut == 0
}

impl Held {
    /// True for a slice.
    pub fn is_slice(self) -> bool {
        self.cut != 0
    }
}

/// A way to cut a slice off a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// As NVIDIA names it: `1g.18gb`.
    pub name: String,
    /// Sevenths of the device's compute.
    pub sevenths: u32,
    /// Memory slices, of eight.
    pub size: u32,
    /// Memory slices at which it may begin: bit k is slice k.
    pub starts: u8,
}

impl Profile {
    /// What a slice that begins there holds.
    pub fn at(&self, start: u32) -> Held {
        let cut = ((1_u32 << self.size) - 1) << start;
        Held { milli: (self.sevenths * WHOLE).div_ceil(SEVENTHS) as u16, cut: cut as u8 }
    }
}

/// What parts of a device jobs may hold; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Parts {
    /// Shards that a shared device counts as, for `--gres=shard`; 0 where devices are not shared.
    #[serde(default)]
    pub shards: u32,
    /// Profiles by which it may be cut.
    #[serde(default)]
    pub profiles: Vec<Profile>,
}

impl Parts {
    /// True when jobs hold whole devices only.
    pub fn is_none(&self) -> bool {
        *self == Parts::default()
    }

    /// True when jobs may hold such a share here.
    pub fn offers(&self, share: &Share) -> bool {
        match share {
            Share::Milli(milli) => self.shards > 0 && (1..WHOLE).contains(milli),
            Share::Slice(name) => self.profile(name).is_some(),
        }
    }

    /// The profile of this name, where it is offered.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

/// Sevenths, memory slices and places of begin of the profiles of a device with seven compute and eight memory slices:
/// what `nvidia-smi mig -lgipp` lists for A100, H100 and H200.
const CUTS: [(u32, u32, u8); 6] =
    [(1, 1, 0b0111_1111), (1, 2, 0b0101_0101), (2, 2, 0b0001_0101), (3, 4, 0b0001_0001), (4, 4, 0b1), (7, 8, 0b1)];

/// Least memory in MiB of devices that are cut alike, and the GB in their profiles' names.
const FAMILIES: [(&[&str], u32, [u32; 6]); 3] = [
    (&["a100"], 38_000, [5, 10, 10, 20, 20, 40]),
    (&["a100", "h100"], 76_000, [10, 20, 20, 40, 40, 80]),
    (&["h200"], 134_000, [18, 35, 35, 71, 71, 141]),
];

/// The profiles that a device of this model and memory can be cut by, as far as is known.
pub fn known_profiles(model: &str, memory_mib: u32) -> Vec<Profile> {
    let fits = |(models, least, _): &&(&[&str], u32, [u32; 6])| {
        let named = models.iter().any(|known| model.split(['-', '_', ' ']).any(|word| word == *known));
        named && (*least..=least + least / 8).contains(&memory_mib)
    };
    let Some((_, _, names)) = FAMILIES.iter().find(fits) else { return Vec::new() };
    let profile = |((sevenths, size, starts), gb): ((u32, u32, u8), &u32)| Profile {
        name: format!("{sevenths}g.{gb}gb"),
        sevenths,
        size,
        starts,
    };
    CUTS.into_iter().zip(names).map(profile).collect()
}

/// True for text in the form of a profile's name, `1g.10gb`, whether or not there is such a profile.
pub fn is_profile_name(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split_once("g.").and_then(|(sevenths, rest)| Some((sevenths, rest.strip_suffix("gb")?)));
    parts.is_some_and(|(sevenths, gb)| digits(sevenths) && digits(gb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn profiles_are_nvidias() {
        let line = |profile: &Profile| {
            let starts: Vec<String> =
                (0..8).filter(|at| profile.starts >> at & 1 == 1).map(|at| at.to_string()).collect();
            format!("{} {{{}}}:{} counts {}\n", profile.name, starts.join(","), profile.size, profile.at(0).milli)
        };
        let list = |model, memory| known_profiles(model, memory).iter().map(line).collect::<String>();
        expect_test::expect![[r#"
            1g.18gb {0,1,2,3,4,5,6}:1 counts 143
            1g.35gb {0,2,4,6}:2 counts 143
            2g.35gb {0,2,4}:2 counts 286
            3g.71gb {0,4}:4 counts 429
            4g.71gb {0}:4 counts 572
            7g.141gb {0}:8 counts 1000
        "#]]
        .assert_eq(&list("h200", 143_771));
        let names = |model, memory| {
            known_profiles(model, memory).into_iter().map(|profile| profile.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("a100", 40_960), "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb");
        assert_eq!(names("a100", 81_920), names("h100", 81_559));
        assert_eq!(names("h100", 81_559), "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb");
        for (model, memory) in [("pretend", 81_920), ("h100", 40_960), ("h200", 81_920), ("h1000", 81_920)] {
            assert_eq!(names(model, memory), "", "{model} {memory}");
        }
    }

    #[test]
    fn slices_lie_within_the_device() {
        for profile in known_profiles("h200", 143_771) {
            for start in (0..8).filter(|at| profile.starts >> at & 1 == 1) {
                let held = profile.at(start);
                assert_eq!(held.cut.count_ones(), profile.size, "{} at {start}", profile.name);
                assert_eq!(held.cut.trailing_zeros(), start);
                assert_eq!(u32::from(held.milli), Share::Slice(profile.name.clone()).milli());
            }
        }
    }

    #[test]
    fn shares_read_as_they_are_written() {
        for (share, text) in [(Share::Milli(250), "0.25"), (Share::Milli(1), "0.001"), (Share::Milli(500), "0.5")] {
            assert_eq!(share.to_string(), text);
        }
        for (text, yes) in [("1g.10gb", true), ("7g.141gb", true), ("h100", false), ("1g.gb", false), ("g.1gb", false)]
        {
            assert_eq!(is_profile_name(text), yes, "{text}");
        }
    }
}
