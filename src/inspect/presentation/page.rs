//! The page of a presentation: a static template with the data in it as JSON — WHATWG HTML §4.12.1.

use crate::base::{Error, Result};

use super::Presentation;

/// The page; it asks for nothing else and may not.
const TEMPLATE: &str = include_str!("page.html");
/// Where the data goes.
const PLACE: &str = "{{presentation}}";

/// One HTML file that draws a presentation.
///
/// # Errors
/// When the data cannot be written as JSON.
pub fn page(presentation: &Presentation) -> Result<String> {
    let json = serde_json::to_string(presentation).map_err(|error| Error::input(error.to_string()))?;
    let (before, after) = TEMPLATE.split_once(PLACE).unwrap_or((TEMPLATE, ""));
    Ok([before, &escape(&json), after].concat())
}

/// JSON that is the same to a JSON parser and has no character that ends or changes a script element.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_one_place_for_data() {
        assert_eq!(TEMPLATE.matches(PLACE).count(), 1);
    }

    #[test]
    fn data_cannot_leave_its_script_element() {
        let hostile = "</script><script>alert(1)</script><!--&\u{2028}";
        let escaped = escape(&serde_json::to_string(hostile).unwrap());
        assert!(!escaped.contains(['<', '>', '&', '\u{2028}']), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), hostile);
    }
}
