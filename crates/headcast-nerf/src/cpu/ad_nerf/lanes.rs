//! Rays of a tile through one network, 128 samples at a time.
//!
//! Every lane follows a ray of its own from sample to sample; one whose ray has ended takes the next that waits. When
//! none is left, those that still work move together, so that no packet of idle lanes is evaluated.

use super::super::packet::PACKET;
use super::super::simd::Dispatch;
use super::network::{BATCH, Batch, Evaluate, Heard, Network};
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
    /// * `weight`: told the weight of each sample of a ray but the last.
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
        let Query { network, heard, color } = query;
        let mut count = Count::default();
        let mut waiting = rays.iter();
        self.lanes.clear();
        while self.lanes.len() < BATCH
            && let Some(ray) = waiting.next()
        {
            self.lanes.push(Lane::new(*ray));
            self.look(query, self.lanes.len() - 1);
        }
        while !self.lanes.is_empty() && !stop() {
            for (number, lane) in self.lanes.iter().enumerate() {
                let z = depths(lane.ray.number)[lane.at];
                let packet = &mut self.batch.packets[number / PACKET];
                for axis in 0..3 {
                    packet.position[axis].0[number % PACKET] =
                        lane.ray.origin[axis] + lane.ray.direction[axis] * z;
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
                if lane.at + 1 < z.len() {
                    continue;
                }
                done(lane.ray.number, Light { last: lane.transmittance, ..lane.light });
                if let Some(ray) = waiting.next() {
                    *lane = Lane::new(*ray);
                    self.look(query, number);
                } else {
                    self.lanes.swap_remove(number);
                    self.move_start(self.lanes.len(), number);
                }
            }
        }
        count
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
