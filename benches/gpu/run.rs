//! All that is to be known of an adapter, by one command: whether kernels compute right, whether they do so twice, what they
//! do in trouble, and how fast they are. It runs other programs, which `pack.sh` puts beside it, and leaves
//! `results.json` and `results.md`.
//!
//! ```text
//! benches/gpu/pack.sh FOLDER      # here, where the source is
//! FOLDER/run.sh --out RESULTS     # there, where the GPU is: no network, no root, eight minutes
//! ```

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Map, Value, json};

/// Single-precision peaks by data sheet, in TFLOP/s, by a part of the adapter's name.
const PEAKS: [(&str, f64); 4] = [("H200", 67.0), ("H100", 67.0), ("A100", 19.5), ("RTX 4070", 29.1)];
/// The runs of one seed, and their folders.
const ONCE: &str = "once";
const TWICE: &str = "twice";
/// Time that a program must have left to be worth its start.
const LEAST: Duration = Duration::from_secs(2);

/// Tests and measures an adapter.
#[derive(Parser)]
struct Options {
    /// Folder of the programs [default: that of this one]
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Folder that holds the data of the tests [default: the working folder]
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Folder for the results
    #[arg(long, default_value = "gpu-results")]
    out: PathBuf,
    /// Adapter by number or part of its name
    #[arg(long, default_value = "0")]
    adapter: String,
    /// Time for all of it, in seconds
    #[arg(long, default_value_t = 480)]
    seconds: u64,
    /// Single-precision peak of the adapter, in TFLOP/s [default: by data sheet, for some]
    #[arg(long)]
    peak: Option<f64>,
    /// Small sizes: a rehearsal on a software driver
    #[arg(long)]
    small: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a program prints.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prints {
    /// The lines of a test program.
    Tests,
    /// One JSON value.
    Json,
    /// A JSON object a line.
    Lines,
}

/// One program to run.
struct Task {
    name: &'static str,
    program: &'static str,
    arguments: Vec<String>,
    seconds: u64,
    prints: Prints,
}

/// How it went.
struct Outcome {
    name: &'static str,
    /// `ok`, or what is wrong.
    status: String,
    seconds: f64,
    value: Value,
}

struct Runner {
    options: Options,
    bin: PathBuf,
    end: Instant,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut options = Options::parse();
    options.out = std::path::absolute(&options.out)?;
    let bin = match &options.bin {
        Some(bin) => bin.clone(),
        None => std::env::current_exe()?.parent().ok_or("no folder")?.to_owned(),
    };
    fs::create_dir_all(options.out.join("logs"))?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let runner = Runner { bin: bin.canonicalize()?, options, end };
    let mut outcomes = Vec::new();
    for task in tasks(&runner.options) {
        eprintln!("{}", task.name);
        outcomes.push(runner.run(&task)?);
    }
    outcomes.push(runner.same_bytes(&outcomes)?);

    let find = |name: &str| outcomes.iter().find(|outcome| outcome.name == name).map(|outcome| &outcome.value);
    let adapters = find("report").and_then(|report| report["adapters"].as_array()).cloned().unwrap_or_default();
    let chosen = |adapter: &&Value| adapter["name"].as_str().is_some_and(|name| matches(name, &runner.options.adapter));
    let place = runner.options.adapter.parse::<usize>().ok().and_then(|place| adapters.get(place));
    let adapter = place.or_else(|| adapters.iter().find(chosen)).map_or(Value::Null, |adapter| adapter["name"].clone());
    let peak = runner.options.peak.or_else(|| {
        let name = adapter.as_str().unwrap_or_default();
        PEAKS.iter().find(|(part, _)| name.contains(part)).map(|(_, peak)| *peak)
    });
    let all: Map<String, Value> = outcomes
        .iter()
        .map(|it| (it.name.to_owned(), json!({ "status": it.status, "seconds": it.seconds, "value": it.value })))
        .collect();
    let results = json!({ "adapter": adapter, "peak_tflops": peak, "small": runner.options.small, "results": all });
    fs::write(runner.options.out.join("results.json"), serde_json::to_string_pretty(&results)?)?;
    let page = page(adapter.as_str().unwrap_or("no adapter"), peak, &outcomes);
    fs::write(runner.options.out.join("results.md"), &page)?;
    print!("{page}");
    Ok(if outcomes.iter().all(|outcome| outcome.status == "ok") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn matches(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(&part.to_lowercase())
}

/// What is run, in the order of need: what comes last is left out first.
fn tasks(options: &Options) -> Vec<Task> {
    let Options { small, out, adapter, .. } = options;
    let task = |name, program, seconds, prints, arguments: &str| Task {
        name,
        program,
        seconds,
        prints,
        arguments: arguments.split_whitespace().map(str::to_owned).collect(),
    };
    let tests = |name, program, seconds| task(name, program, seconds, Prints::Tests, "");
    let on_gpu = |name, seconds, arguments: &str| {
        let mut task = task(name, "pkdgan", seconds, Prints::Json, arguments);
        task.arguments.extend(["--device", "gpu", "--json", "--adapter", adapter].map(str::to_owned));
        task
    };
    let train = |name, seconds, folder, arguments: &str| {
        let mut task = on_gpu(name, seconds, &format!("train --quiet --force {arguments}"));
        task.arguments.extend(["--out".to_owned(), out.join(folder).display().to_string()]);
        task
    };
    let or = |rehearsal: &'static str, real: &'static str| if *small { rehearsal } else { real };
    // A student, for a software driver takes minutes to score the test images with a teacher.
    let student = "--stage student --set student.alone.steps=20";
    let seeded = format!("--no-tune {}", or(student, "--stage teacher --steps 200"));
    let batches = or("--batch 1 --seconds 0.2", "--batch 1,8,64,512 --seconds 1.5");
    let mut tasks = vec![
        task("report", "pkdgan", 60, Prints::Json, "devices --report --json"),
        tests("kernels", "kernels", 120),
        tests("known answers", "known_answers", 60),
        tests("training steps", "training_step", 120),
        tests("scoring paths", "scoring", 120),
        tests("lost device, no memory", "device_faults", 90),
        train(ONCE, 60, ONCE, &seeded),
        train(TWICE, 60, TWICE, &seeded),
        task("training", "training_bench", 120, Prints::Lines, &format!("--device gpu --json {batches}")),
        on_gpu("scoring", 90, or("bench --quick", "bench")),
        on_gpu("a step's kernels", 60, "model --program"),
        task(
            "layers",
            "kernels_bench",
            60,
            Prints::Lines,
            or("--device gpu --json --quick --only 48->1", "--device gpu --json"),
        ),
    ];
    if !small {
        tasks.push(on_gpu("tune", 60, "tune --limit 40"));
        tasks.push(on_gpu("a tuned step's kernels", 30, "model --program"));
    }
    tasks.push(train("the README's command", 90, "readme", or(student, "")));
    tasks
}

impl Runner {
    fn run(&self, task: &Task) -> Result<Outcome, Box<dyn Error>> {
        let started = Instant::now();
        let done = |status: String, value| {
            Ok(Outcome { name: task.name, status, seconds: started.elapsed().as_secs_f64(), value })
        };
        let left = self.end.saturating_duration_since(started);
        if left < LEAST {
            return done("left out: no time".into(), Value::Null);
        }
        let log = |ending: &str| {
            let name: String = task.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
            self.options.out.join("logs").join(format!("{name}.{ending}"))
        };
        let (out, err) = (log("out"), log("err"));
        let mut command = Command::new(self.bin.join(task.program));
        command
            .args(&task.arguments)
            .current_dir(&self.options.root)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?);
        command.env("PKDGAN_TEST_ADAPTER", &self.options.adapter).env("PKDGAN_BENCH_ADAPTER", &self.options.adapter);
        // What other runs measured is no part of this one.
        command.env("PKDGAN_CACHE", self.options.out.join("cache"));
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) => return done(format!("{}: {error}", task.program), Value::Null),
        };
        let limit = Duration::from_secs(task.seconds).min(left);
        let status = loop {
            if let Some(status) = process.try_wait()? {
                break if status.success() { "ok".to_owned() } else { status.to_string() };
            }
            if started.elapsed() > limit {
                process.kill()?;
                process.wait()?;
                break format!("ended after {} s", limit.as_secs());
            }
            sleep(Duration::from_millis(20));
        };
        let text = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        let value = match task.prints {
            Prints::Json => serde_json::from_str(&text).unwrap_or_default(),
            Prints::Lines => text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect(),
            Prints::Tests => tests(&text),
        };
        // A test program that ran no test has shown nothing.
        let silent = match task.prints {
            Prints::Tests => value["passed"] == 0,
            Prints::Lines => value.as_array().is_none_or(Vec::is_empty),
            Prints::Json => value.is_null(),
        };
        done(if status == "ok" && silent { "it printed nothing".into() } else { status }, value)
    }

    /// Whether two runs of one seed left the same bytes.
    fn same_bytes(&self, outcomes: &[Outcome]) -> Result<Outcome, Box<dyn Error>> {
        let ran = [ONCE, TWICE].iter().all(|name| outcomes.iter().any(|it| it.name == *name && it.status == "ok"));
        let model = |run: &str| fs::read(self.options.out.join(run).join("model.safetensors"));
        let status = match ran {
            false => "not both runs ended".into(),
            true if model(ONCE)? == model(TWICE)? => "ok".to_owned(),
            true => "one seed gave two models".into(),
        };
        Ok(Outcome { name: "the same bytes twice", status, seconds: 0.0, value: Value::Null })
    }
}

/// How many tests of a program passed, failed and were left out.
fn tests(text: &str) -> Value {
    let mut counts = [0_u64; 3];
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        for (count, what) in counts.iter_mut().zip(["passed", "failed", "ignored"]) {
            let before = line.split(what).next().and_then(|before| before.split_whitespace().last());
            *count += before.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
        }
    }
    let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    json!({ "passed": counts[0], "failed": counts[1], "ignored": counts[2], "names": failed.collect::<Vec<_>>() })
}

fn page(adapter: &str, peak: Option<f64>, outcomes: &[Outcome]) -> String {
    let mut page = format!("# {adapter}\n\n| what | outcome | seconds |\n|---|---|---|\n");
    for Outcome { name, status, seconds, value } in outcomes {
        let counts = match (&value["passed"], &value["failed"]) {
            (Value::Number(passed), Value::Number(failed)) => format!(": {passed} passed, {failed} failed"),
            _ => String::new(),
        };
        let _ = writeln!(page, "| {name} | {status}{counts} | {seconds:.1} |");
    }
    if let Some(peak) = peak {
        let _ = writeln!(page, "\nShares are of {peak} TFLOP/s, two operations a multiply-accumulate.");
    }
    for Outcome { name, value, .. } in outcomes {
        let rows = value.as_array().or_else(|| value["shaders"].as_array());
        if let Some(rows) = rows.filter(|rows| !rows.is_empty()) {
            let _ = write!(page, "\n## {name}\n\n{}", table(rows, peak));
        }
    }
    page
}

/// Objects as a table of what is no list in them, with the speed where the work and its time are known.
fn table(rows: &[Value], peak: Option<f64>) -> String {
    // Some print what they compute on first.
    let first = rows.iter().filter_map(Value::as_object).max_by_key(|row| row.len()).cloned().unwrap_or_default();
    let rows = rows.iter().filter(|row| first.keys().all(|key| row.get(key).is_some()));
    let columns: Vec<&String> = first.iter().filter(|(_, v)| !v.is_array() && !v.is_object()).map(|(k, _)| k).collect();
    let speed = |row: &Value| {
        let seconds = row["seconds"].as_f64().or(row["median_s"].as_f64());
        let seconds = seconds.or_else(|| Some(row["median_ms"].as_f64()? / 1e3))?;
        Some(row["macs"].as_f64()? / seconds / 1e9)
    };
    let with_speed = rows.clone().any(|row| speed(row).is_some());
    let mut header: Vec<String> = columns.iter().map(|column| (*column).clone()).collect();
    header.extend(with_speed.then(|| "GMAC/s".to_owned()));
    header.extend(peak.filter(|_| with_speed).map(|_| "share of peak".to_owned()));
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), "---|".repeat(header.len()));
    for row in rows {
        let mut cells: Vec<String> = columns.iter().map(|column| cell(&row[column.as_str()])).collect();
        if with_speed {
            cells.push(speed(row).map_or_else(|| "–".into(), |speed| format!("{speed:.1}")));
        }
        if let Some(peak) = peak.filter(|_| with_speed) {
            cells.push(speed(row).map_or_else(|| "–".into(), |speed| format!("{:.1} %", 0.2 * speed / peak)));
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(real)) => format!("{real:.4}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
