//! A pushed job is opened: its sound is read, and its plan is made.

use std::ops::ControlFlow;
use std::path::Path;

use headcast::Sound;
use headcast::audio::{Ingest, Limits};
use headcast::core::timeline::{ClipPlan, OpenPlan};
use headcast::core::{SegmentPlan, Timeline};
use headcast::media::segment::Config;
use headcast::push::{Length, Settings};

use super::{Recording, audio_error, recording_error, speech_error, spools, unusable};
use crate::jobs::{Count, JobRequest, OpenError, OpenErrorKind, Pushed, Reporter};

/// Longest clip without sound: as long as one with sound may be.
fn most_frames(pushed: &Pushed) -> u64 {
    pushed.frame_rate.frames_within(Limits::default().max_duration)
}

/// A quick look at what is announced, while its sender waits.
///
/// # Errors
/// What is wrong with it and what to do.
pub(crate) fn check(request: &JobRequest, pushed: &Pushed) -> Result<(), OpenError> {
    let length = Length::Open(pushed.frame_rate);
    Settings::new(pushed.width, pushed.height, length)
        .check()
        .map_err(|error| unusable("size_unusable", error.to_string()))?;
    match pushed.count {
        Count::Open => Ok(()),
        Count::Known(0) => Err(unusable("frames_unusable", "a clip has one frame at least".to_owned())),
        Count::Known(frames) if frames > most_frames(pushed) => {
            let message = format!("{frames} frames are more than two hours; send shorter parts");
            Err(OpenError { kind: OpenErrorKind::TooLarge, code: "audio_too_long", message })
        }
        Count::Known(_) => Ok(()),
        Count::Sound => {
            let recording = Recording::of(&request.audio).map_err(recording_error)?;
            Ingest::open(recording, Some(&request.audio_name), &Limits::default())
                .map(drop)
                .map_err(audio_error)
        }
    }
}

/// What is known before the first frame.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) plan: ClipPlan,
    pub(crate) config: Config,
    pub(crate) sound: Option<Sound>,
    pub(crate) warnings: Vec<String>,
}

/// Reads the sound, if there is one, and makes the plan.
///
/// * `ends`: those of an earlier plan.
/// * `place`: on whose disk the sound of a long clip is put aside.
///
/// # Errors
/// What is wrong with the sound and what to do.
pub(crate) fn open(
    request: &JobRequest,
    pushed: &Pushed,
    ends: &[u64],
    place: &Path,
    reporter: &dyn Reporter,
) -> Result<Received, OpenError> {
    let config = Config::new(pushed.width, pushed.height, pushed.frame_rate)
        .map_err(|error| unusable("size_unusable", error.to_string()))?;
    let sound = match pushed.count {
        Count::Known(_) | Count::Open => None,
        Count::Sound => {
            let recording = Recording::of(&request.audio).map_err(recording_error)?;
            let go_on = &mut |_progress| match reporter.cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let name = Some(request.audio_name.as_str());
            let sound = Sound::open_beside(
                recording,
                name,
                &Limits::default(),
                pushed.frame_rate,
                &spools::beside(place),
                go_on,
            );
            Some(sound.map_err(speech_error)?)
        }
    };
    let speed = Settings::DEFAULT_SPEED;
    let timeline = match (&sound, pushed.count) {
        (Some(sound), _) => Some(sound.timeline),
        (None, Count::Known(frames)) => Timeline::from_frames(frames, pushed.frame_rate),
        (None, _) => None,
    };
    let plan = match (timeline, pushed.count) {
        (Some(timeline), _) => ClipPlan::Fixed(
            SegmentPlan::from_ends(timeline, ends.to_vec())
                .unwrap_or_else(|| SegmentPlan::new(timeline, speed)),
        ),
        (None, Count::Open) => ClipPlan::Open(
            OpenPlan::continuing(pushed.frame_rate, speed, ends.to_vec())
                .unwrap_or_else(|| OpenPlan::new(pushed.frame_rate, speed)),
        ),
        (None, _) => return Err(unusable("frames_unusable", "a clip has one frame at least".to_owned())),
    };
    let config = match &sound {
        Some(sound) => config.channels(sound.channels),
        None => config.without_sound(),
    };
    let warnings = sound.iter().flat_map(|sound| &sound.warnings).map(ToString::to_string).collect();
    Ok(Received { plan, config, sound, warnings })
}
