//! What can be typed.

#![expect(clippy::doc_markdown, reason = "the doc comments here are the help text that people read")]

use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use headcast::core::FrameRate;
use headcast::nerf::body::BodyError;
use headcast::nerf::{Body, background};
use headcast::push::Format;

use crate::amount;
use crate::jobs::Pace;
use crate::studio::Look;

/// Talking-head video that plays while it is being made.
#[derive(Debug, Parser)]
#[command(name = "headcast", version, about, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeOptions,
}

impl Arguments {
    /// `headcast` alone, with or without options, is `headcast serve`.
    pub(super) fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the web page and the API (this is what plain `headcast` does)
    Serve(ServeOptions),
    /// Render speech to a folder: index.m3u8 first, segments as they come, then video.mp4
    Render(RenderOptions),
    /// Turn raw frames from stdin into a folder that plays while they come
    Pipe(PipeOptions),
    /// Import, list and inspect avatars
    #[command(subcommand)]
    Avatar(AvatarCommand),
    /// Add, list and use the speech networks that some avatars need (DeepSpeech, wav2vec2, HuBERT)
    #[command(subcommand)]
    Features(FeaturesCommand),
    /// List the voices that speak texts: programs found here, and what the options name
    Voices(VoicesOptions),
    /// Measure how fast this machine renders an avatar, and where the time goes
    Bench(BenchOptions),
}

#[derive(Debug, Args)]
pub(super) struct VoicesOptions {
    #[command(flatten)]
    pub(super) voices: VoiceOptions,
    #[command(flatten)]
    pub(super) data: DataOptions,
    /// Print JSON for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Voices that speak texts (espeak-ng, piper and say are found by themselves)")]
pub(super) struct VoiceOptions {
    /// Speech server that speaks as OpenAI's does (/v1/audio/speech); its key, if it asks for one, is HEADCAST_VOICE_KEY
    #[arg(long, value_name = "URL", env = "HEADCAST_VOICE_URL")]
    pub(super) voice_url: Option<String>,
    /// What that server calls its model
    #[arg(long, value_name = "NAME", default_value = "tts-1", env = "HEADCAST_VOICE_MODEL")]
    pub(super) voice_model: String,
    /// What it calls a voice, with its language if you like (xiaobei:zh); may be given several times [default: alloy]
    #[arg(long, value_name = "NAME[:LANGUAGE]", requires = "voice_url")]
    pub(super) voice_name: Vec<String>,
    /// File with the key of that server, instead of HEADCAST_VOICE_KEY
    #[arg(long, value_name = "FILE", requires = "voice_url")]
    pub(super) voice_key_file: Option<PathBuf>,
    /// Program that speaks: NAME=PROGRAM ARGUMENTS, with {wav} for the file that it writes (else standard output), {text_file}
    /// for the text (else standard input), {speed}, {wpm} and {slowness}; no shell; may be given several times
    #[arg(long, value_name = "NAME[:LANGUAGE]=COMMAND")]
    pub(super) voice_command: Vec<String>,
    /// How long a voice may take for a sentence: a number with s, m, h or d
    #[arg(long, value_name = "2m", default_value = "2m", value_parser = amount::duration)]
    pub(super) voice_patience: Duration,
}

#[derive(Debug, Args)]
pub(super) struct BenchOptions {
    /// Avatar: a name from `headcast avatar list`, or the folder of one
    #[arg(long, default_value = "milo", value_name = "NAME|DIR")]
    pub(super) avatar: String,
    /// Measure this profile alone [default: all of them]
    #[arg(long, value_enum)]
    pub(super) profile: Option<ProfileName>,
    /// Frames timed for each profile
    #[arg(long, default_value_t = BENCH_FRAMES, value_name = "N")]
    pub(super) frames: NonZeroUsize,
    /// Print one JSON object for programs
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) data: DataOptions,
    #[command(flatten)]
    pub(super) engine: EngineOptions,
}

const BENCH_FRAMES: NonZeroUsize = NonZeroUsize::new(8).unwrap();

#[derive(Debug, Args)]
pub(super) struct ServeOptions {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(super) host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 7860)]
    pub(super) port: u16,
    /// Jobs that are worked on at the same time; they share the rendering threads
    #[arg(long, default_value_t = NonZeroUsize::MIN, value_name = "N")]
    pub(super) jobs: NonZeroUsize,
    /// Render only what somebody is watching
    #[arg(long)]
    pub(super) pause_unwatched: bool,
    /// Give up jobs for whose frames from outside nobody came for this long: a number with s, m, h or d
    #[arg(long, default_value = "1h", value_name = "1h", value_parser = amount::duration)]
    pub(super) abandoned: Duration,
    /// Longest clip of frames from outside whose length nobody said before, which ends there: a number with s, m, h or d
    #[arg(long, default_value = "2h", value_name = "2h", value_parser = amount::duration)]
    pub(super) max_open: Duration,
    /// Delete jobs that have been over for this long: a number with s, m, h or d [default: never]
    #[arg(long, value_name = "7d", value_parser = amount::duration)]
    pub(super) keep: Option<Duration>,
    /// Most that all jobs may take on the disk, with K, M, G or T; finished ones make room, the oldest first
    /// [default: whatever there is]
    #[arg(long, value_name = "20G", value_parser = amount::bytes)]
    pub(super) max_disk: Option<u64>,
    /// Plan segments for this speed instead of measuring, so that two runs can be compared
    #[arg(long, value_name = "FPS", hide = true)]
    pub(super) assume_fps: Option<f64>,
    /// Render at most this many frames per second, so that what happens meanwhile depends on no machine's speed
    #[arg(long, value_name = "FPS", hide = true, value_parser = amount::speed)]
    pub(super) max_fps: Option<f64>,
    #[command(flatten)]
    pub(super) access: AccessOptions,
    #[command(flatten)]
    pub(super) voices: VoiceOptions,
    #[command(flatten)]
    pub(super) data: DataOptions,
    #[command(flatten)]
    pub(super) engine: EngineOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who may use the server (needed when --host is not this machine alone)")]
pub(super) struct AccessOptions {
    /// Ask for this user name and password; better given as HEADCAST_AUTH, which no process list shows
    #[arg(long, value_name = "USER:PASSWORD", env = "HEADCAST_AUTH", hide_env_values = true)]
    pub(super) auth: Option<String>,
    /// Ask for this token (Authorization: Bearer, a password with any user name, or /?token=); better given as
    /// HEADCAST_TOKEN, which no process list shows
    #[arg(long, value_name = "TOKEN", env = "HEADCAST_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Let in everybody who reaches the port
    #[arg(long, conflicts_with_all = ["auth", "token"])]
    pub(super) no_auth: bool,
    /// Name besides localhost and the address that browsers may use for this server, such as that of a proxy;
    /// may be given several times
    #[arg(long, value_name = "NAME")]
    pub(super) allow_host: Vec<String>,
    /// Site whose pages may show players of this server in a frame (/embed/ID), such as https://example.org, or * for
    /// all; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub(super) allow_embed: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct RenderOptions {
    /// Avatar: a name from `headcast avatar list`, or the folder of one
    #[arg(long, default_value = "milo", value_name = "NAME|DIR")]
    pub(super) avatar: String,
    /// Speech: wav, mp3, m4a, aac, flac, ogg, opus or webm
    #[arg(long, value_name = "FILE", required_unless_present_any = ["text", "text_file"])]
    pub(super) audio: Option<PathBuf>,
    /// Speak from here on, in seconds of the recording [default: its beginning]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, requires = "audio")]
    pub(super) start: Option<f64>,
    /// Speak up to here [default: its end]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, requires = "audio")]
    pub(super) end: Option<f64>,
    /// Text to be spoken instead; captions.vtt and captions.srt are written, too
    #[arg(long, conflicts_with_all = ["audio", "text_file", "features"])]
    pub(super) text: Option<String>,
    /// The same from a file (UTF-8)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audio", "features"])]
    pub(super) text_file: Option<PathBuf>,
    /// Who speaks it: a name from `headcast voices` [default: the first]
    #[arg(long, value_name = "NAME", conflicts_with = "audio")]
    pub(super) voice: Option<String>,
    /// How fast, 0.5 to 2
    #[arg(long, default_value = "1", value_parser = Pace::parse, conflicts_with = "audio")]
    pub(super) speed: Pace,
    #[command(flatten)]
    pub(super) voices: VoiceOptions,
    /// Audio features made elsewhere (.npy, one window per video frame) instead of the built-in extractor
    #[arg(long, value_name = "FILE.npy")]
    pub(super) features: Option<PathBuf>,
    /// Quality against speed
    #[arg(long, value_enum, default_value_t)]
    pub(super) profile: ProfileName,
    #[command(flatten)]
    pub(super) body: BodyOptions,
    /// Folder to write index.m3u8, the segments and video.mp4 to
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: PathBuf,
    /// Also write every frame as PNG into this folder
    #[arg(long, value_name = "DIR")]
    pub(super) frames: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) data: DataOptions,
    #[command(flatten)]
    pub(super) engine: EngineOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What the avatar does besides speaking")]
pub(super) struct BodyOptions {
    /// Eyes: recorded, blink (naturally, not as recorded), or how far they are shut, from 0 (open) to 1
    #[arg(long, default_value = "recorded", value_name = "EYES")]
    pub(super) eyes: String,
    /// Head: loop (all recorded poses, back and forth), or the number of one pose to keep, the first one is 0
    #[arg(long, default_value = "loop", value_name = "POSES")]
    pub(super) poses: String,
    /// What is behind the person: own (the avatar's picture), green, white, black, a colour such as #3070ff, or a PNG or JPEG
    /// file, whose middle fills the frame
    #[arg(long, default_value = "own", value_name = "COLOUR|FILE")]
    pub(super) background: String,
    /// Camera poses averaged over seven frames: on or off [default: as the avatar asks for]
    #[arg(long, value_name = "ON|OFF")]
    pub(super) smooth_path: Option<String>,
    /// Recorded eyes averaged over three frames: on or off [default: as the avatar asks for]
    #[arg(long, value_name = "ON|OFF")]
    pub(super) smooth_eyes: Option<String>,
    /// Lips that lag a little and jitter less: on or off [default: as the avatar asks for]
    #[arg(long, value_name = "ON|OFF")]
    pub(super) smooth_lips: Option<String>,
}

impl BodyOptions {
    /// # Errors
    /// What is wrong with one of them.
    pub(super) fn look(&self) -> Result<Look, String> {
        let mut body = self.body().map_err(|error| error.to_string())?;
        // The word that a job has for a picture that came with it is a file's name here, as any other.
        if self.background != "picture" && body.set("background", &self.background).is_ok() {
            return Ok(body.into());
        }
        let path = &self.background;
        let refused = |error: &dyn std::fmt::Display| {
            format!(
                "--background {path}: {error}; use own, green, white, black, a colour such as #3070ff, or a PNG or JPEG \
                 file"
            )
        };
        let picture = background::read(Path::new(path)).map_err(|error| refused(&error))?;
        Ok(Look::before(body, picture))
    }

    fn body(&self) -> Result<Body, BodyError> {
        let mut body = Body::default();
        let given = [
            ("eyes", Some(&self.eyes)),
            ("poses", Some(&self.poses)),
            ("smooth_path", self.smooth_path.as_ref()),
            ("smooth_eyes", self.smooth_eyes.as_ref()),
            ("smooth_lips", self.smooth_lips.as_ref()),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                body.set(name, value)?;
            }
        }
        Ok(body)
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: ffmpeg -i in.mov -f rawvideo -pix_fmt rgb24 - | headcast pipe --size 1280x720 -o out"
)]
pub(super) struct PipeOptions {
    /// Width and height of the frames, pixels
    #[arg(long, value_name = "WxH", value_parser = amount::size)]
    pub(super) size: (u32, u32),
    /// Frames per second: 25, 29.97, 30000/1001
    #[arg(long, value_name = "F", default_value = "25", value_parser = amount::frame_rate)]
    pub(super) fps: FrameRate,
    /// How pixels lie in memory, as ffmpeg spells it; yuv420p is taken as BT.709, limited range
    #[arg(long, value_enum, default_value_t)]
    pub(super) pix_fmt: PixelFormat,
    /// Sound: wav, mp3, m4a, aac, flac, ogg, opus or webm. Its length fixes the number of frames, so the playlist is
    /// complete before the first one
    #[arg(long, value_name = "FILE")]
    pub(super) audio: Option<PathBuf>,
    /// Number of frames, without sound; unknown otherwise, and the playlist grows
    #[arg(long, value_name = "N", conflicts_with = "audio")]
    pub(super) frames: Option<NonZeroU64>,
    /// Folder to write index.m3u8, the segments and video.mp4 to
    #[arg(short, long, value_name = "DIR", required_unless_present_any = ["job", "serve"])]
    pub(super) output: Option<PathBuf>,
    /// Send the frames to a running server instead: its address makes a new job, the address of a job goes on with it. If
    /// the connection breaks or the server is started again, this goes on by itself, for which it keeps the frames of the
    /// last five seconds, 256 MiB at most; after a minute without a server it gives up
    #[arg(long, value_name = "URL", conflicts_with_all = ["output", "serve"])]
    pub(super) job: Option<String>,
    /// The token that the server asks for; better given as HEADCAST_TOKEN, which no process list shows
    #[arg(long, value_name = "TOKEN", env = "HEADCAST_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Start a server, send the frames to it, and keep it until Ctrl-C
    #[arg(long, conflicts_with = "output")]
    pub(super) serve: bool,
    /// Port of --serve; 0 takes a free one
    #[arg(long, default_value_t = 7860, requires = "serve")]
    pub(super) port: u16,
    #[command(flatten)]
    pub(super) data: DataOptions,
    /// Go on with what an earlier run left in the folder: the first frame on stdin is the one that is missing
    #[arg(long, conflicts_with_all = ["job", "serve"])]
    pub(super) resume: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// [`Format`], as it is typed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PixelFormat {
    /// Red, green, blue
    #[default]
    Rgb24,
    /// Blue, green, red
    Bgr24,
    /// Red, green, blue and alpha, which is ignored
    Rgba,
    /// Luma, then a quarter each of blue and red difference
    Yuv420p,
}

impl From<PixelFormat> for Format {
    fn from(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Rgb24 => Self::Rgb24,
            PixelFormat::Bgr24 => Self::Bgr24,
            PixelFormat::Rgba => Self::Rgba,
            PixelFormat::Yuv420p => Self::Yuv420p,
        }
    }
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of them, for the length of the program")]
pub(super) enum AvatarCommand {
    /// Make an avatar from an upstream checkpoint and its data folder
    Import(ImportOptions),
    /// List the built-in and the imported avatars
    List {
        #[command(flatten)]
        data: DataOptions,
    },
    /// Render the picture and the preview that the page shows of an avatar; an import does so by itself
    Preview {
        /// Name of an imported avatar
        name: String,
        #[command(flatten)]
        library: DataOptions,
    },
    /// Say what a checkpoint or a folder holds, what it lacks, and what it cannot tell
    Inspect {
        /// A checkpoint file (.pth, .tar, .safetensors), an avatar, a training folder or a subject's data folder
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
        /// The subject's data folder, where it lies elsewhere than the checkpoint: says what it lacks, and whether the
        /// two belong together
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Print one JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum FeaturesCommand {
    /// Convert a model and keep it: a folder from Hugging Face (config.json, preprocessor_config.json, and
    /// model.safetensors or pytorch_model.bin), or the frozen graph of DeepSpeech 0.1.0
    Add {
        /// The folder, or the .pb file
        #[arg(value_name = "DIR|FILE.pb")]
        path: PathBuf,
        /// Name of the extractor: letters, digits, - and _ [default: that of the folder]
        #[arg(long)]
        name: Option<String>,
        /// Keep weights as 16-bit floats: half the memory, and half the disk but for DeepSpeech, whose file is kept as it is
        #[arg(long)]
        half: bool,
        /// Replace an extractor of the same name
        #[arg(long)]
        overwrite: bool,
        #[command(flatten)]
        data: DataOptions,
    },
    /// List the extractors, and say how to get those that are missing
    List {
        #[command(flatten)]
        data: DataOptions,
    },
    /// Say what a model's folder holds and whether it can be added
    Inspect {
        /// A folder from Hugging Face, a frozen graph of DeepSpeech 0.1.0, or the folder of an extractor
        #[arg(value_name = "DIR|FILE.pb")]
        path: PathBuf,
    },
    /// Write the features of a recording as upstream's script does: [N, 16, 29], [N, 16, 44], [N, 16, 32] or [N, 2, 1024]
    Extract(ExtractOptions),
}

#[derive(Debug, Args)]
pub(super) struct ExtractOptions {
    /// Speech: wav, mp3, m4a, aac, flac, ogg, opus or webm; the first channel is heard
    #[arg(value_name = "AUDIO")]
    pub(super) audio: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "X.npy")]
    pub(super) output: PathBuf,
    /// Name of an extractor from `headcast features list` [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(super) extractor: Option<String>,
    #[command(flatten)]
    pub(super) data: DataOptions,
    #[command(flatten)]
    pub(super) engine: EngineOptions,
}

#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    /// Checkpoint (ngp.pth; AD-NeRF: NNNNNN_head.tar), or a training folder, of which the latest is taken
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) checkpoint: PathBuf,
    /// AD-NeRF's torso (NNNNNN_body.tar) [default: the last one beside the checkpoint]
    #[arg(long, value_name = "FILE")]
    pub(super) body: Option<PathBuf>,
    /// AD-NeRF's config file [default: TorsoNeRFTest_config.txt of the data folder]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Upstream's data folder: transforms_train.json, au.csv, bc.jpg, torso_imgs/
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Pose file [default: transforms_train.json, else transforms_val.json of the data folder]
    #[arg(long, value_name = "FILE")]
    pub(super) transforms: Option<PathBuf>,
    /// Background [default: bc.jpg or bc.png of the data folder]
    #[arg(long, value_name = "FILE|white|black")]
    pub(super) background: Option<String>,
    /// Paste what is rendered into full-body pictures: a folder of <img_id>.jpg or .png, or one picture for all
    #[arg(long, alias = "fullbody_img", value_name = "DIR|FILE")]
    pub(super) fullbody_img: Option<PathBuf>,
    /// Column of those pictures at which the training video was cut out [default: 0]
    #[arg(long, alias = "fullbody_offset_x", value_name = "PIXELS", requires = "fullbody_img")]
    pub(super) fullbody_offset_x: Option<u32>,
    /// Row at which it was cut out [default: 0]
    #[arg(long, alias = "fullbody_offset_y", value_name = "PIXELS", requires = "fullbody_img")]
    pub(super) fullbody_offset_y: Option<u32>,
    /// Name of the avatar: letters, digits, - and _
    #[arg(long)]
    pub(super) name: String,
    /// What people see instead of the name
    #[arg(long)]
    pub(super) title: Option<String>,
    /// Whom to credit
    #[arg(long)]
    pub(super) credits: Option<String>,
    /// Licence of the avatar
    #[arg(long)]
    pub(super) licence: Option<String>,
    /// A text file to keep with it as LICENSE.txt
    #[arg(long, value_name = "FILE")]
    pub(super) licence_file: Option<PathBuf>,
    /// A small JPEG or PNG to show in lists
    #[arg(long, value_name = "FILE")]
    pub(super) thumbnail: Option<PathBuf>,
    /// Eye closure of every frame, 0 (open) to 1, instead of what the data say
    #[arg(long, value_name = "VALUE")]
    pub(super) fix_eye: Option<f32>,
    /// Upstream's --att, which a checkpoint cannot tell [default: 2]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) attention: Option<u8>,
    /// Upstream's --max_steps [default: 16]
    #[arg(long, value_name = "N")]
    pub(super) max_steps: Option<u32>,
    /// Average camera poses over seven frames, as RAD-NeRF (its default) and LiveTalking do
    #[arg(long)]
    pub(super) smooth_path: bool,
    /// Average eye values over three frames, likewise
    #[arg(long)]
    pub(super) smooth_eyes: bool,
    /// Blend each audio code with the one before, likewise
    #[arg(long)]
    pub(super) smooth_lips: bool,
    /// Smooth nothing, not even for RAD-NeRF
    #[arg(long, conflicts_with_all = ["smooth_path", "smooth_eyes", "smooth_lips"])]
    pub(super) no_smoothing: bool,
    /// Store weights as 16-bit floats: half the size
    #[arg(long)]
    pub(super) half: bool,
    /// Replace an avatar of the same name
    #[arg(long)]
    pub(super) overwrite: bool,
    #[command(flatten)]
    pub(super) library: DataOptions,
}

#[derive(Debug, Args)]
pub(super) struct DataOptions {
    /// Where avatars and jobs are kept [default: the user's data folder]
    #[arg(long, value_name = "DIR", env = "HEADCAST_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct EngineOptions {
    /// Rendering threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileName {
    /// Every ray has its own sample budget; independent of the rest of the picture
    #[default]
    Quality,
    /// The best of quality, fast and preview that this machine renders in real time, else one that is worth the wait
    Auto,
    /// Traces what has detail and interpolates what is smooth
    Fast,
    /// Half the resolution for the person, for weak machines
    Preview,
    /// Upstream's step schedule for the whole frame, to compare pictures with upstream's
    Parity,
}
