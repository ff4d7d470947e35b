//! `headcast pipe`: raw frames from stdin in, a folder that plays out; or a job of a server.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headcast::audio::Limits;
use headcast::core::Timeline;
use headcast::media::store::file_name;
use headcast::push::{Error, Format, Length, Output, Pixels, Settings, Stream, Viewer};
use headcast::{ClipFolder, Sound, SpeechError};

use super::args::PipeOptions;
use super::failure::Failure;
use super::progress::Progress;
use super::raw::{Next, RawFrames};
use super::remote::Remote;
use super::render::unreadable;
use super::sender::Sender;
use super::shutdown;
use crate::data_dir;
use crate::jobs::{self, Count, Pushed};
use crate::server;
use crate::studio::{EngineSettings, LocalStudio, Recording, build_notes, spools_beside};

pub(super) fn run(options: &PipeOptions) -> Result<(), Failure> {
    let progress = Progress::new(options.quiet);
    let frames = Frames::of(options)?;
    for note in build_notes() {
        progress.say(&format!("note: {note}"));
    }
    let interrupted = shutdown::flag().map_err(Failure::machine)?;
    if let Some(url) = &options.job {
        let (remote, job) = Remote::at(url, options.token.clone())?;
        return send(options, &frames, progress, &interrupted, &remote, job);
    }
    match &options.output {
        Some(output) => fill(options, &frames, progress, &interrupted, output),
        None => serve(options, &frames, progress, &interrupted),
    }
}

/// Frames into a folder.
fn fill(
    options: &PipeOptions,
    frames: &Frames,
    mut progress: Progress,
    interrupted: &AtomicBool,
    output: &Path,
) -> Result<(), Failure> {
    // Everything that can be wrong with what the user gave is found before anything is written.
    let length = length(options, &progress, interrupted, output)?;
    let rate = length.frame_rate();
    let (width, height) = options.size;
    let settings = Settings::new(width, height, length);
    settings.check().map_err(failure)?;
    let folder = if options.resume { ClipFolder::reopen(output)? } else { ClipFolder::create(output)? };
    let mut stream = Stream::open(settings, Output::Folder(folder.clone())).map_err(failure)?;
    if stream.next_frame() > 0 {
        progress.say(&format!("{} frames are there; going on with the next one", stream.next_frame()));
    }
    progress.start(stream.next_frame(), stream.total_frames(), rate);
    let mut shown = Shown { viewer: stream.viewer(), segments: stream.viewer().segments() };

    let written = frames.each(interrupted, &mut |bytes| {
        let pixels = Pixels::tight(frames.format, width, height, bytes).map_err(Failure::input)?;
        stream.write(&pixels).map_err(failure)?;
        progress.frame();
        shown.update(&progress);
        Ok(())
    });
    let finished = match written {
        Ok(()) => stream.finish().map_err(failure),
        Err(failure) => Err(match stream.abort(failure.reason()) {
            Ok(left) if left.segments == 0 => failure.with("nothing was kept"),
            Ok(left) => failure.with(format!("the {} frames that are finished play", left.frames)),
            // The stream has ended already, for the same reason.
            Err(_) => failure,
        }),
    };
    shown.update(&progress);
    progress.finish();
    let finished = finished?;
    for warning in &finished.warnings {
        progress.say(&format!("warning: {warning}"));
    }
    progress.say(&format!(
        "{} and {} are ready",
        folder.playlist_path().display(),
        folder.video_path().display()
    ));
    Ok(())
}

/// Frames to a running server.
fn send(
    options: &PipeOptions,
    frames: &Frames,
    mut progress: Progress,
    interrupted: &AtomicBool,
    remote: &Remote,
    job: Option<String>,
) -> Result<(), Failure> {
    let job = match job {
        Some(id) => remote.opened(id)?,
        None => {
            let (width, height) = options.size;
            let pushed = Pushed {
                width,
                height,
                frame_rate: options.fps,
                format: frames.format,
                count: match (&options.audio, options.frames) {
                    (Some(_), _) => Count::Sound,
                    (None, Some(frames)) => Count::Known(frames.get()),
                    (None, None) => Count::Open,
                },
            };
            remote.create(&pushed, options.audio.as_deref())?
        }
    };
    let bytes = frames.format.byte_len(options.size.0, options.size.1);
    if let (Some(ours), Some(wanted)) = (bytes, job.frame_bytes)
        && ours as u64 != wanted
    {
        return Err(Failure::input(format!(
            "the job's frames have {wanted} bytes each, and a {} frame of {}x{} has {ours}; give --size and --pix-fmt as \
             the job has them",
            frames.format.name(),
            options.size.0,
            options.size.1
        )));
    }
    print_page(remote, &job.id);
    if job.next_frame > 0 {
        progress.say(&format!("{} frames are there; going on with the next one", job.next_frame));
    }
    progress.start(job.next_frame, job.total, options.fps);
    let progress = RefCell::new(progress);
    let tell = |news: &str| progress.borrow().say(news);
    let mut sender = Sender::start(remote, &job, interrupted, &tell);
    let mut refused = false;
    let written = frames.each(interrupted, &mut |bytes| {
        // Said here: a server that refuses a body may close the line before its answer is read.
        let over = || Failure::input("the job is done and takes no frames; make a new one for these");
        let written = if job.done { Err(over()) } else { sender.write(bytes) };
        written.inspect_err(|failure| refused = !matches!(failure, Failure::Interrupted(_)))?;
        progress.borrow_mut().frame();
        Ok(())
    });
    let ended = match written {
        Ok(()) => sender.finish(),
        Err(failure) if refused && sender.is_over() => Err(failure),
        // The server's word, or a broken line: the job is no worse for it, and somebody else may be feeding it.
        Err(failure) if refused => {
            Err(failure.with("the job goes on where it is when this is run again with its address"))
        }
        Err(failure) => Err(match sender.give_up(failure.reason()) {
            true => failure.with("the job says so, and what there is of it plays"),
            false => failure,
        }),
    };
    progress.borrow().finish();
    ended?;
    tell("every frame is there");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the address is what the user waits for")]
fn print_page(remote: &Remote, id: &str) {
    println!("http://{}/j/{id}", remote.authority());
}

/// Frames to a server of our own, which stays until Ctrl-C.
fn serve(
    options: &PipeOptions,
    frames: &Frames,
    progress: Progress,
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    for note in jobs::prepare(&data_dir).map_err(Failure::machine)? {
        progress.say(&format!("note: {note}"));
    }
    let engine = EngineSettings::from_env(None).map_err(Failure::input)?;
    let studio = Arc::new(LocalStudio::new(&data_dir, engine));
    let config = server::Config { port: options.port, data_dir, ..server::Config::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::machine(format!("the server's threads cannot be started: {error}")))?;
    let server = runtime.block_on(server::bind(config, studio)).map_err(Failure::machine)?;
    let url = server.url();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async move {
        // Also when its sender is gone.
        let _ = stopped.await;
    }));
    let (remote, _) = Remote::at(&url, None)?;
    let sent = send(options, frames, progress, interrupted, &remote, None);
    if sent.is_ok() {
        // The video is there to be watched.
        while !interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    drop(stop);
    runtime.block_on(running).map_err(Failure::machine)?;
    sent
}

/// Raw frames on stdin.
struct Frames {
    raw: RawFrames,
    format: Format,
    size: (u32, u32),
}

impl Frames {
    fn of(options: &PipeOptions) -> Result<Self, Failure> {
        let format = Format::from(options.pix_fmt);
        let size @ (width, height) = options.size;
        if io::stdin().is_terminal() {
            return Err(Failure::input(
                "raw frames are read from stdin, and stdin is a terminal; send them through a pipe, such as \
                 `ffmpeg -i in.mov -f rawvideo -pix_fmt rgb24 - | headcast pipe --size 1280x720 -o out`",
            ));
        }
        let bytes = format.byte_len(width, height).ok_or_else(|| {
            Failure::input(format!(
                "frames of {width}x{height} pixels are not supported: use 16 to 4096 a side"
            ))
        })?;
        let raw = RawFrames::read(io::stdin(), bytes).map_err(Failure::machine)?;
        Ok(Self { raw, format, size })
    }

    /// Calls `write` with every frame until there is none left.
    fn each(
        &self,
        interrupted: &AtomicBool,
        write: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (width, height) = self.size;
        let mut count = 0;
        loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::Interrupted("interrupted".into()));
            }
            match self.raw.next(Duration::from_millis(100)) {
                Next::Frame(bytes) => {
                    write(&bytes)?;
                    self.raw.recycle(bytes);
                    count += 1;
                }
                Next::NotYet => {}
                Next::End => return Ok(()),
                Next::Partial(bytes) => {
                    let whole = self.format.byte_len(width, height).unwrap_or(0);
                    return Err(Failure::input(format!(
                        "after {count} whole frames, {bytes} bytes were left on stdin, and a {} frame of \
                         {width}x{height} has {whole}; --size or --pix-fmt is probably not what was sent, or the \
                         program before broke off",
                        self.format.name()
                    )));
                }
                Next::Failed(error) => {
                    return Err(Failure::machine(format!("stdin cannot be read: {error}")));
                }
            }
        }
    }
}

/// How long the clip is; goes through the recording, if there is one. Of a long one the compressed sound is put aside on
/// the disk of `output`.
fn length(
    options: &PipeOptions,
    progress: &Progress,
    interrupted: &AtomicBool,
    output: &Path,
) -> Result<Length, Failure> {
    let Some(path) = &options.audio else {
        let timeline = options.frames.and_then(|frames| Timeline::from_frames(frames.get(), options.fps));
        return Ok(timeline.map_or(Length::Open(options.fps), Length::Silent));
    };
    let recording = Recording::open(path).map_err(|error| unreadable(path, &error))?;
    let name = path.file_name().map(|name| name.to_string_lossy());
    let mut go_on = |_progress| {
        if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (limits, spools) = (Limits::default(), spools_beside(output));
    let sound = Sound::open_beside(recording, name.as_deref(), &limits, options.fps, &spools, &mut go_on);
    let sound = sound.map_err(|error| match error {
        SpeechError::Audio(headcast::audio::AudioError::Cancelled) => {
            Failure::Interrupted("interrupted; nothing was written".to_owned())
        }
        SpeechError::Audio(error) => Failure::input(format!("{}: {error}", path.display())),
        error => Failure::machine(error),
    })?;
    for warning in &sound.warnings {
        progress.say(&format!("warning: {warning}"));
    }
    Ok(Length::Sound(sound))
}

/// Which segments the user was told about.
struct Shown {
    viewer: Viewer,
    segments: usize,
}

impl Shown {
    fn update(&mut self, progress: &Progress) {
        let made = self.viewer.segments();
        (self.segments..made).for_each(|index| progress.segment(&file_name(index)));
        self.segments = made;
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Folder(error) => error.into(),
        Error::Video(_) | Error::Pixels(_) | Error::WrongSize { .. } | Error::Mismatch { .. } => {
            Failure::input(error)
        }
        Error::NoFrame { missing: None } => Failure::input("no frame came on stdin; nothing was kept"),
        Error::NoFrame { missing: Some(missing) } => {
            Failure::input(format!("no frame came on stdin, and {missing} are missing"))
        }
        error => Failure::machine(error),
    }
}
