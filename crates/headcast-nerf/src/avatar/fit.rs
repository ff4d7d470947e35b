//! Whether poses and a network belong together, as far as their files tell.
//!
//! Two people filmed alike cannot be told apart by their poses. What shows: cameras that look past the head, frames that
//! the training cannot have had, and depths between which the head is not.

use super::dataset::{POSES, Transforms};
use crate::field::{OCCUPANCY_GRID, Occupancy};
use crate::model::{Network, Scene};

/// What a checkpoint says of its training.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Training {
    /// Rows of `individual_codes`: one for each frame of training at least.
    pub(super) codes: Option<usize>,
    pub(super) epoch: Option<f64>,
    pub(super) step: Option<f64>,
}

/// How poses and a network go together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fit {
    /// Nothing speaks against it.
    Good(String),
    /// Something does, and there is a picture all the same.
    Doubtful(String),
    /// The head is in none of the pictures.
    Wrong(String),
}

/// Holds the poses of `poses_file` against the network in `checkpoint`; both are names for the message.
pub(super) fn fit(
    model: &Network,
    training: &Training,
    checkpoint: &str,
    transforms: &Transforms,
    poses_file: &str,
) -> Fit {
    let remedy = format!(
        "they are probably of another person or recording: take {poses_file} of the data folder that {checkpoint} was \
         trained on, or the checkpoint of this person"
    );
    let views = match model {
        Network::Ad(ad) => depths(transforms, ad.options.near, ad.options.far),
        _ => model.as_scene().and_then(|scene| views(scene, transforms)),
    };
    let camera = format!(
        "{}x{} pixels, focal length {:.0}",
        transforms.width, transforms.height, transforms.intrinsics.fx
    );
    if let Some(Views { best, .. }) = views
        && best < NOTHING
    {
        let what = match model {
            Network::Ad(_) => "its head is outside near and far of the config file".to_owned(),
            _ => "nothing of its head is in the picture".to_owned(),
        };
        return Fit::Wrong(format!(
            "in none of the poses of {poses_file} ({camera}) the head of {checkpoint} can be seen, because {what}; {remedy}"
        ));
    }
    // What each frame of training needs, only the poses of training can exceed.
    if poses_file == POSES[0]
        && let Some(reason) = training.contradicts(transforms.poses.len())
    {
        return Fit::Doubtful(format!(
            "{poses_file} has {} poses, but {reason}; {remedy}",
            transforms.poses.len()
        ));
    }
    match views {
        Some(Views { usual, .. }) if usual < LITTLE => Fit::Doubtful(format!(
            "in the usual pose of {poses_file} ({camera}) only {:.0} % of the head of {checkpoint} are in the picture; \
             {remedy}",
            100.0 * usual
        )),
        Some(Views { size, .. }) if size < SPOT => Fit::Doubtful(format!(
            "in the usual pose of {poses_file} ({camera}) the head of {checkpoint} is a spot of {:.1} % of the picture; \
             {remedy}",
            100.0 * size
        )),
        Some(_) => Fit::Good(format!("the poses of {poses_file} show the head of {checkpoint}")),
        None => Fit::Good(format!("nothing speaks against {poses_file} and {checkpoint}")),
    }
}

/// Shares of the head below which there is nothing, or suspiciously little, of it. Right ones are near 1.
const NOTHING: f32 = 0.02;
const LITTLE: f32 = 0.2;
/// Share of the picture below which a head is a spot. Right ones are above 0.1.
const SPOT: f32 = 0.01;

impl Training {
    /// Why training cannot have had so many frames.
    fn contradicts(&self, frames: usize) -> Option<String> {
        if let Some(rows) = self.codes.filter(|rows| *rows < frames) {
            return Some(format!("the checkpoint has individual codes for {rows} frames"));
        }
        // One step for each frame in each epoch, whatever the options. Another trainer's numbers do not divide.
        let (epochs, steps) = (whole(self.epoch?)?, whole(self.step?)?);
        let trained = (epochs >= 4 && steps % epochs == 0).then(|| steps / epochs)?;
        let frames = frames as u64;
        // Upstream passes over frames whose picture is missing.
        let fits = trained <= frames && frames <= trained + trained / 4 + 8;
        (!fits)
            .then(|| format!("the checkpoint was trained with {trained} ({steps} steps in {epochs} epochs)"))
    }
}

fn whole(value: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (value.fract() == 0.0 && (1.0..1e15).contains(&value)).then_some(value as u64)
}

/// How the head is seen, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Views {
    /// Of the head, in the pose that shows most of it.
    best: f32,
    /// Of the head, in the middle one of all poses.
    usual: f32,
    /// Of the picture, in the middle one of all poses.
    size: f32,
}

/// Poses that are looked at, evenly over the recording.
const LOOKS: usize = 64;
/// Points of the head that are looked for.
const POINTS: usize = 4096;
/// Fields of the picture on either side, to measure areas.
const FIELDS: usize = 64;

/// Where the occupied cells of a network are seen. `None` when there are none.
fn views(scene: Scene<'_>, transforms: &Transforms) -> Option<Views> {
    let options = scene.options();
    let occupancy = Occupancy::new(scene.density_bitfield(), options.cascades, options.bound);
    let points = occupied(&occupancy);
    if points.is_empty() {
        return None;
    }
    let looks: Vec<_> =
        poses(transforms).map(|pose| look(pose, transforms, &points, options.min_near)).collect();
    let middle = |of: fn(&[f32; 2]) -> f32| {
        let mut values: Vec<f32> = looks.iter().map(of).collect();
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let best = looks.iter().map(|[seen, _]| *seen).fold(0.0, f32::max);
    Some(Views { best, usual: middle(|look| look[0])?, size: middle(|look| look[1])? })
}

fn poses(transforms: &Transforms) -> impl Iterator<Item = &headcast_core::Pose> {
    transforms.poses.iter().step_by(transforms.poses.len().div_ceil(LOOKS).max(1))
}

/// Centres of occupied cells around the origin, evenly chosen.
#[expect(clippy::cast_precision_loss, reason = "cell numbers are below 128")]
fn occupied(occupancy: &Occupancy<'_>) -> Vec<[f32; 3]> {
    let half_side = occupancy.bound().min(1.0);
    let centre = |n: u32| ((n as f32 + 0.5) / (OCCUPANCY_GRID as f32 / 2.0) - 1.0) * half_side;
    let cells = || {
        (0..OCCUPANCY_GRID.pow(3)).filter_map(|n| {
            let n = [
                n / (OCCUPANCY_GRID * OCCUPANCY_GRID),
                n / OCCUPANCY_GRID % OCCUPANCY_GRID,
                n % OCCUPANCY_GRID,
            ];
            let point = n.map(centre);
            occupancy.cell(point, 0.0).occupied.then_some(point)
        })
    };
    let count = cells().count();
    cells().step_by(count.div_ceil(POINTS).max(1)).collect()
}

/// Shares of the points in the picture, and of the picture that they cover.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts below 4096, and places inside the picture"
)]
fn look(pose: &headcast_core::Pose, transforms: &Transforms, points: &[[f32; 3]], min_near: f32) -> [f32; 2] {
    let (camera, origin) = (&transforms.intrinsics, pose.origin());
    let (width, height) = (transforms.width as f32, transforms.height as f32);
    let mut covered = [false; FIELDS * FIELDS];
    let mut seen = 0;
    for point in points {
        let from = [0, 1, 2].map(|axis| point[axis] - origin[axis]);
        let [x, y, z] = [0, 1, 2].map(|axis| (0..3).map(|row| pose.0[row][axis] * from[row]).sum::<f32>());
        if z <= min_near {
            continue;
        }
        let (u, v) = ((camera.fx * x / z + camera.cx) / width, (camera.fy * y / z + camera.cy) / height);
        if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) {
            seen += 1;
            let field = |share: f32| ((share * FIELDS as f32) as usize).min(FIELDS - 1);
            covered[field(v) * FIELDS + field(u)] = true;
        }
    }
    let fields = covered.iter().filter(|covered| **covered).count();
    [seen as f32 / points.len() as f32, fields as f32 / (FIELDS * FIELDS) as f32]
}

/// AD-NeRF keeps no occupancy, but the head is around the origin, and upstream makes near and far from the poses.
fn depths(transforms: &Transforms, near: f32, far: f32) -> Option<Views> {
    let distance = |pose: &headcast_core::Pose| {
        crate::conditioning::dataset_pose(pose).iter().map(|row| row[3] * row[3]).sum::<f32>().sqrt()
    };
    let looks: Vec<f32> = poses(transforms)
        .map(|pose| if (near..=far).contains(&distance(pose)) { 1.0 } else { 0.0 })
        .collect();
    let best = looks.iter().copied().fold(0.0, f32::max);
    #[expect(clippy::cast_precision_loss, reason = "at most 64 poses")]
    let usual = looks.iter().sum::<f32>() / looks.len().max(1) as f32;
    Some(Views { best, usual, size: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(codes: Option<usize>, epoch: f64, step: f64) -> Training {
        Training { codes, epoch: Some(epoch), step: Some(step) }
    }

    #[test]
    fn training_cannot_have_had_other_frames() {
        for (training, frames, words) in [
            (training(Some(300), 0.0, 0.0), 300, None),
            (training(Some(300), 0.0, 0.0), 301, Some("codes for 300 frames")),
            (training(None, 29.0, 29.0 * 7000.0), 7000, None),
            // A few frames had no picture.
            (training(None, 29.0, 29.0 * 7000.0), 7400, None),
            (
                training(None, 29.0, 29.0 * 7000.0),
                6999,
                Some("trained with 7000 (203000 steps in 29 epochs)"),
            ),
            (training(None, 29.0, 29.0 * 7000.0), 9000, Some("trained with 7000")),
            // Not upstream's trainer, or not epochs as upstream counts them.
            (training(None, 28.0, 20_000.0), 10, None),
            (training(None, 1.0, 23_169.0), 1500, None),
            (training(None, f64::NAN, 1.0), 10, None),
            (training(None, 4.0, -4.0), 10, None),
        ] {
            let reason = training.contradicts(frames);
            match words {
                None => assert_eq!(reason, None, "{training:?}"),
                Some(words) => assert!(reason.as_ref().is_some_and(|r| r.contains(words)), "{reason:?}"),
            }
        }
    }
}
