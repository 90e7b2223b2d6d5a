//! What a GPU vendor's compiler makes of every kernel of the default networks, without its hardware: registers, spills,
//! workgroup memory, waves, instructions and estimated cycles on three families of AMD GPUs.
//!
//! ```text
//! cargo bench --bench gpu_compiler                  # a table of shaders, the worst kernel of each
//! cargo bench --bench gpu_compiler -- --csv FILE    # every kernel
//! cargo bench --bench gpu_compiler -- --check       # fails where a kernel spills, or leaves too few waves without a reason
//! cargo bench --bench gpu_compiler -- --roofline    # what the teacher's convolutions should reach on GPUs, by data sheet
//! ```
//!
//! It takes Mesa's driver for AMD GPUs, part of Debian's `mesa-vulkan-drivers`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage};
use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::unstable::engine::{KernelText, ProgramInternals};
use pkdgan::unstable::model::NormMode;
use serde::{Deserialize, Serialize};

use self::null_device::{Compiled, NullDevice};
use self::programs::{fused, scoring, training};

mod null_device;
#[path = "../../tests/common/programs.rs"]
mod programs;
mod roofline;

/// The families: a Polaris (RX 580), a Navi 2x (RX 6900), a Navi 3x (RX 7900) by the driver's names.
const FAMILIES: [&str; 3] = ["polaris10", "navi21", "gfx1100"];
/// Fewest waves of a SIMD that hide the time that memory takes.
const WAVES: u64 = 4;
/// Kernels that leave fewer waves, and why that is right.
const FEW_WAVES: [(&str, &str); 1] = [(
    "fused_score",
    "keeps the activations of an image in workgroup memory, up to 15 of 64 KiB, so that no layer waits for main memory",
)];

#[derive(Parser)]
struct Options {
    /// Fail where a kernel spills or leaves few waves without a reason.
    #[arg(long)]
    check: bool,
    /// Write a row for each kernel and family.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// The file that tells Vulkan's loader of the driver.
    #[arg(long, default_value = "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json")]
    driver: PathBuf,
    /// Print what the convolutions of the MNIST teacher should reach on some GPUs. No driver is needed.
    #[arg(long)]
    roofline: bool,
    /// Compile for the family of the environment, print JSON lines.
    #[arg(long, hide = true)]
    family: bool,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A kernel that a family's compiler took.
#[derive(Serialize, Deserialize)]
struct Row {
    shader: String,
    op: String,
    half: bool,
    compiled: Compiled,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    if options.family {
        return family();
    }
    if options.roofline {
        print!("{}", roofline::page());
        return Ok(ExitCode::SUCCESS);
    }
    if !options.driver.exists() {
        return Err(format!(
            "{} is not there; apt-get install -y mesa-vulkan-drivers libvulkan1, or name the file by --driver",
            options.driver.display()
        )
        .into());
    }
    // The driver takes its family from the environment, so each has a process.
    let started: Result<Vec<_>, _> = FAMILIES.iter().map(|family| start(family, &options.driver)).collect();
    let mut all: BTreeMap<&str, (String, Vec<Row>)> = BTreeMap::new();
    // All at once: one whose output is not read waits.
    let outputs = started?.into_iter().map(|process| std::thread::spawn(|| process.wait_with_output()));
    for (family, output) in FAMILIES.iter().zip(outputs.collect::<Vec<_>>()) {
        let output = output.join().map_err(|_| "an output was not read")??;
        if !output.status.success() {
            return Err(format!("{family}: {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let (name, rows) = text.split_once('\n').ok_or("no output")?;
        let rows: Result<Vec<Row>, _> = rows.lines().map(serde_json::from_str).collect();
        all.insert(family, (name.to_owned(), rows?));
    }
    if let Some(path) = &options.csv {
        write_csv(path, &all)?;
    }
    for family in FAMILIES {
        let (name, rows) = &all[family];
        table(name, rows);
    }
    let problems: BTreeSet<String> = all.iter().flat_map(|(family, (_, rows))| problems(family, rows)).collect();
    println!();
    for (shader, reason) in FEW_WAVES {
        println!("{shader} may leave fewer than {WAVES} waves: it {reason}.");
    }
    for problem in &problems {
        println!("{problem}");
    }
    Ok(if options.check && !problems.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn start(family: &str, driver: &Path) -> std::io::Result<std::process::Child> {
    Command::new(std::env::current_exe()?)
        .arg("--family")
        .env("RADV_FORCE_FAMILY", family)
        .env("VK_DRIVER_FILES", driver)
        .env("VK_ICD_FILENAMES", driver)
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .stdout(Stdio::piped())
        .spawn()
}

/// Compiles all kernels for one family.
fn family() -> Result<ExitCode, Box<dyn Error>> {
    let device = NullDevice::open()?;
    println!("{} by {}", device.name, device.driver);
    for kernel in kernels() {
        let half = kernel.wgsl.starts_with("enable f16;");
        if half && !device.half {
            continue;
        }
        let (spirv, bindings) = translate(&kernel, half)?;
        let compiled = device.compile(&spirv, &bindings).map_err(|error| format!("{}: {error}", kernel.shader))?;
        let row = Row { shader: kernel.shader, op: kernel.op, half, compiled };
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Each text once of the kernels that a GPU gets which nobody tuned, at batch sizes small and large.
fn kernels() -> Vec<KernelText> {
    let mut programs = Vec::new();
    for dataset in Dataset::ALL {
        for (batch_size, statistics) in [(1, Statistics::PerImage), (8, Statistics::Running), (64, Statistics::Running)]
        {
            programs.extend(training(dataset, batch_size, statistics));
        }
        for batch in [1, 64, 512] {
            programs.extend(scoring(dataset, batch, NormMode::Running));
        }
        programs.extend([Statistics::Running, Statistics::PerImage].into_iter().flat_map(|by| fused(dataset, by)));
    }
    let mut known = HashSet::new();
    let of = programs.iter().flat_map(|program| [false, true].map(|half| program.kernels(None, false, half)));
    of.flatten().filter(|kernel| known.insert(kernel.wgsl.clone())).collect()
}

/// SPIR-V as wgpu makes it for this driver, and the bindings of its buffers. The driver bounds accesses to buffers itself.
fn translate(kernel: &KernelText, half: bool) -> Result<(Vec<u32>, Vec<u32>), Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(&kernel.wgsl)?;
    let capabilities = if half { Capabilities::SHADER_FLOAT16 } else { Capabilities::SHADER_FLOAT16_IN_FLOAT32 };
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module)?;
    let options = spv::Options {
        lang_version: (1, 3),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        force_loop_bounding: false,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    let spirv = spv::write_vec(&module, &info, &options, Some(&pipeline))?;
    let buffers = module.global_variables.iter().filter(|(_, it)| matches!(it.space, AddressSpace::Storage { .. }));
    Ok((spirv, buffers.filter_map(|(_, it)| it.binding.as_ref().map(|at| at.binding)).collect()))
}

fn write_csv(path: &Path, all: &BTreeMap<&str, (String, Vec<Row>)>) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([
        "family",
        "shader",
        "op",
        "half",
        "wave_size",
        "vgprs",
        "sgprs",
        "spills",
        "lds",
        "waves",
        "instructions",
        "cycles",
        "issuing",
    ])?;
    for (family, (_, rows)) in all {
        for Row { shader, op, half, compiled: it } in rows {
            let numbers = [it.vgprs, it.sgprs, it.spills, it.lds, it.waves, it.instructions, it.cycles, it.issuing];
            let mut record = vec![(*family).to_owned(), shader.clone(), op.clone(), half.to_string()];
            record.push(it.wave_size.to_string());
            record.extend(numbers.map(|number| number.to_string()));
            writer.write_record(record)?;
        }
    }
    Ok(writer.flush()?)
}

/// The worst kernel of each shader by each figure.
fn table(name: &str, rows: &[Row]) {
    let mut shaders: BTreeMap<&str, Vec<&Compiled>> = BTreeMap::new();
    for row in rows {
        shaders.entry(&row.shader).or_default().push(&row.compiled);
    }
    println!("\n{name}, {} kernels\n", rows.len());
    println!(
        "| shader | kernels | VGPRs | SGPRs | spills | LDS, bytes | waves a SIMD | instructions | cycles | issuing |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (shader, of) in shaders {
        let most = |figure: fn(&Compiled) -> u64| of.iter().map(|it| figure(it)).max().unwrap_or_default();
        let waves = of.iter().map(|it| it.waves).min().unwrap_or_default();
        let [vgprs, sgprs, spills] = [most(|it| it.vgprs), most(|it| it.sgprs), most(|it| it.spills)];
        let [lds, instructions] = [most(|it| it.lds), most(|it| it.instructions)];
        let [cycles, issuing] = [most(|it| it.cycles), most(|it| it.issuing)];
        println!(
            "| {shader} | {} | {vgprs} | {sgprs} | {spills} | {lds} | {waves} | {instructions} | {cycles} | {issuing} |",
            of.len()
        );
    }
}

fn problems(family: &str, rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    for Row { shader, op, compiled, .. } in rows {
        if compiled.spills > 0 {
            problems.push(format!("{family}: {shader} of {op} spills"));
        }
        let known = FEW_WAVES.iter().any(|(name, _)| name == shader);
        if compiled.waves < WAVES && !known {
            problems.push(format!("{family}: {shader} of {op} leaves {} waves", compiled.waves));
        }
    }
    problems
}
