//! A small network, trained on the engine alone: an autoencoder of bright squares, by Adam.
//!
//! ```text
//! cargo run --release --example small_network
//! ```

use pkdgan::engine::{
    Activation, AdamGroups, AdamSettings, Cpu, EngineError, Executor, Graph, Measure, Program, Readback, Schedule,
    Variables, Window,
};

const STEPS: usize = 200;
const BATCH: usize = 16;
const SIDE: usize = 8;

fn main() -> Result<(), EngineError> {
    // Whatever stays from step to step is a variable. Those of a group lie in one buffer, so that Adam is one op.
    let mut variables = Variables::new();
    let network = variables.group("network");
    let encoder = variables.add(network, "encoder", [8, 1, 4, 4]);
    let encoder_bias = variables.add(network, "encoder_bias", [1, 8, 1, 1]);
    let decoder = variables.add(network, "decoder", [8, 1, 4, 4]);
    let decoder_bias = variables.add(network, "decoder_bias", [1, 1, 1, 1]);
    let groups = AdamGroups::mirror(&mut variables, network);
    let clock = variables.group("clock");
    let clock = variables.add(clock, "step", [1; 4]);

    // One training step, traced once: forward, loss, gradients, Adam, clock.
    let mut graph = Graph::new();
    let images = graph.input("images", [BATCH, 1, SIDE, SIDE]);
    let parameters = [encoder, encoder_bias, decoder, decoder_bias].map(|v| graph.variable(&variables, v));
    let [w1, b1, w2, b2] = parameters;
    let halves = Window::stride(2).padding(1);
    let codes = graph.conv2d(images, w1, Some(b1), halves)?;
    let codes = graph.activation(codes, Activation::LeakyRelu(0.2))?;
    let made = graph.conv_transpose2d(codes, w2, Some(b2), halves, [0, 0])?;
    // A distance for each image, then their mean.
    let distances = graph.distance(made, images, Measure::MeanSquared)?;
    let loss = graph.mean(distances)?;
    let gradients = graph.gradients(loss, &parameters)?;
    let settings = AdamSettings::new(0.01, STEPS).schedule(Schedule::Cosine);
    let step = graph.variable(&variables, clock);
    let table = graph.constant([1, 1, STEPS, 2], &settings.table())?;
    graph.adam(&variables, groups, &settings, [step, table], &gradients)?;
    graph.tick(clock)?;
    graph.output("loss", loss);

    let mut executor = Cpu::new();
    let program = executor.load(Program::compile(&graph, &variables)?)?;
    // Variables start as zeros, from which no network learns.
    for (weight, seed) in [(encoder, 1), (decoder, 2)] {
        executor.write(weight, &small_numbers(seed, 8 * 16))?;
    }
    executor.input(program, "images", &squares())?;

    let mut losses = Vec::new();
    for step in 0..STEPS {
        let read = executor.run_and_read(program, &[Readback::Output(program, "loss")])?;
        losses.push(read.wait_one()?[0]);
        if step % 20 == 0 || step + 1 == STEPS {
            println!("step {:3}  loss {:.5}", step + 1, losses[step]);
        }
    }
    assert!(losses[STEPS - 1] < 0.1 * losses[0], "the loss falls to less than a tenth");
    Ok(())
}

/// Numbers within 0.2 of zero that look random.
fn small_numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.4 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5)
    };
    (0..count).map(|_| next()).collect()
}

/// Images of a bright square each, in another place each: 1 on -1.
fn squares() -> Vec<f32> {
    let mut pixels = vec![-1.0; BATCH * SIDE * SIDE];
    for image in 0..BATCH {
        let (top, left) = (image / 4, image % 4);
        for y in top..top + 4 {
            for x in left..left + 4 {
                pixels[(image * SIDE + y) * SIDE + x] = 1.0;
            }
        }
    }
    pixels
}
