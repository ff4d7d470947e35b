//! `docs/recipes.md`, run as it stands there.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps fails with a line number; a skip must be seen"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The block after `<!-- recipe: name -->`.
fn recipe(name: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/recipes.md")).unwrap();
    let start = format!("<!-- recipe: {name} -->\n```");
    let block = page.split(&start).nth(1).unwrap_or_else(|| panic!("no recipe {name}"));
    let (_, block) = block.split_once('\n').unwrap();
    block.split("\n```").next().unwrap().to_owned()
}

fn have(tools: &[&str]) -> bool {
    let there = |tool: &&&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        !found.is_ok_and(|found| found.status.success())
    };
    let missing: Vec<_> = tools.iter().filter(there).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "{missing:?} required");
    println!("SKIPPED: {missing:?} not installed");
    false
}

/// A running server, and a folder to work in with a recording.
struct Kitchen {
    child: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl Kitchen {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let speech = repository().join("fixtures/speech/en.wav");
        // 44 bytes of header and three seconds: enough for a recipe.
        let mut wav = fs::read(speech).unwrap();
        wav.truncate(44 + 3 * 2 * 16_000);
        fs::write(dir.path().join("speech.wav"), wav).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(["serve", "--port", "0", "--allow-host", "face.example", "--data-dir"])
            .arg(dir.path().join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        Self { child, address, dir }
    }

    /// Runs a recipe in the folder, with the program on the path and the server in `$H`; gives what it printed.
    fn cook(&self, name: &str) -> String {
        cook(name, self.dir.path(), &format!("http://{}", self.address))
    }
}

impl Drop for Kitchen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cook(name: &str, dir: &Path, server: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_headcast")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &recipe(name)])
        .current_dir(dir)
        .env("PATH", path)
        .env("H", server)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn pictures(file: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().next().unwrap().trim().to_owned()
}

#[test]
fn frames_of_ffmpeg() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    cook("ffmpeg", dir.path(), "");
    assert_eq!(pictures(&dir.path().join("out/video.mp4")), "75");
    assert_eq!(pictures(&dir.path().join("out/index.m3u8")), "75");
}

#[test]
fn frames_to_a_running_server() {
    if !have(&["ffmpeg", "ffprobe", "curl"]) {
        return;
    }
    let kitchen = Kitchen::open();
    assert_eq!(kitchen.cook("curl-frames").trim(), "\"next_frame\":50");
    assert_eq!(pictures(&kitchen.dir.path().join("frames.mp4")), "75");
    let printed = kitchen.cook("curl-fail");
    assert!(printed.starts_with("\"state\":\"failed\"\n#EXTM3U"), "{printed}");
    assert!(printed.ends_with("#EXT-X-ENDLIST\n"), "{printed}");
    let page = kitchen.cook("pipe-job");
    assert!(page.trim().starts_with(&format!("http://{}/j/", kitchen.address)), "{page}");
    let page = kitchen.cook("pipe-live");
    assert!(page.trim().starts_with(&format!("http://{}/j/", kitchen.address)), "{page}");
}

#[test]
fn an_avatar_speaks_for_curl() {
    if !have(&["ffprobe", "curl"]) {
        return;
    }
    let kitchen = Kitchen::open();
    // Half a second: the built-in avatar is large.
    let speech = kitchen.dir.path().join("speech.wav");
    let mut wav = fs::read(&speech).unwrap();
    wav.truncate(44 + 16_000);
    fs::write(&speech, wav).unwrap();
    let playlist = kitchen.cook("curl-speech");
    assert!(playlist.starts_with("#EXTM3U"), "{playlist}");
    assert_eq!(pictures(&kitchen.dir.path().join("speech.mp4")), "13");
    let events = fs::read_to_string(kitchen.dir.path().join("events.txt")).unwrap();
    assert!(events.contains("\"state\":\"done\""), "{events}");
}

#[test]
fn nginx_stands_in_front() {
    if !have(&["nginx"]) {
        return;
    }
    let kitchen = Kitchen::open();
    let dir = kitchen.dir.path();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let site = recipe("nginx")
        .replace("listen 8080", &format!("listen 127.0.0.1:{port}"))
        .replace("127.0.0.1:7860", &kitchen.address);
    let place = dir.display();
    let config = format!(
        "daemon off; pid {place}/nginx.pid; error_log {place}/error.log;\n\
         events {{}}\nhttp {{ access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n{site}\n}}\n"
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let tested = Command::new("nginx").arg("-t").arg("-c").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success() && !said.contains("[warn]"), "{said}");
    let nginx = Nginx(Command::new("nginx").arg("-c").arg(&file).spawn().unwrap());
    let answer = ask(port, "GET /api/v1/info HTTP/1.1\r\nHost: face.example\r\nConnection: close\r\n\r\n");
    // Control: a name that the server was not told.
    let other = ask(port, "GET /api/v1/info HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    drop(nginx);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"version\""), "{answer}");
    assert!(other.starts_with("HTTP/1.1 4"), "{other}");
}

/// Ends with its workers, which a master that is killed would leave behind.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Asks until somebody listens.
fn ask(port: u16, request: &str) -> String {
    for _ in 0..500 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        return answer;
    }
    panic!("nginx does not listen");
}

#[test]
fn systemd_knows_every_word() {
    if !have(&["systemd-analyze"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let verify = |text: &str| {
        let unit = dir.path().join("headcast.service");
        // The program is not installed here.
        fs::write(&unit, text.replace("/usr/local/bin/headcast", "/bin/true")).unwrap();
        let output = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().filter(|line| line.contains("headcast.service")).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = recipe("systemd");
    assert_eq!(verify(&text), [""; 0]);
    // Control: a word that systemd does not know.
    assert_ne!(verify(&text.replace("DynamicUser", "DynamicUsers")), [""; 0]);
}
