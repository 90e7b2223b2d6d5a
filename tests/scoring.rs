//! Every scoring path against the others and against double precision.

mod common;

use std::path::Path;

use pkdgan::engine::{Gpu, GpuOptions};
use pkdgan::model::ModelFile;
use pkdgan::scoring::{Detector, ScoringPath};

fn student() -> ModelFile {
    ModelFile::read(Path::new("tests/data/student/model.safetensors")).unwrap()
}

#[test]
fn scratch() {
    let file = student();
    let mut cpu = Detector::cpu(&file, 64).unwrap();
    let pixels: Vec<f32> = (0..3 * 1024).map(|i| (i as f32 * 0.37).sin()).collect();
    let a = cpu.submit(&pixels, true).unwrap().wait().unwrap();
    println!("{:?}", a.scores);
    for path in [ScoringPath::OpByOp, ScoringPath::FusedF32, ScoringPath::FusedF16] {
        let gpu = Gpu::open(&GpuOptions::default()).unwrap();
        let mut detector = Detector::on(Box::new(gpu), &file, path, 4).unwrap();
        let b = detector.submit(&pixels, true).unwrap().wait().unwrap();
        let r = a
            .reconstructions
            .as_ref()
            .unwrap()
            .iter()
            .zip(b.reconstructions.as_ref().unwrap())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{path} {:?} {r}", b.scores);
        for batch in [1, 4] {
            let m = pkdgan::scoring::measure(&mut detector, batch, std::time::Duration::from_millis(300)).unwrap();
            println!("{batch} {:?}", m.figure("student", path));
        }
    }
    for batch in [1, 8, 64] {
        let m = pkdgan::scoring::measure(&mut cpu, batch, std::time::Duration::from_millis(300)).unwrap();
        println!("{batch} {:?}", m.figure("student", ScoringPath::Cpu));
    }
}
