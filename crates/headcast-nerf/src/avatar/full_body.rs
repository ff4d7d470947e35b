//! Larger pictures that the rendered one is pasted into: `LiveTalking`'s full-body avatars.
//!
//! Somebody is filmed from head to foot, the head is cut out at a fixed place and trained as usual, and each rendered
//! picture goes back to where its frame was cut from. A picture belongs to a pose by `img_id`, the number of the frame in the
//! video. `LiveTalking` counts the poses of the pose file instead, which is the same unless tracking lost some frames.

use std::path::{Path, PathBuf};

use headcast_core::RgbImage;

use super::dataset::Transforms;
use super::error::AvatarError;
use super::manifest::FullBodyEntry;
use super::pose_files::PoseFiles;
use super::{check_size, check_video_size, picture, read_bounded};

/// What a rendered picture is pasted into, and where.
#[derive(Debug)]
pub struct FullBody {
    width: u32,
    height: u32,
    offset: (u32, u32),
    files: PoseFiles,
}

/// Full-body pictures to import, `LiveTalking`'s `--fullbody`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullBodyRequest {
    /// `--fullbody_img`: a folder of `<img_id>.jpg` (or `.jpeg`, `.png`), all of one size, from 16 to 4096 pixels a side; or one
    /// picture to be shown in every frame.
    pub pictures: PathBuf,
    /// `--fullbody_offset_x`: columns to the left of the rendered picture.
    pub offset_x: u32,
    /// `--fullbody_offset_y`: rows above it.
    pub offset_y: u32,
}

impl FullBody {
    /// * `files`: one a pose, or a single one.
    pub(super) fn new(entry: &FullBodyEntry, files: PoseFiles) -> Self {
        let offset = (entry.offset_x, entry.offset_y);
        Self { width: entry.width, height: entry.height, offset, files }
    }

    /// Pixels per row of the whole picture.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows of the whole picture.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Column and row of the rendered picture's upper left corner.
    pub fn offset(&self) -> (u32, u32) {
        self.offset
    }

    /// How many pictures there are: one a pose, or 1.
    pub fn pictures(&self) -> usize {
        self.files.len()
    }

    /// The number of the picture of pose `pose`.
    pub(crate) fn index(&self, pose: usize) -> usize {
        if self.files.len() == 1 { 0 } else { pose }
    }

    /// Picture `index`, read and decoded.
    ///
    /// # Errors
    /// [`AvatarError`] when it is missing, damaged or of another size.
    pub(crate) fn picture(&self, index: usize) -> Result<RgbImage, AvatarError> {
        let (file, bytes) = self.files.read(index)?;
        let picture = picture::decode(file, &bytes)?;
        check_size(file, (picture.width(), picture.height()), (self.width, self.height))?;
        Ok(picture)
    }

    /// Puts `rendered` into `picture`, into `out`.
    ///
    /// # Panics
    /// If `picture` or `out` are not of this size, or `rendered` is not of the avatar's.
    pub(crate) fn compose(&self, picture: &RgbImage, rendered: &RgbImage, out: &mut RgbImage) {
        out.data_mut().copy_from_slice(picture.data());
        let (x, y) = (self.offset.0 as usize, self.offset.1 as usize);
        let stride = self.width as usize * 3;
        let len = rendered.width() as usize * 3;
        let rows = out.data_mut().chunks_exact_mut(stride).skip(y);
        for (row, source) in rows.zip(rendered.data().chunks_exact(len)) {
            row[x * 3..][..len].copy_from_slice(source);
        }
    }
}

/// Whether a picture of `square` fits at the entry's offset; `file` is what says so.
pub(super) fn check_fit(file: &str, entry: &FullBodyEntry, square: (u32, u32)) -> Result<(), AvatarError> {
    let FullBodyEntry { width, height, offset_x, offset_y, .. } = *entry;
    let inside =
        |offset: u32, side: u32, whole: u32| offset.checked_add(side).is_some_and(|end| end <= whole);
    if inside(offset_x, square.0, width) && inside(offset_y, square.1, height) {
        return Ok(());
    }
    let what = format!(
        "full-body pictures have {width}x{height} pixels, and the rendered picture of {}x{} does not fit at column \
         {offset_x}, row {offset_y}; the offsets are those at which the training video was cut out \
         (ffmpeg's crop=width:height:x:y)",
        square.0, square.1
    );
    Err(AvatarError::data(file, what))
}

/// Pictures that were found, before they are copied.
pub(super) struct Found {
    pub(super) entry: FullBodyEntry,
    /// Name inside the avatar and source of each, once.
    pub(super) files: Vec<(String, PathBuf)>,
}

impl Found {
    /// Looks for the pictures of every pose and decodes one.
    pub(super) fn gather(request: &FullBodyRequest, transforms: &Transforms) -> Result<Self, AvatarError> {
        let path = &request.pictures;
        let metadata = std::fs::metadata(path).map_err(AvatarError::io(path))?;
        let still = !metadata.is_dir();
        let sources = match still {
            true => vec![(0, path.clone())],
            false => pictures_of(path, transforms)?,
        };
        let Some((_, first)) = sources.first() else {
            return Err(AvatarError::data(path.display().to_string(), "there are no poses to show"));
        };
        let file = first.display().to_string();
        let bytes = read_bounded(first, MAX_PICTURE)?;
        let extension = extension(&bytes);
        let picture = picture::decode(&file, &bytes)?;
        let entry = FullBodyEntry {
            width: picture.width(),
            height: picture.height(),
            offset_x: request.offset_x,
            offset_y: request.offset_y,
            pictures: sources.len(),
            still,
            extension: extension.to_owned(),
        };
        check_video_size(&file, entry.width, entry.height)?;
        check_fit(&file, &entry, (transforms.width, transforms.height))?;
        let name = |id| if still { entry.still_name() } else { entry.name(id) };
        let files = sources.into_iter().map(|(id, path)| (name(id), path)).collect();
        Ok(Self { files, entry })
    }

    /// The bytes of one, of which kind and size are like those of the others: pictures are not all decoded, their headers are
    /// all read.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, AvatarError> {
        let file = path.display().to_string();
        let bytes = read_bounded(path, MAX_PICTURE)?;
        let (width, height) = picture::size(&file, &bytes)?;
        let FullBodyEntry { width: w, height: h, extension: kind, .. } = &self.entry;
        if (width, height) != (*w, *h) {
            let what = format!(
                "it has {width}x{height} pixels, the first full-body picture {w}x{h}; all must come from one video"
            );
            return Err(AvatarError::Picture { file, what });
        }
        if extension(&bytes) != kind {
            let what = format!(
                "it is a {}, the first full-body picture a {kind}; make all of one kind",
                extension(&bytes)
            );
            return Err(AvatarError::Picture { file, what });
        }
        Ok(bytes)
    }
}

/// The picture of every pose, by `img_id`.
fn pictures_of(folder: &Path, transforms: &Transforms) -> Result<Vec<(u32, PathBuf)>, AvatarError> {
    let mut ids = transforms.img_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let named = |id: u32| {
        let files = EXTENSIONS.iter().map(|extension| folder.join(format!("{id}.{extension}")));
        (id, files.into_iter().find(|path| path.is_file()))
    };
    let (mut found, mut lacking) = (Vec::new(), Vec::new());
    for (id, path) in ids.into_iter().map(named) {
        match path {
            Some(path) => found.push((id, path)),
            None => lacking.push(id),
        }
    }
    let Some(first) = lacking.first() else { return Ok(found) };
    let all = std::fs::read_dir(folder).map_err(AvatarError::io(folder))?.count();
    Err(AvatarError::Missing {
        file: format!("{first}.jpg"),
        folder: folder.display().to_string(),
        hint: format!(
            "{} of {} poses have no full-body picture (<img_id>.jpg or .png, the frame's number in the video from 0 \
             on), and the folder has {all} files; write all of them from the video that the training video was cut \
             out of: ffmpeg -i fullbody.mp4 -vf fps=25 -q:v 1 -start_number 0 {}/%d.jpg",
            lacking.len(),
            lacking.len() + found.len(),
            folder.display()
        ),
    })
}

fn extension(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&[0xff, 0xd8]) { "jpg" } else { "png" }
}

/// Where `LiveTalking`'s instructions put the pictures.
pub(super) const USUAL_FOLDER: &str = "fullbody/img";
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];
/// Largest full-body picture: a PNG of 4096×2304 has 28 MB at most.
const MAX_PICTURE: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(offset_x: u32, offset_y: u32) -> FullBodyEntry {
        let extension = "png".to_owned();
        FullBodyEntry { width: 40, height: 30, offset_x, offset_y, pictures: 1, still: true, extension }
    }

    #[test]
    fn the_rendered_picture_lands_where_it_was_cut_out() {
        let at = |x: u32, y: u32| {
            let files = PoseFiles::in_folder(PathBuf::new(), vec![String::new()], "");
            let body = FullBody::new(&entry(x, y), files);
            let picture = RgbImage::filled(40, 30, [1; 3]).unwrap();
            let rendered: Vec<u8> = (0..3 * 2 * 3).map(|i| 100 + i).collect();
            let rendered = RgbImage::from_raw(3, 2, rendered).unwrap();
            let mut out = RgbImage::filled(40, 30, [9; 3]).unwrap();
            body.compose(&picture, &rendered, &mut out);
            for row in 0..30 {
                for column in 0..40 {
                    let inside = (x..x + 3).contains(&column) && (y..y + 2).contains(&row);
                    let expected = if inside { rendered.pixel(column - x, row - y) } else { [1; 3] };
                    assert_eq!(out.pixel(column, row), expected, "{column}, {row}");
                }
            }
        };
        at(0, 0);
        at(5, 7);
        at(37, 28);
    }

    #[test]
    fn offsets_beyond_the_edge_name_both_sizes() {
        assert!(check_fit("x", &entry(8, 6), (32, 24)).is_ok());
        for (x, y) in [(9, 6), (8, 7), (u32::MAX, 0), (0, u32::MAX)] {
            let error = check_fit("x", &entry(x, y), (32, 24)).unwrap_err().to_string();
            assert!(error.contains("40x30") && error.contains("32x24"), "{error}");
            assert!(error.contains(&format!("column {x}, row {y}")), "{error}");
        }
    }
}
