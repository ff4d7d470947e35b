//! Frames go to a running server, or to one of the pipe's own.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{files, fixture, frames, run, stderr};

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
        Self::start_with(data, port, &[])
    }

    fn start_with(data: &Path, port: u16, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(["serve", "--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .args(arguments)
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

    fn until(&self, path: &str, words: &str) {
        until(&self.url, path, words);
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
/// Asks until the answer has `words` in it.
fn until(url: &str, path: &str, words: &str) {
    for _ in 0..600 {
        if get(url, path).contains(words) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never came: {words} in {}", get(url, path));
}

/// A pipe that says where its job is, which it does before the first frame.
fn begin(mut child: Child) -> (Child, ChildStdin, String) {
    let stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut page = String::new();
    stdout.read_line(&mut page).unwrap();
    // What it says later may not meet a closed pipe.
    std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
    (child, stdin, page.trim().to_owned())
}

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
    assert_same(job, count, &["--frames", &count.to_string()]);
}

fn assert_same(job: &Path, count: usize, length: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let arguments = [&["--size", "64x48"], length].concat();
    assert!(run(&arguments, &out, &frames(0..count)).status.success());
    let mut compared = 0;
    for (name, bytes) in files(&out) {
        if name.ends_with(".ts") {
            assert!(fs::read(job.join(&name)).unwrap() == bytes, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 1);
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
    let (child, mut stdin, page) = begin(pipe_to(&server.url, &["--frames", "120"]));
    let id = page.rsplit('/').next().unwrap().to_owned();
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

/// Nobody says how long it is: it goes on over broken lines and servers that are killed, and ends where frames do.
#[test]
fn a_clip_of_open_length_outlives_lines_and_servers() {
    let place = tempfile::tempdir().unwrap();
    let mut server = Server::start(place.path());
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    // It breaks when the second server has got most of the frames.
    let line = brittle_line(&server.url, vec![600_000]);
    let (child, mut stdin, page) = begin(pipe_to(&line, &[]));
    let id = page.rsplit('/').next().unwrap().to_owned();
    let job = format!("/api/v1/jobs/{id}");
    stdin.write_all(&frames(0..50)).unwrap();
    server.until(&job, "\"next_frame\":50");
    let made = server.get(&format!("{job}/index.m3u8"));
    assert!(made.contains("EVENT") && !made.contains("ENDLIST"), "{made}");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    server = Server::start_at(place.path(), port);
    // What was in the list before is there, and nothing more is said to follow.
    server.until(&job, "\"state\":\"rendering\"");
    let again = server.get(&format!("{job}/index.m3u8"));
    assert_eq!(made.split("#EXTM3U").nth(1), again.split("#EXTM3U").nth(1));
    let pusher = std::thread::spawn(move || stdin.write_all(&frames(50..131)).is_ok());
    let output = end_of(child);
    let said = stderr(&output);
    assert!(pusher.join().unwrap() && output.status.success(), "{said}");
    assert!(said.matches("connected again; going on with frame").count() >= 2, "{said}");
    let done = server.get(&job);
    assert!(done.contains("\"state\":\"done\"") && done.contains("\"open\":false"), "{done}");
    assert!(server.get(&format!("{job}/index.m3u8")).ends_with("#EXT-X-ENDLIST\n"));
    assert_same(&place.path().join("jobs").join(id), 131, &[]);
}

#[test]
fn the_longest_clip_of_open_length_is_said_to_be_that() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start_with(place.path(), 0, &["--max-open", "1s"]);
    let (output, page) = run_to(&server, &server.url, &[], &frames(0..60));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("25 frames") && said.contains("as a new job"), "{said}");
    assert!(!said.contains("trying again") && !said.contains("goes on where it is"), "{said}");
    let job = server.get(&page.replace("/j/", "/api/v1/jobs/"));
    assert!(job.contains("\"state\":\"done\""), "{job}");
    assert_same(&place.path().join(page.replace("/j/", "jobs/")), 25, &[]);
}

#[test]
fn a_job_that_is_fed_is_left_to_who_feeds_it() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path());
    let (first, mut stdin, page) = begin(pipe_to(&server.url, &["--frames", "30"]));
    stdin.write_all(&frames(0..10)).unwrap();
    let job = page.strip_prefix(&server.url).unwrap().replace("/j/", "/api/v1/jobs/");
    server.until(&job, "\"connected\":true");
    let (second, _) = run_to(&server, &page, &[], &frames(10..30));
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
    let (child, mut stdin, page) = begin(pipe_to(&server.url, &["--frames", "120"]));
    let id = page.rsplit('/').next().unwrap().to_owned();
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
    let child = Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["pipe", "--size", "64x48", "--serve", "--port", "0", "--data-dir"])
        .arg(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (child, mut stdin, page) = begin(child);
    let (url, id) = page.split_once("/j/").unwrap();
    // The address is there before the first frame.
    stdin.write_all(&frames(0..30)).unwrap();
    drop(stdin);
    until(url, &format!("/api/v1/jobs/{id}"), "\"state\":\"done\"");
    assert!(get(url, &format!("/j/{id}")).starts_with("HTTP/1.0 200"), "the page is there");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
