//! Messages that quote what somebody else wrote: no longer than a person reads.

use std::borrow::Cow;

/// Most bytes of a text that are quoted.
const MAX_QUOTED: usize = 300;

/// A text; of a long one its beginning, and how long it is.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_QUOTED {
        return text.into();
    }
    let end = (0..=MAX_QUOTED).rev().find(|&place| text.is_char_boundary(place)).unwrap_or_default();
    format!("{}... ({} bytes in all)", &text[..end], text.len()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = "\u{e9}".repeat(MAX_QUOTED);
        let said = shortened(&format!("a{long}")).into_owned();
        assert!(said.starts_with("a\u{e9}") && said.ends_with("\u{e9}... (601 bytes in all)"), "{said}");
        assert!(said.len() < MAX_QUOTED + 40);
    }
}
