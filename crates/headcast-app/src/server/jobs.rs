//! `/api/v1/jobs`: make, look, stop, forget.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headcast::audio::Cut;
use headcast::nerf::body::Behind;
use headcast::nerf::{Body, background};
use headcast::push::Format;
use schemars::JsonSchema;
use serde::Deserialize;
use tempfile::TempPath;

use super::json::JobView;
use super::problem::Problem;
use super::query::Asked;
use super::{AppState, FieldError, Form, read_form};
use crate::amount;
use crate::jobs::{Count, CreateError, Input, Job, JobRequest, OpenError, Pace, Pushed, Script, Title};
use crate::studio;
use crate::voices::VoiceError;
use crate::voices::sentences::sentences;

/// The job of that name in the address.
pub(super) fn find(state: &AppState, id: &str) -> Result<Arc<Job>, Problem> {
    id.parse().ok().and_then(|id| state.jobs().get(id)).ok_or_else(Problem::no_such_job)
}

pub(super) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    // Before the upload, not after it.
    state.jobs().has_room()?;
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes();
        kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/json"))
    });
    let form = if is_json {
        from_json(&state, request).await?
    } else {
        let turn = state.upload_turn()?;
        let config = state.config();
        let uploads = config.data_dir.join("uploads");
        let form = read_form(request, &uploads, config.max_audio_bytes, config.max_features_bytes).await?;
        drop(turn);
        form
    };
    let job = submit(&state, form).await?;
    Ok(created(&state, &job))
}

/// Makes a job of a form.
pub(super) async fn submit(state: &AppState, form: Form) -> Result<Arc<Job>, Problem> {
    let (request, files) = to_request(state, form)?;
    accept(state, request, files).await
}

/// A new job in JSON: of what is on the server already.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJob {
    /// The recording, from `/api/v1/uploads`; or `sample` instead. It is used up, also when it is refused.
    pub(super) upload: Option<String>,
    /// A clip of `/api/v1/samples`.
    pub(super) sample: Option<String>,
    /// A text to be spoken, of at most `text_chars` of `/api/v1/info`; with `upload` or `sample`, what is said in it, for
    /// captions.
    pub(super) text: Option<String>,
    /// Who speaks it: one of `/api/v1/voices`; default the first.
    pub(super) voice: Option<String>,
    /// How fast, 0.5 to 2; default 1.
    pub(super) speed: Option<f64>,
    /// What the video is called, at most 120 characters on one line; default the name of the recording.
    pub(super) title: Option<String>,
    /// Where the part of the clip begins that is spoken, in seconds; default its beginning. The recording is kept whole.
    pub(super) start: Option<f64>,
    /// Where that part ends, in seconds from the beginning of the clip; default its end.
    pub(super) end: Option<f64>,
    /// Default the first of `/api/v1/avatars`.
    pub(super) avatar: Option<String>,
    /// Default the first of `profiles` of `/api/v1/info`.
    pub(super) profile: Option<String>,
    /// What the avatar does besides speaking: `name=value` pairs between spaces, such as `eyes=blink background=green`.
    /// `eyes`: `recorded`, `blink`, or how far they are shut, 0 to 1. `poses`: `loop`, or the number of one to keep.
    /// `background`: `own`, `green`, `white`, `black`, `#rrggbb`, or `picture`, which `background` of the job implies. `smooth_path`, `smooth_eyes`, `smooth_lips`: `on`, `off`.
    pub(super) body: Option<String>,
    /// Speech features made elsewhere, `.npy`, from `/api/v1/uploads`.
    pub(super) features: Option<String>,
    /// The picture behind the person, PNG or JPEG of at most 16 MB, from `/api/v1/uploads`; its middle fills the frame.
    pub(super) background: Option<String>,
    /// Width and height of frames that come from outside, such as `512x512`; there is no avatar then.
    pub(super) size: Option<String>,
    /// How many of them come per second: `25`, `29.97`, `30000/1001`. Default 25.
    pub(super) fps: Option<String>,
    /// `rgb24`, `bgr24`, `rgba` or `yuv420p`. Default `rgb24`.
    pub(super) pix_fmt: Option<String>,
    /// How many there are; only without sound, whose length says it otherwise. Without both the length is open: the clip
    /// is as long as frames come, until `/end`.
    pub(super) frames: Option<u64>,
}

/// Longest JSON that is accepted without a text, in bytes.
const MAX_JSON: usize = 16 << 10;

/// With one, whose every character may be escaped as two UTF-16 units.
const MAX_JSON_WITH_TEXT: usize = 12 * Script::MAX_CHARS + MAX_JSON;

async fn from_json(state: &AppState, request: Request) -> Result<Form, Problem> {
    let malformed = |reason: String| {
        let detail = format!("the body is not the JSON of a new job: {reason}; see /api/v1/openapi.json");
        Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
    };
    let body = axum::body::to_bytes(request.into_body(), MAX_JSON_WITH_TEXT).await;
    let body = body.map_err(|error| malformed(error.to_string()))?;
    let wish: NewJob = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    if wish.text.is_none() && body.len() > MAX_JSON {
        return Err(malformed("it is far too long".to_owned()));
    }
    gather(state, wish).await
}

/// Everything that the wish names, as if it had come with it.
pub(super) async fn gather(state: &AppState, wish: NewJob) -> Result<Form, Problem> {
    match (&wish.upload, &wish.sample) {
        // Frames may come without sound.
        (None, None) if wish.size.is_none() && wish.text.is_none() => return Err(FieldError::NoAudio.into()),
        (Some(_), Some(_)) => return Err(FieldError::TwoAudios.into()),
        _ => {}
    }
    let take = |id: String| {
        state.uploads().take(&id).ok_or_else(|| {
            refused(
                "no_such_upload",
                format!("there is no upload {id:?}; each is good for one job, and for an hour"),
            )
        })
    };
    let config = state.config();
    let fits = |name, bytes: u64, limit: u64| match bytes {
        0 => Err(FieldError::Empty { name }),
        _ if bytes > limit => Err(FieldError::TooLarge { name, limit }),
        _ => Ok(()),
    };
    let mut form = Form {
        sample: wish.sample,
        text: wish.text,
        voice: wish.voice,
        speed: wish.speed.map(|speed| speed.to_string()),
        title: wish.title,
        start: wish.start.map(|start| start.to_string()),
        end: wish.end.map(|end| end.to_string()),
        avatar: wish.avatar,
        profile: wish.profile,
        body: wish.body,
        size: wish.size,
        fps: wish.fps,
        pix_fmt: wish.pix_fmt,
        frames: wish.frames.map(|frames| frames.to_string()),
        ..Form::default()
    };
    if let Some(id) = wish.upload {
        let upload = take(id)?;
        fits("audio", upload.bytes, config.max_audio_bytes)?;
        form.audio = Some((upload.path, upload.name));
    }
    if let Some(id) = wish.features {
        let upload = take(id)?;
        fits("features", upload.bytes, config.max_features_bytes)?;
        form.features = Some(upload.path);
    }
    if let Some(id) = wish.background {
        let upload = take(id)?;
        fits("background", upload.bytes, background::MAX_BYTES)?;
        form.background = Some(upload.path);
    }
    Ok(form)
}

/// Files of a request that are there as long as this is.
#[derive(Debug, Default)]
struct Files {
    audio: Option<TempPath>,
    features: Option<TempPath>,
    background: Option<TempPath>,
}

/// Makes a job of a request that names what there is.
async fn accept(state: &AppState, request: JobRequest, files: Files) -> Result<Arc<Job>, Problem> {
    // Both read or write files, and an accepted job is on the disk.
    tokio::task::spawn_blocking({
        let state = state.clone();
        move || {
            let mut request = request;
            if request.is_unspoken()
                && let Some(wanted) = request.script.as_mut().and_then(|script| script.voice.as_mut())
            {
                *wanted = voice(&state, wanted)?;
            }
            match &request.pushed {
                Some(pushed) => studio::pushed::check(&request, pushed)?,
                None => state.studio().check(&request)?,
            }
            let job = state.jobs().create(request, files.audio)?;
            // The job has them under names of its own.
            drop((files.features, files.background));
            Ok::<_, Problem>(job)
        }
    })
    .await
    .map_err(Problem::internal)?
}

fn created(state: &AppState, job: &Job) -> Response {
    let location = format!("/api/v1/jobs/{}", job.id());
    let body = Json(JobView::full(state.jobs(), job));
    (StatusCode::CREATED, [(header::LOCATION, location)], body).into_response()
}

fn to_request(state: &AppState, form: Form) -> Result<(JobRequest, Files), Problem> {
    let studio = state.studio();
    let pushed = pushed(&form)?;
    let cut = cut(&form)?;
    let script = script(&form, form.audio.is_some() || form.sample.is_some())?;
    let avatar = match pushed {
        // There is no face but that of the frames.
        Some(_) => String::new(),
        None => avatar(state, form.avatar)?,
    };
    if let Some(profile) = &form.profile {
        check_profile(state, profile)?;
    }
    let title = title(form.title.as_deref().unwrap_or_default())?;
    let (audio, audio_name, stored) = match (form.audio, form.sample) {
        (Some((path, name)), _) => (Input::File(path.to_path_buf()), name, Some(path)),
        (None, Some(id)) => {
            let sample = studio.samples().into_iter().find(|sample| sample.id == id).ok_or_else(|| {
                refused("no_such_sample", format!("there is no sample clip {id:?}; see /api/v1/samples"))
            })?;
            (Input::Memory(sample.bytes), sample.file_name, None)
        }
        (None, None) if pushed.is_some() => {
            (Input::Memory(Bytes::new()), form.size.unwrap_or_default(), None)
        }
        (None, None) if script.is_some() => (Input::Memory(Bytes::new()), SPOKEN_NAME.to_owned(), None),
        (None, None) => return Err(FieldError::NoAudio.into()),
    };
    let features = form.features.as_deref().map(|path| Input::File(path.to_path_buf()));
    let mut body = form.body.unwrap_or_default();
    let background = form.background.as_deref().map(|path| Input::File(path.to_path_buf()));
    if background.is_some() {
        body = before_picture(body)?;
    }
    let profile = form.profile;
    // The studio chooses, and a voice tells.
    let (extractor, captions) = (None, None);
    let request = JobRequest {
        audio,
        audio_name,
        title,
        cut,
        script,
        captions,
        avatar,
        profile,
        body,
        features,
        extractor,
        background,
        pushed,
    };
    Ok((request, Files { audio: stored, features: form.features, background: form.background }))
}

/// What the file of a spoken text is called.
const SPOKEN_NAME: &str = "speech.wav";

/// What is to be said, or is said in the recording.
fn script(form: &Form, has_audio: bool) -> Result<Option<Script>, Problem> {
    let unusable = |reason: &str| Err(refused("text_unusable", reason));
    let Some(text) = &form.text else {
        return match (&form.voice, &form.speed) {
            (None, None) => Ok(None),
            _ => unusable("there is a voice or a speed and no text; send the text that is to be spoken"),
        };
    };
    if form.size.is_some() {
        return unusable("frames that come from outside bring their own sound; leave the text out");
    }
    let text = Script::plain(text);
    let length = text.chars().count();
    if length > Script::MAX_CHARS {
        return Err(OpenError::from(VoiceError::TooLong { length, limit: Script::MAX_CHARS }).into());
    }
    if sentences(&text).is_empty() {
        return Err(OpenError::from(VoiceError::Nothing).into());
    }
    let speed = form.speed.as_deref().map_or(Ok(Pace::default()), Pace::parse);
    let speed = speed
        .map_err(|error| refused("text_unusable", format!("the field speed cannot be used: {error}")))?;
    if has_audio && (form.voice.is_some() || form.speed.is_some()) {
        return unusable("there is a recording, so no voice speaks the text; leave voice and speed out");
    }
    if !has_audio && (form.start.is_some() || form.end.is_some()) {
        return unusable(
            "a part is taken of a recording; leave start and end out where a voice speaks a text",
        );
    }
    if !has_audio && form.features.is_some() {
        return unusable("speech features belong to a recording; leave them out where a voice speaks a text");
    }
    // Without a name, the default one: chosen when voices are known.
    let voice = (!has_audio).then(|| form.voice.clone().unwrap_or_default());
    Ok(Some(Script { text, voice, speed }))
}

/// The voice that is meant; voices may have to be looked for, so this blocks.
fn voice(state: &AppState, wanted: &str) -> Result<String, Problem> {
    let names: Vec<_> = state.studio().voices().into_iter().map(|listed| listed.voice.name).collect();
    match wanted {
        "" => names.into_iter().next().ok_or_else(|| OpenError::from(VoiceError::None).into()),
        _ if names.is_empty() => Err(OpenError::from(VoiceError::None).into()),
        name if names.iter().any(|known| known == name) => Ok(name.to_owned()),
        name => Err(OpenError::from(VoiceError::Unknown { name: name.to_owned() }).into()),
    }
}

fn title(text: &str) -> Result<Option<Title>, Problem> {
    Title::parse(text).map_err(|error| refused("title_unusable", error.to_string()))
}

/// What is spoken of the clip.
fn cut(form: &Form) -> Result<Cut, Problem> {
    let wrong = |detail: String| refused("audio_cut", detail);
    let number = |name: &str, text: &Option<String>| {
        let number = text.as_deref().map(|text| text.trim().parse::<f64>()).transpose();
        number.map_err(|error| {
            let how = "send seconds from the beginning, such as 1.5";
            wrong(format!("the field {name} is not a number ({error}); {how}"))
        })
    };
    let (start, end) = (number("start", &form.start)?, number("end", &form.end)?);
    Cut::from_secs(start, end).map_err(|error| wrong(error.to_string()))
}

/// `body` of a job that a picture came with.
fn before_picture(body: String) -> Result<String, Problem> {
    // What cannot be read is refused with the other fields.
    match body.parse().map(|body: Body| body.background) {
        Ok(Behind::Own) => Ok(format!("{body} background=picture").trim_start().to_owned()),
        Ok(Behind::Colour(_)) => Err(refused(
            "body_unusable",
            "a picture came as background, and body names a colour; send one of them",
        )),
        Ok(Behind::Picture) | Err(_) => Ok(body),
    }
}

/// The frames that are announced; `None` where an avatar is to speak.
fn pushed(form: &Form) -> Result<Option<Pushed>, Problem> {
    let wrong = |name: &str, reason: &dyn std::fmt::Display| {
        refused("frames_unusable", format!("the field {name} cannot be used: {reason}"))
    };
    let Some(size) = &form.size else {
        return match (&form.fps, &form.pix_fmt, &form.frames) {
            (None, None, None) => Ok(None),
            _ => Err(wrong("size", &"it is missing; send the size of the frames, such as 512x512")),
        };
    };
    let (width, height) = amount::size(size).map_err(|reason| wrong("size", &reason))?;
    let fps = form.fps.as_deref().unwrap_or("25");
    let frame_rate = amount::frame_rate(fps).map_err(|reason| wrong("fps", &reason))?;
    let format = form.pix_fmt.as_deref().unwrap_or("rgb24");
    let format =
        Format::from_name(format).ok_or_else(|| wrong("pix_fmt", &"use rgb24, bgr24, rgba or yuv420p"))?;
    let frames = form.frames.as_deref().map(str::parse).transpose();
    let frames: Option<u64> = frames.map_err(|error| wrong("frames", &error))?;
    let sounds = form.audio.is_some() || form.sample.is_some();
    let count = match frames {
        Some(_) if sounds => return Err(wrong("frames", &"the length of the sound says it; leave it out")),
        Some(frames) => Count::Known(frames),
        None if sounds => Count::Sound,
        None => Count::Open,
    };
    let others = [
        ("start", form.start.is_some()),
        ("end", form.end.is_some()),
        ("avatar", form.avatar.is_some()),
        ("profile", form.profile.is_some()),
        ("body", form.body.is_some()),
        ("features", form.features.is_some()),
        ("background", form.background.is_some()),
    ];
    match others.iter().find(|(_, there)| *there) {
        Some((name, _)) => Err(wrong(name, &"frames that come from outside have none")),
        None => Ok(Some(Pushed { width, height, frame_rate, format, count })),
    }
}

fn refused(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

/// The avatar of that name, or the default one.
fn avatar(state: &AppState, wanted: Option<String>) -> Result<String, Problem> {
    let names: Vec<_> = state.studio().avatars().into_iter().map(|avatar| avatar.name).collect();
    match wanted {
        Some(name) if names.contains(&name) => Ok(name),
        Some(name) => {
            let there = names.join(", ");
            Err(refused("no_such_avatar", format!("there is no avatar {name:?}; choose one of: {there}")))
        }
        None => names.into_iter().next().ok_or_else(|| {
            refused("no_avatar", "there is no avatar; import one with `headcast avatar import`")
        }),
    }
}

fn check_profile(state: &AppState, profile: &String) -> Result<(), Problem> {
    let profiles = state.studio().profiles();
    if profiles.contains(profile) {
        return Ok(());
    }
    let there = profiles.join(", ");
    Err(refused("no_such_profile", format!("there is no profile {profile:?}; choose one of: {there}")))
}

/// What may be different in a job that is made again. What is left out stays as it was.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rerun {
    /// Another avatar.
    avatar: Option<String>,
    /// Another quality setting.
    profile: Option<String>,
    /// What else the avatar does, all of it.
    body: Option<String>,
}

pub(super) async fn rerun(
    State(state): State<AppState>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    if job.request().pushed.is_some() {
        let detail =
            "the frames of this job came from outside and are not kept; make a new job and send them again";
        return Err(Problem::new(StatusCode::CONFLICT, "input_gone", detail));
    }
    let change: Rerun = if body.is_empty() {
        Rerun::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            let detail = format!("the body is not {{\"avatar\": …, \"profile\": …, \"body\": …}}: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
        })?
    };
    state.jobs().has_room()?;
    let gone = || {
        let detail = "the recording of this job is not kept any more; send it again as a new job";
        Problem::new(StatusCode::CONFLICT, "input_gone", detail)
    };
    let stored = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || {
            let request = state.jobs().stored_request(&job)?;
            match &request.audio {
                Input::File(path) => std::fs::metadata(path).map(|_| request),
                Input::Memory(_) => Ok(request),
            }
        }
    });
    let mut request = stored.await.map_err(Problem::internal)?.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => gone(),
        _ => FieldError::Disk(error).into(),
    })?;
    // Also when it is the same: it may be gone by now.
    request.avatar = avatar(&state, Some(change.avatar.unwrap_or(request.avatar)))?;
    if let Some(profile) = change.profile {
        check_profile(&state, &profile)?;
        request.profile = Some(profile);
    }
    if let Some(body) = change.body {
        request.body = body;
    }
    if request.body.parse().is_ok_and(|body: Body| body.background != Behind::Picture) {
        request.background = None;
    }
    // The new job takes a copy of the recording: each has files of its own.
    let job = accept(&state, request, Files::default()).await?;
    Ok(created(&state, &job))
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let (status, code) = match &error {
            FieldError::Malformed { .. } => (StatusCode::BAD_REQUEST, "form_malformed"),
            FieldError::Unknown { .. } => (StatusCode::BAD_REQUEST, "field_unknown"),
            FieldError::Twice { .. } => (StatusCode::BAD_REQUEST, "field_twice"),
            FieldError::NotText { .. }
            | FieldError::NotNumber { .. }
            | FieldError::NotTrueOrFalse { .. }
            | FieldError::TorsoName
            | FieldError::LandmarksName
            | FieldError::AvatarFileName { .. } => (StatusCode::BAD_REQUEST, "field_not_text"),
            FieldError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            FieldError::Empty { name: "audio" } => (StatusCode::UNPROCESSABLE_ENTITY, "audio_empty"),
            FieldError::Empty { name: "features" } => (StatusCode::UNPROCESSABLE_ENTITY, "features_empty"),
            FieldError::Empty { name: "background" } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "background_empty")
            }
            FieldError::Empty { .. } | FieldError::Missing { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "field_missing")
            }
            FieldError::NoAudio => (StatusCode::UNPROCESSABLE_ENTITY, "audio_missing"),
            FieldError::TwoAudios => (StatusCode::UNPROCESSABLE_ENTITY, "audio_twice"),
            FieldError::InspectionAndFiles => (StatusCode::BAD_REQUEST, "field_twice"),
            FieldError::Stalled => (StatusCode::REQUEST_TIMEOUT, "upload_stalled"),
            FieldError::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, "disk"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// Which part of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    limit: Option<usize>,
    after: Option<String>,
}

const DEFAULT_PART: usize = 100;
const LARGEST_PART: usize = 500;

pub(super) async fn list(
    State(state): State<AppState>,
    Asked(part): Asked<Part>,
) -> Result<Response, Problem> {
    let limit = part.limit.unwrap_or(DEFAULT_PART);
    if !(1..=LARGEST_PART).contains(&limit) {
        let detail = format!("limit is {limit}; send 1 to {LARGEST_PART}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "query_malformed", detail));
    }
    let mut jobs = state.jobs().list();
    jobs.reverse();
    let start = match &part.after {
        None => 0,
        Some(id) => {
            let last = jobs.iter().position(|job| job.id().as_str() == id);
            1 + last.ok_or_else(Problem::no_such_job)?
        }
    };
    let end = (start + limit).min(jobs.len());
    let views: Vec<_> = jobs[start..end].iter().map(|job| JobView::brief(state.jobs(), job)).collect();
    let mut response = Json(views).into_response();
    if end < jobs.len() {
        // RFC 8288
        let last = jobs[end - 1].id();
        let next = format!("</api/v1/jobs?limit={limit}&after={last}>; rel=\"next\"");
        response.headers_mut().insert(header::LINK, next.try_into().map_err(Problem::internal)?);
    }
    Ok(response)
}

pub(super) async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

/// Another title for a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// At most 120 characters on one line; an empty one is the name of the recording.
    title: String,
}

pub(super) async fn rename(
    State(state): State<AppState>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    let Rename { title: text } = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("the body is not {{\"title\": …}}: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
    })?;
    let title = title(&text)?;
    // Waits for the disk.
    let renamed = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || state.jobs().rename(&job, title)
    });
    renamed.await.map_err(Problem::internal)?.map_err(CreateError::Table)?;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

pub(super) async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    // Waits for the disk.
    let cancelled = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || state.jobs().cancel(&job)
    });
    cancelled.await.map_err(Problem::internal)?;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

pub(super) async fn remove(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = find(&state, &id)?.id();
    // Deletes files.
    tokio::task::spawn_blocking(move || state.jobs().remove(id)).await.map_err(Problem::internal)?;
    Ok(StatusCode::NO_CONTENT)
}
