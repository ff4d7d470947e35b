//! One pass over a recording: audio for the encoder, features for the renderer, and the timeline of both.

use std::fmt;
use std::io::{self, Read, Seek};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use headcast_core::{FeatureTrack, FrameRate, SampleRate, Spools, Stop, Timeline};

use crate::cut::Cut;
use crate::decode::{Decoder, Info};
use crate::error::{AudioError, Warning};
use crate::extractor::{ListenError, Listener, Model};
use crate::features::{Extractor, ROW_PAIR_SAMPLES};
use crate::resample::{Mixer, Resampler, duration};

/// -60 dBFS: below it throughout, a clip counts as silent.
const SILENCE_PEAK: f32 = 0.001;

/// How far beyond the end of a recording a cut may end: other decoders keep an encoder's padding, and count it.
const CUT_TOLERANCE: Duration = Duration::from_millis(100);

/// What a recording may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest clip; 2 h by default.
    pub max_duration: Duration,
    /// Shortest clip; 0.1 s by default.
    pub min_duration: Duration,
    /// Largest file; 2 GiB by default.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration: Duration::from_secs(2 * 3600),
            min_duration: Duration::from_millis(100),
            max_bytes: 2 << 30,
        }
    }
}

/// How to go through a recording.
#[derive(Debug, Clone)]
pub struct Options {
    /// Frames per second of the video; 25 by default.
    pub frame_rate: FrameRate,
    /// What makes features of the speech; the built-in model by default, which costs some 1 % of real time on one core.
    pub features: Ears,
    /// Where what makes features puts things aside, for as long as they are read: 19 kB per second of the clip, and 6 kB
    /// more when features were made of it, for the built-in model; 64 kB and 9 kB for wav2vec2, 64 kB and 205 kB for
    /// `HuBERT`, 0.4 MB for `DeepSpeech` while it runs and then 6 kB. In memory by default.
    pub spools: Spools,
}

impl Default for Options {
    fn default() -> Self {
        Self { frame_rate: FrameRate::PAL, features: Ears::BuiltIn, spools: Spools::in_memory() }
    }
}

/// What makes features of speech.
#[derive(Debug, Clone, Default)]
pub enum Ears {
    /// Nothing: there are none.
    Deaf,
    /// The built-in model. It hears the mean of all channels.
    #[default]
    BuiltIn,
    /// An extractor of upstream's. It hears the first channel, as upstream's scripts do.
    Model {
        /// Its weights.
        model: Model,
        /// Threads that it may use; they do not show in the features.
        threads: usize,
    },
}

/// How far [`Ingest::run`] has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Of the clip.
    pub decoded: Duration,
    /// Furthest byte read of the file.
    pub bytes: u64,
    /// Size of the file.
    pub total_bytes: u64,
}

/// Takes the audio of the video as it is decoded. Closures `FnMut(&[f32], Progress) -> ControlFlow<()>` are
/// sinks.
pub trait Sink {
    /// The next samples at 48 kHz, [`Info::output_channels`] interleaved channels, about ±1. Answering
    /// [`ControlFlow::Break`] makes [`Ingest::run`] return [`AudioError::Cancelled`].
    ///
    /// May be called with no samples, to report progress.
    fn push(&mut self, samples: &[f32], progress: Progress) -> ControlFlow<()>;
}

impl<F: FnMut(&[f32], Progress) -> ControlFlow<()>> Sink for F {
    fn push(&mut self, samples: &[f32], progress: Progress) -> ControlFlow<()> {
        self(samples, progress)
    }
}

/// Loudness of a clip, over all channels of the file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Level {
    /// Largest absolute sample; 1 is full scale.
    pub peak: f32,
    /// Root mean square.
    pub rms: f32,
}

impl Level {
    /// [`Self::peak`] in dBFS; minus infinity for digital silence.
    pub fn peak_dbfs(self) -> f32 {
        20.0 * self.peak.log10()
    }
}

/// What [`Ingest::run`] found out.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ingested {
    /// Frames of the video; the sink got exactly `timeline.samples(SampleRate::AAC)` samples per channel.
    pub timeline: Timeline,
    /// As [`Ingest::info`].
    pub info: Info,
    /// Samples per channel in the file, of what is used of it, at its own rate.
    pub samples: u64,
    /// Speech features, unless they were not asked for: one row per frame from the built-in model, as many as upstream's
    /// scripts make from an extractor.
    pub features: Option<FeatureTrack>,
    /// Loudness.
    pub level: Level,
    /// For the user to know; the clip is good otherwise.
    pub warnings: Vec<Warning>,
}

/// A recording that was opened and found acceptable so far.
pub struct Ingest {
    decoder: Decoder,
    limits: Limits,
    cut: Cut,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("info", self.info()).finish_non_exhaustive()
    }
}

impl Ingest {
    /// Opens a recording of any accepted format (see [`crate::decode`]) and reads its header.
    ///
    /// * `source`: read from its start, whatever its position is.
    /// * `hint`: its file name, where there is one; only the extension is used, and the bytes decide.
    ///
    /// # Errors
    /// [`AudioError`]: for files that are empty, no audio, of an unsupported codec, too large, or too long
    /// by their own account.
    pub fn open(
        source: impl Read + Seek + Send + Sync + 'static,
        hint: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, AudioError> {
        Self::open_cut(source, hint, limits, Cut::WHOLE)
    }

    /// The same of a part of the recording: what is outside of `cut` is as if it were not in the file, and counts for no
    /// limit but that of bytes. It is decoded up to the end of the cut, which is right to the sample.
    ///
    /// # Errors
    /// As [`Self::open`]; [`AudioError::CutBeyondEnd`] where the file states its length.
    pub fn open_cut(
        source: impl Read + Seek + Send + Sync + 'static,
        hint: Option<&str>,
        limits: &Limits,
        cut: Cut,
    ) -> Result<Self, AudioError> {
        let decoder = Decoder::open(source, hint, limits.max_bytes, cut)?;
        if let Some(samples) = decoder.stated_samples() {
            check_cut(cut, duration(samples, decoder.info().sample_rate.hz()))?;
        }
        match decoder.info().stated.map(|stated| cut.of(stated)) {
            Some(stated) if stated > limits.max_duration => {
                Err(AudioError::TooLong { stated: Some(stated), max: limits.max_duration })
            }
            _ => Ok(Self { decoder, limits: *limits, cut }),
        }
    }

    /// What the file holds.
    pub fn info(&self) -> &Info {
        self.decoder.info()
    }

    /// Decodes the recording to its end and gives the audio of the video to `sink` on the way, padded with
    /// silence to the end of the last frame.
    ///
    /// # Errors
    /// [`AudioError`]: for clips that are too short or too long (found as soon as the limit is passed), hold
    /// NaN or infinite samples, change their format on the way, or cannot be read; and
    /// [`AudioError::Cancelled`].
    pub fn run(self, options: &Options, sink: &mut dyn Sink) -> Result<Ingested, AudioError> {
        self.pass(options, true, sink)
    }

    /// As [`Self::run`], without the audio of the video: everything that is to be known of the recording before the first
    /// frame, at the cost of decoding it. What can be wrong with it is found here.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn hear(
        self,
        options: &Options,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Ingested, AudioError> {
        self.pass(options, false, &mut |_: &[f32], progress| on_progress(progress))
    }

    /// The audio of the video alone, the same samples as [`Self::run`] gives, of a recording that was heard before.
    ///
    /// * `timeline`: what was found then.
    ///
    /// # Errors
    /// As [`Self::run`], and [`AudioError::Changed`].
    pub fn sound(self, timeline: &Timeline, sink: &mut dyn Sink) -> Result<(), AudioError> {
        let options =
            Options { frame_rate: timeline.frame_rate(), features: Ears::Deaf, spools: Spools::in_memory() };
        let found = self.pass(&options, true, sink)?;
        if found.timeline == *timeline { Ok(()) } else { Err(AudioError::Changed) }
    }

    fn pass(
        mut self,
        options: &Options,
        with_audio: bool,
        sink: &mut dyn Sink,
    ) -> Result<Ingested, AudioError> {
        let info = self.decoder.info().clone();
        let rate = info.sample_rate;
        let mixer = Mixer::new(&self.decoder.layout());
        let mut video = with_audio.then(|| Resampler::new(rate, SampleRate::AAC, info.output_channels));
        let mut speech = Hearing::new(options, rate);
        let mut meter = Meter::default();
        let (mut block, mut mixed, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut pushed = 0;

        while self.decoder.next_block(&mut block)? {
            if block.is_empty() {
                self.give(sink, &[])?;
                continue;
            }
            let decoded = duration(self.decoder.position(), rate.hz());
            if decoded > self.limits.max_duration {
                return Err(AudioError::TooLong { stated: None, max: self.limits.max_duration });
            }
            meter.add(&block);
            if let Some(hearing) = &mut speech {
                hearing.push(&mixer, &block, &mut mixed).map_err(AudioError::Spool)?;
            }
            out.clear();
            if let Some(video) = &mut video {
                video.push(mixer.for_video(&block, &mut mixed), &mut out);
            }
            pushed += out.len();
            self.give(sink, &out)?;
        }

        check_cut(self.cut, duration(self.decoder.read(), rate.hz()))?;
        let samples = self.decoder.position();
        let length = duration(samples, rate.hz());
        let timeline = match Timeline::new(samples, rate, options.frame_rate) {
            Some(timeline) if length >= self.limits.min_duration => timeline,
            // Too short because the rest is missing: that is what has to be put right.
            _ if self.decoder.damage().truncated || self.decoder.damage().packets > 0 => {
                return Err(AudioError::Damaged { container: info.container.name(), codec: info.codec });
            }
            _ => return Err(AudioError::TooShort { length, min: self.limits.min_duration }),
        };
        if let Some(video) = video {
            out.clear();
            video.finish(&mut out);
            pushed += out.len();
            self.give(sink, &out)?;
            self.pad(sink, &timeline, info.output_channels, pushed)?;
        }
        let features = match speech {
            Some(hearing) => hearing.finish(&timeline, &mut || self.give(sink, &[]).is_err())?,
            None => None,
        };
        let level = meter.level();
        let warnings = self.warnings(level);
        Ok(Ingested { timeline, info, samples, features, level, warnings })
    }

    fn give(&self, sink: &mut dyn Sink, samples: &[f32]) -> Result<(), AudioError> {
        let (bytes, total_bytes) = self.decoder.bytes();
        let decoded = duration(self.decoder.position(), self.info().sample_rate.hz());
        match sink.push(samples, Progress { decoded, bytes, total_bytes }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(AudioError::Cancelled),
        }
    }

    /// Silence up to the end of the last frame: less than one frame.
    fn pad(
        &self,
        sink: &mut dyn Sink,
        timeline: &Timeline,
        channels: usize,
        pushed: usize,
    ) -> Result<(), AudioError> {
        let mut left = timeline.samples(SampleRate::AAC) * channels as u64 - pushed as u64;
        while left > 0 {
            // A multiple of both channel counts.
            let now = left.min(4800);
            left -= now;
            self.give(sink, &vec![0.0; usize::try_from(now).unwrap_or(0)])?;
        }
        Ok(())
    }

    fn warnings(&self, level: Level) -> Vec<Warning> {
        let damage = self.decoder.damage();
        let rate = self.info().sample_rate.hz();
        let mut warnings = Vec::new();
        if damage.truncated {
            warnings.push(Warning::Truncated { decoded: duration(self.decoder.read(), rate) });
        }
        if damage.packets > 0 {
            warnings.push(Warning::Damaged { packets: damage.packets, first: duration(damage.first, rate) });
        }
        if level.peak < SILENCE_PEAK {
            warnings.push(Warning::Silent);
        }
        warnings
    }
}

/// Refuses a cut that needs a longer recording than one of `length`.
fn check_cut(cut: Cut, length: Duration) -> Result<(), AudioError> {
    if cut.start() > Duration::ZERO && cut.start() >= length {
        return Err(AudioError::CutBeyondEnd { is_start: true, at: cut.start(), length });
    }
    match cut.end() {
        Some(end) if end > length + CUT_TOLERANCE => {
            Err(AudioError::CutBeyondEnd { is_start: false, at: end, length })
        }
        _ => Ok(()),
    }
}

/// What hears the clip.
enum Hearing {
    BuiltIn {
        resampler: Box<Resampler>,
        extractor: Box<Extractor>,
        resampled: Vec<f32>,
    },
    /// It resamples as upstream's scripts do.
    Listener(Box<dyn Listener>),
}

impl Hearing {
    /// * `rate`: of the recording.
    fn new(options: &Options, rate: SampleRate) -> Option<Self> {
        match &options.features {
            Ears::Deaf => None,
            Ears::BuiltIn => Some(Self::BuiltIn {
                resampler: Box::new(Resampler::new(rate, SampleRate::SPEECH, 1)),
                extractor: Box::new(Extractor::new(&options.spools)),
                resampled: Vec::new(),
            }),
            Ears::Model { model, threads } => {
                Some(Self::Listener(model.listener(rate, *threads, &options.spools)))
            }
        }
    }

    /// Hears interleaved `block`.
    fn push(&mut self, mixer: &Mixer, block: &[f32], mixed: &mut Vec<f32>) -> io::Result<()> {
        match self {
            Self::BuiltIn { resampler, extractor, resampled } => {
                resampled.clear();
                resampler.push(mixer.for_features(block, mixed), resampled);
                extractor.push(resampled)
            }
            Self::Listener(listener) => listener.push(mixer.first(block, mixed)),
        }
    }

    /// The features of the clip.
    fn finish(
        self,
        timeline: &Timeline,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<FeatureTrack>, AudioError> {
        match self {
            Self::BuiltIn { resampler, mut extractor, mut resampled } => {
                resampled.clear();
                resampler.finish(&mut resampled);
                let end = timeline.samples(SampleRate::SPEECH).next_multiple_of(ROW_PAIR_SAMPLES);
                let made = extractor
                    .push(&resampled)
                    .and_then(|()| extractor.pad_to(end))
                    .and_then(|()| extractor.finish());
                made.map_err(AudioError::Spool)
            }
            Self::Listener(listener) => {
                ask_meanwhile(stop, |stop| listener.finish(stop)).map_err(|error| match error {
                    ListenError::Spool(error) => AudioError::Spool(error),
                    ListenError::Cancelled => AudioError::Cancelled,
                    error => AudioError::Extractor(error),
                })
            }
        }
    }
}

/// Lets another thread `work`, which may take minutes, and asks `stop` here meanwhile.
fn ask_meanwhile<T: Send>(stop: &mut dyn FnMut() -> bool, work: impl FnOnce(&Stop<'_>) -> T + Send) -> T {
    /// Between two questions.
    const PAUSE: Duration = Duration::from_millis(40);
    let given_up = AtomicBool::new(false);
    let (sender, done) = mpsc::sync_channel::<()>(1);
    thread::scope(|scope| {
        let given_up = &given_up;
        let working = scope.spawn(move || {
            let made = work(&|| given_up.load(Ordering::Relaxed));
            // Whoever waits takes the result from the thread itself.
            drop(sender);
            made
        });
        while let Err(mpsc::RecvTimeoutError::Timeout) = done.recv_timeout(PAUSE) {
            if stop() {
                given_up.store(true, Ordering::Relaxed);
            }
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[derive(Default)]
struct Meter {
    peak: f32,
    squares: f64,
    count: u64,
}

impl Meter {
    fn add(&mut self, block: &[f32]) {
        // Eight at a time: a clip is opened as fast as this pass is. The bits of positive numbers are in their order.
        let (eights, rest) = block.as_chunks::<8>();
        let (mut peaks, mut squares) = ([self.peak.to_bits(); 8], [0.0; 8]);
        for samples in eights {
            for lane in 0..8 {
                peaks[lane] = peaks[lane].max(samples[lane].abs().to_bits());
                squares[lane] += f64::from(samples[lane]) * f64::from(samples[lane]);
            }
        }
        let peak = peaks.into_iter().fold(0, u32::max);
        self.peak = rest.iter().fold(f32::from_bits(peak), |peak, v| peak.max(v.abs()));
        self.squares += squares.iter().sum::<f64>();
        self.squares += rest.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        self.count += block.len() as u64;
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a level to 7 digits")]
    fn level(&self) -> Level {
        let rms = (self.squares / self.count.max(1) as f64).sqrt();
        Level { peak: self.peak, rms: rms as f32 }
    }
}

#[cfg(test)]
mod tests;
