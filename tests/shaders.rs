//! Every kernel in the languages of all drivers: SPIR-V for Vulkan, MSL for Metal, HLSL for DirectX, GLSL for OpenGL, so
//! that nobody who has another driver is the first to compile it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use naga::back::{glsl, hlsl, msl, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, Handle, LocalVariable, Module, ShaderStage, Statement,
    StorageAccess,
};
use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::engine::{Activation, Graph, Measure, Program, Variables, Window};
use pkdgan::unstable::engine::{ConvVariant, KernelText, ProgramInternals};
use pkdgan::unstable::model::NormMode;
use rayon::prelude::*;

use self::programs::{fused, scoring, training};

#[path = "common/programs.rs"]
mod programs;

/// The last is as suits the adapter.
const VARIANTS: [Option<ConvVariant>; 4] =
    [Some(ConvVariant::Naive), Some(ConvVariant::Register), Some(ConvVariant::Tiled), None];

/// Ops and shapes that the networks do not have: odd sides, every measure.
fn others() -> Program {
    let mut graph = Graph::new();
    let x = graph.input("x", [5, 3, 7, 9]);
    let w = graph.input("w", [6, 3, 3, 2]);
    let b = graph.input("b", [1, 6, 1, 1]);
    let y = graph.conv2d(x, w, Some(b), Window { stride: [2, 1], padding: [1, 0] }).unwrap();
    let target = graph.input("target", graph.shape(y));
    let mut losses = Vec::new();
    for measure in [Measure::L1, Measure::L2, Measure::MeanSquared] {
        let distance = graph.distance(y, target, measure).unwrap();
        losses.push(graph.mean(distance).unwrap());
    }
    let twice = graph.batch_concat(y, target).unwrap();
    let difference = graph.sub(y, target).unwrap();
    let [sum, difference] = [twice, difference].map(|x| graph.sum(x).unwrap());
    // Losses that what follows keeps from giving their gradients.
    let [far, unlikely] = [graph.distance(y, target, Measure::L1).unwrap(), graph.bce_with_logits(y, target).unwrap()]
        .map(|loss| {
            let mean = graph.mean(loss).unwrap();
            graph.activation(mean, Activation::Sigmoid).unwrap()
        });
    losses.extend([far, unlikely]);
    // Activations and factors that no convolution before them takes in, and a gradient that is no constant.
    let half = graph.scale(x, 0.5).unwrap();
    let bent = graph.activation(half, Activation::Tanh).unwrap();
    let bent = graph.mean(bent).unwrap();
    let bent = graph.activation(bent, Activation::Sigmoid).unwrap();
    losses.extend([difference, bent]);
    let loss = losses.into_iter().fold(sum, |sum, loss| graph.add(sum, loss).unwrap());
    for (name, gradient) in ["dx", "dw", "db"].into_iter().zip(graph.gradients(loss, &[x, w, b]).unwrap()) {
        graph.output(name, gradient);
    }
    graph.output("loss", loss);
    Program::compile(&graph, &Variables::new()).unwrap()
}

/// The look for numbers that are not finite, over a group that is no whole number of `vec4`s.
fn looking() -> Program {
    let mut variables = Variables::new();
    let group = variables.group("looked through");
    variables.add(group, "numbers", [1, 1, 3, 5]);
    let flags = variables.group("flags");
    let flags = variables.add(flags, "flags", [1, 1, 1, 2]);
    let mut graph = Graph::new();
    graph.flag_not_finite(&variables, group, flags, 1).unwrap();
    Program::compile(&graph, &variables).unwrap()
}

/// The kernels that this project's networks are made of, each text once.
static KERNELS: LazyLock<Vec<KernelText>> = LazyLock::new(|| {
    let mut programs = vec![others(), looking()];
    for dataset in Dataset::ALL {
        for (batch_size, statistics) in [(1, Statistics::PerImage), (8, Statistics::Running)] {
            programs.extend(training(dataset, batch_size, statistics));
            programs.extend(fused(dataset, statistics));
        }
        for (batch, mode) in [(1, NormMode::PerImage), (1, NormMode::Running), (100, NormMode::Running)] {
            programs.extend(scoring(dataset, batch, mode));
        }
    }
    let mut known = HashSet::new();
    let of = |program: &Program| {
        // GPUs and CPUs, with and without half precision.
        let kinds = [false, true].into_iter().flat_map(|software| [false, true].map(|half| (software, half)));
        let all = VARIANTS.into_iter().flat_map(|variant| kinds.clone().map(move |kind| (variant, kind)));
        let all = all.map(|(variant, (software, half))| program.kernels(variant, software, half));
        all.chain([true, false].map(|software| program.candidates(software))).flatten().collect::<Vec<_>>()
    };
    programs.iter().flat_map(of).filter(|kernel| known.insert(kernel.wgsl.clone())).collect()
});

/// Whether only adapters with arithmetic in half precision get this kernel.
fn half(kernel: &KernelText) -> bool {
    kernel.wgsl.starts_with("enable f16;")
}

/// Parsed and found valid with no more than what every adapter can do, which is to unpack halves, but not to compute with them.
fn valid(kernel: &KernelText) -> (Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(&kernel.wgsl)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.shader, error.emit_to_string(&kernel.wgsl)));
    let capabilities =
        if half(kernel) { Capabilities::SHADER_FLOAT16 } else { Capabilities::SHADER_FLOAT16_IN_FLOAT32 };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.shader, error.emit_to_string(&kernel.wgsl)));
    (module, info)
}

/// As the engine has it: indices are checked, loops are not.
const CHECKS: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Restrict,
    buffer: BoundsCheckPolicy::Restrict,
    image_load: BoundsCheckPolicy::Restrict,
    binding_array: BoundsCheckPolicy::Restrict,
};

fn spirv(module: &Module, info: &ModuleInfo) -> Result<usize, String> {
    let options = spv::Options {
        bounds_check_policies: CHECKS,
        force_loop_bounding: false,
        fake_missing_bindings: true,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(module, info, &options, Some(&pipeline)).map(|words| words.len()).map_err(|error| error.to_string())
}

fn metal(module: &Module, info: &ModuleInfo) -> Result<usize, String> {
    let options = msl::Options {
        lang_version: (2, 1),
        bounds_check_policies: CHECKS,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let written = msl::write_string(module, info, &options, &msl::PipelineOptions::default());
    let (text, translated) = written.map_err(|error| error.to_string())?;
    translated.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Ok(text.len())
}

fn directx(module: &Module, info: &ModuleInfo) -> Result<usize, String> {
    let options = hlsl::Options {
        // The first with half precision.
        shader_model: hlsl::ShaderModel::V6_2,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    written.map_err(|error| error.to_string())?;
    Ok(text.len())
}

fn opengl(module: &Module, info: &ModuleInfo) -> Result<usize, String> {
    let options = glsl::Options {
        version: glsl::Version::Embedded { version: 310, is_webgl: false },
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let pipeline =
        glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let mut text = String::new();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, CHECKS);
    writer.and_then(|mut writer| writer.write()).map_err(|error| error.to_string())?;
    Ok(text.len())
}

#[test]
fn every_kernel_translates_to_every_drivers_language() {
    type Translate = fn(&Module, &ModuleInfo) -> Result<usize, String>;
    let languages: [(&str, Translate); 4] = [("SPIR-V", spirv), ("MSL", metal), ("HLSL", directx), ("GLSL", opengl)];
    KERNELS.par_iter().for_each(|kernel| {
        let (module, info) = valid(kernel);
        for (language, translate) in languages {
            // OpenGL's adapters have no half precision, and get the kernels that do without.
            if half(kernel) && language == "GLSL" {
                continue;
            }
            let length = translate(&module, &info).unwrap_or_else(|error| {
                panic!("{} of {} in {language}: {error}\n{}", kernel.shader, kernel.op, kernel.wgsl)
            });
            assert!(length > 50, "{} in {language}: {length}", kernel.shader);
        }
    });
    // What there is, and what was covered: a shader that no program above uses needs one that does.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
    for kernel in &*KERNELS {
        kernel.shader.split('+').for_each(|shader| *texts.entry(shader).or_default() += 1);
    }
    let covered: BTreeSet<String> = texts.keys().map(|&shader| shader.to_owned()).collect();
    assert_eq!(files, covered, "shaders on disk, and those that were translated");
    println!("{} texts of {} shaders in {} languages: {texts:?}", KERNELS.len(), files.len(), languages.len());
}

/// The loops of a function, checked one by one.
struct Loops<'a> {
    module: &'a Module,
    function: &'a Function,
}

impl Loops<'_> {
    /// Whether all loops of a block count.
    fn all_count(&self, block: &Block) -> bool {
        block.iter().all(|statement| match statement {
            Statement::Loop { body, continuing, break_if } => {
                break_if.is_none() && self.counts(body, continuing).is_some() && self.all_count(body)
            }
            Statement::If { accept, reject, .. } => self.all_count(accept) && self.all_count(reject),
            Statement::Switch { cases, .. } => cases.iter().all(|case| self.all_count(&case.body)),
            Statement::Block(block) => self.all_count(block),
            _ => true,
        })
    }

    /// Whether a loop begins by comparing a counter with a limit, changes the counter by a constant in the end and nowhere
    /// else, and leaves the limit as it is.
    fn counts(&self, body: &Block, continuing: &Block) -> Option<()> {
        let expression = |handle: Handle<Expression>| &self.function.expressions[handle];
        let test = body.iter().find(|statement| !matches!(statement, Statement::Emit(_) | Statement::Call { .. }))?;
        let Statement::If { condition, accept, reject } = test else { return None };
        if !accept.is_empty() || !matches!(reject[..], [Statement::Break]) {
            return None;
        }
        let Expression::Binary { op: comparison, left, right: limit } = *expression(*condition) else { return None };
        let counter = self.loaded(left)?;
        let mut steps = continuing.iter().filter(|statement| !matches!(statement, Statement::Emit(_)));
        let (Some(&Statement::Store { pointer, value }), None) = (steps.next(), steps.next()) else { return None };
        let Expression::Binary { op: step, left, right } = *expression(value) else { return None };
        let constant = matches!(expression(right), Expression::Literal(_) | Expression::Constant(_));
        let directed = matches!(
            (comparison, step),
            (BinaryOperator::Less, BinaryOperator::Add) | (BinaryOperator::Greater, BinaryOperator::Divide)
        );
        let mut changed = Vec::new();
        self.changed(body, &mut changed);
        let fixed = !changed.contains(&counter) && self.stays(limit, &changed);
        let same = self.root(pointer) == Some(counter) && self.loaded(left) == Some(counter);
        (constant && directed && fixed && same).then_some(())
    }

    /// The variable that an expression loads.
    fn loaded(&self, handle: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[handle] {
            Expression::Load { pointer } => self.root(pointer),
            _ => None,
        }
    }

    /// The variable that a pointer leads into.
    fn root(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.root(base),
            _ => None,
        }
    }

    /// Adds the variables that a block may change.
    fn changed(&self, block: &Block, changed: &mut Vec<Handle<LocalVariable>>) {
        for statement in block {
            match statement {
                Statement::Store { pointer, .. } => changed.extend(self.root(*pointer)),
                Statement::Call { arguments, .. } => changed.extend(arguments.iter().filter_map(|&x| self.root(x))),
                Statement::Loop { body, continuing, .. } => {
                    self.changed(body, changed);
                    self.changed(continuing, changed);
                }
                Statement::If { accept, reject, .. } => {
                    self.changed(accept, changed);
                    self.changed(reject, changed);
                }
                Statement::Switch { cases, .. } => cases.iter().for_each(|case| self.changed(&case.body, changed)),
                Statement::Block(block) => self.changed(block, changed),
                _ => {}
            }
        }
    }

    /// Whether an expression has the same value as long as no other variables than these change.
    fn stays(&self, handle: Handle<Expression>, changed: &[Handle<LocalVariable>]) -> bool {
        let stays = |handle: Handle<Expression>| self.stays(handle, changed);
        match self.function.expressions[handle] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::FunctionArgument(_)
            | Expression::ArrayLength(_) => true,
            Expression::Binary { left, right, .. } => stays(left) && stays(right),
            Expression::Math { arg, arg1, .. } => stays(arg) && arg1.is_none_or(stays),
            Expression::Select { condition, accept, reject } => stays(condition) && stays(accept) && stays(reject),
            Expression::Compose { ref components, .. } => components.iter().all(|&component| stays(component)),
            Expression::AccessIndex { base, .. } => stays(base),
            Expression::LocalVariable(variable) => !changed.contains(&variable),
            Expression::GlobalVariable(variable) => match self.module.global_variables[variable].space {
                AddressSpace::Storage { access } => !access.contains(StorageAccess::STORE),
                space => space == AddressSpace::Uniform,
            },
            Expression::Load { pointer } => stays(pointer),
            // It takes nothing and changes nothing.
            Expression::CallResult(function) => {
                let function = &self.module.functions[function];
                let constant =
                    |statement: &Statement| matches!(statement, Statement::Emit(_) | Statement::Return { .. });
                function.arguments.is_empty() && function.body.iter().all(constant)
            }
            _ => false,
        }
    }
}

/// Whether all loops of a module count.
fn loops_count(module: &Module) -> bool {
    let functions = module.functions.iter().map(|(_, function)| function);
    let mut all = functions.chain(module.entry_points.iter().map(|entry| &entry.function));
    all.all(|function| Loops { module, function }.all_count(&function.body))
}

/// What lets the engine leave loops unbounded (`Dispatch::loops_bounded`).
#[test]
fn every_loop_counts_to_a_fixed_limit() {
    KERNELS.par_iter().for_each(|kernel| {
        let (module, _) = valid(kernel);
        assert!(loops_count(&module), "{} of {}\n{}", kernel.shader, kernel.op, kernel.wgsl);
    });
    // And what would not pass.
    for text in [
        "var i = 0u; loop { i += 1u; if i > 7u { break; } }",
        "var i = 0u; while i < 7u { i += 1u; }",
        "for (var i = 0u; i < 7u; i += n) {}",
        "for (var i = 0u; i < 7u; i -= 1u) {}",
        "for (var i = 0u; i != 7u; i += 2u) {}",
        "for (var i = 0u; i < 7u; i++) { i = 3u; }",
        "var end = n; for (var i = 0u; i < end; i++) { end += 1u; }",
        "for (var i = 0u; i < y[0]; i++) { y[0] += 1u; }",
        "for (var i = 0u; i < 7u; i++) { for (var j = 0u;; j++) { if j == n { break; } } }",
    ] {
        let text = format!("@group(0) @binding(0) var<storage, read_write> y: array<u32>; fn f(n: u32) {{ {text} }}");
        assert!(!loops_count(&naga::front::wgsl::parse_str(&text).unwrap()), "{text}");
    }
    let counting = "fn f(n: u32) { for (var i = 0u; i < min(n, 7u); i++) { for (var j = 8u; j > 0u; j /= 2u) {} } }";
    assert!(loops_count(&naga::front::wgsl::parse_str(counting).unwrap()));
}
