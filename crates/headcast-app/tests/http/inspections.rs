//! Files are looked at, completed, imported and cleared away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use headcast_app::server::{AppState, Config, router};
use headcast_app::studio::{EngineSettings, LocalStudio};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::{Answer, Field, form, request};

/// A server with the real library, which knows real checkpoints.
struct Doctor {
    app: Router,
    dir: tempfile::TempDir,
}

impl Doctor {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = Self::start(dir.path(), change);
        Self { app, dir }
    }

    fn start(dir: &Path, change: impl FnOnce(&mut Config)) -> Router {
        let studio = LocalStudio::new(dir, EngineSettings::default());
        let mut config = Config { data_dir: dir.to_owned(), ..Config::default() };
        change(&mut config);
        router(AppState::new(config, Arc::new(studio)).unwrap())
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        // In pieces, as a network brings it.
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let pieces: Vec<_> =
            body.chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let request = Request::from_parts(parts, Body::from_stream(futures_util::stream::iter(pieces)));
        let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn send(&self, path: &str, fields: &[Field<'_>]) -> Answer {
        let mut request = form(fields);
        *request.uri_mut() = path.parse().unwrap();
        self.ask(request).await
    }

    /// Looks at files that were sent under these names.
    async fn look(&self, files: &[(&str, &[u8])]) -> Value {
        let fields: Vec<_> = files.iter().map(|(name, bytes)| Field::file("file", name, bytes)).collect();
        let answer = self.send("/api/v1/inspections", &fields).await;
        let found = answer.json();
        assert_eq!(answer.status, 201, "{found}");
        let text = found.to_string();
        assert!(!text.contains(self.dir.path().to_str().unwrap()), "{text}");
        found
    }

    /// Adds files to what was looked at.
    async fn more(&self, found: &Value, fields: &[Field<'_>]) -> Value {
        let path = format!("/api/v1/inspections/{}", found["id"].as_str().unwrap());
        let answer = self.send(&path, fields).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    }

    fn uploads(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("uploads")).unwrap().count()
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/nerf");
    std::fs::read(format!("{root}/{name}")).unwrap()
}

/// State and sentence of one line.
fn check(found: &Value, item: &str) -> (String, String) {
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["item"] == item);
    let check = check.unwrap_or_else(|| panic!("nothing is said of {item}: {found}"));
    (check["state"].as_str().unwrap().to_owned(), check["text"].as_str().unwrap().to_owned())
}

fn state(found: &Value, item: &str) -> String {
    check(found, item).0
}

#[tokio::test]
async fn a_folder_is_completed_and_becomes_an_avatar() {
    let doctor = Doctor::new(|_| {});
    let (checkpoint, poses) = (fixture("er-torso/ngp.pth"), fixture("er-torso/transforms_train.json"));
    let found = doctor
        .look(&[("trial_synth_torso/checkpoints/ngp.pth", &checkpoint), ("transforms_train.json", &poses)])
        .await;
    assert_eq!((&found["importable"], &found["report"]["family"]), (&false.into(), &"er-nerf".into()));
    assert_eq!(found["report"]["features"]["values"], 29);
    for (item, expected) in [
        ("checkpoint", "fine"),
        ("poses", "fine"),
        ("fit", "fine"),
        ("torso", "fine"),
        ("background", "missing"),
        ("eyes", "missing"),
        ("attention", "warning"),
    ] {
        assert_eq!(state(&found, item), expected, "{item}: {found}");
    }
    let name = Field::text("name", "synth");
    let id = found["id"].as_str().unwrap().to_owned();
    let inspection = || Field::text("inspection", &id);

    let found = doctor
        .more(
            &found,
            &[
                Field::file("file", "bc.png", &fixture("er-torso/bc.png")),
                Field::file("file", "au.csv", &fixture("er-torso/au.csv")),
            ],
        )
        .await;
    assert_eq!((found["id"].as_str().unwrap(), &found["importable"]), (&*id, &true.into()), "{found}");
    assert_eq!((state(&found, "background"), state(&found, "eyes")), ("fine".to_owned(), "fine".to_owned()));
    let sizes: usize = ["ngp.pth", "transforms_train.json", "bc.png", "au.csv"]
        .iter()
        .map(|name| fixture(&format!("er-torso/{name}")).len())
        .sum();
    assert_eq!((found["bytes"].as_u64().unwrap(), doctor.uploads()), (sizes as u64, 1));

    // Another name is asked for without sending anything again.
    let taken = doctor.send("/api/v1/avatars", &[Field::text("name", "milo"), inspection()]).await;
    assert_eq!(taken.problem(409), "avatar_built_in");
    let odd = doctor.send("/api/v1/avatars", &[Field::text("name", "../x"), inspection()]).await;
    assert_eq!(odd.problem(422), "avatar_unusable");
    let made = doctor.send("/api/v1/avatars", &[name.clone(), inspection()]).await;
    assert_eq!(made.status, 201, "{}", made.json());
    assert!(!made.json().to_string().contains(doctor.dir.path().to_str().unwrap()), "{}", made.json());
    assert!(doctor.dir.path().join("avatars/synth/avatar.toml").is_file());
    assert_eq!(doctor.uploads(), 0);
    // It was used up.
    let again = doctor.send("/api/v1/avatars", &[Field::text("name", "other"), inspection()]).await;
    assert_eq!(again.problem(404), "no_such_inspection");
}

#[tokio::test]
async fn what_is_wrong_is_a_line_of_the_list() {
    let doctor = Doctor::new(|_| {});
    let found = doctor.look(&[]).await;
    assert_eq!((state(&found, "checkpoint"), state(&found, "poses")), ("missing".into(), "missing".into()));
    assert_eq!((&found["importable"], &found["report"]), (&false.into(), &Value::Null));

    let found = doctor.look(&[("my model.pth", b"<!doctype html>"), ("au.csv", b""), ("bc.jpg", b"x")]).await;
    let (state_of, text) = check(&found, "checkpoint");
    assert_eq!(state_of, "unusable");
    assert!(text.contains("a web page instead of the file"), "{text}");
    assert_eq!(state(&found, "background"), "unusable");
    // Another file of the kind takes its place.
    let checkpoint = fixture("rad-torso/ngp.pth");
    let found = doctor.more(&found, &[Field::file("file", "ngp_ep0031.pth", &checkpoint)]).await;
    assert_eq!(
        (state(&found, "checkpoint"), &found["report"]["file"]),
        ("fine".into(), &"ngp_ep0031.pth".into())
    );

    // The body alone is half an avatar.
    let found = doctor.look(&[("600000_body.tar", &fixture("ad-torso/600000_body.tar"))]).await;
    let (state_of, text) = check(&found, "checkpoint");
    assert_eq!((&*state_of, &found["report"]["part"]), ("missing", &"body".into()));
    assert!(text.contains("600000_body.tar") && text.contains("NNNNNN_head.tar"), "{text}");

    // Poses of another person, or of another film.
    let poses: Value = serde_json::from_slice(&fixture("rad-torso/transforms_train.json")).unwrap();
    let mut beside = poses;
    for frame in beside["frames"].as_array_mut().unwrap() {
        frame["transform_matrix"][0][3] = 3.0.into();
    }
    let found = doctor
        .look(&[("ngp.pth", &checkpoint), ("transforms_train.json", beside.to_string().as_bytes())])
        .await;
    let (state_of, text) = check(&found, "fit");
    assert_eq!(state_of, "unusable");
    assert!(text.contains("transforms_train.json") && text.contains("ngp.pth"), "{text}");
}

#[tokio::test]
async fn both_halves_of_ad_nerf_are_imported() {
    let doctor = Doctor::new(|_| {});
    let files = ["300000_head.tar", "600000_body.tar", "TorsoNeRFTest_config.txt", "transforms_train.json"];
    let files = files.into_iter().chain(["transforms_val.json", "bc.png"]);
    let files: Vec<_> = files.map(|name| (name, fixture(&format!("ad-torso/{name}")))).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let found = doctor.look(&files[1..]).await;
    assert_eq!((state(&found, "checkpoint"), &found["importable"]), ("missing".into(), &false.into()));
    let found = doctor.more(&found, &[Field::file("file", files[0].0, files[0].1)]).await;
    assert_eq!(found["importable"], true, "{found}");
    for item in ["checkpoint", "body", "config", "poses", "background", "fit"] {
        assert_eq!(state(&found, item), "fine", "{item}: {found}");
    }
    let fields = [Field::text("name", "cy"), Field::text("inspection", found["id"].as_str().unwrap())];
    let made = doctor.send("/api/v1/avatars", &fields).await.json();
    assert_eq!(
        (&made["avatar"]["kind"], &made["avatar"]["torso"]),
        (&"ad-nerf".into(), &true.into()),
        "{made}"
    );
}

#[tokio::test]
async fn files_of_frames_are_asked_for_where_the_model_uses_them() {
    let doctor = Doctor::new(|_| {});
    let (checkpoint, poses) = (fixture("rad-head/ngp.pth"), fixture("rad-head/transforms_train.json"));
    let background = fixture("rad-head/bc.png");
    let files: [(&str, &[u8]); 3] =
        [("ngp.pth", &checkpoint), ("transforms_train.json", &poses), ("bc.png", &background)];
    let found = doctor.look(&files).await;
    let wanted = |found: &Value, kind: &str| found["wanted"][kind].as_array().unwrap().len();
    assert_eq!((wanted(&found, "torso"), wanted(&found, "landmarks")), (10, 10));
    // Both are welcome and not needed.
    assert_eq!((state(&found, "torso"), state(&found, "eyes")), ("missing".into(), "warning".into()));
    assert_eq!(found["importable"], true);

    let names: Vec<_> =
        found["wanted"]["torso"].as_array().unwrap().iter().map(|n| format!("{n}.png")).collect();
    let torso: Vec<_> = names.iter().map(|name| Field::file("torso", name, &background)).collect();
    let some = doctor.more(&found, &torso[..3]).await;
    assert_eq!((state(&some, "torso"), wanted(&some, "torso")), ("missing".into(), 7));
    assert_eq!(some["importable"], false, "a torso that comes and goes is none: {some}");
    let all = doctor.more(&some, &torso[3..]).await;
    assert_eq!((wanted(&all, "torso"), &all["importable"]), (0, &true.into()), "{all}");
    // The background is opaque and no torso, but a picture of the right size.
    assert_eq!(check(&all, "torso"), ("fine".into(), "10 captured pictures".into()));

    // A torso net needs no pictures.
    let found = doctor.look(&[("ngp.pth", &fixture("er-torso/ngp.pth")), files[1]]).await;
    assert_eq!((wanted(&found, "torso"), wanted(&found, "landmarks")), (0, 0));
}

#[tokio::test]
async fn bad_uploads_leave_nothing_behind() {
    let doctor = Doctor::new(|config| config.max_avatar_bytes = 1000);
    let large = [1; 1001];
    for (fields, status, code) in [
        (vec![Field::file("file", "ngp.pth", &large)], 413, "too_large"),
        (vec![Field::file("file", "/etc/passwd", b"x")], 400, "field_not_text"),
        (vec![Field::file("file", "..", b"x")], 400, "field_not_text"),
        (vec![Field::file("torso", "../../x.png", b"x")], 400, "field_not_text"),
        (vec![Field::file("landmarks", "1.png", b"x")], 400, "field_not_text"),
        (vec![Field::file("background", "bc.jpg", b"x")], 400, "field_unknown"),
    ] {
        let answer = doctor.send("/api/v1/inspections", &fields).await;
        assert_eq!(answer.problem(status), code);
        assert_eq!(doctor.uploads(), 0, "{code} left something behind");
    }
    // The limit is one for all steps, and what fails takes all of it along.
    let found = doctor.look(&[("au.csv", &[b'x'; 600])]).await;
    let path = format!("/api/v1/inspections/{}", found["id"].as_str().unwrap());
    let answer = doctor.send(&path, &[Field::file("file", "bc.jpg", &[1; 600])]).await;
    assert_eq!((answer.problem(413), doctor.uploads()), ("too_large".into(), 0));
    assert_eq!(doctor.send(&path, &[]).await.problem(404), "no_such_inspection");
    // Unless it takes the place of what was there.
    let found = doctor.look(&[("au.csv", &[b'x'; 600])]).await;
    let found = doctor.more(&found, &[Field::file("file", "au.csv", &[b'y'; 900])]).await;
    assert_eq!(found["bytes"], 900);
}

#[tokio::test]
async fn an_import_that_fails_takes_the_files_along() {
    let doctor = Doctor::new(|_| {});
    let found = doctor.look(&[("ngp.pth", &fixture("er-torso/ngp.pth"))]).await;
    assert_eq!((doctor.uploads(), &found["importable"]), (1, &false.into()));
    let fields = [Field::text("name", "synth"), Field::text("inspection", found["id"].as_str().unwrap())];
    let answer = doctor.send("/api/v1/avatars", &fields).await;
    assert_eq!(answer.problem(422), "avatar_unusable");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("transforms_train.json") && detail.contains("the upload"), "{detail}");
    assert_eq!(doctor.uploads(), 0);
    assert!(!doctor.dir.path().join("avatars/synth").exists());
    let both = [fields[0].clone(), fields[1].clone(), Field::file("checkpoint", "x", b"x")];
    assert_eq!(doctor.send("/api/v1/avatars", &both).await.problem(400), "field_twice");
}

#[tokio::test]
async fn files_that_wait_too_long_go_by_themselves() {
    let doctor = Doctor::new(|config| config.inspection_kept = Duration::from_millis(50));
    doctor.look(&[("au.csv", b"x")]).await;
    let end = Instant::now() + Duration::from_secs(30);
    while doctor.uploads() > 0 {
        assert!(Instant::now() < end, "the files are still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The control: an hour is longer.
    let doctor = Doctor::new(|_| {});
    let first = doctor.look(&[("au.csv", b"x")]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(doctor.uploads(), 1);
    // Of many, the oldest makes room.
    for _ in 0..4 {
        doctor.look(&[("au.csv", b"x")]).await;
    }
    assert_eq!(doctor.uploads(), 4);
    let path = format!("/api/v1/inspections/{}", first["id"].as_str().unwrap());
    assert_eq!(doctor.ask(request(Method::DELETE, &path)).await.problem(404), "no_such_inspection");
}

#[tokio::test]
async fn a_restart_clears_what_a_crash_left() {
    let doctor = Doctor::new(|_| {});
    let uploads = doctor.dir.path().join("uploads");
    let left = uploads.join("avatar-aB3dE9");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("ngp.pth"), b"x").unwrap();
    let Doctor { app, dir } = doctor;
    drop(app);
    // The lock of the folder goes when the first server's threads have.
    let end = Instant::now() + Duration::from_secs(30);
    let clear = || {
        let studio = LocalStudio::new(dir.path(), EngineSettings::default());
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        AppState::new(config, Arc::new(studio))
    };
    while clear().is_err() {
        assert!(Instant::now() < end, "the folder is still locked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!left.exists());
}

#[tokio::test]
async fn files_that_are_not_wanted_any_more_go_at_once() {
    let doctor = Doctor::new(|_| {});
    let found = doctor.look(&[("au.csv", b"x")]).await;
    let path = format!("/api/v1/inspections/{}", found["id"].as_str().unwrap());
    assert_eq!(doctor.ask(request(Method::DELETE, &path)).await.status, 204);
    assert_eq!(doctor.uploads(), 0);
    assert_eq!(doctor.ask(request(Method::DELETE, &path)).await.problem(404), "no_such_inspection");
}
