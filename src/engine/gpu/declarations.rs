//! How kernels' texts declare what they read, and what becomes of it where an adapter is better served otherwise.

use super::shaders::own_texts;
use crate::engine::ops::kernel::Dispatch;

/// A declaration of a storage buffer of quads that is read.
pub(super) struct Declaration<'a> {
    /// All of it.
    pub line: &'a str,
    /// What the text calls the buffer.
    pub name: &'a str,
}

impl<'a> Declaration<'a> {
    /// That of a binding, if there is such, in a text where tensor elements are quads.
    pub fn of_quads(text: &'a str, binding: usize) -> Option<Self> {
        let start = format!("@group(0) @binding({binding}) var<storage, read> ");
        let line = text.lines().find(|line| line.starts_with(&start))?;
        let (name, kind) = line[start.len()..].split_once(": ")?;
        matches!(kind, "array<vec4<f32>>;" | "array<Element>;").then_some(Self { line, name })
    }
}

/// Whether a kernel's text declares a binding so.
pub(super) fn reads_quads(dispatch: &Dispatch, binding: usize) -> bool {
    let declaration = own_texts(dispatch).find_map(|text| Declaration::of_quads(text, binding));
    declaration.is_some_and(|Declaration { line, .. }| !line.contains("Element") || dispatch.element == Some("quad"))
}

/// A text in which `array[i]` has become `function(i)`.
pub(super) fn with_calls(text: &str, array: &str, function: &str) -> String {
    let access = format!("{array}[");
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&access) {
        result += &rest[..at];
        rest = &rest[at + access.len()..];
        // The end of another name, or a part of something.
        let other = result.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        match closing_bracket(rest).filter(|_| !other) {
            Some(end) => {
                result += &format!("{function}({})", with_calls(&rest[..end], array, function));
                rest = &rest[end + 1..];
            }
            None => result += &access,
        }
    }
    result + rest
}

/// Where the bracket is closed that was opened before a text.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut open = 1;
    text.char_indices().find_map(|(at, c)| {
        open += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        (open == 0).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::{Declaration, with_calls};

    #[test]
    fn accesses_become_calls() {
        let text = "let v = x[i / 4u][x[j][k] % 4u] + max[0] + a.x[1] + gx[2]; y[x[3]] = x;";
        let called = "let v = texel(i / 4u)[texel(j)[k] % 4u] + max[0] + a.x[1] + gx[2]; y[texel(3)] = x;";
        assert_eq!(with_calls(text, "x", "texel"), called);
    }

    #[test]
    fn only_quads_that_are_read_count() {
        let text = "@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;\n\
                    @group(0) @binding(1) var<storage, read> scale: array<f32>;\n\
                    @group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;";
        let names = [0, 1, 2, 3].map(|binding| Declaration::of_quads(text, binding).map(|found| found.name));
        assert_eq!(names, [Some("x"), None, None, None]);
    }
}
