//! Where a stream begins: at its first frame, or where an earlier one stopped.

use headcast_core::SegmentPlan;
use headcast_core::timeline::{ClipPlan, OpenPlan, Speed, listed_ends};
use headcast_media::mp4::access_units;
use headcast_media::segment::{self, has_parameter_sets_of};
use headcast_media::store::{SegmentStore, file_name};

use super::Length;
use super::error::Error;
use super::viewer::State;
use crate::clip_folder::ClipFolder;

/// The state of a stream that is being opened.
pub(super) fn state(
    config: &segment::Config,
    length: &Length,
    speed: Speed,
    ends: Vec<u64>,
    store: &dyn SegmentStore,
    folder: Option<&ClipFolder>,
) -> Result<State, Error> {
    let ends = match folder {
        Some(folder) if ends.is_empty() => ends_of(folder, length)?,
        _ => ends,
    };
    let mismatch = |what| Error::Mismatch { what };
    let length_differs = || mismatch("its length differs");
    let plan = match length {
        Length::Sound(_) | Length::Silent(_) => {
            let timeline = match length {
                Length::Sound(sound) => sound.timeline,
                Length::Silent(timeline) => *timeline,
                Length::Open(_) => unreachable!("matched above"),
            };
            ClipPlan::Fixed(SegmentPlan::continuing(timeline, speed, ends).ok_or_else(length_differs)?)
        }
        Length::Open(rate) => {
            // In a folder, what was listed and is not there any more is made again, cut as the new frames are: those
            // who play it see no segments behind.
            let kept = if folder.is_some() { made_of(store, ends.len())? } else { ends.len() };
            let ends = ends.into_iter().take(kept).collect();
            ClipPlan::Open(OpenPlan::continuing(*rate, speed, ends).ok_or_else(length_differs)?)
        }
    };
    let made = made_of(store, plan.len())?;
    let state = State { frames: plan.frames_before(made), plan, made, end: None };
    check(config, length, &state, store)?;
    if let Some(folder) = folder {
        // They are about to be made again, and perhaps of other frames.
        folder.remove_segments(made)?;
    }
    Ok(state)
}

/// Where the segments end that the folder's playlist lists.
fn ends_of(folder: &ClipFolder, length: &Length) -> Result<Vec<u64>, Error> {
    let Some(text) = folder.playlist()? else { return Ok(Vec::new()) };
    let listed = listed_ends(&text, length.frame_rate())
        .ok_or(Error::Mismatch { what: "its playlist is for another frame rate" })?;
    let ours = listed.iter().enumerate().all(|(index, (_, name))| *name == file_name(index));
    let ends = listed.into_iter().map(|(end, _)| end).collect();
    if ours { Ok(ends) } else { Err(Error::Mismatch { what: "its playlist lists other segments" }) }
}

/// Segments that are there, from the first one on.
fn made_of(store: &dyn SegmentStore, planned: usize) -> Result<usize, Error> {
    for index in 0..planned {
        if !store.contains(index)? {
            return Ok(index);
        }
    }
    Ok(planned)
}

/// Whether the first and the last segment that are there belong to this clip: their pictures by size and time, their
/// sound by its bytes.
fn check(
    config: &segment::Config,
    length: &Length,
    state: &State,
    store: &dyn SegmentStore,
) -> Result<(), Error> {
    let (Some(plan), Some(last)) = (state.plan.known(), state.made.checked_sub(1)) else { return Ok(()) };
    for index in [0, last] {
        let differs = |what| Error::Mismatch { what };
        let Some(segment) = store.get(index)? else { return Err(differs("a segment disappeared")) };
        let streams = access_units(config, &plan, index, &segment)
            .map_err(|_reason| differs("its segments are cut otherwise, or damaged"))?;
        let picture = streams.video.first().ok_or(differs("a segment has no picture"))?;
        if !has_parameter_sets_of(config, &picture.data)? {
            return Err(differs("its frames are of another size"));
        }
        if let Length::Sound(sound) = length {
            let frames = plan.frames(index).expect("a made segment is a planned one");
            let units = sound.track.wait(plan.timeline().aac_units_of(frames));
            let units = units.map_err(|error| Error::Encode { index, reason: error.to_string() })?;
            let same = streams.audio.iter().map(|unit| &unit.data[..]).eq(units.iter().map(|unit| &unit[..]));
            if !same {
                return Err(differs("its sound is another one"));
            }
        }
    }
    Ok(())
}
