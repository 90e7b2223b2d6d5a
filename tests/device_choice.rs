//! Which device a stage computes on: the faster one where there are two, and the same one when it goes on.

mod command;

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use command::Sandbox;
use pkdgan::config::Config;
use pkdgan::engine::{
    AdapterSummary, Cpu, DeviceKind, EngineError, Executor, Pending, Program, ProgramId, Readback, VarId, Variables,
};
use pkdgan::unstable::engine::KernelChoices;
use pkdgan::unstable::pipeline::{self, Data, Devices, GivenFiles, Progress, TimedDevices, Watch};
use pkdgan::unstable::run::{RunFolder, read_devices};
use pkdgan::unstable::train::{CheckpointEvery, Event, Stage, TrainError};

/// An executor that takes its time for each step, or refuses to load anything.
struct Stand {
    cpu: Cpu,
    kind: DeviceKind,
    pause: Option<Duration>,
}

impl Executor for Stand {
    fn summary(&self) -> AdapterSummary {
        {
            let mut summary = self.cpu.summary();
            summary.backend = if self.kind == DeviceKind::Gpu { "vulkan" } else { "cpu" }.into();
            summary
        }
    }
    fn allocate(&mut self, variables: &Variables) -> Result<(), EngineError> {
        self.cpu.allocate(variables)
    }
    fn load(&mut self, program: Program) -> Result<ProgramId, EngineError> {
        match self.pause {
            Some(_) => self.cpu.load(program),
            None => Err(EngineError::OutOfMemory { what: "a program".into(), problem: "none is left".into() }),
        }
    }
    fn expect_room(&self, program: &Program) -> Result<(), EngineError> {
        self.cpu.expect_room(program)
    }
    fn unload(&mut self, program: ProgramId) {
        self.cpu.unload(program);
    }
    fn write(&mut self, variable: VarId, values: &[f32]) -> Result<(), EngineError> {
        self.cpu.write(variable, values)
    }
    fn write_part(&mut self, variable: VarId, first: usize, values: &[f32]) -> Result<(), EngineError> {
        self.cpu.write_part(variable, first, values)
    }
    fn write_bytes(&mut self, variable: VarId, first: usize, bytes: &[u8]) -> Result<(), EngineError> {
        self.cpu.write_bytes(variable, first, bytes)
    }
    fn input(&mut self, program: ProgramId, name: &str, values: &[f32]) -> Result<(), EngineError> {
        self.cpu.input(program, name, values)
    }
    fn run(&mut self, program: ProgramId, times: usize) -> Result<(), EngineError> {
        thread::sleep(self.pause.unwrap_or_default() * times as u32);
        self.cpu.run(program, times)
    }
    fn read(&mut self, what: &[Readback]) -> Result<Pending, EngineError> {
        self.cpu.read(what)
    }
}

/// Two kinds of devices, each with the pause of a step, and what was opened.
struct Two {
    pauses: [Option<Duration>; 2],
    fixed: Option<DeviceKind>,
    opened: RefCell<Vec<DeviceKind>>,
}

const FAST: Option<Duration> = Some(Duration::ZERO);
/// Longer than the tiny networks take by far.
const SLOW: Option<Duration> = Some(Duration::from_millis(60));
const BROKEN: Option<Duration> = None;

impl Two {
    fn new(pauses: [Option<Duration>; 2]) -> Self {
        Self { pauses, fixed: None, opened: RefCell::default() }
    }
}

impl Devices for Two {
    fn fixed(&self) -> Option<DeviceKind> {
        self.fixed
    }
    fn kinds(&self) -> Vec<DeviceKind> {
        vec![DeviceKind::Gpu, DeviceKind::Cpu]
    }
    fn open(&self, kind: Option<DeviceKind>) -> Result<Box<dyn Executor>, EngineError> {
        let kind = kind.expect("a kind");
        self.opened.borrow_mut().push(kind);
        let pause = self.pauses[usize::from(kind == DeviceKind::Cpu)];
        Ok(Box::new(Stand { cpu: Cpu::new(), kind, pause }))
    }
}

/// Hears of choices, and stops a stage after its first steps if it is to.
#[derive(Default)]
struct Ear {
    chosen: Vec<(Stage, DeviceKind, TimedDevices)>,
    stops: bool,
}

impl Watch for Ear {
    fn prepare(&mut self, _phase: &str) {}
    fn begin(&mut self, _stage: Stage, _done: usize, _steps: usize) {}
    fn chose(&mut self, stage: Stage, kind: DeviceKind, timed: &TimedDevices) {
        self.chosen.push((stage, kind, timed.clone()));
    }
    fn trained(&mut self, _stage: Stage, _event: Event) -> bool {
        self.stops
    }
    fn scored(&mut self, _network: &str, _done: usize, _images: usize) {}
}

/// A teacher's run in a folder of a sandbox, trained by `devices`.
struct Run {
    sandbox: Sandbox,
    config: Config,
    data: Data,
}

impl Run {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.trained("settings", &["--steps=12", "--device=cpu"]);
        let mut config = Config::read(&sandbox.path("settings/config.toml")).unwrap();
        config.data.folder = sandbox.path("data");
        let data = Data::load(&config, &mut |_, _| {}).unwrap();
        Self { sandbox, config, data }
    }

    fn begin(&self, name: &str) -> RunFolder {
        let path = self.sandbox.path(name);
        pipeline::begin(&self.config, &path, false, &GivenFiles::default(), &KernelChoices::default()).unwrap()
    }

    fn train(&self, folder: &RunFolder, devices: &Two, ear: &mut Ear) -> Result<Progress, TrainError> {
        pipeline::train(&self.config, folder, &self.data, devices, CheckpointEvery::default(), None, ear)
    }
}

fn kept(folder: &RunFolder) -> Option<DeviceKind> {
    read_devices(folder).unwrap().get("teacher").copied()
}

#[test]
fn the_faster_device_is_taken_and_kept() {
    let run = Run::new();
    for (name, pauses, faster) in [("a", [SLOW, FAST], DeviceKind::Cpu), ("b", [FAST, SLOW], DeviceKind::Gpu)] {
        let (folder, devices, mut ear) = (run.begin(name), Two::new(pauses), Ear { stops: true, ..Ear::default() });
        assert!(matches!(run.train(&folder, &devices, &mut ear), Ok(Progress::Stopped(Stage::Teacher, ..))));
        let [(Stage::Teacher, kind, timed)] = &ear.chosen[..] else { panic!("{:?}", ear.chosen) };
        assert_eq!((*kind, timed.len()), (faster, 2));
        assert_eq!(kept(&folder), Some(faster));
        assert_eq!(*devices.opened.borrow(), [DeviceKind::Gpu, DeviceKind::Cpu]);

        // Goes on where it was, though the other one is the faster by now.
        let (devices, mut ear) = (Two::new([pauses[1], pauses[0]]), Ear::default());
        assert_eq!(run.train(&folder, &devices, &mut ear).unwrap(), Progress::Trained);
        assert!(ear.chosen.is_empty(), "{:?}", ear.chosen);
        assert_eq!(*devices.opened.borrow(), [faster]);
    }
}

#[test]
fn a_trial_leaves_the_run_as_it_was() {
    let run = Run::new();
    let (tried, fixed) = (run.begin("tried"), run.begin("fixed"));
    run.train(&tried, &Two::new([SLOW, FAST]), &mut Ear::default()).unwrap();
    let devices = Two { fixed: Some(DeviceKind::Cpu), ..Two::new([SLOW, FAST]) };
    run.train(&fixed, &devices, &mut Ear::default()).unwrap();
    let model = |name: &str| run.sandbox.read(&format!("{name}/model.safetensors"));
    assert_eq!(model("tried"), model("fixed"));
}

#[test]
fn a_device_that_cannot_is_left_out() {
    let run = Run::new();
    let (folder, mut ear) = (run.begin("run"), Ear::default());
    assert_eq!(run.train(&folder, &Two::new([BROKEN, FAST]), &mut ear).unwrap(), Progress::Trained);
    assert_eq!(kept(&folder), Some(DeviceKind::Cpu));
    let error = run.train(&run.begin("none"), &Two::new([BROKEN, BROKEN]), &mut ear).unwrap_err();
    assert!(matches!(error, TrainError::Engine(EngineError::OutOfMemory { .. })), "{error}");
}

#[test]
fn a_device_that_was_asked_for_is_taken_whatever_the_folder_says() {
    let run = Run::new();
    let (folder, mut ear) = (run.begin("run"), Ear { stops: true, ..Ear::default() });
    run.train(&folder, &Two::new([SLOW, FAST]), &mut ear).unwrap();
    let devices = Two { fixed: Some(DeviceKind::Gpu), ..Two::new([FAST, FAST]) };
    run.train(&folder, &devices, &mut Ear::default()).unwrap();
    assert_eq!((kept(&folder), &devices.opened.borrow()[..]), (Some(DeviceKind::Gpu), &[DeviceKind::Gpu][..]));
}

#[test]
fn a_file_of_devices_that_is_damaged_is_named() {
    let run = Run::new();
    let folder = run.begin("run");
    run.sandbox.write("run/devices.json", b"{\"teacher\": \"abacus\"}");
    let error = run.train(&folder, &Two::new([FAST, FAST]), &mut Ear::default()).unwrap_err().to_string();
    assert!(error.contains("run/devices.json"), "{error}");
}
