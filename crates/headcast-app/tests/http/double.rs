//! A studio whose pictures are one colour per frame and whose speed the test decides.
//!
//! Every byte of the "audio" is one frame, so `b"x".repeat(40)` is a clip of 40 frames; its segments are real
//! ones, with real pictures and sound, so that what is made of them can be looked at.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, FrameRate, RgbImage, SampleRate, SegmentPlan, Timeline};
use headcast::media::SegmentEncoder;
use headcast::media::aac::{Channels, Encoder, Fdk};
use headcast::media::segment::{Config, segment_head};
use headcast::nerf::avatar::ImportRequest;
use headcast::source::{FrameDone, MakeError, OnFrame, SegmentSource};
use headcast_app::captions::Cue;
use headcast_app::jobs::{
    AvatarDetails, AvatarInfo, Input, JobRequest, Level, OpenError, OpenErrorKind, Opened, Phase, Picture,
    Reporter, SampleInfo, Script, Studio,
};
use headcast_app::voices::{Listed, Voices};

/// Lets frames through.
#[derive(Debug, Default)]
pub(super) struct Gate {
    allowed: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    /// Lets `frames` more frames through.
    pub(super) fn allow(&self, frames: u64) {
        let mut allowed = self.allowed.lock().unwrap();
        *allowed = allowed.saturating_add(frames);
        self.changed.notify_all();
    }

    /// Lets everything through from now on.
    pub(super) fn open(&self) {
        self.allow(u64::MAX);
    }

    fn pass(&self) {
        let mut allowed = self.changed.wait_while(self.allowed.lock().unwrap(), |n| *n == 0).unwrap();
        if *allowed != u64::MAX {
            *allowed -= 1;
        }
    }
}

/// The studio.
#[derive(Debug, Default)]
pub(super) struct Double {
    pub(super) gate: Arc<Gate>,
    /// What plans are made for; `None` for real time, which gives segments of one length.
    pub(super) speed: Option<Speed>,
    /// Whether a job that is opened again is cut where it was.
    pub(super) keeps_plan: bool,
    /// What it chooses for who asks for `auto`; each profile has other pictures.
    pub(super) chooses: &'static str,
    /// What speaks texts.
    pub(super) voices: Option<Arc<Voices>>,
    /// Name and title of what was imported.
    imported: Mutex<Vec<(String, String)>>,
}

fn info(name: &str, title: &str) -> AvatarInfo {
    AvatarInfo {
        name: name.to_owned(),
        title: title.to_owned(),
        width: 64,
        height: 64,
        credits: "nobody".to_owned(),
        preview: false,
    }
}

impl Studio for Double {
    fn avatars(&self) -> Vec<AvatarInfo> {
        let mut avatars = vec![info("milo", "Milo"), info("ada", "Ada")];
        avatars.extend(self.imported.lock().unwrap().iter().map(|(name, title)| info(name, title)));
        avatars
    }

    fn avatar(&self, name: &str) -> Option<AvatarDetails> {
        let info = self.avatars().into_iter().find(|avatar| avatar.name == name)?;
        Some(AvatarDetails {
            built_in: name == "milo",
            kind: "er-nerf".to_owned(),
            features: "deepspeech".to_owned(),
            torso: true,
            poses: 7,
            licence: "MIT".to_owned(),
            info,
            missing_extractor: None,
        })
    }

    /// Takes what has the right words in its files.
    fn import(&self, request: &ImportRequest) -> Result<Vec<String>, OpenError> {
        let read = |name: &str| std::fs::read_to_string(request.data.join(name)).unwrap_or_default();
        let files =
            ["ngp.pth", "transforms_train.json", "au.csv", "background", "thumbnail", "torso_imgs/3.png"]
                .map(read);
        if files[0] != "checkpoint" {
            let message = format!("{}: not a checkpoint", request.checkpoint.display());
            return Err(OpenError { kind: OpenErrorKind::Unusable, code: "avatar_unusable", message });
        }
        let title = request.title.clone().unwrap_or_default();
        let mut imported = self.imported.lock().unwrap();
        imported.retain(|(name, _)| *name != request.name);
        imported.push((request.name.clone(), title));
        Ok(vec![files.join(","), format!("{:?} {}", request.fix_eye, request.overwrite)])
    }

    fn remove_avatar(&self, name: &str) -> Result<bool, OpenError> {
        let mut imported = self.imported.lock().unwrap();
        let before = imported.len();
        imported.retain(|(known, _)| known != name);
        Ok(imported.len() < before)
    }

    fn thumbnail(&self, avatar: &str) -> Option<Picture> {
        (avatar == "milo").then(|| Picture { content_type: "image/png", bytes: Bytes::from_static(b"png") })
    }

    fn preview(&self, avatar: &str) -> Option<Bytes> {
        (avatar == "milo").then(|| Bytes::from_static(b"a face that speaks"))
    }

    fn samples(&self) -> Vec<SampleInfo> {
        vec![SampleInfo {
            id: "hello".to_owned(),
            language: "en".to_owned(),
            title: "Hello".to_owned(),
            file_name: "hello.wav".to_owned(),
            bytes: Bytes::from_static(&[0; 24]),
        }]
    }

    fn profiles(&self) -> Vec<String> {
        vec!["default".to_owned(), "parity".to_owned()]
    }

    fn voices(&self) -> Vec<Listed> {
        self.voices.as_ref().map(|voices| voices.list()).unwrap_or_default()
    }

    fn speak(&self, script: &Script, to: &Path, reporter: &dyn Reporter) -> Result<Vec<Cue>, OpenError> {
        let voices = self.voices.as_ref().unwrap();
        let (cancelled, has_room) = (|| reporter.cancelled(), |bytes| reporter.has_room(bytes));
        Ok(voices.speak_within(script, to, &cancelled, &has_room)?)
    }

    fn check(&self, request: &JobRequest) -> Result<(), OpenError> {
        match request.audio_name.as_str() {
            "text.wav" => Err(refusal("audio_unreadable", "this is text, not audio; choose a recording")),
            _ if request.body.contains("dance") => Err(refusal("body_unusable", "nobody dances here")),
            _ if request.body.contains("background=picture") => {
                let picture = match &request.background {
                    None => return Err(refusal("background_missing", "there is no picture")),
                    Some(Input::File(path)) => std::fs::read(path).unwrap(),
                    Some(Input::Memory(bytes)) => bytes.to_vec(),
                };
                match &picture[..] {
                    b"png" => Ok(()),
                    _ => Err(refusal("background_unusable", "it is no picture")),
                }
            }
            _ => Ok(()),
        }
    }

    fn open(&self, request: &JobRequest, reporter: &dyn Reporter) -> Result<Opened, OpenError> {
        self.reopen(request, &[], reporter)
    }

    fn reopen(
        &self,
        request: &JobRequest,
        ends: &[u64],
        reporter: &dyn Reporter,
    ) -> Result<Opened, OpenError> {
        reporter.phase(Phase::Listening);
        reporter.log(Level::Info, "listening");
        let frames = match &request.audio {
            Input::File(path) => frames_of(&std::fs::read(path).unwrap()),
            Input::Memory(bytes) => frames_of(bytes),
        };
        if request.audio_name == "late.wav" {
            return Err(refusal("audio_silent", "nothing can be heard; choose a recording with speech"));
        }
        let timeline = Timeline::from_frames(frames, FrameRate::PAL).unwrap();
        let kept = SegmentPlan::from_ends(timeline, ends.to_vec()).filter(|_| self.keeps_plan);
        let speed = self.speed.unwrap_or(Speed(1000));
        let plan = kept.unwrap_or_else(|| SegmentPlan::new(timeline, speed));
        let chosen = (request.profile.as_deref() == Some("auto")).then(|| self.chooses.to_owned());
        let profile = chosen.as_ref().or(request.profile.as_ref()).map_or(0, String::len);
        let source =
            Colours { profile, ..Colours::new(plan, Arc::clone(&self.gate), request.audio_name.clone()) };
        Ok(Opened {
            source: Arc::new(source),
            warnings: vec!["a warning".to_owned()],
            profile: chosen,
            extractor: None,
            expected_fps: None,
        })
    }
}

/// A byte a frame; of a WAV file of 16-bit mono, what it takes.
fn frames_of(clip: &[u8]) -> u64 {
    if !clip.starts_with(b"RIFF") {
        return clip.len() as u64;
    }
    let rate = u32::from_le_bytes(clip[24..28].try_into().unwrap());
    (clip.len() as u64 - 44) / 2 * 25 / u64::from(rate)
}

fn refusal(code: &'static str, message: &str) -> OpenError {
    OpenError { kind: OpenErrorKind::Unusable, code, message: message.to_owned() }
}

/// A clip of `frames` pictures of 64x64 pixels, each of another colour, with silence.
struct Colours {
    plan: SegmentPlan,
    config: Config,
    units: Vec<Bytes>,
    gate: Arc<Gate>,
    behaviour: String,
    /// Letters of its name.
    profile: usize,
}

impl Colours {
    fn new(plan: SegmentPlan, gate: Arc<Gate>, behaviour: String) -> Self {
        let samples = usize::try_from(plan.timeline().samples(SampleRate::AAC)).unwrap();
        let mut encoder = Fdk::new(Channels::Mono).unwrap();
        let mut units = encoder.push(&vec![0.0; samples]).unwrap();
        units.extend(encoder.finish().unwrap());
        let config = Config::new(64, 64, FrameRate::PAL).unwrap().channels(Channels::Mono);
        Self { plan, config, units, gate, behaviour, profile: 0 }
    }
}

impl SegmentSource for Colours {
    fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn segment_head(&self) -> Bytes {
        segment_head(&self.config)
    }

    fn make_segment(&self, index: usize, on_frame: &mut OnFrame<'_>) -> Result<Bytes, MakeError> {
        let mut encoder = SegmentEncoder::new(&self.config, &self.plan, index).unwrap();
        for (at, frame) in encoder.frames().enumerate() {
            self.gate.pass();
            // In whichever segment is made first.
            if at == 3 && self.behaviour == "panic.wav" {
                panic!("a bug, on purpose");
            }
            if at == 3 && self.behaviour == "broken.wav" {
                return Err(MakeError::Render { frame: FrameIndex(frame), reason: "no light".to_owned() });
            }
            if at == 3 && self.behaviour == "deaf.wav" {
                return Err(MakeError::Extractor { frame: FrameIndex(frame), reason: "no ears".to_owned() });
            }
            let shade = u8::try_from(frame * 37 % 256).unwrap();
            let profile = u8::try_from(128 + self.profile).unwrap();
            let image = RgbImage::filled(64, 64, [shade, profile, 255 - shade]).unwrap();
            if let ControlFlow::Break(()) = on_frame(FrameDone { frame: FrameIndex(frame), image: &image }) {
                return Err(MakeError::Cancelled);
            }
            encoder.push(&image).unwrap();
        }
        let units = encoder.audio_units();
        let units = usize::try_from(units.start).unwrap()..usize::try_from(units.end).unwrap();
        Ok(encoder.finish(&self.units[units]).unwrap())
    }
}
