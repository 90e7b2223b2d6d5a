//! One op and its gradients on the CPU executor.
//!
//! ```text
//! cargo run --release --example one_op
//! ```

use pkdgan::engine::{Cpu, EngineError, Executor, Graph, Window};

fn main() -> Result<(), EngineError> {
    let mut graph = Graph::new();
    // Shapes are [N, C, H, W]; a convolution's weight is [outputs, inputs, height, width].
    let image = graph.input("image", [1, 1, 4, 4]);
    let weight = graph.input("weight", [1, 1, 2, 2]);
    let y = graph.conv2d(image, weight, None, Window::stride(2))?;
    let loss = graph.sum(y)?;
    let gradients = graph.gradients(loss, &[image, weight])?;
    graph.output("y", y);
    graph.output("dimage", gradients[0]);
    graph.output("dweight", gradients[1]);

    let pixels: Vec<f32> = (0..16).map(|v| v as f32).collect();
    let mut executor = Cpu::new();
    println!("computed on: {}", executor.summary());
    let out = executor.evaluate(&graph, &[("image", &pixels), ("weight", &[1.0, 2.0, 3.0, 4.0])])?;
    for name in ["y", "dimage", "dweight"] {
        println!("{name}: {:?}", out[name]);
    }
    // Of each weight: the sum of the pixels that it met.
    assert_eq!(out["dweight"], [20.0, 24.0, 36.0, 40.0]);
    Ok(())
}
