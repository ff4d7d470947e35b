//! Named trade-offs between speed and faithfulness.

use std::fmt;

/// Which samples of a ray count.
///
/// Upstream lets all rays of a picture advance together and gives those that are left more samples a call, so
/// a ray gets 16 to 23 of them (with `max_steps` 16) depending on how the other rays fare. Every profile places
/// samples where upstream does and stops a ray once it is opaque.
///
/// AD-NeRF has no such schedule. `parity` evaluates every sample; `quality` passes over cells without density, ends a ray at
/// 1/1024 of its light and is within an 8-bit step; `fast` takes at least 15 times fewer evaluations, half of the coarse samples
/// and few of the fine ones, 45 dB or better; `preview` fewer still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Profile {
    /// Upstream's picture: the step schedule of the whole frame is reproduced. For comparisons with a reference
    /// renderer; about half as fast, and cropping or resizing a picture changes its silhouettes.
    Parity,
    /// Every ray may take the most samples that upstream's schedule ever gives (23 with `max_steps` 16), so
    /// a pixel depends on nothing but itself and never sees less of the scene than upstream would show.
    ///
    /// Computes in 16-bit integers and ends a ray as soon as 1/1024 of its light is left: what a ray collects is
    /// less than one 8-bit step from `f32` and the same samples (a third of a step at most on the built-in avatar, 79 dB).
    #[default]
    Quality,
    /// As `quality`, but traces every second pixel of every second row first, and of the others only those near
    /// which the light bends: outlines, mouth, eyes, hair. What is smooth is read off a cubic curve. A ray ends when 1/128 of
    /// its light is left, which gets the colour of its last sample. 57 dB from `quality` on the built-in avatar.
    Fast,
    /// For weak machines: as `fast`, but traces nothing in between save hard outlines, so the person has half the resolution a
    /// side, and what is behind all of it; and rays end when 1/16 is left. 42 dB from `quality` on the built-in avatar.
    Preview,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Parity, Self::Quality, Self::Fast, Self::Preview];

    /// The profile called `name`: `parity`, `quality`, `fast` or `preview`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Lower-case name, as [`Self::from_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parity => "parity",
            Self::Quality => "quality",
            Self::Fast => "fast",
            Self::Preview => "preview",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
