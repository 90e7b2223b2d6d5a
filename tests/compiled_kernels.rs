//! Compiled kernels of a device: those of programs that are gone do not pile up.

mod common;

use pkdgan::engine::{Activation, Executor, GpuOptions, Graph, Program, Readback, Variables};
use pkdgan::unstable::engine::GpuInternals;

/// Most kernels that are kept without a program.
const MAX_UNUSED: usize = 64;

/// A graph whose kernel is no other number's.
fn graph(number: usize) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", [1, 1, 1, 8]);
    let y = graph.scale(x, number as f32 + 0.5).unwrap();
    graph.output("y", y);
    graph
}

#[test]
fn kernels_of_programs_that_are_gone_are_bounded() {
    let mut gpu = common::opened(&GpuOptions::default().adapter(common::adapter()));
    let mut held = Graph::new();
    let x = held.input("x", [1, 1, 1, 8]);
    let y = held.activation(x, Activation::Tanh).unwrap();
    held.output("y", y);
    let program = gpu.load(Program::compile(&held, &Variables::new()).unwrap()).unwrap();
    let own = gpu.compiled_kernels();
    assert!(own > 0);

    for number in 0..3 * MAX_UNUSED {
        let y = gpu.evaluate(&graph(number), &[("x", &[2.0; 8])]).unwrap();
        assert_eq!(y["y"], [2.0 * number as f32 + 1.0; 8]);
        assert!(gpu.compiled_kernels() <= own + MAX_UNUSED + 1, "{} after {number}", gpu.compiled_kernels());
    }
    assert_eq!(gpu.compiled_kernels(), own + MAX_UNUSED);
    // Those that failed leave none behind either.
    for number in 0..2 * MAX_UNUSED {
        gpu.evaluate(&graph(1_000 + number), &[("x", &[2.0; 7])]).unwrap_err();
    }
    assert_eq!(gpu.compiled_kernels(), own + MAX_UNUSED);

    // The program that is loaded has lost nothing.
    gpu.input(program, "x", &[0.0; 8]).unwrap();
    gpu.run(program, 1).unwrap();
    assert_eq!(gpu.read(&[Readback::Output(program, "y")]).unwrap().wait_one().unwrap(), [0.0; 8]);
    gpu.unload(program);
    assert_eq!(gpu.compiled_kernels(), MAX_UNUSED);
}
