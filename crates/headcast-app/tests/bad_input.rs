//! Whatever is wrong with what the user gives: one clear sentence, the right exit code, nothing half written.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MACHINE: i32 = 1;
const USAGE: i32 = 2;
const INPUT: i32 = 3;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A folder for the test's files; the program's data folder is inside it.
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

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn headcast(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(arguments)
            .env("HEADCAST_DATA_DIR", self.path("data"))
            .output()
            .unwrap()
    }

    fn render(&self, audio: &Path, more: &[&str]) -> Output {
        let out = self.path("out");
        let mut arguments = vec!["render", "--audio", audio.to_str().unwrap(), "-o", out.to_str().unwrap()];
        arguments.extend(more);
        self.headcast(&arguments)
    }

    /// One sentence on stderr that has all of `words`, this exit code, and no output folder.
    fn refused(&self, output: &Output, code: i32, words: &[&str]) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("headcast: "), "{stderr}");
        for word in words {
            assert!(last.contains(word), "no {word:?} in: {last}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(!self.path("out").exists(), "something was written");
    }
}

/// Header of a 16 kHz mono WAV file of `format` (1 PCM, 3 float) that states `bytes` of samples.
fn wav_header(format: u16, bits: u16, bytes: u32) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend(format.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(16_000u32.to_le_bytes());
    file.extend((16_000 * u32::from(bits) / 8).to_le_bytes());
    file.extend((bits / 8).to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file
}

/// 16-bit PCM of `samples` samples, all `value`.
fn wav(samples: usize, value: i16) -> Vec<u8> {
    let mut file = wav_header(1, 16, u32::try_from(samples * 2).unwrap());
    file.extend(std::iter::repeat_n(value.to_le_bytes(), samples).flatten());
    file
}

/// A `.npy` file of zeros.
fn npy(shape: &[usize]) -> Vec<u8> {
    let dims: Vec<_> = shape.iter().map(ToString::to_string).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", dims.join(", "));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(vec![0; shape.iter().product::<usize>() * 4]);
    file
}

#[test]
fn recordings_that_cannot_be_used() {
    let place = Place::new();
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        let file = place.file(name, bytes);
        place.refused(&place.render(&file, &[]), INPUT, words);
    };
    refused("empty.wav", b"", &["empty.wav", "empty", "record or export it again"]);
    refused("notes.wav", b"Dear diary, today I renamed a text file.\n", &["looks like text", "use wav, mp3"]);
    refused("short.wav", &wav(800, 100), &["0.050 s", "at least 0.100 s"]);
    let mut nan = wav_header(3, 32, 64_000);
    nan.extend((0..16_000u16).flat_map(|i| if i == 9000 { f32::NAN } else { 0.1 }.to_le_bytes()));
    refused("nan.wav", &nan, &["NaN", "0.56", "export it again"]);
    refused(
        "cut.mp3",
        &fs::read(repository().join("fixtures/audio/click.mp3")).unwrap()[..300],
        &["damaged"],
    );
    place.refused(&place.render(&place.path("absent.wav"), &[]), INPUT, &["absent.wav", "cannot be read"]);
    place.refused(&place.render(place.dir.path(), &[]), INPUT, &["is a folder"]);
    let video = repository().join("fixtures/audio/no-audio.mp4");
    place.refused(&place.render(&video, &[]), INPUT, &["no audio track"]);
}

#[test]
fn three_hours_are_refused_from_the_header() {
    let place = Place::new();
    let bytes = 3 * 3600 * 32_000u32;
    let path = place.file("long.wav", &wav_header(1, 16, bytes));
    // Sparse: it takes no room on the disk.
    File::options().append(true).open(&path).unwrap().set_len(44 + u64::from(bytes)).unwrap();
    place.refused(&place.render(&path, &[]), INPUT, &["limit of 2 h", "cut it"]);
}

#[test]
fn silence_and_cut_files_are_spoken_with_a_warning() {
    let place = Place::new();
    let silent = place.file("silent.wav", &wav(4000, 0));
    let output = place.render(&silent, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: the clip is silent; the mouth will stay closed"), "{stderr}");

    let whole = fs::read(repository().join("fixtures/audio/click.mp3")).unwrap();
    let cut = place.file("cut.mp3", &whole[..whole.len() * 2 / 3]);
    let output = place.render(&cut, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: the file is cut off"), "{stderr}");
    assert!(place.path("out/video.mp4").is_file());
    assert!(place.path("out/index.m3u8").is_file());
}

#[test]
fn parts_of_a_recording_that_there_are_not() {
    let place = Place::new();
    let speech = place.file("speech.wav", &wav(16_000, 500));
    let refused = |more: &[&str], words: &[&str]| {
        place.refused(&place.render(&speech, more), INPUT, words);
    };
    refused(&["--start", "nan"], &["start is NaN", "seconds from the beginning"]);
    refused(&["--start", "-1"], &["start is -1"]);
    refused(&["--end", "inf"], &["end is inf"]);
    refused(&["--start", "0.5", "--end", "0.5"], &["must come after the start"]);
    refused(&["--start", "1"], &["starts at 1.0 s", "only 1.0 s long"]);
    refused(&["--end", "2.5"], &["ends at 2.5 s", "only 1.0 s long"]);
    refused(&["--start", "0.5", "--end", "0.55"], &["0.050 s", "at least 0.100 s"]);
    let features = place.file("features.npy", &npy(&[25, 16, 29]));
    refused(&["--end", "0.5", "--features", features.to_str().unwrap()], &["of the whole recording"]);
}

#[test]
fn a_part_is_spoken_as_if_there_were_nothing_else() {
    let place = Place::new();
    let mut whole = wav(16_000, 0);
    for (i, byte) in whole[44..].iter_mut().enumerate().filter(|(i, _)| i % 2 == 1) {
        *byte = u8::try_from(i / 2 * 31 % 61).unwrap();
    }
    // 0.32 s from 0.25 s on: one segment, however fast the machine is.
    let mut part = wav(5120, 0);
    part[44..].copy_from_slice(&whole[44 + 8000..][..10_240]);
    let (whole, part) = (place.file("whole.wav", &whole), place.file("part.wav", &part));
    let spoken = |audio: &Path, more: &[&str]| {
        let output = place.render(audio, &[&["--profile", "preview"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let playlist = fs::read_to_string(place.path("out/index.m3u8")).unwrap();
        assert_eq!(playlist.matches("#EXTINF:0.32").count(), 1, "{playlist}");
        let segment = playlist.lines().find(|line| !line.starts_with('#')).unwrap();
        fs::read(place.path("out").join(segment)).unwrap()
    };
    let alone = spoken(&part, &[]);
    assert!(spoken(&whole, &["--start", "0.25", "--end", "0.57"]) == alone);
    assert!(spoken(&whole, &["--start", "0.2501", "--end", "0.5701"]) != alone);
}

#[test]
fn features_that_do_not_fit() {
    let place = Place::new();
    let speech = place.file("speech.wav", &wav(16_000, 500));
    let refused = |shape: &[usize], words: &[&str]| {
        let file = place.file("features.npy", &npy(shape));
        place.refused(&place.render(&speech, &["--features", file.to_str().unwrap()]), INPUT, words);
    };
    refused(&[25, 16, 44], &["wav2vec2", "trained with DeepSpeech"]);
    refused(&[25, 2, 1024], &["HuBERT", "trained with DeepSpeech"]);
    refused(&[25, 16, 1024], &["1024"]);
    refused(&[25, 29, 16], &["[N, 16, 29]", "transpose"]);
    refused(&[25, 16, 30], &["[25, 16, 30]", "[N, 16, 29]"]);
    let text = place.file("features.npy", b"not an array");
    place.refused(&place.render(&speech, &["--features", text.to_str().unwrap()]), INPUT, &["npy"]);
}

#[test]
fn avatars_that_are_not_there() {
    let place = Place::new();
    let speech = place.file("speech.wav", &wav(16_000, 500));
    place.refused(
        &place.render(&speech, &["--avatar", "nobody"]),
        INPUT,
        &["no avatar \"nobody\"", "headcast avatar list"],
    );
    place.refused(&place.render(&speech, &["--avatar", "../../etc"]), INPUT, &["no avatar"]);
    let folder = place.path("hollow");
    fs::create_dir(&folder).unwrap();
    place.refused(
        &place.render(&speech, &["--avatar", folder.to_str().unwrap()]),
        INPUT,
        &["avatar.toml", "missing"],
    );
    // A copy of the built-in avatar without its poses.
    let milo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/avatars/milo");
    for entry in fs::read_dir(milo).unwrap().flatten() {
        if entry.file_name() != "poses.safetensors" {
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    place.refused(
        &place.render(&speech, &["--avatar", folder.to_str().unwrap()]),
        INPUT,
        &["poses.safetensors", "missing"],
    );
}

#[test]
fn folders_that_cannot_be_written() {
    let place = Place::new();
    let speech = place.file("speech.wav", &wav(16_000, 500));
    // A file where a folder is needed stops everybody, the superuser too.
    let blocked = place.file("blocked", b"");
    let out = blocked.join("out");
    let output =
        place.headcast(&["render", "--audio", speech.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    place.refused(&output, MACHINE, &["is not a folder", "choose another name"]);
    assert_eq!(fs::read(&blocked).unwrap(), b"");
    let output = place.headcast(&["serve", "--port", "0", "--data-dir", out.to_str().unwrap()]);
    place.refused(&output, MACHINE, &["data folder", "--data-dir"]);
}

#[test]
fn a_port_in_use() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = place.headcast(&["serve", "--port", &port]);
    place.refused(&output, MACHINE, &["in use", "--port"]);
}

#[test]
fn wrong_usage_is_told_by_its_own_code() {
    let place = Place::new();
    let output = place.headcast(&["render", "--nonsense"]);
    assert_eq!(output.status.code(), Some(USAGE));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--nonsense"));
}

#[test]
fn checkpoints_that_cannot_be_imported() {
    let place = Place::new();
    let data = place.path("subject");
    fs::create_dir(&data).unwrap();
    let import = |checkpoint: &Path| {
        let (checkpoint, data) = (checkpoint.to_str().unwrap(), data.to_str().unwrap());
        let output = place.headcast(&[
            "avatar",
            "import",
            "--checkpoint",
            checkpoint,
            "--data",
            data,
            "--name",
            "visitor",
        ]);
        assert!(!place.path("data/avatars/visitor").exists(), "an avatar was left behind");
        output
    };
    // Legacy container: magic, version, system information, then a call of os.system.
    let mut hostile = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\0.".to_vec();
    hostile.extend(b"\x80\x02cos\nsystem\nX\x0d\0\0\0touch escaped\x85R.");
    let hostile = place.file("hostile.pth", &hostile);
    place.refused(&import(&hostile), INPUT, &["hostile.pth"]);
    assert!(!Path::new("escaped").exists());
    let text = place.file("text.pth", b"these are no weights");
    place.refused(&import(&text), INPUT, &["text.pth"]);
    place.refused(&import(&place.path("absent.pth")), INPUT, &["absent.pth"]);

    // A sound checkpoint, and nothing beside it.
    let ngp = repository().join("fixtures/nerf/er-head/ngp.pth");
    place.refused(&import(&ngp), INPUT, &["transforms_train.json", "missing"]);

    // Another family is recognised.
    let output = place.headcast(&["avatar", "inspect", text.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(INPUT));
    let output = place.headcast(&["avatar", "inspect", ngp.to_str().unwrap()]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("ER-NeRF"));
    let body = repository().join("fixtures/nerf/ad-torso/600000_body.tar");
    let output = place.headcast(&["avatar", "inspect", "--json", body.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["family"], &report["part"]), (&"ad-nerf".into(), &"body".into()), "{report}");
    assert_eq!((&report["features"]["values"], &report["usable"]), (&29.into(), &true.into()), "{report}");
    place.refused(&import(&body), INPUT, &["TorsoNeRFTest_config.txt", "near"]);
}

#[test]
fn an_imported_avatar_speaks() {
    speaks("er-torso");
}

#[test]
fn an_imported_rad_nerf_speaks() {
    speaks("rad-torso");
}

fn speaks(fixture: &str) {
    let place = Place::new();
    let subject = repository().join("fixtures/nerf").join(fixture);
    let checkpoint = subject.join("ngp.pth");
    let output = place.headcast(&[
        "avatar",
        "import",
        "--checkpoint",
        checkpoint.to_str().unwrap(),
        "--data",
        subject.to_str().unwrap(),
        "--name",
        "cube",
        "--title",
        "A cube",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = place.headcast(&["avatar", "list"]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.starts_with("milo") && list.contains("cube") && list.contains("A cube"), "{list}");

    let mut speech = File::create(place.path("speech.wav")).unwrap();
    speech.write_all(&wav(16_000, 500)).unwrap();
    let frames = place.path("frames");
    let more = ["--avatar", "cube", "--quiet", "--frames", frames.to_str().unwrap()];
    let output = place.render(&place.path("speech.wav"), &more);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read_dir(frames).unwrap().count(), 25);
    let playlist = fs::read_to_string(place.path("out/index.m3u8")).unwrap();
    let segments = playlist.lines().filter(|line| !line.starts_with('#'));
    assert!(segments.inspect(|uri| assert!(place.path("out").join(uri).is_file(), "{uri}")).count() >= 2);
    assert!(place.path("out/video.mp4").is_file());
}

#[test]
fn other_machines_are_not_served_without_a_secret() {
    let place = Place::new();
    let serve = |more: &[&str]| {
        let mut arguments = vec!["serve", "--port", "0"];
        arguments.extend(more);
        place.headcast(&arguments)
    };
    place.refused(&serve(&["--host", "0.0.0.0"]), INPUT, &["0.0.0.0", "--auth", "--token", "--no-auth"]);
    place.refused(&serve(&["--auth", "ann"]), INPUT, &["--auth", "user:password"]);
    let short = serve(&["--auth", "ann:secret"]);
    place.refused(&short, INPUT, &["--auth", "characters"]);
    assert!(!String::from_utf8_lossy(&short.stderr).contains("secret"));
    place.refused(&serve(&["--token", "short"]), INPUT, &["--token", "characters"]);
    let both = serve(&["--no-auth", "--token", "0123456789abcdef"]);
    assert_eq!(both.status.code(), Some(USAGE));
    assert!(!String::from_utf8_lossy(&both.stderr).contains("0123456789abcdef"));
    assert!(!place.path("data").join("uploads").exists(), "nothing was made for a server that does not run");
}

#[test]
fn secrets_may_come_from_the_environment_of_every_command() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(arguments)
            .env("HEADCAST_DATA_DIR", place.path("data"))
            .env("HEADCAST_TOKEN", "0123456789abcde")
            .env("HEADCAST_AUTH", "ann:correct horse")
            .output()
            .unwrap()
    };
    // One character too short: so it is looked at.
    place.refused(&run(&["serve", "--port", "0", "--host", "0.0.0.0"]), INPUT, &["--token"]);
    let list = run(&["avatar", "list"]);
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let help = run(&["serve", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout);
    assert!(
        help.contains("HEADCAST_TOKEN") && !help.contains("0123456789abcde") && !help.contains("horse"),
        "{help}"
    );
}
