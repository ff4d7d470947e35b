//! The form that becomes a job: every field known, bounded, and there at most once.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use futures_util::Stream;
use headcast::nerf::background;
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;

use super::stall::Stalled;
use crate::jobs::{Script, Title};

/// A form as it was sent.
#[derive(Debug, Default)]
pub struct Form {
    /// The audio file, on disk, and its name without any folder.
    pub audio: Option<(TempPath, String)>,
    /// Name of a sample clip, instead of an audio file.
    pub sample: Option<String>,
    /// What the video is called.
    pub title: Option<String>,
    /// Where the part of the clip begins that is spoken, in seconds.
    pub start: Option<String>,
    /// Where it ends.
    pub end: Option<String>,
    /// A text to be spoken, or what is said in the audio file.
    pub text: Option<String>,
    /// Name of the voice that speaks it.
    pub voice: Option<String>,
    /// How fast.
    pub speed: Option<String>,
    /// Name of the avatar.
    pub avatar: Option<String>,
    /// Name of the quality setting.
    pub profile: Option<String>,
    /// What the avatar does besides speaking.
    pub body: Option<String>,
    /// Speech features, `.npy`, on disk.
    pub features: Option<TempPath>,
    /// The picture behind the person, on disk.
    pub background: Option<TempPath>,
    /// Width and height of frames that come from outside, `WxH`.
    pub size: Option<String>,
    /// How many of them come per second.
    pub fps: Option<String>,
    /// Layout of their pixels.
    pub pix_fmt: Option<String>,
    /// How many there are.
    pub frames: Option<String>,
}

/// Why a form cannot be read. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// Send `multipart/form-data` with a boundary, whole.
    #[error("the form cannot be read ({reason}); send multipart/form-data")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Leave it out, or correct its name.
    #[error("the form has a field {name:?}; the fields are {fields}")]
    Unknown {
        /// Its name, shortened.
        name: String,
        /// Those that there are.
        fields: &'static str,
    },
    /// Send it once.
    #[error("the form has the field {name} twice; send it once")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// Send plain UTF-8 text, and not too much of it.
    #[error("the field {name} is not UTF-8 text of at most {limit} bytes")]
    NotText {
        /// Its name.
        name: &'static str,
        /// Bytes that are accepted.
        limit: usize,
    },
    /// Send a number with a point.
    #[error("the field {name} is not a number")]
    NotNumber {
        /// Its name.
        name: &'static str,
    },
    /// Send one of the two.
    #[error("the field {name} is neither true nor false")]
    NotTrueOrFalse {
        /// Its name.
        name: &'static str,
    },
    /// Send it.
    #[error("the form has no {name}; send it")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// Send the pictures of `torso_imgs` under their own names.
    #[error("a torso picture is called by its frame, as 12.png, and there are at most 20000 of them")]
    TorsoName,
    /// Send landmark files under their own names.
    #[error("a landmark file is called by its frame, as 12.lms, and there are at most 20000 of them")]
    LandmarksName,
    /// Send it under the name that upstream gave it.
    #[error(
        "{name:?} is no file that an avatar is made of; those are ngp.pth, NNNNNN_head.tar and NNNNNN_body.tar, \
         transforms_train.json, transforms_val.json, data_kf.json, au.csv, bc.jpg or bc.png and AD-NeRF's config files"
    )]
    AvatarFileName {
        /// As it was sent, shortened.
        name: String,
    },
    /// Send one of the two.
    #[error("the form has both an inspection and files of its own; send one of them")]
    InspectionAndFiles,
    /// Send a smaller file.
    #[error("the field {name} is larger than the {} MB that this server accepts; send a shorter, smaller or compressed one", limit / 1_000_000)]
    TooLarge {
        /// Its name.
        name: &'static str,
        /// Bytes that are accepted.
        limit: u64,
    },
    /// Choose a file that has something in it.
    #[error("the {name} file is empty; choose another one")]
    Empty {
        /// Its field.
        name: &'static str,
    },
    /// Send one of the two.
    #[error(
        "the form has no audio; send an audio file, a text to be spoken, or the name of a sample clip as sample"
    )]
    NoAudio,
    /// Send one of the two.
    #[error("the form has both an audio file and a sample clip; send one of them")]
    TwoAudios,
    /// Send it again, over a better connection.
    #[error("the upload came too slowly and was given up; send it again")]
    Stalled,
    /// Free some space.
    #[error("the upload cannot be stored ({0}); free some space and try again")]
    Disk(#[from] std::io::Error),
}

const FIELDS: &str = "audio, sample, text, voice, speed, title, start, end, avatar, profile, body, background and features; of frames from outside size, fps, pix_fmt and frames";

/// Longest text field in bytes.
const MAX_TEXT: usize = 64;

/// Longest `body`: every choice made takes less.
const MAX_BODY: usize = 128;

/// Longest text in bytes.
const MAX_SCRIPT: usize = 4 * Script::MAX_CHARS;

/// Longest name of a voice in bytes.
const MAX_VOICE: usize = 256;

/// Longest title in bytes.
const MAX_TITLE: usize = 4 * Title::MAX_CHARS;

/// Bytes that may be under way between the network and a field: more than any field header has.
const SLACK: u64 = 1 << 20;

/// Reads a form, its files straight to the disk in `uploads`, where each goes away when its [`TempPath`] is dropped.
///
/// Memory is bounded by about a megabyte. Sizes are checked as bytes arrive, so what is
/// too large is not stored first.
///
/// # Errors
/// The first thing wrong with it.
pub async fn read_form(
    request: Request,
    uploads: &Path,
    max_audio_bytes: u64,
    max_features_bytes: u64,
) -> Result<Form, FieldError> {
    let (mut multipart, taken) = open(request).await?;
    let mut form = Form::default();
    while let Some(mut field) = next_field(&mut multipart, &taken).await? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "audio" => {
                refuse_second("audio", form.audio.is_some())?;
                let file_name = safe_file_name(field.file_name().unwrap_or_default());
                let (path, bytes) = store(&mut field, "audio", uploads, max_audio_bytes, &taken).await?;
                if bytes == 0 {
                    return Err(FieldError::Empty { name: "audio" });
                }
                form.audio = Some((path, file_name));
            }
            "features" => {
                refuse_second("features", form.features.is_some())?;
                let (path, bytes) =
                    store(&mut field, "features", uploads, max_features_bytes, &taken).await?;
                if bytes == 0 {
                    return Err(FieldError::Empty { name: "features" });
                }
                form.features = Some(path);
            }
            "background" => {
                refuse_second("background", form.background.is_some())?;
                let limit = background::MAX_BYTES;
                let (path, bytes) = store(&mut field, "background", uploads, limit, &taken).await?;
                if bytes == 0 {
                    return Err(FieldError::Empty { name: "background" });
                }
                form.background = Some(path);
            }
            "sample" => put_text("sample", &mut form.sample, &mut field, &taken).await?,
            "start" => put_text("start", &mut form.start, &mut field, &taken).await?,
            "end" => put_text("end", &mut form.end, &mut field, &taken).await?,
            "avatar" => put_text("avatar", &mut form.avatar, &mut field, &taken).await?,
            "size" => put_text("size", &mut form.size, &mut field, &taken).await?,
            "fps" => put_text("fps", &mut form.fps, &mut field, &taken).await?,
            "pix_fmt" => put_text("pix_fmt", &mut form.pix_fmt, &mut field, &taken).await?,
            "frames" => put_text("frames", &mut form.frames, &mut field, &taken).await?,
            "profile" => put_text("profile", &mut form.profile, &mut field, &taken).await?,
            "text" => put_text_within(MAX_SCRIPT, "text", &mut form.text, &mut field, &taken).await?,
            "voice" => put_text_within(MAX_VOICE, "voice", &mut form.voice, &mut field, &taken).await?,
            "speed" => put_text("speed", &mut form.speed, &mut field, &taken).await?,
            "title" => put_text_within(MAX_TITLE, "title", &mut form.title, &mut field, &taken).await?,
            "body" => put_text_within(MAX_BODY, "body", &mut form.body, &mut field, &taken).await?,
            _ => {
                return Err(FieldError::Unknown { name: name.chars().take(40).collect(), fields: FIELDS });
            }
        }
    }
    match (&form.audio, &form.sample) {
        // Frames may come without sound.
        (None, None) if form.size.is_none() && form.text.is_none() => Err(FieldError::NoAudio),
        (Some(_), Some(_)) => Err(FieldError::TwoAudios),
        _ => Ok(form),
    }
}

/// Begins to read a form, with its body metered.
pub(super) async fn open(request: Request) -> Result<(Multipart, Arc<AtomicU64>), FieldError> {
    let taken = Arc::new(AtomicU64::new(0));
    let request = request.map(|body| Body::from_stream(Metered::new(body, Arc::clone(&taken))));
    let multipart = Multipart::from_request(request, &())
        .await
        .map_err(|error| FieldError::Malformed { reason: error.body_text().to_ascii_lowercase() })?;
    Ok((multipart, taken))
}

fn broken(error: &MultipartError) -> FieldError {
    if Stalled::caused(error) {
        FieldError::Stalled
    } else {
        FieldError::Malformed { reason: error.body_text().to_ascii_lowercase() }
    }
}

pub(super) fn refuse_second(name: &'static str, there: bool) -> Result<(), FieldError> {
    if there { Err(FieldError::Twice { name }) } else { Ok(()) }
}

/// The next field; `None` after the last.
pub(super) async fn next_field<'a>(
    multipart: &'a mut Multipart,
    taken: &AtomicU64,
) -> Result<Option<Field<'a>>, FieldError> {
    let field = multipart.next_field().await.map_err(|error| broken(&error))?;
    // Its headers were taken, at least a byte.
    taken.fetch_add(1, Ordering::Relaxed);
    Ok(field)
}

/// Next piece of a field; `None` at its end.
pub(super) async fn chunk(field: &mut Field<'_>, taken: &AtomicU64) -> Result<Option<Bytes>, FieldError> {
    let chunk = field.chunk().await.map_err(|error| broken(&error))?;
    // The end of an empty field is a step forward, too.
    taken.fetch_add(chunk.as_ref().map_or(1, |chunk| chunk.len() as u64), Ordering::Relaxed);
    Ok(chunk)
}

async fn put_text(
    name: &'static str,
    place: &mut Option<String>,
    field: &mut Field<'_>,
    taken: &AtomicU64,
) -> Result<(), FieldError> {
    put_text_within(MAX_TEXT, name, place, field, taken).await
}

async fn put_text_within(
    limit: usize,
    name: &'static str,
    place: &mut Option<String>,
    field: &mut Field<'_>,
    taken: &AtomicU64,
) -> Result<(), FieldError> {
    refuse_second(name, place.is_some())?;
    let mut text = Vec::new();
    while let Some(chunk) = chunk(field, taken).await? {
        if text.len() + chunk.len() > limit {
            return Err(FieldError::NotText { name, limit });
        }
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text).map_err(|_not_utf8| FieldError::NotText { name, limit })?;
    // An empty field is what a form sends for a choice that was not made.
    *place = (!text.is_empty()).then_some(text);
    Ok(())
}

/// Puts a field of at most `limit` bytes into a new file of `uploads`, and counts them.
pub(super) async fn store(
    field: &mut Field<'_>,
    name: &'static str,
    uploads: &Path,
    limit: u64,
    taken: &AtomicU64,
) -> Result<(TempPath, u64), FieldError> {
    let (file, path) = NamedTempFile::with_prefix_in("upload-", uploads)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut size = 0;
    while let Some(chunk) = chunk(field, taken).await? {
        size += chunk.len() as u64;
        if size > limit {
            return Err(FieldError::TooLarge { name, limit });
        }
        file.write_all(&chunk).await?;
    }
    // Without this, an error of the last write would go unnoticed.
    file.flush().await?;
    Ok((path, size))
}

/// The last part of a path, of either kind, without control characters, at most 120 characters.
pub(super) fn safe_file_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
    let length = clean.chars().count();
    if length > 120 {
        // The end is kept: the extension tells decoders and people what it is.
        clean = clean.chars().skip(length - 120).collect();
    }
    match clean.trim() {
        "" | "." | ".." => "audio".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A body that gives no more than [`SLACK`] bytes ahead of what the form's reader has taken.
///
/// The multipart parser takes whatever the network has, and a field header that never ends would fill the
/// memory. This holds it back once; when nothing was taken by the next time, the header is too long.
struct Metered {
    body: BodyDataStream,
    fed: u64,
    taken: Arc<AtomicU64>,
    held_at: Option<u64>,
}

impl Metered {
    fn new(body: Body, taken: Arc<AtomicU64>) -> Self {
        Self { body: body.into_data_stream(), fed: 0, taken, held_at: None }
    }
}

impl Stream for Metered {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let taken = self.taken.load(Ordering::Relaxed);
        if self.fed.saturating_sub(taken) > SLACK {
            if self.held_at == Some(taken) {
                return Poll::Ready(Some(Err("a field header is too long".into())));
            }
            self.held_at = Some(taken);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.held_at = None;
        match Pin::new(&mut self.body).poll_next(context) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.fed += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_lose_their_folders() {
        for (sent, kept) in [
            ("speech.wav", "speech.wav"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\讲话.mp3", "讲话.mp3"),
            ("a\0b\n.wav", "ab.wav"),
            ("..", "audio"),
            ("dir/", "audio"),
            ("", "audio"),
        ] {
            assert_eq!(safe_file_name(sent), kept, "{sent:?}");
        }
        let long = safe_file_name(&format!("{}.flac", "x".repeat(500)));
        assert!(long.ends_with("x.flac") && long.len() == 120);
    }
}
