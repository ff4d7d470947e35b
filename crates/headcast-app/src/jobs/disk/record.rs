//! A job in plain values, as the table and its card have it.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headcast::audio::Cut;
use headcast::core::timeline::{ClipPlan, OpenPlan};
use headcast::core::{FrameRate, SegmentPlan, Timeline};
use headcast::media::aac::Channels;
use headcast::media::h264::Qp;
use headcast::media::segment::Config;
use headcast::push::Settings;
use serde::{Deserialize, Serialize};

use super::super::code::intern;
use super::super::feed::{Count, Pushed};
use super::super::id::JobId;
use super::super::job::{Failure, State};
use super::super::script::{Pace, Script};
use super::super::title::Title;

/// What a job knows as soon as it is opened.
#[derive(Debug, Clone)]
pub(in super::super) struct Clip {
    pub(in super::super) plan: ClipPlan,
    pub(in super::super) config: Config,
}

/// A job as it outlives the process.
#[derive(Debug, Clone)]
pub(in super::super) struct Row {
    pub(in super::super) id: JobId,
    pub(in super::super) avatar: String,
    pub(in super::super) profile: Option<String>,
    pub(in super::super) extractor: Option<String>,
    pub(in super::super) body: String,
    pub(in super::super) audio_name: String,
    pub(in super::super) title: Option<Title>,
    pub(in super::super) cut: Cut,
    pub(in super::super) script: Option<Script>,
    pub(in super::super) has_features: bool,
    pub(in super::super) pushed: Option<Pushed>,
    pub(in super::super) created: SystemTime,
    pub(in super::super) state: State,
    pub(in super::super) failure: Option<Failure>,
    pub(in super::super) started: Option<SystemTime>,
    pub(in super::super) finished: Option<SystemTime>,
    pub(in super::super) clip: Option<Clip>,
}

/// The same in numbers and words, one for each column of the table. Instants are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) avatar: String,
    pub(super) profile: Option<String>,
    #[serde(default)]
    pub(super) extractor: Option<String>,
    #[serde(default)]
    pub(super) body: String,
    pub(super) audio_name: String,
    #[serde(default)]
    pub(super) title: Option<String>,
    /// Nanoseconds from the beginning of the clip.
    #[serde(default)]
    pub(super) cut_start_ns: i64,
    /// `None` for the end of the clip.
    #[serde(default)]
    pub(super) cut_end_ns: Option<i64>,
    /// What is said; `None` where nobody told.
    #[serde(default)]
    pub(super) script: Option<String>,
    /// Who says it; `None` where that is in the recording.
    #[serde(default)]
    pub(super) voice: Option<String>,
    #[serde(default)]
    pub(super) speed_percent: Option<u16>,
    pub(super) has_features: bool,
    /// As [`Pushed`] is written; `None` for a job whose frames are rendered here.
    #[serde(default)]
    pub(super) pushed: Option<String>,
    pub(super) created_ms: i64,
    pub(super) state: String,
    pub(super) failure_code: Option<String>,
    pub(super) failure_message: Option<String>,
    pub(super) started_ms: Option<i64>,
    pub(super) finished_ms: Option<i64>,
    pub(super) clip: Option<ClipRecord>,
}

/// See [`Clip`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClipRecord {
    /// First frame after each segment, with spaces in between; of a clip of open length those that are known, perhaps
    /// none.
    pub(super) segment_ends: String,
    pub(super) frame_rate_num: u32,
    pub(super) frame_rate_den: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) qp: u8,
    /// 0 for a clip without sound.
    pub(super) channels: u8,
}

impl From<&Row> for Record {
    fn from(row: &Row) -> Self {
        Self {
            id: row.id.to_string(),
            avatar: row.avatar.clone(),
            profile: row.profile.clone(),
            extractor: row.extractor.clone(),
            body: row.body.clone(),
            audio_name: row.audio_name.clone(),
            title: row.title.as_ref().map(ToString::to_string),
            cut_start_ns: nanos(row.cut.start()),
            cut_end_ns: row.cut.end().map(nanos),
            script: row.script.as_ref().map(|script| script.text.clone()),
            voice: row.script.as_ref().and_then(|script| script.voice.clone()),
            speed_percent: row.script.as_ref().map(|script| script.speed.percent()),
            has_features: row.has_features,
            pushed: row.pushed.as_ref().map(ToString::to_string),
            created_ms: millis(row.created),
            state: state_name(row.state).to_owned(),
            failure_code: row.failure.as_ref().map(|failure| failure.code.to_owned()),
            failure_message: row.failure.as_ref().map(|failure| failure.message.clone()),
            started_ms: row.started.map(millis),
            finished_ms: row.finished.map(millis),
            clip: row.clip.as_ref().map(ClipRecord::from),
        }
    }
}

impl Record {
    /// `None` when the values cannot have been written by this program.
    pub(super) fn row(self) -> Option<Row> {
        let failure = match (self.failure_code, self.failure_message) {
            (Some(code), Some(message)) => Some(Failure { code: intern(&code), message }),
            _ => None,
        };
        let cut_end = match self.cut_end_ns {
            None => None,
            Some(end) => Some(span(end)?),
        };
        let pushed: Option<Pushed> = self.pushed.as_deref().map(str::parse).transpose().ok()?;
        let is_open = pushed.is_some_and(|pushed| pushed.count == Count::Open);
        let clip = match &self.clip {
            None => None,
            Some(clip) => Some(clip.clip(is_open)?),
        };
        Some(Row {
            id: JobId::from_str(&self.id).ok()?,
            avatar: self.avatar,
            profile: self.profile,
            extractor: self.extractor,
            body: self.body,
            audio_name: self.audio_name,
            // A title of another version's rules is none here, which is no damage.
            title: self.title.and_then(|title| Title::parse(&title).ok().flatten()),
            cut: Cut::new(span(self.cut_start_ns)?, cut_end).ok()?,
            script: self.script.map(|text| Script {
                text,
                voice: self.voice,
                speed: self.speed_percent.and_then(Pace::from_percent).unwrap_or_default(),
            }),
            has_features: self.has_features,
            pushed,
            created: instant(self.created_ms),
            state: state_of(&self.state)?,
            failure,
            started: self.started_ms.map(instant),
            finished: self.finished_ms.map(instant),
            clip,
        })
    }
}

impl From<&Clip> for ClipRecord {
    fn from(Clip { plan, config }: &Clip) -> Self {
        let video = config.video();
        let ends: Vec<_> = plan.ends().iter().map(ToString::to_string).collect();
        Self {
            segment_ends: ends.join(" "),
            frame_rate_num: video.frame_rate().num(),
            frame_rate_den: video.frame_rate().den(),
            width: video.shown_width(),
            height: video.shown_height(),
            qp: video.qp().get(),
            channels: match config.audio_channels() {
                None => 0,
                Some(Channels::Mono) => 1,
                Some(Channels::Stereo) => 2,
            },
        }
    }
}

impl ClipRecord {
    /// * `is_open`: whether its length is open.
    pub(super) fn clip(&self, is_open: bool) -> Option<Clip> {
        let ends = match self.segment_ends.as_str() {
            "" => Vec::new(),
            ends => ends.split(' ').map(|end| end.parse().ok()).collect::<Option<Vec<u64>>>()?,
        };
        let frame_rate = FrameRate::new(self.frame_rate_num, self.frame_rate_den)?;
        let plan = if is_open {
            ClipPlan::Open(OpenPlan::continuing(frame_rate, Settings::DEFAULT_SPEED, ends)?)
        } else {
            let timeline = Timeline::from_frames(*ends.last()?, frame_rate)?;
            ClipPlan::Fixed(SegmentPlan::from_ends(timeline, ends)?)
        };
        let config = Config::new(self.width, self.height, frame_rate).ok()?.qp(Qp::new(self.qp)?);
        Some(Clip {
            plan,
            config: match self.channels {
                0 => config.without_sound(),
                channels => config.channels(Channels::from_count(usize::from(channels))?),
            },
        })
    }
}

fn state_name(state: State) -> &'static str {
    match state {
        // A job that is being opened begins again.
        State::Queued | State::Opening => "queued",
        State::Rendering => "rendering",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

fn state_of(name: &str) -> Option<State> {
    [State::Queued, State::Rendering, State::Done, State::Failed, State::Cancelled]
        .into_iter()
        .find(|state| state_name(*state) == name)
}

/// A cut is within a day.
fn nanos(at: Duration) -> i64 {
    i64::try_from(at.as_nanos()).unwrap_or(i64::MAX)
}

fn span(nanos: i64) -> Option<Duration> {
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// Milliseconds since 1970.
pub(super) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn instant(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
