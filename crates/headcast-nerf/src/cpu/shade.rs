//! From samples to what a ray sees.
//!
//! Thirty-two lanes, each on a ray of its own. Every round evaluates the field at the next sample of every
//! lane; a lane whose ray has ended takes the next ray that waits. Rays with many samples start first, so
//! that the lanes run dry together.

use super::evaluate::{FieldRows, load3};
use super::field::{Field, FieldKernel, FrameField, Head};
use super::march::{Lattice, Rays, TILE, TILE_RAYS, Tile};
use super::packet::{PACKET, Row};
use super::simd::Simd;
use super::simd::math::exp;

/// Transmittance in front of a sample below which upstream's rays end behind it.
const OPAQUE: f32 = 1e-4;
/// Where a ray ends that has samples left: behind the one that leaves less than this of its light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ending {
    /// Where upstream's rays do.
    Upstream,
    /// Nothing more comes from there, and what is behind the head shines through by as much.
    Dark(f32),
    /// What is left has the colour of the last sample.
    Filled(f32),
}

/// Calls of upstream's schedule end at a budget from `max_steps` to this much above.
pub(super) const OVERRUN: usize = 7;

/// Sum of weights, then colour times weights.
pub(super) type Light = [f32; 4];

/// How a tile's rays ended.
#[derive(Debug)]
pub(super) struct Shaded {
    /// `[TILE_RAYS]`: what each ray collected; zeros without samples.
    pub(super) light: Vec<Light>,
    /// With a schedule to reproduce: how many rays leave at a budget of exactly this, `[max_steps + 9]`.
    pub(super) deaths: Vec<u32>,
    /// With a schedule to reproduce: rays that outlive `max_steps` samples.
    pub(super) overruns: Vec<Overrun>,
    /// Samples that were evaluated and counted.
    pub(super) samples: u64,
    /// Lanes in which one could have been.
    pub(super) lanes: u64,
    /// Rays with samples.
    pub(super) rays: u64,
}

/// A ray whose colour depends on where upstream's schedule ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overrun {
    /// Within the tile; the engine turns it into a pixel of the picture.
    pub(super) ray: usize,
    /// The budget at which it leaves by itself.
    pub(super) death: usize,
    /// What it has collected after `max_steps`, `max_steps + 1`, … samples.
    pub(super) light: [Light; OVERRUN + 1],
}

impl Shaded {
    pub(super) fn new(scheduled: Option<usize>) -> Self {
        Self {
            light: vec![[0.0; 4]; TILE_RAYS],
            deaths: vec![0; scheduled.map_or(0, |max_steps| max_steps + OVERRUN + 2)],
            overruns: Vec::new(),
            samples: 0,
            lanes: 0,
            rays: 0,
        }
    }

    /// Forgets the tile before.
    pub(super) fn clear(&mut self) {
        self.light.fill([0.0; 4]);
        self.deaths.fill(0);
        self.overruns.clear();
        (self.samples, self.lanes, self.rays) = (0, 0, 0);
    }
}

/// Shades every ray of a tile.
pub(super) struct Shade<'a> {
    pub(super) lattice: &'a Lattice,
    pub(super) origin: [f32; 3],
    pub(super) rays: &'a Rays,
    /// `max_steps`, when the schedule of the whole picture is to be reproduced.
    pub(super) scheduled: Option<usize>,
    pub(super) ending: Ending,
    pub(super) work: &'a mut Lanes,
    pub(super) out: &'a mut Shaded,
}

/// State of the lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) rows: FieldRows,
    /// Waiting rays, the one with the fewest samples first.
    order: Vec<u32>,
    /// Ray of each lane, [`IDLE`] without one.
    ray: [usize; PACKET],
    /// Samples of the ray that are done.
    done: [usize; PACKET],
    t: Row,
    /// Sum of weights, red, green, blue.
    light: [Row; 4],
    transmittance: Row,
    /// What a lane's ray had collected after `max_steps` samples and more.
    history: Vec<[Light; OVERRUN + 1]>,
}

const IDLE: usize = usize::MAX;

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            rows: FieldRows::new(),
            order: Vec::with_capacity(TILE_RAYS),
            ray: [IDLE; PACKET],
            done: [0; PACKET],
            t: Row::ZERO,
            light: [Row::ZERO; 4],
            transmittance: Row::ZERO,
            history: vec![[[0.0; 4]; OVERRUN + 1]; PACKET],
        }
    }

    /// Queues the rays of a tile that have samples, and counts those that have none.
    ///
    /// * `height`, `width`: of the tile; rays outside it have no samples and are no rays.
    pub(super) fn queue(&mut self, rays: &Rays, tile: Tile, out: &mut Shaded) {
        self.order.clear();
        for row in 0..tile.height {
            for ray in row * TILE..row * TILE + tile.width {
                if rays.count[ray] > 0 {
                    #[expect(clippy::cast_possible_truncation, reason = "rays of a tile")]
                    self.order.push(ray as u32);
                } else if let Some(death) = out.deaths.get_mut(1) {
                    *death += 1;
                }
            }
        }
        out.rays = self.order.len() as u64;
        self.order.sort_by_key(|ray| rays.count[*ray as usize]);
    }

    /// Gives idle lanes a ray each while there are some; whether any lane has one.
    fn refill(&mut self, rays: &Rays) -> bool {
        let mut busy = false;
        for lane in 0..PACKET {
            if self.ray[lane] == IDLE {
                let Some(ray) = self.order.pop() else { continue };
                let ray = ray as usize;
                self.ray[lane] = ray;
                self.done[lane] = 0;
                self.t.0[lane] = rays.samples(ray)[0];
                for axis in 0..3 {
                    self.rows.direction[axis].0[lane] = rays.direction[axis][ray];
                }
                for light in &mut self.light {
                    light.0[lane] = 0.0;
                }
            }
            busy = true;
        }
        busy
    }

    /// Moves every lane to its next sample, or ends its ray.
    fn advance(&mut self, rays: &Rays, scheduled: Option<usize>, ending: Ending, out: &mut Shaded) {
        for lane in 0..PACKET {
            let ray = self.ray[lane];
            if ray == IDLE {
                continue;
            }
            out.samples += 1;
            self.done[lane] += 1;
            let done = self.done[lane];
            let mut light = [0, 1, 2, 3].map(|i| self.light[i].0[lane]);
            let samples = rays.samples(ray);
            let left = 1.0 - light[0];
            let opaque = match ending {
                Ending::Upstream => self.transmittance.0[lane] < OPAQUE,
                Ending::Dark(least) | Ending::Filled(least) => left < least,
            };
            if opaque && done < samples.len() && matches!(ending, Ending::Filled(_)) {
                light[0] = 1.0;
                for (light, rgb) in light[1..].iter_mut().zip(&self.rows.rgb) {
                    *light += left * rgb.0[lane];
                }
            }
            let ended = opaque || done == samples.len();
            if let Some(max_steps) = scheduled {
                if let Some(over) = done.checked_sub(max_steps) {
                    self.history[lane][over..].fill(light);
                }
                if ended {
                    let death = if opaque { done } else { done + 1 };
                    out.deaths[death] += 1;
                    if death > max_steps {
                        out.overruns.push(Overrun { ray, death, light: self.history[lane] });
                    }
                }
            }
            if ended {
                out.light[ray] = light;
                self.ray[lane] = IDLE;
            } else {
                self.t.0[lane] = samples[done];
            }
        }
    }
}

impl FieldKernel for Shade<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, H: Head>(self, s: S, field: &Field<H>, frame: &FrameField<H>) {
        let Self { lattice, origin, rays, scheduled, ending, work, out } = self;
        while work.refill(rays) {
            let mut at = 0;
            while at < PACKET {
                let direction = load3(s, &work.rows.direction, at);
                let t = s.load(&work.t.0[at..at + S::LANES]);
                let p = lattice.position(s, origin, direction, t);
                for (p, row) in p.into_iter().zip(&mut work.rows.position) {
                    s.store(p, &mut row.0[at..at + S::LANES]);
                }
                at += S::LANES;
            }
            field.head.encode(s, &mut work.rows);
            work.rows.evaluate(s, field, frame);
            composite(s, lattice, work);
            out.lanes += PACKET as u64;
            work.advance(rays, scheduled, ending, out);
        }
    }
}

/// Adds the packet's samples to their rays.
#[inline(always)]
pub(super) fn composite<S: Simd>(s: S, lattice: &Lattice, work: &mut Lanes) {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let mut at = 0;
    while at < PACKET {
        let lanes = at..at + S::LANES;
        let sigma = exp(s, s.load(&work.rows.log_sigma.0[lanes.clone()]));
        let dt = lattice.dt(s, s.load(&work.t.0[lanes.clone()]));
        let alpha = s.sub(one, exp(s, s.sub(zero, s.mul(sigma, dt))));
        let sum = s.load(&work.light[0].0[lanes.clone()]);
        // 1 - sum and not a running product, as upstream.
        let transmittance = s.sub(one, sum);
        let weight = s.mul(alpha, transmittance);
        s.store(transmittance, &mut work.transmittance.0[lanes.clone()]);
        s.store(s.add(sum, weight), &mut work.light[0].0[lanes.clone()]);
        for channel in 0..3 {
            let color = s.load(&work.rows.rgb[channel].0[lanes.clone()]);
            let light = &mut work.light[channel + 1].0[lanes.clone()];
            let sum = s.fma(weight, color, s.load(light));
            s.store(sum, light);
        }
        at += S::LANES;
    }
}
