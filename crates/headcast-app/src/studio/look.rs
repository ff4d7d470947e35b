//! What an avatar does besides speaking, and the picture that it is done in front of.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use headcast::core::RgbImage;
use headcast::nerf::avatar::AvatarError;
use headcast::nerf::body::{Behind, BodyError};
use headcast::nerf::{Body, background};

use super::{Recording, unusable};
use crate::jobs::{Input, JobRequest, OpenError};

/// How an avatar is shown.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// What it does.
    pub body: Body,
    /// The picture of [`Behind::Picture`].
    pub picture: Option<Arc<RgbImage>>,
    /// Where the picture is: of a file that is never written again, what tells two looks apart.
    pub(super) place: Option<PathBuf>,
}

impl From<Body> for Look {
    fn from(body: Body) -> Self {
        Self { body, ..Self::default() }
    }
}

impl Look {
    /// In front of `picture`, of any size.
    pub fn before(body: Body, picture: RgbImage) -> Self {
        Self {
            body: Body { background: Behind::Picture, ..body },
            picture: Some(Arc::new(picture)),
            place: None,
        }
    }

    /// What `request` asks for; its picture is read.
    pub(super) fn of(request: &JobRequest) -> Result<Self, OpenError> {
        let body: Body =
            request.body.parse().map_err(|error: BodyError| unusable("body_unusable", error.to_string()))?;
        let Some(input) = request.background.as_ref().filter(|_| body.background == Behind::Picture) else {
            return Ok(Self::from(body));
        };
        let place = match input {
            Input::File(path) => Some(path.clone()),
            Input::Memory(_) => None,
        };
        let picture = read(input)?;
        Ok(Self { body, picture: Some(Arc::new(picture)), place })
    }
}

/// Held while a picture is decoded, which takes some 300 MB for the largest: one at a time.
static DECODING: Mutex<()> = Mutex::new(());

/// Decodes the background that came with a clip.
fn read(input: &Input) -> Result<RgbImage, OpenError> {
    let refused = |error: AvatarError| unusable("background_unusable", error.to_string());
    let mut bytes = Vec::new();
    // One byte more than is accepted shows that there are too many.
    let all =
        Recording::of(input).and_then(|file| file.take(background::MAX_BYTES + 1).read_to_end(&mut bytes));
    all.map_err(|error| {
        unusable("background_unusable", format!("the background cannot be read: {error}; make the job again"))
    })?;
    let _turn = DECODING.lock().unwrap_or_else(PoisonError::into_inner);
    background::decode("the background", &bytes).map_err(refused)
}

#[cfg(test)]
mod tests {
    use headcast::audio::Cut;

    use bytes::Bytes;

    use super::*;

    fn png() -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 3, 2);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&[9; 18]).unwrap();
        out
    }

    fn request(body: &str, background: Option<Input>) -> JobRequest {
        JobRequest {
            audio: Input::Memory(Bytes::new()),
            audio_name: String::new(),
            title: None,
            cut: Cut::WHOLE,
            script: None,
            captions: None,
            avatar: String::new(),
            profile: None,
            extractor: None,
            body: body.to_owned(),
            features: None,
            background,
            pushed: None,
        }
    }

    fn look(body: &str, background: Option<&[u8]>) -> Result<Look, OpenError> {
        let background = background.map(|bytes| Input::Memory(Bytes::copy_from_slice(bytes)));
        Look::of(&request(body, background))
    }

    #[test]
    fn a_picture_comes_with_the_body_that_asks_for_it() {
        let with = look("eyes=blink background=picture", Some(&png())).unwrap();
        assert_eq!((with.body.background, with.picture.unwrap().width()), (Behind::Picture, 3));
        let without = look("background=green", Some(&png())).unwrap();
        assert!(without.picture.is_none(), "nobody asked for it");
        assert!(look("background=picture", None).unwrap().picture.is_none(), "the renderer refuses it");
        let refused = |body: &str, bytes: &[u8]| {
            let error = look(body, Some(bytes)).unwrap_err();
            (error.code, error.message)
        };
        assert_eq!(refused("legs=long", &png()).0, "body_unusable");
        let (code, message) = refused("background=picture", b"GIF89a");
        assert!(code == "background_unusable" && message.contains("neither a PNG nor a JPEG"), "{message}");
        let (_, message) = refused("background=picture", &vec![0; (16 << 20) + 5]);
        assert!(message.contains("at most 16 MB"), "{message}");
    }

    #[test]
    fn a_picture_that_was_lost_is_missed() {
        let request = request("background=picture", Some(Input::File("nowhere".into())));
        let error = Look::of(&request).unwrap_err();
        assert!(error.message.contains("cannot be read"), "{}", error.message);
    }
}
