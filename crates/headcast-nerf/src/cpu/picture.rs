//! From what rays collected to 8-bit pixels, and upstream's step schedule.

use super::march::{TILE, Tile};
use super::shade::{Light, OVERRUN, Overrun, Shaded};

/// What rendering a frame took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameStats {
    /// Samples that were evaluated and counted.
    pub samples: u64,
    /// Lanes in which one could have been: 32 a packet.
    pub lanes: u64,
    /// Rays with at least one sample.
    pub rays: u64,
}

impl FrameStats {
    pub(super) fn add(&mut self, shaded: &Shaded) {
        self.samples += shaded.samples;
        self.lanes += shaded.lanes;
        self.rays += shaded.rays;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.lanes += other.lanes;
        self.rays += other.rays;
    }
}

/// A picture in the making.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    /// `[height, width, 3]`.
    pixels: &'a mut [u8],
    /// `[height, width, 3]` in `[0, 1]`.
    backdrop: &'a [f32],
    width: usize,
    /// Sums of [`Shaded::deaths`].
    deaths: Vec<u64>,
    /// Of all tiles; `ray` is the pixel's number.
    overruns: Vec<Overrun>,
    pub(super) stats: FrameStats,
}

impl<'a> Picture<'a> {
    pub(super) fn new(pixels: &'a mut [u8], backdrop: &'a [f32], width: usize, max_steps: usize) -> Self {
        Self {
            pixels,
            backdrop,
            width,
            deaths: vec![0; max_steps + OVERRUN + 2],
            overruns: Vec::new(),
            stats: FrameStats::default(),
        }
    }

    /// Puts a tile into its place.
    pub(super) fn add(&mut self, tile: Tile, shaded: &Shaded) {
        for row in 0..tile.height {
            let first = (tile.y + row) * self.width + tile.x;
            let span = first * 3..(first + tile.width) * 3;
            let pixels = self.pixels[span.clone()].as_chunks_mut::<3>().0;
            let behind = self.backdrop[span].as_chunks::<3>().0;
            let light = &shaded.light[row * TILE..row * TILE + tile.width];
            for ((pixel, behind), light) in pixels.iter_mut().zip(behind).zip(light) {
                *pixel = over(light, behind);
            }
        }
        for (sum, deaths) in self.deaths.iter_mut().zip(&shaded.deaths) {
            *sum += u64::from(*deaths);
        }
        self.overruns.extend(shaded.overruns.iter().map(|overrun| {
            let (row, column) = (overrun.ray / TILE, overrun.ray % TILE);
            Overrun { ray: (tile.y + row) * self.width + tile.x + column, ..*overrun }
        }));
        self.stats.add(shaded);
    }

    /// Takes back what rays collected past the end of upstream's schedule.
    pub(super) fn apply_schedule(&mut self, max_steps: usize) {
        let budget = schedule_end(&self.deaths, max_steps);
        for overrun in self.overruns.iter().filter(|overrun| overrun.death > budget) {
            let span = overrun.ray * 3..overrun.ray * 3 + 3;
            let behind = self.backdrop[span.clone()].as_chunks::<3>().0[0];
            // A ray that outlives the budget keeps the schedule going, so it ends at `max_steps` or later.
            let light = &overrun.light[budget - max_steps];
            self.pixels[span].copy_from_slice(&over(light, &behind));
        }
    }
}

/// Samples that a ray may take when upstream's schedule has run its course.
///
/// All rays of the picture advance together, `N / alive` samples a call and 1 to 8 of them, until `max_steps`
/// is reached or no ray is left. A ray leaves when it runs out of samples or has become opaque.
///
/// * `deaths`: how many rays leave at a budget of exactly the index.
fn schedule_end(deaths: &[u64], max_steps: usize) -> usize {
    let rays: u64 = deaths.iter().sum();
    let (mut alive, mut budget) = (rays, 0);
    while budget < max_steps && alive > 0 {
        let step = (rays / alive).clamp(1, 8) as usize;
        alive -= deaths[budget + 1..=budget + step].iter().sum::<u64>();
        budget += step;
    }
    budget
}

/// `light` in front of `behind`, truncated to 8 bits.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=255, and NaN becomes 0"
)]
fn over(light: &Light, behind: &[f32; 3]) -> [u8; 3] {
    let through = 1.0 - light[0];
    std::array::from_fn(|channel| {
        let value = light[channel + 1] + through * behind[channel];
        (value.clamp(0.0, 1.0) * 255.0) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_upstream_s() {
        // Frame 20 of the draft avatar: (262144, 1) (71339, 3) (51420, 5) (7377, 8).
        let mut deaths = vec![0; 25];
        deaths[1] = 262_144 - 71_339;
        deaths[3] = 71_339 - 51_420;
        deaths[9] = 51_420 - 7_377;
        deaths[24] = 7_377;
        assert_eq!(schedule_end(&deaths, 16), 17);
        // Nobody left after the first call.
        deaths.fill(0);
        deaths[1] = 10;
        assert_eq!(schedule_end(&deaths, 16), 1);
        // Everybody stays: one sample a call.
        deaths[1] = 0;
        deaths[24] = 10;
        assert_eq!(schedule_end(&deaths, 16), 16);
        // The longest that there is.
        deaths[16] = 90;
        deaths[24] = 1;
        deaths[15] = 10;
        assert_eq!(schedule_end(&deaths, 16), 16);
        deaths.fill(0);
        (deaths[1], deaths[24]) = (1, 1);
        assert_eq!(schedule_end(&deaths, 16), 17);
        deaths.fill(0);
        (deaths[15], deaths[24]) = (90, 10);
        assert_eq!(schedule_end(&deaths, 16), 23);
        assert_eq!(schedule_end(&[0; 25], 16), 0);
    }

    #[test]
    fn pixels_are_truncated_and_clamped() {
        assert_eq!(over(&[0.0; 4], &[0.999_999, 1.0, 0.5]), [254, 255, 127]);
        assert_eq!(over(&[1.0, 1.1, -0.1, f32::NAN], &[1.0; 3]), [255, 0, 0]);
    }
}
