//! Extractors that the user brings: added, listed, and heard through. The weights are small and random (`fixtures/wav2vec2`,
//! `fixtures/deepspeech`); what they make is held to the real libraries in `headcast-audio`.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

#[path = "../../headcast/tests/common/random_network.rs"]
mod random_network;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast::audio::Cut;
use headcast::audio::extractor::matrix::Precision;
use headcast_app::jobs::{Input, Job, JobRequest, Jobs, Limits, State};
use headcast_app::studio::{EngineSettings, LocalStudio};
use random_network::Sizes;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn headcast(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(arguments)
            .env("HEADCAST_DATA_DIR", self.path("data"))
            .output()
            .unwrap()
    }

    /// What a command prints that goes well.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.headcast(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that is refused for its input.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.headcast(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {stderr}");
        stderr.lines().last().unwrap_or_default().to_owned()
    }

    fn import(&self, subject: &str) {
        let folder = fixture(&format!("nerf/{subject}"));
        let checkpoint = folder.join("ngp.pth");
        self.says(&[
            "avatar",
            "import",
            "--name",
            subject,
            "--checkpoint",
            checkpoint.to_str().unwrap(),
            "--data",
            folder.to_str().unwrap(),
            "--background",
            "white",
        ]);
    }

    /// All frames of a clip. Where its segments end depends on the machine; pictures do not.
    fn render(&self, avatar: &str, audio: &Path, more: &[&str]) -> Vec<Vec<u8>> {
        let [out, frames] = ["out", "frames"].map(|name| self.path(name));
        let _ = fs::remove_dir_all(&out);
        let _ = fs::remove_dir_all(&frames);
        let mut arguments = vec!["render", "--avatar", avatar, "--audio", audio.to_str().unwrap()];
        arguments.extend(["-o", out.to_str().unwrap(), "--frames", frames.to_str().unwrap()]);
        arguments.extend(more);
        self.says(&arguments);
        let mut files: Vec<_> = fs::read_dir(&frames).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|path| fs::read(path).unwrap()).collect()
    }
}

/// Two seconds of the fixtures' speech.
fn speech(place: &Place, name: &str, from_secs: usize) -> PathBuf {
    let wav = fs::read(fixture("speech/en.wav")).unwrap();
    let (head, sound) = wav.split_at(44);
    let second = 2 * 16_000;
    let sound = &sound[from_secs * second..(from_secs + 2) * second];
    let mut cut = head.to_vec();
    cut[4..8].copy_from_slice(&u32::try_from(36 + sound.len()).unwrap().to_le_bytes());
    cut[40..44].copy_from_slice(&u32::try_from(sound.len()).unwrap().to_le_bytes());
    cut.extend(sound);
    let path = place.path(name);
    fs::write(&path, cut).unwrap();
    path
}

/// An avatar hears through the extractor that it was trained with, and that is as if its file were handed over.
fn heard(subject: &str, extractor: &Path, missing: Option<&str>) {
    let place = Place::new();
    place.import(subject);
    let [audio, other] = [speech(&place, "a.wav", 0), speech(&place, "b.wav", 3)];
    let out = place.path("out");
    if let Some(words) = missing {
        let [audio, out] = [audio.to_str().unwrap(), out.to_str().unwrap()];
        let refusal = place.refused(&["render", "--avatar", subject, "--audio", audio, "-o", out]);
        assert!(refusal.contains(words) && refusal.contains("headcast features add"), "{refusal}");
    }
    let added = place.says(&["features", "add", extractor.to_str().unwrap(), "--name", "ears"]);
    assert!(added.contains("added as \"ears\""), "{added}");
    let file = |audio: &Path| {
        let file = audio.with_extension("npy");
        let [audio, file] = [audio.to_str().unwrap(), file.to_str().unwrap()];
        place.says(&["features", "extract", audio, "-o", file]);
        file.to_owned()
    };
    let made = place.render(subject, &audio, &[]);
    assert_eq!(made.len(), 50);
    assert!(made == place.render(subject, &audio, &["--features", &file(&audio), "--threads", "1"]));
    assert!(made != place.render(subject, &audio, &["--features", &file(&other)]), "control: other speech");
}

#[test]
fn an_avatar_hears_through_wav2vec2() {
    let extractor = fixture("wav2vec2/ctc-layer");
    heard("er-att0-noind", &extractor, Some("cpierse/wav2vec2-large-xlsr-53-esperanto"));
}

#[test]
fn an_avatar_hears_through_deepspeech() {
    heard("er-torso", &fixture("deepspeech/tiny.pb"), None);
}

/// The network is as wide as the avatar wants it, 1024 values, and otherwise small.
#[test]
fn an_avatar_hears_through_hubert() {
    let folder = tempfile::tempdir().unwrap();
    HUBERT.write(folder.path(), 7, Precision::F16).unwrap();
    heard("er-hubert-eye", folder.path(), Some("facebook/hubert-large-ls960-ft"));
}

const HUBERT: Sizes = Sizes {
    architecture: "HubertModel",
    vocab: 32,
    channels: 16,
    hidden: 1024,
    layers: 1,
    heads: 16,
    intermediate: 64,
    positions: [16, 128],
    stable: true,
};

#[test]
fn what_is_there_and_what_is_missing_is_listed() {
    let place = Place::new();
    let list = |place: &Place| place.says(&["features", "list"]);
    let empty = list(&place);
    for model in ["osmr/deepspeech_features", "esperanto", "960h-lv60-self", "hubert-large-ls960-ft"] {
        assert!(empty.contains(model), "{model}: {empty}");
    }
    let folder = fixture("wav2vec2/ctc-layer");
    let folder = folder.to_str().unwrap();
    let inspected = place.says(&["features", "inspect", folder]);
    assert!(inspected.contains("Wav2Vec2ForCTC") && inspected.contains("44 values"), "{inspected}");
    assert_eq!(list(&place), empty, "looking adds nothing");
    place.says(&["features", "add", folder, "--half"]);
    let one = list(&place);
    assert!(one.contains("ctc-layer") && !one.contains("missing: wav2vec2 cpierse"), "{one}");
    let twice = place.refused(&["features", "add", folder]);
    assert!(twice.contains("--overwrite"), "{twice}");
    let inspected =
        place.says(&["features", "inspect", place.path("data/extractors/ctc-layer").to_str().unwrap()]);
    assert!(inspected.contains("kept as f16"), "{inspected}");
    place.says(&["features", "add", folder, "--overwrite"]);
    let inspected =
        place.says(&["features", "inspect", place.path("data/extractors/ctc-layer").to_str().unwrap()]);
    assert!(inspected.contains("kept as f32"), "{inspected}");
}

#[test]
fn what_is_no_extractor_is_told_so_and_leaves_nothing() {
    let place = Place::new();
    let copy = |name: &str| {
        let folder = place.path(name);
        fs::create_dir(&folder).unwrap();
        for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
            fs::copy(fixture("wav2vec2/ctc-layer").join(file), folder.join(file)).unwrap();
        }
        folder
    };
    let half = copy("half");
    let weights = fs::read(half.join("model.safetensors")).unwrap();
    fs::write(half.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    let without = copy("without");
    fs::remove_file(without.join("preprocessor_config.json")).unwrap();
    let whisper = copy("whisper");
    let config = fs::read_to_string(whisper.join("config.json")).unwrap();
    fs::write(whisper.join("config.json"), config.replace("Wav2Vec2ForCTC", "WhisperModel")).unwrap();
    let other = copy("other");
    fs::copy(fixture("wav2vec2/hubert/model.safetensors"), other.join("model.safetensors")).unwrap();
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    let cut = copy("cut");
    fs::write(cut.join("config.json"), &config[..config.len() / 2]).unwrap();
    let nothing = copy("nothing");
    fs::write(nothing.join("model.safetensors"), "").unwrap();
    let page = copy("page");
    fs::write(page.join("model.safetensors"), "<!doctype html><title>404</title>").unwrap();
    // What was found, what is wanted, and what to do.
    let cases: [(PathBuf, &[&str]); 12] = [
        (half, &["cut off", "bytes", "download it again"]),
        (nothing, &["nothing/model.safetensors", "download it again"]),
        (page, &["neither a safetensors nor a PyTorch file", "<!do", "download it again"]),
        (
            without,
            &[
                "no preprocessor_config.json",
                "it has config.json, model.safetensors",
                "download what is missing",
            ],
        ),
        (empty, &["no config.json", "it has nothing", "download what is missing"]),
        (cut, &["config.json is not JSON", "EOF", "download it again"]),
        (whisper, &["is of WhisperModel", "Wav2Vec2ForCTC", "HubertModel"]),
        (other, &["of one model", "shape", "download both again"]),
        (fixture("wav2vec2/hubert"), &["24 values", "HubertModel", "1024"]),
        (fixture("deepspeech/later.pb"), &["DeepSpeech 0.2 to 0.6", "deepspeech-0_1_0-b90017e8.pb"]),
        (fixture("speech/en.wav"), &["not a frozen TensorFlow graph", "output_graph.pb"]),
        (place.path("nowhere"), &["is not there", "wanted is a folder", "config.json"]),
    ];
    for (source, words) in cases {
        let refusal = place.refused(&["features", "add", source.to_str().unwrap(), "--name", "x"]);
        for word in words {
            assert!(refusal.contains(word), "no {word:?} in: {refusal}");
        }
        let left = fs::read_dir(place.path("data/extractors")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{refusal}");
    }
    let audio = fixture("speech/en.wav");
    let out = place.path("x.npy");
    let none = place.refused(&["features", "extract", audio.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert!(none.contains("headcast features list"), "{none}");
    assert!(!out.exists());
}

/// A server's jobs, and how fast they are rendered.
fn jobs(place: &Place, max_fps: Option<f64>) -> Jobs {
    let engine = EngineSettings { assume_fps: Some(100.0), max_fps, ..EngineSettings::default() };
    let studio = LocalStudio::new(&place.path("data"), engine);
    Jobs::start(Arc::new(studio), &place.path("jobs"), Limits::default()).unwrap()
}

/// As a server ends: the folder is free for the next one.
#[expect(clippy::needless_pass_by_value, reason = "nothing is left of it")]
fn stop(jobs: Jobs) {
    jobs.stop();
}

fn begin(jobs: &Jobs, audio: &Path) -> Arc<Job> {
    let request = JobRequest {
        audio: Input::Memory(fs::read(audio).unwrap().into()),
        audio_name: "speech.wav".to_owned(),
        title: None,
        cut: Cut::WHOLE,
        script: None,
        captions: None,
        avatar: "er-att0-noind".to_owned(),
        profile: None,
        extractor: None,
        body: String::new(),
        features: None,
        background: None,
        pushed: None,
    };
    jobs.create(request, None).unwrap()
}

fn until(job: &Job, state: State) {
    let start = Instant::now();
    while job.state() != state {
        assert!(start.elapsed() < Duration::from_secs(60), "never {state:?}: {:?}", job.snapshot().failure);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn segments(jobs: &Jobs, job: &Job) -> Vec<Bytes> {
    (0..job.plan().unwrap().len()).map(|index| jobs.segment(job, index).unwrap()).collect()
}

/// Two frames a second: a job that is opened is nowhere near its end when the server stops.
const SLOW: Option<f64> = Some(2.0);

#[test]
fn a_job_hears_through_the_same_extractor_after_a_restart() {
    let place = Place::new();
    place.import("er-att0-noind");
    let audio = speech(&place, "a.wav", 0);
    let other = place.path("other");
    fs::create_dir(&other).unwrap();
    OTHER.write(&other, 9, Precision::F32).unwrap();
    let add = |folder: &Path, name: &str| {
        place.says(&["features", "add", folder.to_str().unwrap(), "--name", name]);
    };
    add(&fixture("wav2vec2/ctc-layer"), "m");

    let server = jobs(&place, SLOW);
    let job = begin(&server, &audio);
    until(&job, State::Rendering);
    let first = job.id();
    stop(server);

    // The first one by name is what new jobs take.
    add(&other, "a");
    let server = jobs(&place, None);
    let job = server.get(first).unwrap();
    until(&job, State::Done);
    let heard = segments(&server, &job);
    let new = begin(&server, &audio);
    until(&new, State::Done);
    assert!(segments(&server, &new) != heard, "control: extractors differ");
    stop(server);
    fs::remove_dir_all(place.path("data/extractors/a")).unwrap();
    let server = jobs(&place, None);
    let undisturbed = begin(&server, &audio);
    until(&undisturbed, State::Done);
    assert!(segments(&server, &undisturbed) == heard, "as without a restart");
    stop(server);

    // The same weights under another name are the same extractor, others under the same name are not.
    let server = jobs(&place, SLOW);
    let renamed = begin(&server, &audio);
    until(&renamed, State::Rendering);
    stop(server);
    fs::rename(place.path("data/extractors/m"), place.path("data/extractors/n")).unwrap();
    add(&other, "m");
    let server = jobs(&place, None);
    let renamed = server.get(renamed.id()).unwrap();
    until(&renamed, State::Done);
    assert!(segments(&server, &renamed) == heard);
    stop(server);

    let server = jobs(&place, SLOW);
    let job = begin(&server, &audio);
    until(&job, State::Rendering);
    stop(server);
    fs::remove_dir_all(place.path("data/extractors/m")).unwrap();
    let server = jobs(&place, None);
    let job = server.get(job.id()).unwrap();
    until(&job, State::Failed);
    let failure = job.snapshot().failure.unwrap();
    assert_eq!(failure.code, "extractor_gone");
    assert!(
        failure.message.contains("\"m\"") && failure.message.contains("add the same weights again"),
        "{failure:?}"
    );
    stop(server);
}

const OTHER: Sizes = Sizes {
    architecture: "Wav2Vec2ForCTC",
    vocab: 44,
    channels: 8,
    hidden: 24,
    layers: 2,
    heads: 3,
    intermediate: 40,
    positions: [16, 4],
    stable: true,
};
