//! `headcast pipe`: raw frames of any program become a folder that plays.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps fails with a line number; a skip must be seen"
)]

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    let put_aside = |name: &str, times: usize| {
        let wav = fs::read(fixture("speech/en.wav")).unwrap();
        let (head, sound) = wav.split_at(44);
        let bytes = u32::try_from(times * sound.len()).unwrap();
        let (size, length) = ((36 + bytes).to_le_bytes(), bytes.to_le_bytes());
        let long = [&head[..4], &size, &head[8..40], &length, &sound.repeat(times)].concat();
        let file = place.path().join(format!("{name}.wav"));
        fs::write(&file, long).unwrap();
        let out = place.path().join(name);
        let mut child = pipe(&["--size", "64x48", "--audio", file.to_str().unwrap()], &out).spawn().unwrap();
        // The sound is read when the playlist is there.
        while !out.join("index.m3u8").exists() {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(10));
        }
        let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
        let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let aside = open
            .filter(|file| file.starts_with(place.path()) && file.to_string_lossy().ends_with(" (deleted)"))
            .count();
        drop(child.stdin.take());
        child.wait().unwrap();
        aside
    };
    assert!(put_aside("long", 40) > 0);
    // Control: that of a short one needs no file.
    assert_eq!(put_aside("short", 1), 0);
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

/// A server of this program; killed when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        Self::start_at(data, 0)
    }

    fn start_at(data: &Path, port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(["serve", "--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .env("HEADCAST_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        Self { child, url: format!("http://{address}") }
    }

    fn get(&self, path: &str) -> String {
        get(&self.url, path)
    }

    /// Asks until the answer has `words` in it.
    fn until(&self, path: &str, words: &str) {
        for _ in 0..600 {
            if self.get(path).contains(words) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never came: {words} in {}", self.get(path));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKEN: &str = "a-token-of-the-tests";

fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let host = url.strip_prefix("http://").unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A pipe to a server.
fn pipe_to(url: &str, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["pipe", "--size", "64x48", "--job", url])
        .args(arguments)
        .env("HEADCAST_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// As [`run`], to a server; the address of the job's page without its start.
fn run_to(server: &Server, url: &str, arguments: &[&str], bytes: &[u8]) -> (Output, String) {
    let mut child = pipe_to(url, arguments);
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(bytes);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let page = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let page = page.strip_prefix(&server.url).unwrap_or_default().to_owned();
    (output, page)
}

#[test]
fn frames_go_to_a_running_server() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    let (output, page) = run_to(&server, &server.url, &["--frames", "30"], &frames(0..30));
    assert!(output.status.success(), "{}", stderr(&output));
    let id = page.strip_prefix("/j/").unwrap();
    let job = format!("/api/v1/jobs/{id}");
    assert!(server.get(&job).contains("\"state\":\"done\""), "{}", server.get(&job));

    // The same files as in a folder.
    let out = place.path().join("out");
    assert!(run(&["--size", "64x48", "--frames", "30"], &out, &frames(0..30)).status.success());
    for (name, bytes) in files(&out) {
        if name.ends_with(".ts") {
            assert!(fs::read(place.path().join("jobs").join(id).join(&name)).unwrap() == bytes, "{name}");
        }
    }

    // One frame less than the sound, and the sound of a file with a name of its own.
    let speech = place.path().join("讲话 & more.wav");
    fs::copy(fixture("speech/en.wav"), &speech).unwrap();
    let arguments = ["--audio", speech.to_str().unwrap()];
    let (output, page) = run_to(&server, &server.url, &arguments, &frames(0..20));
    assert!(output.status.success(), "{}", stderr(&output));
    let job = server.get(&page.replace("/j/", "/api/v1/jobs/"));
    assert!(job.contains("\"state\":\"done\"") && job.contains("讲话 & more.wav"), "{job}");

    // What breaks off says so on the job, and what there is plays.
    let mut bytes = frames(0..21);
    bytes.truncate(bytes.len() - 9);
    let (output, page) = run_to(&server, &server.url, &["--frames", "30"], &bytes);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let job = page.replace("/j/", "/api/v1/jobs/");
    assert!(server.get(&job).contains("after 20 whole frames, 9207 bytes were left"), "{}", server.get(&job));
    let playlist = server.get(&format!("{job}/index.m3u8"));
    assert!(playlist.contains("EVENT") && playlist.contains("segment_00000.ts"), "{playlist}");

    // A job that is there already, and one that takes no frames any more.
    let (output, _) = run_to(&server, &format!("{}{page}", server.url), &[], &frames(20..30));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("gave up"), "{}", stderr(&output));
    let refused = run_to(&server, &server.url, &["--token", "another-token-of-no-use", "--frames", "9"], b"");
    assert!(stderr(&refused.0).contains("--token"), "{}", stderr(&refused.0));
    let nobody = run_to(&server, "http://127.0.0.1:9", &["--frames", "9"], b"");
    assert_eq!(nobody.0.status.code(), Some(1), "{}", stderr(&nobody.0));
}

/// Waits for a pipe, and not for ever.
fn end_of(mut child: Child) -> Output {
    for _ in 0..900 {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    panic!("it does not end: {}", stderr(&child.wait_with_output().unwrap()));
}

/// A line to the server at `url` that breaks whenever so many bytes have gone to it, one after the other.
fn brittle_line(url: &str, mut cuts: Vec<usize>) -> String {
    let server = url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    cuts.reverse();
    let cuts = Arc::new(Mutex::new(cuts));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut answers, &mut back));
            let cuts = Arc::clone(&cuts);
            std::thread::spawn(move || {
                let (mut piece, mut gone) = ([0; 4096], 0);
                while let Ok(read @ 1..) = client.read(&mut piece) {
                    gone += read;
                    let mut cuts = cuts.lock().unwrap();
                    if cuts.last().is_some_and(|cut| gone >= *cut) {
                        cuts.pop();
                        break;
                    }
                    drop(cuts);
                    if server.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                // Both ways: nobody learns more.
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    format!("http://{address}")
}

/// Whether the segments of a job are those of a folder that got the same frames.
fn assert_same_segments(job: &Path, count: usize) {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let arguments = ["--size", "64x48", "--frames", &count.to_string()];
    assert!(run(&arguments, &out, &frames(0..count)).status.success());
    let mut compared = 0;
    for (name, bytes) in files(&out) {
        if name.ends_with(".ts") {
            assert!(fs::read(job.join(&name)).unwrap() == bytes, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 2);
}

#[test]
fn a_broken_line_is_mended() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    // In the middle of a frame, and after a few more.
    let line = brittle_line(&server.url, vec![300_000, 400_000]);
    let mut child = pipe_to(&line, &["--frames", "120"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&frames(0..120)).unwrap();
    drop(stdin);
    let output = end_of(child);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("connected again; going on with frame").count(), 2, "{said}");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = page.trim().rsplit('/').next().unwrap();
    assert!(server.get(&format!("/api/v1/jobs/{id}")).contains("\"state\":\"done\""));
    assert_same_segments(&place.path().join("jobs").join(id), 120);
}

#[test]
fn a_server_that_is_started_again_gets_what_it_lost() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Server::start(place.path());
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    let mut child = pipe_to(&server.url, &["--frames", "120"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut page = String::new();
    stdout.read_line(&mut page).unwrap();
    let id = page.trim().rsplit('/').next().unwrap().to_owned();
    stdin.write_all(&frames(0..50)).unwrap();
    // All of them were taken, and they end in the middle of a segment.
    let job = format!("/api/v1/jobs/{id}");
    server.until(&job, "\"next_frame\":50");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    // Nobody is there for a while.
    std::thread::sleep(Duration::from_millis(600));
    server = Server::start_at(place.path(), port);
    let pusher = std::thread::spawn(move || stdin.write_all(&frames(50..120)).is_ok());
    let output = end_of(child);
    let said = stderr(&output);
    assert!(pusher.join().unwrap() && output.status.success(), "{said}");
    let next =
        said.split("connected again; going on with frame ").nth(1).and_then(|rest| rest.lines().next());
    let next: u64 = next.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert!((1..50).contains(&next), "frames that had been taken are sent again: {said}");
    assert!(server.get(&job).contains("\"state\":\"done\""), "{}", server.get(&job));
    assert_same_segments(&place.path().join("jobs").join(id), 120);
}

#[test]
fn a_job_that_is_fed_is_left_to_who_feeds_it() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    let mut first = pipe_to(&server.url, &["--frames", "30"]);
    let mut stdin = first.stdin.take().unwrap();
    stdin.write_all(&frames(0..10)).unwrap();
    let mut page = String::new();
    BufReader::new(first.stdout.take().unwrap()).read_line(&mut page).unwrap();
    let job = page.trim().strip_prefix(&server.url).unwrap().replace("/j/", "/api/v1/jobs/");
    let connected = || server.get(&job).contains("\"connected\":true");
    assert!((0..600).any(|_| connected() || {
        std::thread::sleep(Duration::from_millis(50));
        false
    }));
    let (second, _) = run_to(&server, page.trim(), &[], &frames(10..30));
    assert_eq!(second.status.code(), Some(3), "{}", stderr(&second));
    assert!(stderr(&second).contains("somebody else"), "{}", stderr(&second));
    stdin.write_all(&frames(10..30)).unwrap();
    drop(stdin);
    let output = end_of(first);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(server.get(&job).contains("\"state\":\"done\""));
}

#[test]
fn a_segment_that_the_disk_lost_is_sent_again() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    let mut child = pipe_to(&server.url, &["--frames", "120"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut page = String::new();
    stdout.read_line(&mut page).unwrap();
    let id = page.trim().rsplit('/').next().unwrap().to_owned();
    let job = format!("/api/v1/jobs/{id}");
    stdin.write_all(&frames(0..50)).unwrap();
    server.until(&job, "\"ready\":[[0,3]]");
    let folder = place.path().join("jobs").join(&id);
    fs::remove_file(folder.join("segment_00000.ts")).unwrap();
    // Somebody plays it, so the server sees that it is gone.
    let (url, path) = (server.url.clone(), format!("{job}/segment_00000.ts"));
    let played = std::thread::spawn(move || get(&url, &path));
    server.until(&job, "\"ready\":[[1,3]]");
    stdin.write_all(&frames(50..120)).unwrap();
    drop(stdin);
    let output = end_of(child);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("wants frame 0 again") && said.contains("going on with frame 0"), "{said}");
    assert!(server.get(&job).contains("\"state\":\"done\""), "{}", server.get(&job));
    assert_same_segments(&folder, 120);
    assert!(played.join().unwrap().starts_with("HTTP/1.0 200"));
}

#[test]
fn what_cannot_be_mended_is_not_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    let (made, page) = run_to(&server, &server.url, &["--frames", "30"], &frames(0..30));
    assert!(made.status.success(), "{}", stderr(&made));
    // A job that is done takes no frames, and one of frames of another size none of these.
    let (over, _) = run_to(&server, &format!("{}{page}", server.url), &[], &frames(0..9));
    let (other, _) = run_to(&server, &format!("{}{page}", server.url), &["--pix-fmt", "rgba"], &frames(0..8));
    for (output, words) in [(over, "takes no frames"), (other, "have 9216 bytes each")] {
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert!(!stderr(&output).contains("trying again"), "{}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_server_of_its_own_stays_until_ctrl_c() {
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["pipe", "--size", "64x48", "--frames", "30", "--serve", "--port", "0", "--data-dir"])
        .arg(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut page = String::new();
    stdout.read_line(&mut page).unwrap();
    let (url, id) = page.trim().split_once("/j/").unwrap();
    // The address is there before the first frame.
    stdin.write_all(&frames(0..30)).unwrap();
    drop(stdin);
    while !get(url, &format!("/api/v1/jobs/{id}")).contains("\"state\":\"done\"") {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(get(url, &format!("/j/{id}")).starts_with("HTTP/1.0 200"), "the page is there");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
