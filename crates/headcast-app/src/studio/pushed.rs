//! A pushed job is opened: its sound is read, and its plan is made.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headcast::Sound;
use headcast::audio::{Ingest, Limits};
use headcast::core::{SegmentPlan, Timeline};
use headcast::media::segment::{Config, segment_head};
use headcast::push::{Length, Settings};
use headcast::source::{MakeError, OnFrame, SegmentSource};

use super::{Recording, audio_error, recording_error, speech_error, spools, unusable};
use crate::jobs::{JobRequest, OpenError, OpenErrorKind, Opened, Pushed, Reporter};

/// Longest clip without sound: as long as one with sound may be.
fn most_frames(pushed: &Pushed) -> u64 {
    let secs = Limits::default().max_duration.as_secs();
    secs * u64::from(pushed.frame_rate.num()) / u64::from(pushed.frame_rate.den())
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
    match pushed.frames {
        Some(0) => Err(unusable("frames_unusable", "a clip has one frame at least".to_owned())),
        Some(frames) if frames > most_frames(pushed) => {
            let message = format!("{frames} frames are more than two hours; send shorter parts");
            Err(OpenError { kind: OpenErrorKind::TooLarge, code: "audio_too_long", message })
        }
        Some(_) => Ok(()),
        None => {
            let recording = Recording::of(&request.audio).map_err(recording_error)?;
            Ingest::open(recording, Some(&request.audio_name), &Limits::default())
                .map(drop)
                .map_err(audio_error)
        }
    }
}

/// Reads the sound and makes the plan.
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
) -> Result<(Opened, Option<Sound>), OpenError> {
    let config = Config::new(pushed.width, pushed.height, pushed.frame_rate)
        .map_err(|error| unusable("size_unusable", error.to_string()))?;
    let sound = match pushed.frames {
        Some(_) => None,
        None => {
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
    let timeline = match (&sound, pushed.frames) {
        (Some(sound), _) => Some(sound.timeline),
        (None, frames) => Timeline::from_frames(frames.unwrap_or(0), pushed.frame_rate),
    };
    let timeline =
        timeline.ok_or_else(|| unusable("frames_unusable", "a clip has one frame at least".to_owned()))?;
    let plan = SegmentPlan::from_ends(timeline, ends.to_vec())
        .unwrap_or_else(|| SegmentPlan::new(timeline, Settings::DEFAULT_SPEED));
    let config = match &sound {
        Some(sound) => config.channels(sound.channels),
        None => config.without_sound(),
    };
    let warnings = sound.iter().flat_map(|sound| &sound.warnings).map(ToString::to_string).collect();
    Ok((Opened { source: Arc::new(Outside { plan, config }), warnings, profile: None }, sound))
}

/// What is known of segments that are made of frames from outside.
struct Outside {
    plan: SegmentPlan,
    config: Config,
}

impl SegmentSource for Outside {
    fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn segment_head(&self) -> Bytes {
        segment_head(&self.config)
    }

    fn make_segment(&self, index: usize, _on_frame: &mut OnFrame<'_>) -> Result<Bytes, MakeError> {
        Err(MakeError::Encode { index, reason: "its frames come from outside".to_owned() })
    }
}
