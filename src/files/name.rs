//! Names of files as text.

use std::borrow::Cow;
use std::path::Path;

/// A path as text. Of one that is no Unicode, bytes that are none are written as `\xE9`, and `\` as `\\`, so that two such
/// paths stay two.
pub fn text_of(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return text.into();
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    text.into()
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn two_names_stay_two() {
        let text = |bytes: &'static [u8]| text_of(Path::new(OsStr::from_bytes(bytes))).into_owned();
        assert_eq!(text("a\u{e9}\\b".as_bytes()), "a\u{e9}\\b");
        assert_eq!(text(b"a\xe9"), "a\\xE9");
        assert_eq!(text(b"a\xe8"), "a\\xE8");
        assert_eq!(text(b"a\\xE9\xe8"), "a\\\\xE9\\xE8");
    }
}
