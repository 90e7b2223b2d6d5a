//! The text of a launch. Kernels side by side become one module: names get the number of their kernel, and a workgroup runs
//! the kernel that its number falls to. It relies on how the texts under `shaders/` are laid out: a declaration at the
//! start of its line, a binding in one line, the length of workgroup memory a constant of the host's, `main` last.

use std::collections::HashMap;
use std::fmt::Write;

use super::dispatch::Dispatch;
use super::launch::{Launch, Part};

/// A buffer as a text declares it.
pub(super) struct Declared<'a> {
    pub binding: usize,
    name: &'a str,
    wgsl: &'a str,
}

impl<'a> Declared<'a> {
    /// What a line declares.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let (binding, rest) = line.strip_prefix("@group(0) @binding(")?.split_once(") var<storage, ")?;
        let (name, wgsl) = rest.split_once("> ")?.1.split_once(": ")?;
        Some(Self { binding: binding.parse().ok()?, name, wgsl: wgsl.strip_suffix(';')? })
    }

    /// Its type, without the names that mean something else in another kernel.
    pub(super) fn stored(&self, dispatch: &Dispatch) -> String {
        let element = if dispatch.element == Some("vec4") { "vec4<f32>" } else { "f32" };
        self.wgsl.replace("Element", element)
    }
}

/// The sides of a kernel's workgroup, by its text.
pub(super) fn workgroup_sides(text: &str) -> Option<[u32; 3]> {
    let sides = Main::of(text)?.sides;
    let value = |side: &str| match side.parse() {
        Ok(number) => Some(number),
        Err(_) => constant(text, side)?.trim_end_matches('u').parse().ok(),
    };
    let mut sides = sides.split(',').map(|side| value(side.trim()));
    let mut next = || sides.next().unwrap_or(Some(1));
    Some([next()?, next()?, next()?])
}

/// What a text says that a constant is.
fn constant<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix("const ")?.strip_prefix(name)?.strip_prefix(": u32 = ")?.strip_suffix(';'))
}

/// A kernel's entry point.
struct Main<'a> {
    before: &'a str,
    sides: &'a str,
    /// What each argument is, and what it is called.
    arguments: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

impl<'a> Main<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (before, rest) = text.split_once("@compute @workgroup_size(")?;
        let (sides, rest) = rest.split_once(')')?;
        let (arguments, rest) = rest.split_once("fn main(")?.1.split_once(") {")?;
        let argument = |it: &'a str| {
            let (builtin, rest) = it.split_once(") ")?;
            Some((builtin, rest.split_once(':')?.0))
        };
        let arguments = arguments.split("@builtin(").skip(1).map(argument).collect::<Option<_>>()?;
        Some(Self { before, sides, arguments, body: rest.trim_end().strip_suffix('}')? })
    }
}

impl Launch {
    /// The full text in WGSL.
    pub(crate) fn wgsl(&self) -> String {
        let mut text = String::new();
        let mut known = Known { bindings: vec![None; self.bindings.len()], workgroup: HashMap::new() };
        if let [only] = &self.parts[..] {
            declare(&mut text, &only.text, self, only, None, &mut known);
            return text;
        }
        let mut branches = String::new();
        let mut first = 0;
        for (number, part) in self.parts.iter().enumerate() {
            let Some(main) = Main::of(&part.text) else { continue };
            let names = declare(&mut text, main.before, self, part, Some(number), &mut known);
            let [x, y, z] = part.dispatch.workgroups;
            let end = first + x * y * z;
            // Writing to a string cannot fail.
            let _ = writeln!(branches, "    if workgroup.x >= {first}u && workgroup.x < {end}u {{");
            let [sx, sy, sz] = workgroup_sides(&part.text).unwrap_or([1; 3]);
            // A third coordinate that is always 0 must be seen to be.
            let slice = if sz > 1 { format!("invocation / {}u", sx * sy) } else { "0u".to_owned() };
            for (builtin, name) in main.arguments {
                let value = match builtin {
                    "workgroup_id" => format!(
                        "vec3<u32>((workgroup.x - {first}u) % {x}u, (workgroup.x - {first}u) / {x}u % {y}u, \
                         (workgroup.x - {first}u) / {}u)",
                        x * y
                    ),
                    "num_workgroups" => format!("vec3<u32>({x}u, {y}u, {z}u)"),
                    "local_invocation_id" => {
                        format!("vec3<u32>(invocation % {sx}u, invocation / {sx}u % {sy}u, {slice})")
                    }
                    _ => "invocation".to_owned(),
                };
                let _ = writeln!(branches, "    let {name} = {value};");
            }
            let _ = writeln!(branches, "{}    }}", renamed(main.body, &names));
            first = end;
        }
        let invocations =
            self.parts.first().and_then(|part| workgroup_sides(&part.text)).map_or(1, |[x, y, z]| x * y * z);
        text + &format!(
            "@compute @workgroup_size({invocations})\n\
             fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {{\n\
             {branches}}}\n"
        )
    }
}

/// What the kernels before have declared.
struct Known {
    /// The name of each binding.
    bindings: Vec<Option<String>>,
    /// Workgroup memory, by what declares it and its length. Kernels side by side never use it at once.
    workgroup: HashMap<String, String>,
}

/// Adds the declarations of a kernel, or its whole text where it stays alone: with buffers bound as the launch binds them, and
/// names that end in `number`. Returns the new names.
fn declare<'a>(
    text: &mut String,
    own: &'a str,
    launch: &Launch,
    part: &Part,
    number: Option<usize>,
    known: &mut Known,
) -> HashMap<&'a str, String> {
    let suffix = number.map(|number| format!("_{number}")).unwrap_or_default();
    let mut names: HashMap<&str, String> = HashMap::new();
    let mut lines = String::new();
    for line in own.lines() {
        let line = if let Some(Declared { binding, name, wgsl }) = Declared::of(line) {
            names.insert(name, format!("{name}{suffix}"));
            match part.bound.get(binding).copied().flatten() {
                Some(at) => match &known.bindings[at] {
                    Some(name_before) => {
                        names.insert(name, name_before.clone());
                        continue;
                    }
                    None => {
                        known.bindings[at] = Some(format!("{name}{suffix}"));
                        let access = if launch.bindings[at].writes { "read_write" } else { "read" };
                        format!("@group(0) @binding({at}) var<storage, {access}> {name}: {wgsl};")
                    }
                },
                // The constants switch off whatever would use it.
                None => format!("var<private> {name}: {}, 1>;", wgsl.strip_suffix('>').unwrap_or(wgsl)),
            }
        } else {
            if let (Some(name), Some(_)) = (declared_name(line), number) {
                names.insert(name, format!("{name}{suffix}"));
                if line.starts_with("var<workgroup>") {
                    let len = line.rsplit(", ").next().and_then(|len| constant(&part.text, len.strip_suffix(">;")?));
                    let key = format!("{line}{len:?}");
                    if let Some(before) = known.workgroup.get(&key) {
                        names.insert(name, before.clone());
                        continue;
                    }
                    known.workgroup.insert(key, format!("{name}{suffix}"));
                }
            }
            line.to_owned()
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    text.push_str(&renamed(&lines, &names));
    names
}

/// What a line declares at the level of the module, but buffers.
fn declared_name(line: &str) -> Option<&str> {
    let kinds = ["const ", "alias ", "struct ", "fn ", "var<workgroup> ", "var<private> "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    rest.split(|c: char| !is_word(c)).next()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A text with names replaced, but for members and comments.
fn renamed(text: &str, names: &HashMap<&str, String>) -> String {
    let mut new = String::with_capacity(text.len() + text.len() / 4);
    for line in text.lines() {
        let mut rest = line.split_once("//").map_or(line, |(code, _)| code);
        while !rest.is_empty() {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let member = new.ends_with('.');
            new.push_str(names.get(word).filter(|_| !member).map_or(word, String::as_str));
            let end = after.find(is_word).unwrap_or(after.len());
            let (between, after) = after.split_at(end);
            new.push_str(between);
            rest = after;
        }
        new.push('\n');
    }
    new
}
