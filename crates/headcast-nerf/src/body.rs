//! What an avatar does besides speaking: how much it moves, when it blinks, and what is behind it.
//!
//! Defaults are what upstream's renderers do: poses and eyes as recorded, played back and forth, smoothed as the family
//! does (`--smooth_path`, `--smooth_eye`, `--smooth_lips`). Everything here is a function of the frame's number and the
//! avatar, so that any frame can be made at any time.

use std::fmt;
use std::str::FromStr;

use crate::avatar::Avatar;
use crate::conditioning::mirror;
use crate::cpu::RenderError;

/// Choices for one clip. `Default` is as recorded, smoothed as the avatar asks for.
///
/// As text ([`FromStr`], [`fmt::Display`]) the choices that differ from the default, such as `eyes=blink poses=12`:
///
/// | name | values | default |
/// |---|---|---|
/// | `eyes` | `recorded`, `blink`, or how far they are shut, 0 to 1 | `recorded` |
/// | `poses` | `loop`, or the number of one pose to keep | `loop` |
/// | `background` | `own`, `green`, `white`, `black`, a colour `#rrggbb`, or `picture`: one that comes with the clip | `own`: the avatar's picture |
/// | `smooth_path`, `smooth_eyes`, `smooth_lips` | `on`, `off` | as the avatar asks for |
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Body {
    /// Which eyes.
    pub eyes: Eyes,
    /// Which pose in which frame.
    pub poses: Poses,
    /// What is behind the person, torso included.
    pub background: Behind,
    /// Averages camera poses over seven frames; `None` as the avatar says.
    pub smooth_path: Option<bool>,
    /// Averages recorded eye values over three frames; `None` as the avatar says.
    pub smooth_eyes: Option<bool>,
    /// Blends each audio code with the one before; `None` as the avatar says.
    pub smooth_lips: Option<bool>,
}

/// What is behind the person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Behind {
    /// The avatar's picture.
    #[default]
    Own,
    /// This colour, R G B.
    Colour([u8; 3]),
    /// A picture that comes with the clip: [`Renderer::with_background`](crate::Renderer::with_background).
    Picture,
}

/// How far the eyes are shut, frame by frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Eyes {
    /// As in the recorded frame whose pose is shown: upstream's `au.csv` or `eye_ratio`.
    #[default]
    Recorded,
    /// Upstream's `--fix_eye`: 0 open to 1 shut.
    Fixed(f32),
    /// Blinks that do not repeat with the recorded path; see [`Blinks`].
    Blinking,
}

/// Which of the recorded poses a frame shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Poses {
    /// All of them, back and forth: `0 … n-1, n-1 … 0, 0 …`, as upstream.
    #[default]
    Loop,
    /// This one alone, counted from 0: the head keeps still and speaks.
    Still(usize),
}

/// Why a choice cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Use one of the names that the message lists.
    #[error("there is no body option {name:?}; there are {}", Body::NAMES.join(", "))]
    Name {
        /// What was given.
        name: String,
    },
    /// Use one of the values that the message lists.
    #[error("{name} cannot be {value:?}; use {allowed}")]
    Value {
        /// Of which option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Body {
    /// Names of the choices.
    pub const NAMES: [&str; 6] = ["eyes", "poses", "background", "smooth_path", "smooth_eyes", "smooth_lips"];

    /// Whether `avatar` can do this.
    ///
    /// # Errors
    /// [`RenderError::EyeValue`], [`RenderError::NoEyes`], [`RenderError::NoSuchPose`],
    /// [`RenderError::FullBodyBackground`].
    pub fn check(&self, avatar: &Avatar) -> Result<(), RenderError> {
        if let Eyes::Fixed(value) = self.eyes
            && !(0.0..=1.0).contains(&value)
        {
            return Err(RenderError::EyeValue { value });
        }
        if self.eyes != Eyes::Recorded && !avatar.model.has_eye() {
            return Err(RenderError::NoEyes);
        }
        if self.background != Behind::Own && avatar.full_body.is_some() {
            return Err(RenderError::FullBodyBackground);
        }
        match self.poses {
            Poses::Still(pose) if pose >= avatar.poses.len() => {
                Err(RenderError::NoSuchPose { pose, poses: avatar.poses.len() })
            }
            _ => Ok(()),
        }
    }

    /// Makes the choice called `name`.
    ///
    /// # Errors
    /// [`BodyError`], which says what there is.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), BodyError> {
        let known = Self::NAMES.into_iter().find(|known| *known == name);
        let name = known.ok_or_else(|| BodyError::Name { name: name.chars().take(40).collect() })?;
        let allowed = match name {
            "eyes" => "recorded, blink, or how far they are shut from 0 (open) to 1",
            "poses" => "loop, or the number of the pose to keep, the first one is 0",
            "background" => {
                "own, green, white, black, a colour such as #3070ff, or picture for one that is sent with the clip"
            }
            _ => "on or off",
        };
        let refused = || BodyError::Value { name, value: value.chars().take(40).collect(), allowed };
        match name {
            "eyes" => {
                self.eyes = match value {
                    "recorded" => Eyes::Recorded,
                    "blink" => Eyes::Blinking,
                    number => {
                        let value = number.parse().ok().filter(|value| (0.0..=1.0).contains(value));
                        Eyes::Fixed(value.ok_or_else(refused)?)
                    }
                }
            }
            "poses" => {
                self.poses = match value {
                    "loop" => Poses::Loop,
                    number => Poses::Still(number.parse().map_err(|_no_number| refused())?),
                }
            }
            "background" => {
                self.background = match COLOURS.iter().find(|(known, _)| *known == value) {
                    Some((_, colour)) => Behind::Colour(*colour),
                    None if value == "own" => Behind::Own,
                    None if value == "picture" => Behind::Picture,
                    None => Behind::Colour(colour(value).ok_or_else(refused)?),
                }
            }
            switch => {
                let on = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(refused()),
                };
                *match switch {
                    "smooth_path" => &mut self.smooth_path,
                    "smooth_eyes" => &mut self.smooth_eyes,
                    _ => &mut self.smooth_lips,
                } = Some(on);
            }
        }
        Ok(())
    }
}

/// Colours with a name; this green is what chroma keys are made for.
const COLOURS: [(&str, [u8; 3]); 3] = [("green", [0, 177, 64]), ("white", [255; 3]), ("black", [0; 3])];

/// `#rrggbb`.
fn colour(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let [_, colour @ ..] = u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)?.to_be_bytes();
    Some(colour)
}

impl FromStr for Body {
    type Err = BodyError;

    /// Reads `name=value` pairs between spaces.
    fn from_str(text: &str) -> Result<Self, BodyError> {
        let mut body = Self::default();
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            body.set(name, value)?;
        }
        Ok(body)
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        match self.eyes {
            Eyes::Recorded => {}
            Eyes::Fixed(value) => words.push(format!("eyes={value}")),
            Eyes::Blinking => words.push("eyes=blink".to_owned()),
        }
        if let Poses::Still(pose) = self.poses {
            words.push(format!("poses={pose}"));
        }
        match self.background {
            Behind::Own => {}
            Behind::Colour([r, g, b]) => words.push(format!("background=#{r:02x}{g:02x}{b:02x}")),
            Behind::Picture => words.push("background=picture".to_owned()),
        }
        let switches = [
            ("smooth_path", self.smooth_path),
            ("smooth_eyes", self.smooth_eyes),
            ("smooth_lips", self.smooth_lips),
        ];
        for (name, on) in switches {
            if let Some(on) = on {
                words.push(format!("{name}={}", if on { "on" } else { "off" }));
            }
        }
        f.write_str(&words.join(" "))
    }
}

impl Poses {
    /// The pose of frame `frame` when `recorded` poses are there.
    ///
    /// # Panics
    /// If `recorded` is 0.
    pub fn at(self, frame: u64, recorded: usize) -> usize {
        match self {
            Self::Loop => mirror(frame, recorded),
            Self::Still(pose) => pose,
        }
    }
}

/// Frames in which there is one blink: three seconds at 25 frames per second, the rate of every model. 20 blinks a
/// minute and some pairs lie between people at rest (17) and in conversation (26; Bentivoglio et al. 1997, "Analysis of
/// blink rate patterns in normal subjects").
const SLOT: u64 = 75;

/// How far the lid has come in each frame of a blink: shut within 0.1 s, open again within 0.25 s.
const LID: [f32; 9] = [0.3, 0.85, 1.0, 0.92, 0.7, 0.45, 0.25, 0.12, 0.04];

/// Blinks at irregular times, the same ones for the same frames.
///
/// Eyes move between what the avatar showed when it was recorded open and shut: a network knows nothing beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blinks {
    open: f32,
    shut: f32,
}

impl Blinks {
    /// * `recorded`: eye values, 0 open to 1 shut. Where they hardly differ, shut is 1.
    pub fn new(recorded: &[f32]) -> Self {
        let mut sorted = recorded.to_vec();
        sorted.sort_by(f32::total_cmp);
        let open = sorted.get(sorted.len() / 5).copied().unwrap_or(0.0);
        let shut = sorted.last().copied().unwrap_or(1.0);
        Self { open, shut: if shut - open < 0.25 { 1.0 } else { shut } }
    }

    /// The eye value of frame `frame`.
    pub fn at(&self, frame: u64) -> f32 {
        let (slot, now) = (frame / SLOT, frame % SLOT);
        let draw = scattered(slot);
        // Never across the end of its slot, a second blink included.
        let begin = 4 + draw % 48;
        let second = (draw >> 8).is_multiple_of(8).then_some(begin + LID.len() as u64 + 2);
        let lid = |begin: u64| {
            now.checked_sub(begin).and_then(|at| LID.get(usize::try_from(at).ok()?)).copied().unwrap_or(0.0)
        };
        let depth = [0.85, 0.9, 0.95, 1.0][(draw >> 16) as usize % 4];
        let lid = lid(begin).max(second.map_or(0.0, lid)) * depth;
        self.open + (self.shut - self.open) * lid
    }
}

/// Consecutive numbers become bits without a pattern: the finalizer of `SplitMix64` (Steele et al. 2014).
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_as_text() {
        for text in [
            "",
            "eyes=blink",
            "eyes=0.25 poses=12",
            "background=#0ab1ff",
            "background=picture",
            "smooth_path=on smooth_eyes=off smooth_lips=on",
        ] {
            assert_eq!(text.parse::<Body>().unwrap().to_string(), text);
        }
        assert_eq!("poses=loop eyes=recorded background=own".parse::<Body>(), Ok(Body::default()));
        assert_eq!("background=green".parse::<Body>().unwrap().to_string(), "background=#00b140");
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let error = |text: &str| text.parse::<Body>().unwrap_err().to_string();
        assert!(error("wink=1").contains("eyes, poses, background, smooth_path"));
        for text in ["eyes=1.5", "eyes=-0.1", "eyes=NaN", "eyes", "eyes="] {
            assert!(error(text).contains("0 (open) to 1"), "{text}");
        }
        assert!(error("poses=-1").contains("the first one is 0"));
        for text in [
            "background=",
            "background=#12345",
            "background=#+12345",
            "background=red",
            "background=#1234567",
        ] {
            assert!(error(text).contains("such as #3070ff"), "{text}");
        }
        assert!(error("smooth_lips=yes").contains("on or off"));
        assert!(error(&format!("eyes={}", "9".repeat(5000))).len() < 200);
    }

    /// Frames in which the eyes are more than half shut, as runs.
    fn runs(blinks: &Blinks, frames: u64) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for frame in (0..frames).filter(|frame| blinks.at(*frame) > 0.5) {
            match runs.last_mut() {
                Some((_, end)) if *end == frame => *end += 1,
                _ => runs.push((frame, frame + 1)),
            }
        }
        runs
    }

    #[test]
    fn people_blink_twenty_times_a_minute_and_not_like_clocks() {
        let blinks = Blinks::new(&[0.0; 10]);
        let ten_minutes = runs(&blinks, 15_000);
        assert!((200..=240).contains(&ten_minutes.len()), "{}", ten_minutes.len());
        assert!(
            ten_minutes.iter().all(|(start, end)| (2..=6).contains(&(end - start))),
            "shut for 80 to 240 ms"
        );
        let gaps: std::collections::BTreeSet<u64> =
            ten_minutes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(gaps.len() > 30, "{gaps:?}");
        assert!(
            gaps.first().unwrap() < &15 && gaps.last().unwrap() < &150,
            "pairs, and no staring: {gaps:?}"
        );
    }

    #[test]
    fn eyes_stay_between_what_was_recorded() {
        let recorded = [0.1, 0.1, 0.2, 0.1, 0.7, 0.1];
        let blinks = Blinks::new(&recorded);
        let values: Vec<f32> = (0..3000).map(|frame| blinks.at(frame)).collect();
        assert!(values.iter().all(|value| (0.1..=0.7).contains(value)));
        assert!(values.iter().any(|value| *value > 0.65) && values.contains(&0.1));
        // Nothing was learnt about shut eyes: the whole range has to do.
        assert_eq!(Blinks::new(&[0.25; 4]), Blinks { open: 0.25, shut: 1.0 });
        assert_eq!(Blinks::new(&[]), Blinks { open: 0.0, shut: 1.0 });
    }

    #[test]
    fn a_still_head_keeps_its_pose() {
        let of = |poses: Poses| (0..6).map(|frame| poses.at(frame, 3)).collect::<Vec<_>>();
        assert_eq!(of(Poses::Loop), [0, 1, 2, 2, 1, 0]);
        assert_eq!(of(Poses::Still(2)), [2; 6]);
    }
}
