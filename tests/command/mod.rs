//! Driving the binary on a small data set of its own.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

/// Images of the small data set.
pub(crate) const TRAIN: usize = 40;
/// Its test images, three of each class.
pub(crate) const TEST: usize = 30;

/// Settings of tiny networks and budgets.
pub(crate) const TINY: [&str; 11] = [
    "--set=network.generator=[4,6,8]",
    "--set=network.discriminator=[4,6,8]",
    "--set=network.latents=8",
    "--set=student.encoder=[[4,4,4,0],[5,2,2,0]]",
    "--set=student.discriminator=[2,3,4]",
    "--set=student.alone.steps=12",
    "--set=student.alone.batch_size=2",
    "--set=distillation.step1={structure=1,batch_size=2,steps=10,learning_rate=2e-3,teacher_learning_rate=1e-4}",
    "--set=distillation.step2.steps=8",
    "--set=distillation.step2.batch_size=2",
    "--batch-size=2",
];

/// A bright square on a textured ground, at a place that goes by a number; with a dark spot if `spoilt`.
pub(crate) fn textured(n: u32, spoilt: bool) -> image::GrayImage {
    let left = 8 + n % 3;
    image::GrayImage::from_fn(28, 32, |x, y| {
        let inside = (left..24).contains(&x) && (8..24 - n % 2).contains(&y);
        let texture = (x * 7 + y * 13 + n * 5) % 11;
        let spot = spoilt && x.abs_diff(16) <= 2 && y.abs_diff(14) <= 2;
        image::Luma([if spot { 0 } else { (if inside { 150 } else { 30 }) + texture as u8 }])
    })
}

/// A folder with a small data set in the shape of MNIST under `data`, gone when dropped.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { folder: TempDir::new().unwrap() };
        fs::create_dir_all(sandbox.path("data/mnist")).unwrap();
        for (part, count) in [("train", TRAIN), ("t10k", TEST)] {
            sandbox.write(&format!("data/mnist/{part}-images-idx3-ubyte"), &images(count));
            sandbox.write(&format!("data/mnist/{part}-labels-idx1-ubyte"), &labels(count));
        }
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// The binary, to run in the sandbox.
    pub(crate) fn pkdgan(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("pkdgan").unwrap();
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG").env_remove("PKDGAN_DATA");
        // What the user's own cache folder holds must not matter.
        command.env("PKDGAN_CACHE", self.path("cache/pkdgan"));
        // One that hangs fails its test, by name.
        command.timeout(Duration::from_secs(600));
        command
    }

    /// `pkdgan train` of tiny networks into folder `out`; of a teacher alone, unless `more` names a stage.
    pub(crate) fn train(&self, out: &str, more: &[&str]) -> Command {
        let mut command = self.pkdgan(&["train", "--out", out]);
        command.args(TINY);
        if !more.iter().any(|argument| ["--stage", "--teacher"].iter().any(|flag| argument.starts_with(flag))) {
            command.arg("--stage=teacher");
        }
        if !more.iter().any(|argument| argument.starts_with("--steps") || argument.starts_with("--epochs")) {
            command.arg("--steps=20");
        }
        command.args(more);
        command
    }

    /// Puts the run of a successful [`Sandbox::train`] into folder `out`. The first test of a binary that wants a run with
    /// these arguments trains it. The others get a copy. For tests of what is done with a run, not of training.
    pub(crate) fn trained(&self, out: &str, more: &[&str]) {
        /// The run's files by name.
        type Files = Arc<OnceLock<Vec<(String, Vec<u8>)>>>;
        /// Their bytes, not their folder: nothing would remove that, since statics are never dropped.
        static RUNS: LazyLock<Mutex<HashMap<Vec<String>, Files>>> = LazyLock::new(Mutex::default);
        let key = [&[out], more].concat().into_iter().map(str::to_owned).collect();
        let files = RUNS.lock().unwrap().entry(key).or_default().clone();
        let files = files.get_or_init(|| {
            let sandbox = Self::new();
            sandbox.train(out, more).assert().success();
            let names = sandbox.list(out).into_iter();
            names.map(|name| (name.clone(), sandbox.read(&format!("{out}/{name}")))).collect()
        });
        fs::create_dir(self.path(out)).unwrap();
        for (name, bytes) in files {
            self.write(&format!("{out}/{name}"), bytes);
        }
    }

    /// The names of the files in a folder, which need not be there, but for a run's lock.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".lock");
        names.sort();
        names
    }
}

/// A process that waits in each stage, after so many steps, for the test to let it go on: it does not end before that,
/// however slow the test is.
pub(crate) struct Held {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Held {
    /// Starts a command that is prepared.
    pub(crate) fn start(prepared: &Command, steps: usize) -> Self {
        let mut command = std::process::Command::new(prepared.get_program());
        command.args(prepared.get_args()).current_dir(prepared.get_current_dir().unwrap());
        for (name, value) in prepared.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("PKDGAN_TEST_WAIT", steps.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, said: String::new() }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads what it says until a line holds this text.
    pub(crate) fn until(&mut self, text: &str) {
        while !self.line().unwrap_or_else(|| panic!("it ended without `{text}`")).contains(text) {}
    }

    /// Lets it go on each time that it waits, until something is so.
    pub(crate) fn wait_until(&mut self, mut so: impl FnMut() -> bool) {
        self.until("waiting after step");
        while !so() {
            self.child.stdin.as_mut().unwrap().write_all(b".").unwrap();
            self.until("waiting after step");
        }
    }

    fn line(&mut self) -> Option<String> {
        let line = self.lines.next()?.unwrap();
        self.said += &line;
        self.said += "\n";
        Some(line)
    }

    /// Interrupts it as ctrl-C does, and waits until it has heard that.
    pub(crate) fn interrupt(&mut self) {
        let killed = std::process::Command::new("kill").args(["-INT", &self.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.until("stopping");
    }

    /// Lets it go on to its end: how it ended, and what it said on stderr.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        self.child.stdin = None;
        while self.line().is_some() {}
        (self.child.wait().unwrap(), self.said)
    }

    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A small file system in memory, mounted in a folder until dropped. Takes root.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&path).output();
        let output = output.expect("no mount: apt-get install -y mount");
        assert!(output.status.success(), "run this test as root, who may mount: {}", stderr(&output));
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a failed test may have left a process in it.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What a command said on stderr.
pub(crate) fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Blobs whose place goes by their class, in IDX.
pub(crate) fn images(count: usize) -> Vec<u8> {
    let mut bytes = header(0x0803, &[count as u32, 28, 28]);
    for n in 0..count {
        let (y0, x0) = ((n % 10) as i32 * 2 + 4, (n / 10) as i32 + 10);
        for y in 0..28i32 {
            bytes.extend((0..28i32).map(|x| {
                let distance = (y - y0).pow(2) + (x - x0).pow(2);
                (255 - 12 * distance).clamp(0, 255) as u8
            }));
        }
    }
    bytes
}

/// Classes 0 to 9 in turn, in IDX.
pub(crate) fn labels(count: usize) -> Vec<u8> {
    let mut bytes = header(0x0801, &[count as u32]);
    bytes.extend((0..count).map(|n| (n % 10) as u8));
    bytes
}

fn header(magic: u32, dims: &[u32]) -> Vec<u8> {
    [magic].iter().chain(dims).flat_map(|word| word.to_be_bytes()).collect()
}
