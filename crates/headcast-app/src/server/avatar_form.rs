//! The form that becomes an avatar: upstream's files under names of our own, in a folder that goes away.

use std::path::Path;

use axum::extract::Request;
use headcast::nerf::avatar::{Background, ImportRequest};
use tempfile::TempDir;

use super::FieldError;
use super::form::FormReader;
use super::upload::refuse_second;

/// What was sent. The files that the request names are in the folder.
pub(super) struct AvatarForm {
    pub(super) request: ImportRequest,
    /// Has the files, all but those of background and thumbnail.
    pub(super) inspection: Option<String>,
    pub(super) folder: TempDir,
}

/// Longest of the texts, in bytes.
const MAX_TEXT: usize = 2000;

/// Torso pictures, and landmark files: some minutes of video.
pub(super) const MAX_FRAMES: usize = 20_000;

/// Reads a form into a folder below `uploads`; all files together have at most `max_bytes`.
///
/// No name that the client sent becomes part of a path, but for the number in that of a torso picture.
pub(super) async fn read_avatar_form(
    request: Request,
    uploads: &Path,
    max_bytes: u64,
) -> Result<AvatarForm, FieldError> {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(uploads)?;
    let at = |name: &str| folder.path().join(name);
    let mut reader = FormReader::new(request, max_bytes).await?;
    let mut import = ImportRequest::new(at("ngp.pth"), folder.path(), "");
    let mut files = Files::default();
    let mut name = None;
    let mut fix_eye = None;
    let mut overwrite = None;
    let mut inspection = None;
    let mut torsos = 0;
    while let Some(mut field) = reader.next().await? {
        match field.name() {
            "name" => field.text("name", MAX_TEXT, &mut name).await?,
            "title" => field.text("title", MAX_TEXT, &mut import.title).await?,
            "credits" => field.text("credits", MAX_TEXT, &mut import.credits).await?,
            "licence" => field.text("licence", MAX_TEXT, &mut import.licence).await?,
            "fix_eye" => field.text("fix_eye", MAX_TEXT, &mut fix_eye).await?,
            "inspection" => field.text("inspection", MAX_TEXT, &mut inspection).await?,
            "overwrite" => field.text("overwrite", MAX_TEXT, &mut overwrite).await?,
            "checkpoint" => {
                refuse_second("checkpoint", files.checkpoint)?;
                files.checkpoint = true;
                field.file("checkpoint", &import.checkpoint).await?;
            }
            "transforms" => {
                refuse_second("transforms", files.transforms)?;
                files.transforms = true;
                field.file("transforms", &at("transforms_train.json")).await?;
            }
            "au" => {
                refuse_second("au", files.au)?;
                files.au = true;
                field.file("au", &at("au.csv")).await?;
            }
            "background" => {
                refuse_second("background", import.background.is_some())?;
                // Its content says whether it is a PNG.
                let path = at("background");
                field.file("background", &path).await?;
                import.background = Some(Background::File(path));
            }
            "thumbnail" => {
                refuse_second("thumbnail", import.thumbnail.is_some())?;
                let path = at("thumbnail");
                field.file("thumbnail", &path).await?;
                import.thumbnail = Some(path);
            }
            "torso" => {
                torsos += 1;
                let number = frame_number(field.file_name(), ".png").filter(|_| torsos <= MAX_FRAMES);
                let number = number.ok_or(FieldError::TorsoName)?;
                let torso_images = at("torso_imgs");
                std::fs::create_dir_all(&torso_images)?;
                let path = torso_images.join(format!("{number}.png"));
                refuse_second("torso", path.exists())?;
                field.file("torso", &path).await?;
            }
            _ => return Err(field.unknown(FIELDS)),
        }
    }
    import.name = name.ok_or(FieldError::Missing { name: "name" })?;
    import.overwrite = match overwrite.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(FieldError::NotTrueOrFalse { name: "overwrite" }),
    };
    import.fix_eye = match fix_eye {
        None => None,
        Some(text) => Some(text.parse().map_err(|_not_a_number| FieldError::NotNumber { name: "fix_eye" })?),
    };
    let sent = files.checkpoint || files.transforms || files.au || torsos > 0;
    if inspection.is_some() && sent {
        return Err(FieldError::InspectionAndFiles);
    }
    for (there, name) in [
        (files.checkpoint, "checkpoint"),
        (files.transforms, "transforms"),
        (import.background.is_some(), "background"),
    ] {
        if !there && inspection.is_none() {
            return Err(FieldError::Missing { name });
        }
    }
    Ok(AvatarForm { request: import, inspection, folder })
}

/// Of the folders that forms are read into. What a crash leaves of them is cleared away with the other uploads.
pub(super) const PREFIX: &str = "avatar-";

const FIELDS: &str = "name, title, credits, licence, fix_eye, overwrite, inspection, checkpoint, transforms, au, background, \
    thumbnail and torso";

#[derive(Default)]
struct Files {
    checkpoint: bool,
    transforms: bool,
    au: bool,
}

/// The frame that a file belongs to, as upstream names them: `12.png`.
pub(super) fn frame_number(file_name: &str, ending: &str) -> Option<u32> {
    let digits = file_name.rsplit(['/', '\\']).next()?.strip_suffix(ending)?;
    (digits.len() <= 7 && digits.bytes().all(|c| c.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torso_pictures_are_numbers() {
        let torso_number = |name| frame_number(name, ".png");
        assert_eq!(torso_number("12.png"), Some(12));
        assert_eq!(torso_number("torso_imgs/0.png"), Some(0));
        assert_eq!(frame_number("7.lms", ".lms"), Some(7));
        for other in ["", ".png", "12", "12.jpg", "-1.png", "+1.png", "../x.png", "12345678.png"] {
            assert_eq!(torso_number(other), None, "{other}");
        }
    }
}
