//! Rays of a tile through one network, 128 samples at a time.
//!
//! Every lane follows a ray of its own from sample to sample; one whose ray has ended takes the next that waits. When
//! none is left, those that still work move together, so that no packet of idle lanes is evaluated.

use super::super::packet::PACKET;
use super::super::simd::Dispatch;
use super::network::{BATCH, Batch, Evaluate, Heard, Network};
use super::occupancy::Occupancy;
use crate::field::sigmoid;

/// A ray of a tile; its direction is one unit deep along the camera's axis, not of length 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ray {
    /// Within the tile.
    pub(super) number: usize,
    pub(super) origin: [f32; 3],
    pub(super) direction: [f32; 3],
}

/// What a ray collects.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Light {
    /// Colour of all samples but the last, which is the background.
    pub(super) front: [f32; 3],
    /// How much of the background is seen.
    pub(super) last: f32,
}

/// A network and what it hears.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) network: &'a Network,
    pub(super) heard: &'a Heard,
    /// Whether colours are wanted, too.
    pub(super) color: bool,
    /// Samples elsewhere are empty, and not evaluated.
    pub(super) occupancy: Option<&'a Occupancy>,
    /// Samples where a first pass saw next to nothing are empty, too.
    pub(super) seen: Option<Seen<'a>>,
    /// Transmittance below which a ray ends; what is left of it shows the background.
    pub(super) opaque: f32,
}

/// What a first pass saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Weights of its samples, by a ray's number.
    pub(super) weights: &'a [f32],
    /// Samples a ray.
    pub(super) samples: usize,
    pub(super) near: f32,
    pub(super) samples_per_unit: f32,
    /// Least weight that is something.
    pub(super) least: f32,
}

impl Seen<'_> {
    /// Whether something was seen near depth `z` of a ray: by the samples around it or their neighbours.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and what is no number is 0"
    )]
    fn near(&self, ray: usize, z: f32) -> bool {
        let weights = &self.weights[ray * self.samples..][..self.samples];
        let at = (((z - self.near) * self.samples_per_unit) as usize).min(self.samples - 1);
        weights[at.saturating_sub(1)..(at + 3).min(self.samples)].iter().any(|weight| *weight >= self.least)
    }
}

/// Evaluations of a pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) samples: u64,
    /// Samples there was room for.
    pub(super) lanes: u64,
}

/// Working memory of a thread.
#[derive(Debug)]
pub(super) struct Lanes {
    batch: Batch,
    lanes: Vec<Lane>,
    /// What a ray's colours start from.
    start: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    ray: Ray,
    length: f32,
    /// The sample that is being evaluated.
    at: usize,
    transmittance: f32,
    light: Light,
}

impl Lanes {
    /// For queries of all of `networks`.
    pub(super) fn new<'a>(networks: impl Iterator<Item = &'a Network>) -> Self {
        Self { batch: Batch::new(networks), lanes: Vec::with_capacity(BATCH), start: Vec::new() }
    }

    /// Sums the samples of every ray, front to back. The last one of a ray is the background: it reaches to the horizon
    /// whatever the density there, so it is not evaluated.
    ///
    /// * `depths`: of a ray's samples, by its number.
    /// * `weight`: told the weight of each sample that was evaluated.
    /// * `done`: told what a ray has collected.
    /// * `stop`: asked once a batch; when it says so, the rest is left.
    pub(super) fn sum<'z>(
        &mut self,
        dispatch: Dispatch,
        query: Query<'_>,
        rays: &[Ray],
        depths: impl Fn(usize) -> &'z [f32],
        mut weight: impl FnMut(usize, usize, f32),
        mut done: impl FnMut(usize, Light),
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Count {
        let Query { network, heard, color, opaque, .. } = query;
        let mut count = Count::default();
        let mut waiting = rays.iter();
        // The next ray that has a sample to evaluate; those that have none see the background.
        let mut next = |done: &mut dyn FnMut(usize, Light)| {
            for ray in waiting.by_ref() {
                let mut lane = Lane::new(*ray);
                if lane.seek(depths(ray.number), &query) {
                    return Some(lane);
                }
                done(ray.number, lane.collected());
            }
            None
        };
        self.lanes.clear();
        while self.lanes.len() < BATCH
            && let Some(lane) = next(&mut done)
        {
            self.lanes.push(lane);
            self.look(query, self.lanes.len() - 1);
        }
        while !self.lanes.is_empty() && !stop() {
            for (number, lane) in self.lanes.iter().enumerate() {
                let position = lane.position(depths(lane.ray.number)[lane.at]);
                let packet = &mut self.batch.packets[number / PACKET];
                for (row, value) in packet.position.iter_mut().zip(position) {
                    row.0[number % PACKET] = value;
                }
            }
            let packets = &mut self.batch.packets[..self.lanes.len().div_ceil(PACKET)];
            count.samples += self.lanes.len() as u64;
            count.lanes += (packets.len() * PACKET) as u64;
            dispatch.run(Evaluate { network, heard, color, packets });
            // From the last to the first, so that a lane that moves to a free place has had its turn.
            for number in (0..self.lanes.len()).rev() {
                let packet = &self.batch.packets[number / PACKET];
                let raw = packet.raw.0[number % PACKET];
                let logits = [0, 1, 2].map(|channel| packet.rgb[channel].0[number % PACKET]);
                let lane = &mut self.lanes[number];
                let z = depths(lane.ray.number);
                let passed = lane.pass(z[lane.at + 1] - z[lane.at], raw, color.then_some(logits));
                weight(lane.ray.number, lane.at - 1, passed);
                if lane.transmittance >= opaque && lane.seek(z, &query) {
                    continue;
                }
                done(lane.ray.number, lane.collected());
                if let Some(lane) = next(&mut done) {
                    self.lanes[number] = lane;
                    self.look(query, number);
                } else {
                    self.lanes.swap_remove(number);
                    self.move_start(self.lanes.len(), number);
                }
            }
        }
        count
    }

    /// Whether the network has density at points, in order.
    ///
    /// * `points`: [`BATCH`] at most.
    /// * `found`: told the number of each that has.
    pub(super) fn find(
        &mut self,
        dispatch: Dispatch,
        network: &Network,
        heard: &Heard,
        points: &[[f32; 3]],
        mut found: impl FnMut(usize),
    ) {
        for (number, point) in points.iter().enumerate() {
            for (row, value) in self.batch.packets[number / PACKET].position.iter_mut().zip(point) {
                row.0[number % PACKET] = *value;
            }
        }
        let packets = &mut self.batch.packets[..points.len().div_ceil(PACKET)];
        dispatch.run(Evaluate { network, heard, color: false, packets });
        for number in 0..points.len() {
            // What is no number is density.
            let raw = self.batch.packets[number / PACKET].raw.0[number % PACKET];
            if raw > 0.0 || raw.is_nan() {
                found(number);
            }
        }
    }

    /// Prepares the colours of a lane's ray.
    fn look(&mut self, query: Query<'_>, number: usize) {
        if !query.color {
            return;
        }
        let Lane { ray, length, .. } = self.lanes[number];
        query.network.look(ray.direction.map(|d| d / length), &mut self.start);
        let rows = &mut self.batch.packets[number / PACKET].start;
        for (row, start) in rows.iter_mut().zip(&self.start) {
            row.0[number % PACKET] = *start;
        }
    }

    /// Takes what colours start from along to another lane.
    fn move_start(&mut self, from: usize, to: usize) {
        for row in 0..self.batch.packets[0].start.len() {
            let start = self.batch.packets[from / PACKET].start[row].0[from % PACKET];
            self.batch.packets[to / PACKET].start[row].0[to % PACKET] = start;
        }
    }
}

impl Lane {
    fn new(ray: Ray) -> Self {
        let length = ray.direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        Self { ray, length, at: 0, transmittance: 1.0, light: Light::default() }
    }

    fn position(&self, z: f32) -> [f32; 3] {
        std::array::from_fn(|axis| self.ray.origin[axis] + self.ray.direction[axis] * z)
    }

    /// Goes on to the next sample that may not be empty; false when only the background is left.
    fn seek(&mut self, z: &[f32], query: &Query<'_>) -> bool {
        while self.at + 1 < z.len() {
            let z = z[self.at];
            let seen = query.seen.is_none_or(|seen| seen.near(self.ray.number, z));
            if seen && query.occupancy.is_none_or(|occupancy| occupancy.holds(self.position(z))) {
                return true;
            }
            self.at += 1;
        }
        false
    }

    fn collected(&self) -> Light {
        Light { last: self.transmittance, ..self.light }
    }

    /// Adds a sample that reaches `step` deep; returns its weight.
    fn pass(&mut self, step: f32, raw: f32, logits: Option<[f32; 3]>) -> f32 {
        let alpha = 1.0 - (-(raw.max(0.0) + 1e-6) * (step * self.length)).exp();
        let weight = alpha * self.transmittance;
        self.transmittance *= 1.0 - alpha + 1e-10;
        if let Some(logits) = logits.filter(|_| weight > 0.0) {
            for (front, logit) in self.light.front.iter_mut().zip(logits) {
                *front += weight * sigmoid(logit);
            }
        }
        self.at += 1;
        weight
    }
}
