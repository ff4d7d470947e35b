//! `/api/v1/inspections`: upstream's files are looked at first, and become an avatar when their owner has seen what
//! they are.
//!
//! The files lie in a folder of the upload area under names that are made here: what a client calls them chooses among
//! the names that upstream uses, and never becomes part of a path. They go when they were imported, when an upload or an
//! import fails, after [`Config::inspection_kept`](super::Config::inspection_kept), and with the process; what a crash
//! leaves is cleared away at the next start.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use headcast::nerf::avatar::{self, Examination, ImportRequest};
use tempfile::TempDir;

use super::avatar_form::{MAX_FRAMES, PREFIX, frame_number};
use super::form::FormReader;
use super::problem::Problem;
use super::{AppState, FieldError, json};
use crate::doctor::{CheckView, Report};
use crate::jobs::JobId;

/// Those that wait for their owner.
#[derive(Debug, Default)]
pub(super) struct Inspections(Mutex<Vec<Inspection>>);

/// Files that may become an avatar.
#[derive(Debug)]
pub(super) struct Inspection {
    id: JobId,
    folder: TempDir,
    /// By their path in the folder, with their sizes.
    files: BTreeMap<String, u64>,
    /// How many of them are of single frames, by their folder.
    frames: BTreeMap<&'static str, usize>,
    since: Instant,
}

/// Waiting ones; the oldest makes room for one more.
const MOST: usize = 4;

impl Inspections {
    /// Keeps one for `kept`, from now on.
    fn put(self: &Arc<Self>, mut inspection: Inspection, kept: Duration) {
        inspection.since = Instant::now();
        let id = inspection.id;
        let first = {
            let mut all = self.all();
            let first = (all.len() >= MOST).then(|| all.remove(0));
            all.push(inspection);
            first
        };
        // Deleting takes its time; nobody waits for it.
        drop(first);
        let table = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(kept).await;
            // Who was put back meanwhile has a timer of its own.
            let old = |inspection: &Inspection| inspection.id == id && inspection.since.elapsed() >= kept;
            drop(table.upgrade().and_then(|table| table.take_if(old)));
        });
    }

    /// The one of that name, which is the caller's from now on.
    pub(super) fn take(&self, id: &str) -> Result<Inspection, Problem> {
        let found = self.take_if(|inspection| inspection.id.as_str() == id);
        found.ok_or_else(|| {
            let detail = "there is no inspection of this name; its files were deleted after a while, imported, or \
                          given up when something failed: send them again";
            Problem::new(StatusCode::NOT_FOUND, "no_such_inspection", detail)
        })
    }

    fn take_if(&self, wanted: impl Fn(&Inspection) -> bool) -> Option<Inspection> {
        let mut all = self.all();
        let index = all.iter().position(wanted)?;
        Some(all.remove(index))
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Inspection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inspection {
    fn new(uploads: &FilePath) -> Result<Self, Problem> {
        let id = JobId::random().ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(uploads).map_err(FieldError::from)?;
        Ok(Self { id, folder, files: BTreeMap::new(), frames: BTreeMap::new(), since: Instant::now() })
    }

    fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// Makes an import use these files.
    pub(super) fn aim(&self, request: &mut ImportRequest) {
        request.checkpoint = self.folder.path().to_owned();
        request.data = self.folder.path().to_owned();
    }

    /// A text without the place where the files lie, which is nobody's business.
    pub(super) fn without_folder(&self, text: &str) -> String {
        without_folder(self.folder.path(), text)
    }

    /// Adds the files of a form. One of the same kind replaces what was there.
    async fn add(&mut self, request: Request, max_bytes: u64) -> Result<(), FieldError> {
        let mut reader =
            FormReader::with_left(request, max_bytes, max_bytes - self.bytes().min(max_bytes)).await?;
        while let Some(mut field) = reader.next().await? {
            match field.name() {
                "file" => {
                    let Some(known) = Known::of(field.file_name()) else {
                        let name = field.file_name().chars().take(80).collect();
                        return Err(FieldError::AvatarFileName { name });
                    };
                    field.regain(self.make_room_for(&known)?);
                    let size = field.any_file("file", &self.folder.path().join(&known.name)).await?;
                    self.files.insert(known.name, size);
                }
                "torso" => {
                    let number = frame_number(field.file_name(), ".png").ok_or(FieldError::TorsoName)?;
                    let (path, freed) =
                        self.frame_file("torso_imgs", number, "png").ok_or(FieldError::TorsoName)?;
                    field.regain(freed);
                    let size = field.any_file("torso", &self.folder.path().join(&path)).await?;
                    self.files.insert(path, size);
                }
                "landmarks" => {
                    let number = frame_number(field.file_name(), ".lms").ok_or(FieldError::LandmarksName)?;
                    let (path, freed) =
                        self.frame_file("ori_imgs", number, "lms").ok_or(FieldError::LandmarksName)?;
                    field.regain(freed);
                    let size = field.any_file("landmarks", &self.folder.path().join(&path)).await?;
                    self.files.insert(path, size);
                }
                _ => return Err(field.unknown("file, torso and landmarks")),
            }
        }
        Ok(())
    }

    /// Where a file of a frame goes, with its folder made and its place free, and the bytes that were there; `None` when
    /// there are too many.
    fn frame_file(&mut self, folder: &'static str, number: u32, ending: &str) -> Option<(String, u64)> {
        let count = self.frames.entry(folder).or_default();
        let path = format!("{folder}/{number}.{ending}");
        let replaced = self.files.remove(&path);
        if replaced.is_none() {
            if *count >= MAX_FRAMES {
                return None;
            }
            *count += 1;
        }
        std::fs::create_dir_all(self.folder.path().join(folder)).ok()?;
        let _ = std::fs::remove_file(self.folder.path().join(&path));
        Some((path, replaced.unwrap_or(0)))
    }

    /// Deletes what a new file replaces: so many bytes.
    fn make_room_for(&mut self, new: &Known) -> std::io::Result<u64> {
        let replaced = |name: &&String| Known::of(name).is_some_and(|known| known.replaces(new));
        let names: Vec<_> = self.files.keys().filter(replaced).cloned().collect();
        let mut freed = 0;
        for name in names {
            std::fs::remove_file(self.folder.path().join(&name))?;
            freed += self.files.remove(&name).unwrap_or(0);
        }
        Ok(freed)
    }

    /// Reads the files, so it blocks.
    fn examine(&self, kept: Duration) -> json::Inspection {
        let found = avatar::examine(self.folder.path());
        let importable = found.is_importable();
        let Examination { report, checks, wanted, .. } = found;
        let hidden = |text: &str| self.without_folder(text);
        json::Inspection {
            id: self.id.to_string(),
            kept_secs: kept.as_secs(),
            bytes: self.bytes(),
            importable,
            checks: checks.iter().map(|check| CheckView::from(check).reworded(hidden)).collect(),
            wanted: json::Wanted { torso: wanted.torso, landmarks: wanted.landmarks },
            report: report.map(|report| Report::from(&report).reworded(hidden)),
        }
    }
}

/// `text` with paths in `folder` cut down to what is inside.
pub(super) fn without_folder(folder: &FilePath, text: &str) -> String {
    let folder = folder.display().to_string();
    text.replace(&format!("{folder}/"), "").replace(&folder, "the upload")
}

/// A file that an import knows.
#[derive(Debug, PartialEq)]
struct Known {
    kind: Kind,
    /// Made of the kind and at most a number.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Checkpoint,
    Body,
    Background,
    /// One of those that may lie beside each other.
    Single,
}

impl Known {
    /// What a file is by the name that was sent with it, of which folders do not matter.
    fn of(sent: &str) -> Option<Self> {
        let name = sent.rsplit(['/', '\\']).next()?;
        let known = |kind, name: &str| Some(Self { kind, name: name.to_owned() });
        if let Some(single) = SINGLE.iter().find(|single| **single == name) {
            return known(Kind::Single, single);
        }
        if let Some(background) = BACKGROUNDS.iter().find(|background| **background == name) {
            return known(Kind::Background, background);
        }
        let number = |digits: &str| {
            let digits = (1..=9).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
            digits.then_some(())
        };
        if let Some(digits) = name.strip_suffix("_body.tar").filter(|digits| number(digits).is_some()) {
            return known(Kind::Body, &format!("{digits}_body.tar"));
        }
        if let Some(digits) = name.strip_suffix("_head.tar").filter(|digits| number(digits).is_some()) {
            return known(Kind::Checkpoint, &format!("{digits}_head.tar"));
        }
        let epoch = name.strip_prefix("ngp_ep").and_then(|rest| rest.strip_suffix(".pth"));
        if let Some(digits) = epoch.filter(|digits| number(digits).is_some()) {
            return known(Kind::Checkpoint, &format!("ngp_ep{digits}.pth"));
        }
        // Its content says what it is.
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
        matches!(ending.as_str(), "pth" | "pt" | "ckpt" | "tar")
            .then(|| Self { kind: Kind::Checkpoint, name: "ngp.pth".to_owned() })
    }

    /// Whether there may be only one of the two, and `new` is it.
    fn replaces(&self, new: &Self) -> bool {
        self.kind == new.kind && (self.kind != Kind::Single || self.name == new.name)
    }
}

const BACKGROUNDS: [&str; 3] = ["bc.jpg", "bc.jpeg", "bc.png"];

const SINGLE: [&str; 7] = [
    "transforms_train.json",
    "transforms_val.json",
    "data_kf.json",
    "au.csv",
    "TorsoNeRFTest_config.txt",
    "TorsoNeRF_config.txt",
    "HeadNeRF_config.txt",
];

pub(super) async fn create(
    State(state): State<AppState>,
    request: Request,
) -> Result<(StatusCode, Json<json::Inspection>), Problem> {
    let inspection = Inspection::new(&state.config().data_dir.join("uploads"))?;
    Ok((StatusCode::CREATED, grow(&state, inspection, request).await?))
}

pub(super) async fn add(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<json::Inspection>, Problem> {
    let inspection = state.inspections().take(&id)?;
    grow(&state, inspection, request).await
}

/// Adds files, looks at all of them, and keeps them. Whatever fails, they are gone.
async fn grow(
    state: &AppState,
    mut inspection: Inspection,
    request: Request,
) -> Result<Json<json::Inspection>, Problem> {
    // Held while the files are read, too: that takes memory as large as they are.
    let turn = state.upload_turn()?;
    inspection.add(request, state.config().max_avatar_bytes).await?;
    let kept = state.config().inspection_kept;
    let looked = tokio::task::spawn_blocking(move || (inspection.examine(kept), inspection));
    let (found, inspection) = looked.await.map_err(Problem::internal)?;
    drop(turn);
    state.inspections().put(inspection, kept);
    Ok(Json(found))
}

pub(super) async fn remove(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    drop(state.inspections().take(&id)?);
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_upstreams_names_reach_the_disk() {
        for (sent, kept) in [
            ("ngp.pth", "ngp.pth"),
            ("trial_may/checkpoints/ngp_ep0034.pth", "ngp_ep0034.pth"),
            ("C:\\models\\May Torso.PTH", "ngp.pth"),
            ("ngp_ep../../x.pth", "ngp.pth"),
            ("300000_head.tar", "300000_head.tar"),
            ("../600000_body.tar", "600000_body.tar"),
            ("x_body.tar", "ngp.pth"),
            ("data/may/transforms_train.json", "transforms_train.json"),
            ("bc.jpg", "bc.jpg"),
        ] {
            assert_eq!(Known::of(sent).map(|known| known.name).as_deref(), Some(kept), "{sent}");
        }
        for other in ["", "..", "x.json", "12.png", "/etc/passwd", "bc.gif", "au.csv/", "ngp.pth\0"] {
            assert_eq!(Known::of(other), None, "{other}");
        }
    }

    #[test]
    fn one_of_a_kind_is_enough() {
        let known = |name| Known::of(name).unwrap();
        assert!(known("ngp.pth").replaces(&known("ngp_ep0001.pth")));
        assert!(known("ngp.pth").replaces(&known("300000_head.tar")));
        assert!(known("bc.jpg").replaces(&known("bc.png")));
        assert!(!known("300000_head.tar").replaces(&known("600000_body.tar")));
        assert!(!known("transforms_train.json").replaces(&known("transforms_val.json")));
    }
}
