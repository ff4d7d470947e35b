//! Looking for density, once for an avatar.

use std::sync::{Mutex, PoisonError};

use headcast_core::FeatureTrack;

use super::engine::{AdEngine, AdView, Pair, Scratch};
use super::network::{BATCH, Heard};
use super::occupancy::Occupancy;
use crate::conditioning::{torso_signal, window_codes};
use crate::model::AdNerf;

impl AdEngine {
    /// Looks for density in every cell of what cameras see.
    pub(super) fn find_density(&mut self, view: &AdView<'_>, codes: &[Vec<f32>], depths: [f32; 2]) {
        let AdView { poses, intrinsics, width, height } = *view;
        let size = [width, height];
        // Pose and code of every look, far apart in the path.
        let looks: Vec<_> =
            codes.iter().enumerate().map(|(k, code)| (&poses[k * poses.len() / codes.len()], code)).collect();
        let head = {
            let heard = looks.iter().map(|(_, code)| self.head.hear(code)).collect();
            self.occupied(&self.head, heard, Occupancy::seen_by(poses, intrinsics, size, depths))
        };
        let torso = self.torso.as_ref().map(|torso| {
            let signal = |(pose, code): &(&[[f32; 4]; 3], &Vec<f32>)| torso_signal(&code[..torso.code], pose);
            let heard = looks.iter().map(|look| torso.networks.hear(&signal(look))).collect();
            let seen = Occupancy::seen_by(&[torso.pose], intrinsics, size, depths);
            self.occupied(&torso.networks, heard, seen)
        });
        self.head.occupancy = Some(head);
        if let Some((torso, occupancy)) = self.torso.as_mut().zip(torso) {
            torso.networks.occupancy = Some(occupancy);
        }
    }

    /// Fills `empty` with the cells where one of the networks has density, at one point for every look.
    fn occupied(&self, networks: &Pair, heard: Vec<[Heard; 2]>, empty: Occupancy) -> Occupancy {
        let held = Mutex::new(vec![false; empty.cells()]);
        self.for_each(self.cores.turn(), empty.cells().div_ceil(BATCH), |number, Scratch { work, .. }| {
            let cells = number * BATCH..empty.cells().min((number + 1) * BATCH);
            let mut found = [false; BATCH];
            for (look, heard) in heard.iter().enumerate() {
                let points: Vec<_> = cells.clone().map(|cell| empty.point(cell, look)).collect();
                for (network, heard) in [&networks.coarse, &networks.fine].into_iter().zip(heard) {
                    work.lanes.find(self.dispatch, network, heard, &points, |point| found[point] = true);
                }
            }
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let count = cells.len();
            held[cells].copy_from_slice(&found[..count]);
        });
        let mut occupancy = empty;
        occupancy.keep(&held.into_inner().unwrap_or_else(PoisonError::into_inner));
        occupancy
    }

    /// Share of the boxes around head and torso where density was found; 1 where it was not looked for.
    pub fn occupied_share(&self) -> [f64; 2] {
        let of = |networks: &Pair| networks.occupancy.as_ref().map_or(1.0, Occupancy::share);
        [of(&self.head), self.torso.as_ref().map_or(1.0, |torso| of(&torso.networks))]
    }
}

/// Codes of silence and of the sounds that open, close and round a mouth most: whatever is said lies among them, because the
/// attention over neighbouring windows takes means.
pub(super) fn typical_codes(model: &AdNerf) -> Vec<Vec<f32>> {
    /// A score that leaves no doubt.
    const SURE: f32 = 8.0;
    let features = model.options.features;
    let (steps, dims) = (features.steps(), features.dims());
    // Silence, then one class each: of DeepSpeech a space, A, E, M, O, U and no letter.
    let classes = [None].into_iter().chain([0, 1, 5, 13, 15, 21, 28].map(|class| Some(class % dims)));
    let windows: Vec<f32> = classes
        .clone()
        .flat_map(|sounding| {
            (0..steps * dims).map(move |k| match sounding {
                None => 0.0,
                Some(class) if k % dims == class => SURE,
                Some(_) => -0.5 * SURE,
            })
        })
        .collect();
    let track = FeatureTrack::from_windows([classes.count(), steps, dims], windows)
        .expect("the shape is that of the model's own features");
    let codes = window_codes(model, &track).expect("they are in memory");
    codes.into_iter().map(|code| code.to_vec()).collect()
}
