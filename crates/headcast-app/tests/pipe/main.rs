//! `headcast pipe`: raw frames of any program become a folder that plays; or, in `remote`, a job of a server.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps fails with a line number; a skip must be seen"
)]

mod remote;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SIZE: (usize, usize) = (64, 48);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("fixtures").join(name)
}

fn have_tools() -> bool {
    let have = |tool: &str| Command::new(tool).arg("-version").output().is_ok();
    if have("ffmpeg") && have("ffprobe") {
        return true;
    }
    assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "ffmpeg and ffprobe are required");
    println!("SKIPPED: ffmpeg or ffprobe is not on PATH");
    false
}

fn pipe(arguments: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcast"));
    command.arg("pipe").args(arguments).arg("-o").arg(out);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// An RGB picture that drifts.
fn frame(index: usize) -> Vec<u8> {
    let pixel =
        |i: usize| [i % SIZE.0 * 3, i / SIZE.0 * 4, 5 * index].map(|v| u8::try_from(v % 256).unwrap());
    (0..SIZE.0 * SIZE.1).flat_map(pixel).collect()
}

/// Runs `pipe` over `bytes`.
fn run(arguments: &[&str], out: &Path, bytes: &[u8]) -> Output {
    let mut child = pipe(arguments, out).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who refuses its arguments reads nothing.
    let _ = stdin.write_all(bytes);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn frames(range: std::ops::Range<usize>) -> Vec<u8> {
    range.flat_map(frame).collect()
}

fn read(out: &Path, name: &str) -> String {
    fs::read_to_string(out.join(name)).unwrap()
}

fn files(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names.map(|name| (name.clone(), fs::read(out.join(name)).unwrap())).collect();
    files.sort();
    files
}

/// What ffprobe says about `file`, which ffmpeg decodes without a word.
fn clean(file: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-i", file.to_str().unwrap(), "-f", "null", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}: {}", file.display(), stderr(&output));
    let entries = "stream=codec_type,nb_read_packets,r_frame_rate,width,height";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// `ffmpeg … | headcast pipe …`, each format, with its own pictures and the rate of television.
#[test]
fn ffmpeg_pipes_into_it() {
    if !have_tools() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let out = |name: &str| place.path().join(name);
    for format in ["rgb24", "bgr24", "rgba", "yuv420p"] {
        let mut source = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30000/1001:duration=2"])
            .args(["-vf", "scale=out_color_matrix=bt709:out_range=tv"])
            .args(["-f", "rawvideo", "-pix_fmt", format, "-"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = out(format);
        let output = pipe(&["--size", "160x90", "--fps", "30000/1001", "--pix-fmt", format], &out)
            .stdin(source.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(source.wait().unwrap().success());
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("60 frames, "), "{}", stderr(&output));
        for name in ["index.m3u8", "video.mp4"] {
            let streams = clean(&out.join(name));
            assert!(streams.contains("width=160\nheight=90\n"), "{streams}");
            assert!(streams.contains("nb_read_packets=60") && !streams.contains("audio"), "{streams}");
        }
        let streams = clean(&out.join("video.mp4"));
        assert!(streams.contains("r_frame_rate=30000/1001"), "{streams}");
    }
    assert!(files(&out("rgb24")) == files(&out("bgr24")));
    assert!(files(&out("rgb24")) == files(&out("rgba")));
    // Control: ffmpeg's own conversion rounds otherwise.
    assert!(files(&out("rgb24")) != files(&out("yuv420p")));

    // It is passed on as it is: what is decoded is what went in, but for the loss.
    let decode = |input: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error"]).args(input).args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
        command.output().unwrap().stdout
    };
    let decoded = decode(&["-i", out("yuv420p").join("video.mp4").to_str().unwrap()]);
    let source = |range: &str| {
        let filter = format!("scale=out_color_matrix=bt709:out_range={range}");
        decode(&["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30000/1001:duration=2", "-vf", &filter])
    };
    let (same, full) = (source("tv"), source("pc"));
    assert_eq!(decoded.len(), same.len());
    let error = |a: &[u8], b: &[u8]| {
        let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        #[expect(clippy::cast_precision_loss, reason = "small test values")]
        let mean = sum as f64 / a.len() as f64;
        mean
    };
    let (found, other) = (error(&decoded, &same), error(&decoded, &full));
    assert!(found < 2.0 && other > 2.0 * found, "mean error {found}; {other} if it were full range");
}

#[test]
fn sound_fixes_the_playlist_before_the_first_frame() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let speech = fixture("speech/en.wav");
    let arguments = ["--size", "64x48", "--audio", speech.to_str().unwrap()];
    let mut child = pipe(&arguments, &out).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let playlist = out.join("index.m3u8");
    while !playlist.exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = fs::read_to_string(&playlist).unwrap();
    assert!(before.contains("VOD") && before.ends_with("#EXT-X-ENDLIST\n"));
    let seconds: f64 = before
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse::<f64>().ok())
        .sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a short clip")]
    let total = (seconds * 25.0).round() as usize;
    assert!(total > 50, "{total}");
    // One frame less than the sound, as models have it.
    stdin.write_all(&frames(0..total - 1)).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: 1 frame missing at the end"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&playlist).unwrap(), before);
    if have_tools() {
        for name in ["index.m3u8", "video.mp4"] {
            let streams = clean(&out.join(name));
            assert!(streams.contains("codec_type=audio"), "{streams}");
            assert!(streams.contains(&format!("nb_read_packets={total}")), "{streams}");
        }
    }
}

/// Memory does not grow with the recording: its compressed sound is put aside on the disk of the folder, in a file
/// without a name.
#[cfg(target_os = "linux")]
#[test]
fn the_sound_of_a_long_clip_is_not_kept_in_memory() {
    let place = tempfile::tempdir().unwrap();
    let put_aside = |name: &str, times: usize, asked: usize, patience: Duration| {
        let wav = fs::read(fixture("speech/en.wav")).unwrap();
        let (head, sound) = wav.split_at(44);
        let bytes = u32::try_from(times * sound.len()).unwrap();
        let (size, length) = ((36 + bytes).to_le_bytes(), bytes.to_le_bytes());
        let long = [&head[..4], &size, &head[8..40], &length, &sound.repeat(times)].concat();
        let file = place.path().join(format!("{name}.wav"));
        fs::write(&file, long).unwrap();
        let out = place.path().join(name);
        let mut child = pipe(&["--size", "64x48", "--audio", file.to_str().unwrap()], &out).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Sound is compressed some way ahead of the pictures that ask for it.
        stdin.write_all(&frames(0..asked)).unwrap();
        let since = Instant::now();
        let aside = loop {
            assert!(child.try_wait().unwrap().is_none());
            let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
            let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
            let aside = open
                .filter(|file| {
                    file.starts_with(place.path()) && file.to_string_lossy().ends_with(" (deleted)")
                })
                .count();
            if aside > 0 || since.elapsed() > patience {
                break aside;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(stdin);
        child.wait().unwrap();
        aside
    };
    // Of four minutes, forty seconds are asked for; a file is there as soon as there is too much for memory.
    assert!(put_aside("long", 40, 1000, Duration::from_secs(60)) > 0);
    // Control: that of a short one needs no file.
    assert_eq!(put_aside("short", 1, 140, Duration::from_secs(2)), 0);
}

/// A program that is slower than real time, and one that is as fast as it can be.
#[test]
fn slow_and_fast_programs_leave_the_same_files() {
    let place = tempfile::tempdir().unwrap();
    let out = |name: &str| place.path().join(name);
    let push = |name: &str, pause: Option<Duration>| {
        let mut child = pipe(&["--size", "64x48"], &out(name)).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for index in 0..30 {
            stdin.write_all(&frame(index)).unwrap();
            pause.into_iter().for_each(std::thread::sleep);
        }
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    };
    push("12 fps", Some(Duration::from_millis(83)));
    push("200 fps", Some(Duration::from_millis(5)));
    push("unbounded", None);
    assert!(files(&out("12 fps")) == files(&out("unbounded")));
    assert!(files(&out("200 fps")) == files(&out("unbounded")));
    assert_eq!(files(&out("12 fps")).len(), 5, "playlist, video and 8 + 8 + 14 frames");
}

#[test]
fn bytes_that_are_no_frame_are_named() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let mut bytes = frames(0..20);
    bytes.truncate(bytes.len() - 100);
    let output = run(&["--size", "64x48"], &out, &bytes);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(
        said.contains(
            "after 19 whole frames, 9116 bytes were left on stdin, and a rgb24 frame of 64x48 has 9216; --size \
             or --pix-fmt is probably not what was sent"
        ),
        "{said}"
    );
    assert!(said.contains("(the 19 frames that are finished play)"), "{said}");
    assert!(read(&out, "index.m3u8").ends_with("#EXT-X-ENDLIST\n"));
    assert!(!out.join("video.mp4").exists());

    // It goes on from there.
    let output = run(&["--size", "64x48", "--resume"], &out, &frames(19..40));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("19 frames are there"), "{}", stderr(&output));
    let segments = read(&out, "index.m3u8").lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(files(&out).len(), segments + 2);
    // And not with frames of another size.
    let output = run(&["--size", "48x64", "--resume"], &out, &frames(40..41));
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("of another size"), "{}", stderr(&output));
}

#[test]
fn what_cannot_work_is_said_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let speech = fixture("speech/en.wav");
    let text = place.path().join("text.wav");
    fs::write(&text, "these are words").unwrap();
    for (arguments, code, words) in [
        (&["--size", "8x8"][..], 3, "16 to 4096 pixels a side"),
        (&["--size", "64"], 2, "use WIDTHxHEIGHT"),
        (&["--size", "0x9"], 3, "not supported"),
        (&["--size", "64x48", "--fps", "0"], 2, "29.97 or 30000/1001"),
        (&["--size", "4096x2304", "--fps", "240"], 3, "use fewer or smaller frames"),
        (&["--size", "64x48", "--pix-fmt", "gray"], 2, "rgb24, bgr24, rgba, yuv420p"),
        (&["--size", "64x48", "--audio", "/nowhere.wav"], 3, "cannot be read"),
        (&["--size", "64x48", "--audio", text.to_str().unwrap()], 3, "not an audio file"),
        (
            &["--size", "64x48", "--frames", "9", "--audio", speech.to_str().unwrap()],
            2,
            "cannot be used with",
        ),
    ] {
        let output = run(arguments, &out, b"");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(!out.exists(), "{arguments:?}");
    }
    let output = run(&["--size", "64x48"], &out, b"");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no frame came on stdin"), "{}", stderr(&output));
    assert!(!out.join("index.m3u8").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_what_plays() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let mut child: Child = pipe(&["--size", "64x48", "--frames", "500"], &out).spawn().unwrap();
    // Kept open: the program before sleeps, and does not end.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&frames(0..30)).unwrap();
    while !out.join("segment_00001.ts").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted (the "), "{}", stderr(&output));
    let playlist = read(&out, "index.m3u8");
    assert!(playlist.contains("EVENT") && playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
    for name in playlist.lines().filter(|line| !line.starts_with('#')) {
        assert!(out.join(name).exists(), "{name}");
    }
}
