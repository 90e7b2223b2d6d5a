//! The CPU executor takes no memory in a step. The only test of its process, for it counts what the whole process asks for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use pkdgan::config::Recipe;
use pkdgan::data::Dataset;
use pkdgan::engine::{Cpu, Executor};
use pkdgan::unstable::train::{Stage, Traced};

/// Counts what is asked of it.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn steps_take_no_memory() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for (stage, batch_size) in [(Stage::Teacher, 1), (Stage::Teacher, 8), (Stage::Alone, 16), (Stage::Step2, 3)] {
        let mut config = Recipe::Default.config(Dataset::Mnist);
        config.training.batch_size = batch_size;
        config.student.alone.batch_size = batch_size;
        config.distillation.step2.batch_size = batch_size;
        let traced = Traced::new(&config, stage, 20).unwrap();
        let taken = pool.install(|| {
            let mut cpu = Cpu::new();
            let program = traced.load(&config, &mut cpu).unwrap();
            let mut counted = |steps: usize| {
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                cpu.run(program, steps).unwrap();
                ALLOCATIONS.load(Ordering::Relaxed) - before
            };
            // Threads that wake up for the first time make themselves ready.
            counted(20);
            counted(50)
        });
        // To wake threads takes a little, once for all steps.
        assert!(taken < 50, "{stage}, batch {batch_size}: {taken} allocations in 50 steps");
    }
}
