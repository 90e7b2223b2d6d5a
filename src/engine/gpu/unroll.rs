//! Loops that are written out before a driver of a CPU sees a kernel.
//!
//! An array stays in registers only where each of its indices is known. Mesa 22.3's llvmpipe unrolls all loops that go through the
//! whole of an array, in less time than it takes for their rounds; 25.0's only those without such loops within: a teacher's step took
//! three times as long there. So `for (var NAME = 0u; NAME < END; NAME++) { //#unroll` becomes its rounds. `END` is a constant of the
//! prelude.

use super::adapter::AdapterSummary;

/// The last major version of Mesa that is known to unroll these loops by itself.
const UNROLLS: u32 = 22;

/// Whether an adapter's driver leaves these loops to be written out.
pub(super) fn is_wanted(adapter: &AdapterSummary) -> bool {
    adapter.is_software() && adapter.mesa().is_none_or(|major| major > UNROLLS)
}

/// At the end of the line that begins such a loop.
const MARK: &str = " //#unroll";
/// The same where it is to be written out for every driver.
const ALWAYS: &str = " //#unroll always";

/// The kernel's text without such loops, of which none lies within another; where the driver unrolls by itself, without those for
/// every driver. One whose end is not known stays.
pub(super) fn unrolled(text: &str, by_driver: bool) -> String {
    let mut lines = text.lines();
    let mut unrolled = String::with_capacity(text.len());
    while let Some(line) = lines.next() {
        let Some((name, rounds)) = begun(line, text, by_driver) else {
            unrolled.extend([line, "\n"]);
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        let body = body.join("\n");
        for round in 0..rounds {
            unrolled += &format!("{indent}{{\n{indent}    const {name} = {round}u;\n{body}\n{end}\n");
        }
    }
    unrolled
}

/// The counter and the rounds of the loop to write out that a line begins.
fn begun<'a>(line: &'a str, text: &str, by_driver: bool) -> Option<(&'a str, u32)> {
    let marked = line.strip_suffix(ALWAYS).or(line.strip_suffix(MARK).filter(|_| !by_driver));
    let head = marked?.trim_start().strip_prefix("for (var ")?;
    let (name, rest) = head.split_once(" = 0u; ")?;
    let (end, _) = rest.strip_prefix(name)?.strip_prefix(" < ")?.split_once("; ")?;
    let declared = format!("const {end}: u32 = ");
    let rounds = text.lines().find_map(|line| line.strip_prefix(&declared))?;
    Some((name, rounds.strip_suffix("u;")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{AdapterSummary, is_wanted, unrolled};

    #[test]
    fn drivers_of_cpus_that_do_not_unroll_want_it() {
        let adapter = |kind: &str, driver: &str| AdapterSummary {
            name: "any".into(),
            backend: "vulkan".into(),
            driver: driver.into(),
            kind: kind.into(),
        };
        assert!(!is_wanted(&adapter("cpu", "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)")));
        assert!(is_wanted(&adapter("cpu", "llvmpipe Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)")));
        assert!(is_wanted(&adapter("cpu", "SwiftShader driver")));
        assert!(!is_wanted(&adapter("integrated", "radv Mesa 25.0.7")));
    }

    #[test]
    fn a_marked_loop_becomes_its_rounds() {
        let text = "\
const N: u32 = 2u;
    for (var i = 0u; i < N; i++) { //#unroll
        for (var j = 0u; j < N; j++) {
            f(i, j);
        }
    }
    g();
";
        let expected = "\
const N: u32 = 2u;
    {
        const i = 0u;
        for (var j = 0u; j < N; j++) {
            f(i, j);
        }
    }
    {
        const i = 1u;
        for (var j = 0u; j < N; j++) {
            f(i, j);
        }
    }
    g();
";
        assert_eq!(unrolled(text, false), expected);
        assert_eq!(unrolled(text, true), text);
        let always = text.replace("//#unroll", "//#unroll always");
        assert_eq!(unrolled(&always, true), expected);
    }

    #[test]
    fn a_loop_of_unknown_length_stays() {
        let text = "    for (var i = 0u; i < count; i++) { //#unroll\n        g(i);\n    }\n";
        assert_eq!(unrolled(text, false), text);
    }
}
