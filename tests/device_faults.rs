//! Trouble with the device, made at the engine's boundary: each is an error that names what was at work and what to do,
//! and no number comes back from a device in trouble.

mod common;

use std::time::Duration;

use pkdgan::engine::{
    Activation, Cpu, EngineError, Executor, Gpu, GpuOptions, Graph, Program, Readback, Shape, Variables, Window,
    adapters,
};
use pkdgan::unstable::engine::{ConvVariant, Fault, GpuOptionsInternals};

/// A device with trouble to come.
fn troubled(fault: Fault) -> Gpu {
    let convolution = Some(ConvVariant::Register);
    let timeout = Some(Duration::from_secs(60));
    let options =
        GpuOptions::default().adapter(common::adapter()).convolution(convolution).timeout(timeout).fault(Some(fault));
    common::opened(&options)
}

/// A convolution in the scope `net.conv1`, and another op after it.
fn program(shape: Shape) -> Program {
    let mut graph = Graph::new();
    let x = graph.input("x", shape);
    let w = graph.input("w", [4, shape[1], 3, 3]);
    graph.scope("net.conv1");
    let y = graph.conv2d(x, w, None, Window::stride(1)).unwrap();
    graph.scope("net.loss");
    let y = graph.activation(y, Activation::Tanh).unwrap();
    let y = graph.scale(y, 2.0).unwrap();
    graph.output("y", y);
    Program::compile(&graph, &Variables::new()).unwrap()
}

const SMALL: Shape = [1, 1, 8, 8];

/// The error's text, which must have each part, and say what to do in a line of its own.
fn said(error: &EngineError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is wanted: {text}");
    }
    assert!(error.is_of_device(), "{text}");
}

#[test]
fn a_lost_device_is_named_with_what_it_ran_and_stays_lost() {
    let mut gpu = troubled(Fault::Lost(2));
    let program = gpu.load(program(SMALL)).unwrap();
    gpu.input(program, "x", &[1.0; 64]).unwrap();
    gpu.input(program, "w", &[1.0; 36]).unwrap();
    let run = |gpu: &mut Gpu| {
        gpu.run(program, 1)?;
        gpu.read(&[Readback::Output(program, "y")])?.wait_one()
    };
    assert_eq!(run(&mut gpu).unwrap().len(), 4 * 36);
    for _ in 0..3 {
        let error = run(&mut gpu).unwrap_err();
        assert!(matches!(error, EngineError::Lost { .. }), "{error}");
        said(&error, &["net.conv1/conv2d", "net.loss/scale"]);
    }
    assert!(gpu.load(self::program(SMALL)).is_err());
}

#[test]
fn a_read_back_under_way_does_not_survive_its_device() {
    let mut gpu = troubled(Fault::Lost(2));
    let program = gpu.load(program(SMALL)).unwrap();
    gpu.input(program, "x", &[1.0; 64]).unwrap();
    gpu.input(program, "w", &[1.0; 36]).unwrap();
    gpu.run(program, 1).unwrap();
    let before = gpu.read(&[Readback::Output(program, "y")]).unwrap();
    let _ = gpu.run(program, 1);
    match before.wait_one() {
        // Done before the loss, or not at all.
        Ok(values) => assert!(values.iter().all(|value| value.is_finite())),
        Err(error) => said(&error, &["net.conv1/conv2d"]),
    }
}

#[test]
fn a_limit_names_the_op_and_both_sizes() {
    let mut gpu = troubled(Fault::Limit(1 << 20));
    gpu.load(program(SMALL)).unwrap();
    // 4 x 30 x 3998 results of 4 bytes.
    let error = gpu.load(program([1, 1, 32, 4000])).unwrap_err();
    assert!(matches!(error, EngineError::Limit { .. }), "{error}");
    said(&error, &["net.conv1/conv2d", "needs", "1 MiB"]);

    let mut variables = Variables::new();
    let group = variables.group("teacher.generator");
    variables.add(group, "weight", [1, 1, 600, 600]);
    said(&gpu.allocate(&variables).unwrap_err(), &["`teacher.generator`", "1 MiB"]);
}

#[test]
fn what_no_memory_holds_is_refused_before_any_is_taken() {
    // A batch of so many images takes 512 GiB on the way.
    let huge = || program([1 << 20, 1, 258, 130]);
    let mut executors: [Box<dyn Executor>; 2] = [Box::new(common::open()), Box::new(Cpu::new())];
    for executor in &mut executors {
        let error = executor.load(huge()).unwrap_err();
        assert!(matches!(error, EngineError::Limit { .. }), "{error}");
        said(&error, &["net.conv1/conv2d", "MiB"]);
    }
}

/// Run by the next test, in a process whose memory it limits.
#[test]
#[ignore = "limits the memory of its own process; the next test runs it in one"]
#[cfg(target_os = "linux")]
fn with_little_memory() {
    const BEYOND: u64 = 256 << 20;
    let mut gpu = common::open();
    // What the driver takes for itself is taken before.
    let small = gpu.load(program(SMALL)).unwrap();
    gpu.input(small, "x", &[1.0; 64]).unwrap();
    gpu.input(small, "w", &[1.0; 36]).unwrap();
    gpu.run(small, 1).unwrap();
    gpu.read(&[Readback::Output(small, "y")]).unwrap().wait_one().unwrap();

    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.split_whitespace().next());
    let most = 1024 * held.unwrap().parse::<u64>().unwrap() + BEYOND;
    let [process, most] = [format!("--pid={}", std::process::id()), format!("--as={most}")];
    let limited = std::process::Command::new("prlimit").args([process, most]).status();
    assert!(limited.expect("no prlimit: apt-get install -y util-linux").success());
    let mut variables = Variables::new();
    for n in 0..16 {
        let group = variables.group(format!("group {n}"));
        variables.add(group, "numbers", [1, 1, 25, 1 << 20]);
    }
    let error = gpu.allocate(&variables).unwrap_err();
    assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}");
    said(&error, &["no memory for the variables `group "]);
    println!("refused: {error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_driver_that_is_out_of_memory_is_an_error_that_names_the_buffer() {
    // The memory of a process limits that of a software driver only, whichever adapter the other tests take.
    let adapters = adapters(Duration::from_secs(60)).unwrap();
    let software = adapters.iter().position(|adapter| adapter.is_software());
    let software = software.expect(common::NO_ADAPTER);
    let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
    tests.env("PKDGAN_TEST_ADAPTER", software.to_string());
    let output = tests.args(["--exact", "with_little_memory", "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("refused: no memory for the variables"), "{text}");
}

#[test]
fn a_kernel_that_the_driver_refuses_is_named_with_its_op() {
    let mut gpu = troubled(Fault::Kernel("conv2d_register".into()));
    let error = gpu.load(program(SMALL)).unwrap_err();
    assert!(matches!(&error, EngineError::Kernel { shader, .. } if shader == "conv2d_register"), "{error}");
    said(&error, &["net.conv1/conv2d", "refuses the kernel conv2d_register", "broken"]);
    // The device is as good as before.
    let mut graph = Graph::new();
    let x = graph.input("x", SMALL);
    let y = graph.scale(x, 3.0).unwrap();
    graph.output("y", y);
    assert_eq!(gpu.evaluate(&graph, &[("x", &[2.0; 64])]).unwrap()["y"], [6.0; 64]);
}

#[test]
fn an_adapter_that_is_not_there_is_answered_with_those_that_are() {
    let options = GpuOptions::default().adapter(Some("no such card".into()));
    let error = Gpu::open(&options).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::NoAdapter { .. }), "{error}");
    said(&error, &["no such card", "there are: "]);
}

#[test]
fn faults_are_read_from_text() {
    assert_eq!("lost=3".parse(), Ok(Fault::Lost(3)));
    assert_eq!("kernel=scale".parse(), Ok(Fault::Kernel("scale".into())));
    for text in ["", "lost", "lost=x", "limit=-1", "kernel=", "fire=1"] {
        assert!(text.parse::<Fault>().unwrap_err().to_string().contains("lost=RUN"), "{text}");
    }
}
