//! What `headcast render` leaves behind, read by other people's software.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("fixtures").join(name)
}

fn have_tools() -> bool {
    let have = |tool: &str| Command::new(tool).arg("-version").output().is_ok();
    if have("ffmpeg") && have("ffprobe") {
        return true;
    }
    assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "ffmpeg and ffprobe are required");
    #[expect(clippy::print_stdout, reason = "a skip must be seen")]
    {
        println!("SKIPPED: ffmpeg or ffprobe is not on PATH");
    }
    false
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{tool} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn probe(file: &str, entries: &str, stream: &str) -> Vec<String> {
    let format = "default=noprint_wrappers=1:nokey=1";
    let out = run(
        "ffprobe",
        &["-v", "error", "-select_streams", stream, "-show_entries", entries, "-of", format, file],
    );
    out.lines().map(str::to_owned).collect()
}

#[test]
fn the_built_in_avatar_makes_a_clean_file() {
    if !have_tools() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let speech = place.path().join("speech.wav");
    // 2.01 s: the last frame is begun and must be there whole.
    let cut = [
        "-v",
        "error",
        "-i",
        fixture("speech/en.wav").to_str().unwrap(),
        "-t",
        "2.01",
        speech.to_str().unwrap(),
    ]
    .map(str::to_owned);
    run("ffmpeg", &cut.each_ref().map(String::as_str));
    let out = place.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["render", "--audio", speech.to_str().unwrap(), "-o", out.to_str().unwrap()])
        .env("HEADCAST_DATA_DIR", place.path().join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let playlist = fs::read_to_string(out.join("index.m3u8")).unwrap();
    let length: f64 = playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok())
        .sum();
    assert!((length - 51.0 / 25.0).abs() < 1e-9, "{length}");

    // One file of all segments, as players see them.
    let joined = out.join("joined.ts");
    let segments = playlist.lines().filter(|line| !line.starts_with('#'));
    let bytes: Vec<u8> = segments.flat_map(|name| fs::read(out.join(name)).unwrap()).collect();
    fs::write(&joined, bytes).unwrap();
    for name in ["joined.ts", "video.mp4", "index.m3u8"] {
        let file = out.join(name);
        let file = file.to_str().unwrap();
        assert_eq!(run("ffmpeg", &["-v", "warning", "-xerror", "-i", file, "-f", "null", "-"]), "", "{name}");
    }
    for name in ["joined.ts", "video.mp4"] {
        let file = out.join(name);
        let file = file.to_str().unwrap();
        let seconds = |stream| -> Vec<f64> {
            probe(file, "packet=pts_time", stream)
                .iter()
                .map(|t| t.trim_end_matches(',').parse().unwrap())
                .collect()
        };
        let (pictures, sound) = (seconds("v"), seconds("a"));
        assert_eq!(pictures.len(), 51, "{name}: every frame");
        assert!((pictures[0] - sound[0]).abs() < 0.001, "{name}: {} and {}", pictures[0], sound[0]);
        let steps = |times: &[f64], step: f64| times.windows(2).all(|t| (t[1] - t[0] - step).abs() < 2e-5);
        assert!(steps(&pictures, 0.04), "{name}: {pictures:?}");
        assert!(steps(&sound, 1024.0 / 48_000.0), "{name}: {sound:?}");
        let colours = probe(file, "stream=color_range,color_space,color_transfer,color_primaries", "v:0");
        assert_eq!(colours[..4], ["tv", "bt709", "bt709", "bt709"], "{name}");
    }
    let duration = probe(out.join("video.mp4").to_str().unwrap(), "stream=duration", "v");
    assert_eq!(duration, ["2.040000"]);
}

/// Frames of a second of silence, as PNG files, or what went wrong.
fn frames_of_silence(place: &Path, body: &[&str]) -> Result<Vec<Vec<u8>>, String> {
    let (silence, frames) = (place.join("silence.wav"), place.join("frames"));
    let samples = 8000u32;
    let header = [16, 1 | 1 << 16, samples, samples, 1 | 8 << 16].map(u32::to_le_bytes).concat();
    let sizes = [36 + samples, samples].map(u32::to_le_bytes);
    let silent = vec![128; samples as usize];
    let wav: [&[u8]; 6] = [b"RIFF", &sizes[0], b"WAVEfmt ", &header, b"data", &sizes[1]];
    fs::write(&silence, [wav.concat(), silent].concat()).unwrap();
    let _ = fs::remove_dir_all(&frames);
    let output = Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["render", "--profile", "preview", "--audio", silence.to_str().unwrap()])
        .args(["-o", place.join("out").to_str().unwrap(), "--frames", frames.to_str().unwrap()])
        .args(body)
        .env("HEADCAST_DATA_DIR", place.join("data"))
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut names: Vec<_> = fs::read_dir(&frames).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    Ok(names.into_iter().map(|name| fs::read(name).unwrap()).collect())
}

#[test]
fn a_body_keeps_still_when_it_is_told() {
    let place = tempfile::tempdir().unwrap();
    let moving = frames_of_silence(place.path(), &[]).unwrap();
    let still = frames_of_silence(place.path(), &["--poses", "3"]).unwrap();
    assert_eq!((still.len(), moving.len()), (25, 25));
    assert!(still[3] == moving[3], "the same pose");
    assert!(still[12] != moving[12], "not any more");
    let green = frames_of_silence(place.path(), &["--poses", "3", "--background", "green"]).unwrap();
    assert!(green[3] != still[3]);
    // A picture of that colour, of another size and shape; and no file of that name.
    let sea = place.path().join("sea.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&sea).unwrap(), 90, 60);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[0, 177, 64].repeat(90 * 60)).unwrap();
    let before = frames_of_silence(place.path(), &["--poses", "3", "--background", sea.to_str().unwrap()]);
    assert!(before.unwrap()[3] == green[3]);
    std::fs::write(&sea, b"GIF89a").unwrap();
    let error = frames_of_silence(place.path(), &["--background", sea.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("neither a PNG nor a JPEG"), "{error}");
    for (body, reason) in [
        (["--eyes", "wide"], "0 (open) to 1"),
        (["--poses", "99999"], "no pose 99999"),
        (["--background", "plaid"], "#3070ff"),
        (["--smooth-lips", "a bit"], "on or off"),
    ] {
        let error = frames_of_silence(place.path(), &body).unwrap_err();
        assert!(error.contains(reason), "{body:?}: {error}");
    }
}

/// Half a second of the English speech, which begins later than its recording.
fn short_speech(place: &Path) -> PathBuf {
    let wav = fs::read(fixture("speech/en.wav")).unwrap();
    let bytes = 16_000_u32;
    let sizes = [(4, 36 + bytes), (40, bytes)];
    let (head, sound) = wav.split_at(44);
    let mut short = [head, &sound[32_000..48_000]].concat();
    for (at, size) in sizes {
        short[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
    let file = place.join("short.wav");
    fs::write(&file, short).unwrap();
    file
}

/// `cat` is the voice: whatever the text is, it says the same.
#[cfg(unix)]
#[test]
fn captions_are_those_of_the_clip_beside_them() {
    let place = tempfile::tempdir().unwrap();
    let speech = short_speech(place.path());
    let out = place.path().join("out");
    let render = |what: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(["render", "-o", out.to_str().unwrap(), "--profile", "fast"])
            .args(what)
            .env("HEADCAST_DATA_DIR", place.path().join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let voice = format!("cat=cat {}", speech.display());
    render(&["--text", "Good evening.", "--voice-command", &voice, "--voice", "cat"]);
    let vtt = fs::read_to_string(out.join("captions.vtt")).unwrap();
    let srt = fs::read_to_string(out.join("captions.srt")).unwrap();
    assert!(vtt.starts_with("WEBVTT\n") && vtt.contains("Good evening."), "{vtt}");
    let lines: Vec<&str> = srt.lines().collect();
    assert!(matches!(lines[..3], ["1", "00:00:00,000 --> 00:00:00,520", "Good evening."]), "{srt}");
    fs::write(out.join("notes.txt"), "").unwrap();

    render(&["--audio", speech.to_str().unwrap()]);
    assert!(!out.join("captions.vtt").exists() && !out.join("captions.srt").exists());
    assert!(out.join("video.mp4").exists() && out.join("notes.txt").exists());
}
